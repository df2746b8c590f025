"""Which addresses a source may be fetched from: those of the public internet, unless the owner allows others.

A host is resolved once; whoever connects is handed the addresses that were looked at, never the name again. A name
that answers with a public address first and with an inner one later gains nothing by it.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import quote, urlsplit

from shared.errors import JobFailed

#: Written out, because what Python calls global has changed from one patch of it to the next. The last one looks public
#: and is the host of every machine in Azure.
_SPECIAL: Final = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "3fff::/20", "168.63.129.16/32",
    )
)  # fmt: skip
#: Everything that is routed on the public internet by IPv6; what lies beside it is local, embedded or unassigned.
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
#: IPv4 addresses as networks without IPv4 write them (RFC 6052). Its sister 64:ff9b:1::/48 is for local use.
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
#: What needs no percent sign in a path or a query, and the sign itself: addresses are encoded already.
_KEPT: Final = "%/:?@!$&'()*+,;=~-._"
_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LONGEST_NAME: Final = 253
#: Programs read `2130706433`, `0x7f.1` and `0177.0.0.1` as 127.0.0.1.
_NUMBER: Final = re.compile(r"0x[0-9a-f]*|[0-9]+")

#: Host and port to addresses, as text. Raises OSError.
Lookup = Callable[[str, int], Awaitable[Sequence[str]]]


class AddressRefused(JobFailed):
    """Raised for an address that may not be fetched from; the message names it and what would allow it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A host with a port, and the addresses that it was found to have, which are the ones to connect to."""

    scheme: str
    host: str
    port: int
    addresses: tuple[str, ...]


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of the public internet's, however it is wrapped."""
    if isinstance(address, IPv6Address):
        inner = _wrapped(address)
        if inner is not None:
            return is_public(inner)
        if address not in _GLOBAL_UNICAST:
            return False
    return address.is_global and not any(address in network for network in _SPECIAL)


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a packet to this one ends at, where there is one."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _TRANSLATED else None


def host_of(url: str) -> tuple[str, str, int]:
    """Scheme, host in lower case and port of an http(s) address. Raises AddressRefused for a host in disguise."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").rstrip(".").encode("idna").decode("ascii")
    except (ValueError, UnicodeError):
        raise AddressRefused(f"{_shown(url)} is not an address that can be fetched from") from None
    if parts.scheme not in ("http", "https"):
        raise AddressRefused(f"{_shown(url)} is refused: only https:// addresses are fetched from")
    if "@" in parts.netloc:
        raise AddressRefused(f"{_shown(url)} is refused: it holds a user or a password")
    if not (_literal(host) or _is_name(host)):
        raise AddressRefused(f"{_shown(url)} is refused: {_shown(host)!r} is neither a name nor a plain IP address")
    return parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme]


def canonical(address: str) -> str:
    """One spelling for an address, in ASCII and without an anchor. Raises AddressRefused if it is none."""
    scheme, host, port = host_of(address)
    parts = urlsplit(address)
    shown = f"[{host}]" if ":" in host else host
    netloc = shown if port == _DEFAULT_PORTS[scheme] else f"{shown}:{port}"
    query = f"?{quote(parts.query, safe=_KEPT)}" if parts.query else ""
    return f"{scheme}://{netloc}{quote(parts.path or '/', safe=_KEPT)}{query}"


def refusal_of(url: str, addresses: Sequence[str], *, allow_private: bool) -> str | None:
    """Why a URL whose host has these addresses may not be fetched; None if it may. Pure."""
    try:
        scheme, host, _ = host_of(url)
    except AddressRefused as error:
        return error.message
    if not addresses:
        return f"{host} has no address; check its spelling and the worker's DNS"
    if allow_private:
        return None
    if scheme != "https":
        return f"{_shown(url)} is refused: only https:// addresses are fetched from, unless SOURCE_ALLOW_PRIVATE=true"
    for address in addresses:
        parsed = _literal(address)
        if parsed is None or not is_public(parsed):
            return (
                f"{host} is refused: it leads to {address}, which is not an address of the public internet; if that "
                "is right, set SOURCE_ALLOW_PRIVATE=true"
            )
    return None


async def place_of(url: str, *, allow_private: bool, lookup: Lookup | None = None) -> Place:
    """Resolve a URL's host, once. Raises AddressRefused if any of its addresses is refused, or if it has none."""
    scheme, host, port = host_of(url)
    try:
        addresses = tuple(dict.fromkeys(await (lookup or look_up)(host, port)))
    except (OSError, UnicodeError):
        raise AddressRefused(f"{host} has no address; check its spelling and the worker's DNS") from None
    refusal = refusal_of(url, addresses, allow_private=allow_private)
    if refusal is not None:
        raise AddressRefused(refusal)
    return Place(scheme, host, port, addresses)


async def look_up(host: str, port: int) -> Sequence[str]:
    """Every address of a host, the one to try first in front."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return None if isinstance(address, IPv6Address) and address.scope_id else address


def _is_name(host: str) -> bool:
    return (
        len(host) <= _LONGEST_NAME
        and _NAME.fullmatch(host) is not None
        and _NUMBER.fullmatch(host.rpartition(".")[2]) is None
    )


def _shown(text: str) -> str:
    """A stranger's text as one short line, without the user and password that it may hold."""
    clean = "".join(c if c.isprintable() else "?" for c in re.sub(r"//[^/]*@", "//", text))
    return clean if len(clean) <= 200 else f"{clean[:200]}..."
