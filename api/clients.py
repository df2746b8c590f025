"""Whose request it is: the address that limits are kept for."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.requests import HTTPConnection

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: What one subscriber gets of IPv6; a limit for each address of it would be no limit.
IPV6_SUBSCRIBER_BITS: Final = 64


def address_of(request: HTTPConnection, trusted: Sequence[Network]) -> str:
    """The address of a request's client."""
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
    return client_address(request.client.host if request.client else None, forwarded, trusted)


def client_address(peer: str | None, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The client's address, or its /64 network if it is IPv6.

    `X-Forwarded-For` is read only if the peer is a trusted proxy, and from the right: each proxy appends the address
    that it has seen, and what stands left of the first untrusted one is the sender's invention.
    """
    address = _parse(peer or "")
    if address is None:
        return "unknown"
    hops = [hop for hop in forwarded_for.split(",") if hop.strip()]
    while hops and _is_trusted(address, trusted):
        previous = _parse(hops.pop())
        if previous is None:
            break
        address = previous
    return _bucket(address)


def _parse(text: str) -> Address | None:
    """An address as proxies write it: bare, with a port, in brackets."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


def _bucket(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((int(address), IPV6_SUBSCRIBER_BITS), strict=False))
