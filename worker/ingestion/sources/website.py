"""A built site as the source: the pages that its sitemap lists, fetched with conditional requests.

A page that fails keeps its last good copy; one that the sitemap lists no more is gone. What was fetched before a
time-out is kept, so that the next fetch only asks for the rest.
"""

from __future__ import annotations

import asyncio
import codecs
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from shared.errors import JobFailed
from shared.models import PageFault
from shared.settings import Settings
from worker.ingestion.formats.charsets import CHARSETS
from worker.ingestion.sources.addresses import AddressRefused, Lookup
from worker.ingestion.sources.copies import Fetched, keep, only_one, put_in_place, revision_folder, source_folder
from worker.ingestion.sources.listing import Listing, list_pages
from worker.ingestion.sources.manifest import Manifest, ManifestPage, read_manifest, revision_of
from worker.ingestion.sources.page_paths import page_paths
from worker.ingestion.sources.site_store import SiteStore
from worker.ingestion.sources.web import CONNECTIONS, Reply, Unfetched, Web, open_web

#: Pages in a row to which nobody answered: the site is away, and ten more seconds for each other page help nobody.
MOST_SILENT: Final = 10
_HTML: Final = ("text/html", "application/xhtml+xml")
_TITLE: Final = re.compile(rb"<title[^>]{0,200}>(.{0,2000}?)</title", re.IGNORECASE | re.DOTALL)
_DECLARED: Final = re.compile(rb"(<meta[^>]{0,200}?charset=[\"']?\s*)[\w-]{1,40}", re.IGNORECASE)
#: Where a page's title and its charset are looked for.
HEAD_BYTES: Final = 64 * 1024
TITLE_CHARACTERS: Final = 300


@dataclass(slots=True)
class Tally:
    """How a fetch goes on."""

    fetched: int = 0
    unchanged: int = 0
    gone: int = 0
    #: Of all pages so far.
    bytes: int = 0
    not_html: int = 0
    #: By address.
    faults: dict[str, str] = field(default_factory=dict)
    silent_in_a_row: int = 0
    #: Why the fetch cannot go on.
    stop: JobFailed | None = None


async def fetch_website(settings: Settings, since: str = "", lookup: Lookup | None = None) -> Fetched:
    """The site as it is now. Raises JobFailed if its sitemap cannot be read, or if no page of it can be had."""
    url = settings.source_sitemap_url or ""
    folder = _folder(settings)
    async with only_one(folder), open_web(settings, url, lookup) as web:
        listing = await list_pages(web, settings)
        store = await asyncio.to_thread(SiteStore.open, folder)
        tally = Tally()
        try:
            await fetch_pages(web, listing, store, tally, settings)
        finally:
            store.save()  # also after a time-out: what has come so far is not asked for again
        if tally.stop is not None:
            raise tally.stop
        tally.gone = await asyncio.to_thread(store.forget_all_but, listing.pages)
        manifest = manifest_of(store)
        if not manifest:
            raise JobFailed(f"no page of {url} can be read, and nothing was changed: {_first_fault(tally)}")
        changed = await asyncio.to_thread(_changed, folder, since, manifest)
        root = await asyncio.to_thread(_written, store, folder, manifest)
    return Fetched(root, root.name, changed, _note(url, manifest, tally), (*listing.faults, *_faults(tally, store)))


async def checkout_website(settings: Settings, revision: str, lookup: Lookup | None = None) -> Path:
    """The folder of one revision. Where it is not on this machine, the site as it is now has to do: a site keeps no
    older versions of its pages, and what has changed since is one page or two."""
    target = revision_folder(_folder(settings), revision)
    if target.is_dir():
        keep(target)
        return target
    return (await fetch_website(settings, lookup=lookup)).root


def _folder(settings: Settings) -> Path:
    return source_folder(settings.sources_dir.absolute(), "web", settings.source_sitemap_url)


async def fetch_pages(web: Web, listing: Listing, store: SiteStore, tally: Tally, settings: Settings) -> None:
    """Ask for every page of the list, a few at a time; one after the other where the site asks for pauses."""
    waiting = iter(listing.pages)

    async def work() -> None:
        for url in waiting:
            if tally.stop is None:
                await fetch_page(web, url, store, tally, settings.max_page_bytes)
                tally.bytes += store.pages[url].size if url in store.pages else 0
                tally.stop = tally.stop or _reason_to_stop(tally, settings.source_max_bytes)
                await asyncio.sleep(listing.delay)

    async with asyncio.TaskGroup() as group:
        for _ in range(1 if listing.delay else CONNECTIONS):
            group.create_task(work())


async def fetch_page(web: Web, url: str, store: SiteStore, tally: Tally, most_bytes: int) -> None:
    """Ask for one page and keep what came. Every failure becomes a fault; the copy that is there stays."""
    known = store.pages.get(url)
    try:
        reply = await web.get(url, most_bytes, known.validators if known else None)
    except Unfetched as error:
        tally.faults[url] = error.reason
        tally.silent_in_a_row = 0 if error.answered else tally.silent_in_a_row + 1
        return
    except AddressRefused as error:
        tally.faults[url] = f"was not fetched: {error.message}"
        return
    tally.silent_in_a_row = 0
    if reply.unchanged:
        tally.unchanged += 1
    elif reply.kind not in _HTML:
        tally.not_html += 1
        store.pages.pop(url, None)
    else:
        body = in_utf8(reply)
        page = await asyncio.to_thread(store.put, reply.url, title_of(body), body, reply.validators)
        store.pages[url] = page
        is_same = known is not None and known.sha256 == page.sha256
        tally.unchanged += is_same
        tally.fetched += not is_same


def _reason_to_stop(tally: Tally, most_bytes: int) -> JobFailed | None:
    if tally.silent_in_a_row >= MOST_SILENT:
        return JobFailed(
            f"the site has stopped answering, and nothing was changed: {_first_fault(tally)}; try again later"
        )
    if tally.bytes > most_bytes:
        return JobFailed(
            f"the site's pages are larger than {most_bytes:,} bytes together, and nothing was changed; raise "
            "SOURCE_MAX_BYTES"
        )
    return None


def manifest_of(store: SiteStore) -> Manifest:
    """A file for each page. Two listed addresses that lead to one page are that page once."""
    by_place = {page.url: page for _, page in sorted(store.pages.items())}
    paths = page_paths(by_place)
    return {paths[url]: ManifestPage(url, page.title, page.sha256) for url, page in by_place.items()}


def _written(store: SiteStore, folder: Path, manifest: Manifest) -> Path:
    revision = revision_of(manifest)
    target = revision_folder(folder, revision)
    if target.is_dir():
        keep(target)
        return target
    try:
        return put_in_place(store.write_out(manifest), folder, revision)
    except OSError as error:
        raise JobFailed(f"the site's pages cannot be written to {folder}: {error.strerror}") from error


def _changed(folder: Path, since: str, manifest: Manifest) -> frozenset[str] | None:
    """Paths whose page differs from an older revision; None if that one is not here any more."""
    before = read_manifest(folder / since) if since and since.isalnum() else None
    if before is None:
        return None
    return frozenset(path for path in {*before, *manifest} if before.get(path) != manifest.get(path))


def in_utf8(reply: Reply) -> bytes:
    """The body; in UTF-8, and saying so, if the server names another charset for it, which the file cannot keep."""
    try:
        codec = codecs.lookup(reply.charset or "utf-8")
    except (LookupError, ValueError):
        return reply.body
    if not codec.name.startswith((*CHARSETS, "utf-16")):
        return reply.body
    body = codec.decode(reply.body, "replace")[0].encode("utf-8", "replace")
    return _DECLARED.sub(rb"\g<1>utf-8", body[:HEAD_BYTES], count=1) + body[HEAD_BYTES:]


def title_of(body: bytes) -> str:
    found = _TITLE.search(body[:HEAD_BYTES])
    text = html.unescape(found[1].decode("utf-8", "replace")) if found else ""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:TITLE_CHARACTERS]


def _faults(tally: Tally, store: SiteStore) -> Iterator[PageFault]:
    for url, reason in sorted(tally.faults.items()):
        stays = "its last good copy stays" if url in store.pages else "there is no earlier copy of it"
        yield PageFault(url, f"{reason}; {stays}")
    if tally.not_html:
        yield PageFault("sitemap", f"{tally.not_html:,} of the listed addresses are no HTML pages and are left out")


def _first_fault(tally: Tally) -> str:
    return next((f"{url} {reason}" for url, reason in tally.faults.items()), "none of the listed addresses is HTML")


def _note(url: str, manifest: Manifest, tally: Tally) -> str:
    return (
        f"{urlsplit(url).netloc} by its sitemap: {len(manifest):,} pages, {tally.fetched:,} new or changed, "
        f"{tally.unchanged:,} unchanged, {len(tally.faults):,} failed, {tally.gone:,} gone"
    )
