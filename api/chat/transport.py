"""The way to a chat model's server: connections, time-outs, proxies and certificates."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from aiohttp import ClientSession

#: Seconds to reach the provider. One that is up answers within one.
CONNECT_TIMEOUT: Final = 3
#: Seconds with the name's resolution and every address that it has.
REACH_TIMEOUT: Final = 6
#: Streams at a time, which is about what one process can serve.
MAX_STREAMS: Final = 2000
#: Bytes of a stream that are read before they are asked for, two or three tokens: what comes while nobody reads stays
#: with the system, and is taken from there in one go.
READ_AHEAD: Final = 256
#: Seconds that an idle connection is kept: a second less than the servers that let go first, which is after five.
KEEP_ALIVE: Final = 4.0


def open_session(url: str, *, silence: float) -> ClientSession:
    """Connections of the running loop to the server at `url`, which may be silent for so many seconds."""
    import aiohttp  # noqa: PLC0415 - takes a quarter of a second, which the extractive answerer need not spend

    timeout = aiohttp.ClientTimeout(total=None, connect=REACH_TIMEOUT, sock_connect=CONNECT_TIMEOUT, sock_read=silence)
    trusted = trusted_authorities() if url.startswith("https:") or proxy_for(url) else True
    connector = aiohttp.TCPConnector(limit=MAX_STREAMS, keepalive_timeout=KEEP_ALIVE, ssl=trusted)
    # Without a cookie jar: a balancer's cookie would tie all visitors to one of its servers.
    return aiohttp.ClientSession(
        connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=READ_AHEAD
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
