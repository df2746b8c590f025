"""The way to a server that is asked often: connections, time-outs, proxies and certificates."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from aiohttp import ClientSession

#: Seconds to reach a server. One that is up answers within one.
CONNECT_TIMEOUT: Final = 3
#: Seconds with the name's resolution and every address that it has.
REACH_TIMEOUT: Final = 6
#: Seconds that an idle connection is kept: a second less than the servers that let go first, which is after five.
KEEP_ALIVE: Final = 4.0


def open_session(url: str, *, connections: int, silence: float | None, read_ahead: int = 2**16) -> ClientSession:
    """Up to so many connections of the running loop to the server at `url`.

    silence: seconds that it may send nothing; None leaves that to the caller.
    read_ahead: bytes of a reply that are read before they are asked for.
    """
    import aiohttp  # noqa: PLC0415 - takes a quarter of a second, which those who ask nothing need not spend

    timeout = aiohttp.ClientTimeout(total=None, connect=REACH_TIMEOUT, sock_connect=CONNECT_TIMEOUT, sock_read=silence)
    trusted = trusted_authorities() if url.startswith("https:") or proxy_for(url) else True
    connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEP_ALIVE, ssl=trusted)
    # Without a cookie jar: a balancer's cookie would tie all visitors to one of its servers.
    return aiohttp.ClientSession(
        connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=read_ahead
    )


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for this address. Raises ConfigurationError for one of another kind."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and urlsplit(proxy).scheme not in ("http", "https"):
        variable = f"{parts.scheme}_proxy".upper()
        raise ConfigurationError(f"{variable}: must be an http:// or https:// address, or name the host in NO_PROXY")
    return proxy


def trusted_authorities() -> ssl.SSLContext:
    """The machine's own authorities, or those of SSL_CERT_FILE and SSL_CERT_DIR: the same as for embeddings."""
    import httpx2  # noqa: PLC0415

    return httpx2.create_ssl_context()
