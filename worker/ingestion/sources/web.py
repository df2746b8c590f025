"""Fetches pages of one host, so that neither the host nor its name server can lead it elsewhere or keep it busy.

The client is httpx2, which the project has for its model's client: it can be told to connect to an address while the
certificate and the `Host` header stay those of the name.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx2

from shared.settings import Settings
from worker.ingestion.sources.addresses import AddressRefused, Lookup, Place, canonical, host_of, place_of

#: What a robots.txt and a server's log know us by.
USER_AGENT: Final = f"Lectern/{version('lectern')} (indexes documentation for its owner)"
MOST_REDIRECTS: Final = 3
#: For one page, with its redirects.
PAGE_SECONDS: Final = 10.0
CONNECTIONS: Final = 4
#: A server that is busy is asked once more, after the pause that it names, if that is not longer.
LONGEST_PAUSE: Final = 30.0
DEFAULT_PAUSE: Final = 2.0
#: Addresses of a host that are tried; the others are likely to be as deaf.
MOST_ADDRESSES: Final = 3
_BUSY: Final = (429, 503)
_REDIRECTS: Final = (301, 302, 303, 307, 308)


class Unfetched(Exception):
    """Raised when a page cannot be had; the reason is for the site's owner. `answered` is False if nobody was there."""

    def __init__(self, reason: str, *, status: int = 0, answered: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.answered = answered


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server calls one version of a page: with it, an unchanged page is not sent again."""

    etag: str = ""
    modified: str = ""

    @property
    def headers(self) -> dict[str, str]:
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class Reply:
    #: Where the page was found in the end.
    url: str
    #: The media type, in lower case, without parameters.
    kind: str
    charset: str
    body: bytes = field(repr=False)
    validators: Validators
    #: The server said that what is known is still right; there is no body then.
    unchanged: bool = False


class Web:
    """One host, or its neighbours on the same name."""

    def __init__(self, client: httpx2.AsyncClient, host: str, *, allow_private: bool, lookup: Lookup | None) -> None:
        self._client = client
        self._host = host
        self._allow_private = allow_private
        self._lookup = lookup
        self._places: dict[tuple[str, str, int], Place] = {}
        self._allow: Callable[[str], bool] | None = None
        self._pause = DEFAULT_PAUSE

    def heed(self, allow: Callable[[str], bool]) -> None:
        """Follow no redirect from now on to where `allow`, which a site's robots.txt decides, says no."""
        self._allow = allow

    async def get(self, url: str, most_bytes: int, known: Validators | None = None) -> Reply:
        """The page at a URL, decompressed, of at most `most_bytes`. Raises Unfetched, AddressRefused."""
        try:
            return await self._in_time(url, most_bytes, known)
        except Unfetched as error:
            if error.status not in _BUSY:
                raise
        await asyncio.sleep(self._pause)
        return await self._in_time(url, most_bytes, known)

    async def _in_time(self, url: str, most_bytes: int, known: Validators | None) -> Reply:
        try:
            async with asyncio.timeout(PAGE_SECONDS):
                return await self._follow(url, most_bytes, known)
        except TimeoutError:
            raise Unfetched(f"took longer than {PAGE_SECONDS:g} seconds", answered=False) from None

    async def _follow(self, url: str, most_bytes: int, known: Validators | None) -> Reply:
        for _ in range(MOST_REDIRECTS + 1):
            place = await self._place(url)
            async with self._asked(url, place, known) as response:
                if response.status_code not in _REDIRECTS:
                    return await self._read(url, response, most_bytes, known)
                location = response.headers.get("location", "")
            url = _led_to(url, location)
            if host_of(url)[1] != self._host:
                raise Unfetched(f"leads to another host ({_shown(url)}), which is not followed")
            if self._allow is not None and not self._allow(url):
                raise Unfetched(f"leads to {_shown(url)}, which the site's robots.txt does not allow")
        raise Unfetched(f"leads on through more than {MOST_REDIRECTS} redirects")

    async def _place(self, url: str) -> Place:
        """The addresses of a URL's host: looked up once, then kept for as long as this fetch lasts."""
        key = host_of(url)
        if key not in self._places:
            self._places[key] = await place_of(url, allow_private=self._allow_private, lookup=self._lookup)
        place = self._places[key]
        if place.scheme != "https" and not self._allow_private:
            raise AddressRefused(f"{_shown(url)} is refused: it is not an https:// address")
        return place

    @asynccontextmanager
    async def _asked(self, url: str, place: Place, known: Validators | None) -> AsyncIterator[httpx2.Response]:
        """The response of the first of the host's addresses that can be connected to."""
        try:
            response = await self._connected(url, place, known)
        except httpx2.ConnectTimeout:
            raise Unfetched("does not answer", answered=False) from None
        except httpx2.ConnectError as error:
            raise Unfetched(_no_connection(error), answered=False) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unfetched(f"the connection broke off ({type(error).__name__})", answered=False) from error
        try:
            yield response
        except httpx2.HTTPError as error:
            raise Unfetched(f"the connection broke off ({type(error).__name__})", answered=False) from error
        finally:
            await response.aclose()

    async def _connected(self, url: str, place: Place, known: Validators | None) -> httpx2.Response:
        addresses = place.addresses[:MOST_ADDRESSES]
        for address in addresses[:-1]:
            try:
                return await self._client.send(self._request(url, place, address, known), stream=True)
            except httpx2.ConnectError:
                continue  # of no use on this machine, as IPv6 often is
        return await self._client.send(self._request(url, place, addresses[-1], known), stream=True)

    def _request(self, url: str, place: Place, address: str, known: Validators | None) -> httpx2.Request:
        headers = {
            "Host": urlsplit(url).netloc,
            "User-Agent": USER_AGENT,
            "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.5",
            "Accept-Encoding": "gzip",
            **(known.headers if known else {}),
        }
        target = httpx2.URL(url).copy_with(host=address)
        return self._client.build_request("GET", target, headers=headers, extensions={"sni_hostname": place.host})

    async def _read(self, url: str, response: httpx2.Response, most: int, known: Validators | None) -> Reply:
        status = response.status_code
        validators = Validators(response.headers.get("etag", ""), response.headers.get("last-modified", ""))
        if status == 304 and known is not None and known.headers:
            return Reply(url, "", "", b"", known, unchanged=True)
        if status != 200:
            self._pause = _pause_of(response.headers)
            raise Unfetched(f"answered with status {status}", status=status)
        kind, charset = _kind_of(response.headers.get("content-type", ""))
        return Reply(url, kind, charset, await _body(response, most), validators)


@asynccontextmanager
async def open_web(settings: Settings, url: str, lookup: Lookup | None = None) -> AsyncIterator[Web]:
    """A client for the host of a URL."""
    host = host_of(url)[1]
    context = ssl.create_default_context(cafile=str(settings.source_ca_file) if settings.source_ca_file else None)
    limits = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx2.AsyncClient(
        trust_env=False, verify=context, timeout=PAGE_SECONDS, limits=limits, follow_redirects=False
    ) as client:
        yield Web(client, host, allow_private=settings.source_allow_private, lookup=lookup)


async def _body(response: httpx2.Response, most: int) -> bytes:
    """The body without its compression, which is undone here because a kilobyte can stand for a gigabyte."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise Unfetched(f"is compressed as {_shown(encoding)}, which was not asked for")
    inflater = Inflater(most) if encoding.endswith("gzip") else None
    body = bytearray()
    came = 0
    async for part in response.aiter_raw():
        came += len(part)
        body += inflater.feed(part) if inflater else part
        if max(came, len(body)) > most:
            raise too_long(most)
    if inflater is not None:
        inflater.end()
    return bytes(body)


class Inflater:
    """Undoes gzip, and gives up as soon as the result is too long."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._room = most
        self._stream = zlib.decompressobj(wbits=31)

    def feed(self, part: bytes) -> bytes:
        """What comes out for what goes in. Raises Unfetched if it is no gzip, or too long."""
        out = bytearray()
        try:
            while part:
                got = self._stream.decompress(part, self._room + 1)
                self._room -= len(got)
                if self._room < 0:
                    raise too_long(self._most)
                out += got
                if self._stream.eof:  # another one may follow it
                    part = self._stream.unused_data.lstrip(b"\0")
                    if part:
                        self._stream = zlib.decompressobj(wbits=31)
                else:
                    part = self._stream.unconsumed_tail
        except zlib.error:
            raise Unfetched("says that it is gzip and is not") from None
        return bytes(out)

    def end(self) -> None:
        if not self._stream.eof:
            raise Unfetched("breaks off in the middle of its gzip")


def _led_to(url: str, location: str) -> str:
    try:
        return canonical(urljoin(url, location))
    except ValueError:
        raise Unfetched("leads to what is no address") from None


def too_long(most: int) -> Unfetched:
    return Unfetched(f"is larger than {most:,} bytes")


def _kind_of(content_type: str) -> tuple[str, str]:
    kind, _, parameters = content_type.partition(";")
    charset = next((p.partition("=")[2] for p in parameters.split(";") if p.strip().lower().startswith("charset=")), "")
    return kind.strip().lower(), charset.strip(" \"'").lower()


def _pause_of(headers: Mapping[str, str]) -> float:
    """Seconds to wait before a busy server is asked again."""
    named = headers.get("retry-after", "")
    try:
        seconds = float(named) if named.isdecimal() else (_when(named) if named else DEFAULT_PAUSE)
    except (ValueError, OverflowError):
        seconds = DEFAULT_PAUSE
    return min(max(seconds, 0.0), LONGEST_PAUSE)


def _when(date: str) -> float:
    then = parsedate_to_datetime(date)
    return (then - datetime.now(then.tzinfo)).total_seconds()


def _no_connection(error: httpx2.ConnectError) -> str:
    if isinstance(error.__cause__, ssl.SSLError) or "CERTIFICATE" in str(error).upper():
        return "shows a certificate that is not trusted; name its authority's file with SOURCE_CA_FILE"
    return "does not answer"


def _shown(url: str) -> str:
    clean = "".join(c if c.isprintable() else "?" for c in url)
    return clean if len(clean) <= 200 else f"{clean[:200]}..."
