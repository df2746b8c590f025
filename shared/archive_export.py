"""Writes kept releases to an archive, a few pages at a time. Takes no part in the order of jobs: it only reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import BinaryIO

from shared.archive_format import ArchiveWriter, Header, PageGroup
from shared.clock import now
from shared.errors import JobFailed, NotFound
from shared.models import FOREVER, Release, StoredPage
from shared.points import ChunkPoint
from shared.schema import SCHEMA
from shared.services import Services
from shared.vector_store import VectorStore

#: Told how many pages and chunks have been written.
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What an archive holds."""

    releases: tuple[Release, ...]
    pages: int
    chunks: int


async def export_archive(services: Services, stream: BinaryIO, number: int | None, report: Report) -> Exported:
    """Write one release, or all that are kept; one that the gate holds back only where it is named.

    Raises NotFound if there is none of that number, or none at all, and JobFailed if the index does not hold what the
    releases' records say.
    """
    await services.schema.check()
    releases = await _chosen(services, number)
    live = await services.releases.live()
    writer = ArchiveWriter(stream)
    try:
        writer.write_header(
            Header(
                schema=SCHEMA,
                program=version("lectern"),
                created_at=now(),
                live=live.number if live and live.number in {r.number for r in releases} else releases[-1].number,
                releases=releases,
                collections={each.collection: await services.store.spec_of(each.collection) for each in releases},
            )
        )
        pages, chunks = Counter[int](), Counter[int]()
        for collection in dict.fromkeys(release.collection for release in releases):
            numbers = [release.number for release in releases if release.collection == collection]
            async for group in _groups(services.store, collection, numbers):
                writer.write_group(group)
                pages.update(n for page in group.pages for n in numbers if page.since <= n < page.until)
                chunks.update(n for c in group.chunks for n in numbers if c.stored.since <= n < c.stored.until)
                report(writer.pages, writer.chunks)
        for release in releases:
            _require_whole(release, pages[release.number], chunks[release.number])
        writer.write_end()
    finally:
        writer.close()
    return Exported(releases, writer.pages, writer.chunks)


async def _chosen(services: Services, number: int | None) -> tuple[Release, ...]:
    releases = [r for r in await services.releases.all() if r.state == "published" or r.number == number]
    if not releases:
        raise NotFound("nothing is indexed, so there is nothing to export; run `lectern ingest` first")
    chosen = tuple(release for release in releases if number in (None, release.number))
    if not chosen:
        kept = ", ".join(str(release.number) for release in releases)
        raise NotFound(f"there is no release {number}; {kept} are kept")
    return chosen


async def _groups(store: VectorStore, collection: str, numbers: Sequence[int]) -> AsyncIterator[PageGroup]:
    """Each page that any of these releases has, once."""
    oldest, newest = numbers[0], numbers[-1]
    async for batch in store.page_batches(collection, oldest, newest):
        versions: dict[str, list[StoredPage]] = {page.page.path: [] for page in batch}
        async for page in store.pages_between(collection, oldest, newest, list(versions)):
            versions[page.page.path].append(page)
        # Versions of one page come in different batches: all of them are written with the newest.
        found = {page.id for page in batch}
        due = [path for path, pages in versions.items() if max(pages, key=lambda page: page.since).id in found]
        chunks: dict[str, list[ChunkPoint]] = {path: [] for path in due}
        async for chunk in store.chunks_between(collection, oldest, newest, due):
            chunks[chunk.stored.chunk.path].append(chunk)
        for path in due:
            yield PageGroup(
                collection,
                tuple(replace(page, until=_published(page.until, newest)) for page in versions[path]),
                tuple(
                    replace(each, stored=replace(each.stored, until=_published(each.stored.until, newest)))
                    for each in chunks[path]
                ),
            )


def _published(until: int, newest: int) -> int:
    """Without what an ingest that has published nothing yet has closed."""
    return FOREVER if until > newest else until


def _require_whole(release: Release, pages: int, chunks: int) -> None:
    if (pages, chunks) != (release.documents, release.chunks):
        raise JobFailed(
            f"release {release.number} has {release.documents} pages and {release.chunks} passages, and {pages} and "
            f"{chunks} were found; an ingest may have dropped it meanwhile: export again"
        )
