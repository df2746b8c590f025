"""Which pages of a site are fetched: those that its sitemap lists, on its own host, that its robots.txt allows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin

from shared.errors import JobFailed
from shared.models import PageFault
from shared.settings import Settings
from worker.ingestion.sources.addresses import AddressRefused, canonical, host_of
from worker.ingestion.sources.robots import MOST_BYTES as MOST_ROBOTS_BYTES
from worker.ingestion.sources.robots import Robots, parse_robots
from worker.ingestion.sources.sitemap import MOST_BYTES as MOST_SITEMAP_BYTES
from worker.ingestion.sources.sitemap import MOST_CHARACTERS, Sitemap, parse_sitemap
from worker.ingestion.sources.web import Unfetched, Web

#: An index of sitemaps whose entries are indexes again is not allowed by the protocol; some generators do it once.
MOST_LEVELS: Final = 3
MOST_SITEMAPS: Final = 200
_NOT_FOUND: Final = range(400, 500)
_BUSY: Final = 429


@dataclass(frozen=True, slots=True)
class Listing:
    #: In the order of the sitemap, each once.
    pages: tuple[str, ...]
    #: Seconds between two requests that the site asks for.
    delay: float
    #: What the sitemap lists and is not fetched, a line a kind.
    faults: tuple[PageFault, ...]


async def list_pages(web: Web, settings: Settings) -> Listing:
    """Read robots.txt and the sitemap. Raises JobFailed if either cannot be read, or if there is no page to fetch."""
    url = settings.source_sitemap_url or ""
    robots = await read_robots(web, url)
    listed = await read_sitemaps(web, url, settings.source_max_pages)
    web.heed(robots.allow)
    listing = await asyncio.to_thread(choose, listed, host_of(url)[1], robots)
    if not listing.pages:
        left_out = "; ".join(fault.reason for fault in listing.faults) or "it lists none"
        raise JobFailed(f"{url} lists no page that can be fetched, and nothing was changed: {left_out}")
    if listing.delay * len(listing.pages) > settings.source_timeout:
        raise JobFailed(
            f"the site's robots.txt asks for {listing.delay:g} seconds between pages, and {len(listing.pages):,} pages "
            "cannot be fetched so within SOURCE_TIMEOUT; lower its Crawl-delay for the user agent lectern"
        )
    return listing


async def read_robots(web: Web, url: str) -> Robots:
    """What the site asks of robots: nothing, if it has no such file. Raises JobFailed if that cannot be found out."""
    address = urljoin(url, "/robots.txt")
    try:
        reply = await web.get(address, MOST_ROBOTS_BYTES)
    except Unfetched as error:
        if error.status in _NOT_FOUND and error.status != _BUSY:
            return Robots()
        raise JobFailed(
            f"{address} {error.reason}; without it the site is not fetched, and nothing was changed"
        ) from error
    return parse_robots(reply.body.decode("utf-8", "replace"))


async def read_sitemaps(web: Web, url: str, most: int) -> list[str]:
    """Every address of a sitemap and of those that it leads to. Raises JobFailed for more than `most`."""
    pages: dict[str, None] = {}
    seen = {url}
    level = [url]
    for _ in range(MOST_LEVELS):
        further: list[str] = []
        for address in level:
            sitemap = await _read_sitemap(web, address, most)
            pages |= dict.fromkeys(sitemap.pages)
            if len(pages) > most:
                raise JobFailed(
                    f"{url} lists more than {most:,} pages, and nothing was changed; raise SOURCE_MAX_PAGES, or name a "
                    "smaller sitemap"
                )
            further += [inner for inner in dict.fromkeys(sitemap.sitemaps) if inner not in seen]
            seen |= set(further)
        level = further
        if len(seen) > MOST_SITEMAPS:
            raise JobFailed(
                f"{url} leads to more than {MOST_SITEMAPS} sitemaps, and nothing was changed; name one of them"
            )
        if not level:
            return list(pages)
    raise JobFailed(f"{url} is an index of indexes of indexes, and nothing was changed; name the sitemap itself")


async def _read_sitemap(web: Web, url: str, most: int) -> Sitemap:
    try:
        reply = await web.get(url, MOST_SITEMAP_BYTES)
        return await asyncio.to_thread(parse_sitemap, reply.body, most)
    except Unfetched as error:
        raise JobFailed(
            f"the sitemap {url} {error.reason}, and nothing was changed; check SOURCE_SITEMAP_URL"
        ) from error


def choose(listed: list[str], host: str, robots: Robots) -> Listing:
    """The pages of the list that may be fetched, and how many may not."""
    pages: dict[str, None] = {}
    elsewhere: list[str] = []
    odd: list[str] = []
    forbidden: list[str] = []
    for address in listed:
        try:
            url, is_ours = canonical(address), host_of(address)[1] == host
        except AddressRefused:
            odd.append(address)
            continue
        if len(url) > MOST_CHARACTERS:
            odd.append(address)
        elif not is_ours:
            elsewhere.append(url)
        elif not robots.allow(url):
            forbidden.append(url)
        else:
            pages[url] = None
    faults = (
        *_left_out(elsewhere, "on another host than the sitemap, which is not fetched"),
        *_left_out(forbidden, "not allowed by the site's robots.txt"),
        *_left_out(odd, "not an address that can be fetched"),
    )
    return Listing(tuple(pages), robots.delay, faults)


def _left_out(urls: list[str], reason: str) -> list[PageFault]:
    if not urls:
        return []
    first = "".join(c if c.isprintable() else "?" for c in urls[0][:200])
    more = f" and {len(urls) - 1:,} more listed in the sitemap are" if len(urls) > 1 else " is"
    return [PageFault("sitemap", f"{first}{more} {reason}")]
