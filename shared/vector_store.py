"""Chunks and pages in Qdrant: which points a release's readers see, and how the next one is built beside them.

Chunks and pages carry `since` and `until`: a reader at release R sees `since <= R < until`. Nothing here deletes what
a reader of a published release can see. `shared.points` has what a point holds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

from pydantic_core import to_json
from qdrant_client import models as q

from shared.chunk_collections import DENSE, SPARSE
from shared.chunk_search import ChunkSearch, visible_at
from shared.models import FOREVER, PageFacts, SparseVector, StoredChunk, StoredPage, Vectors
from shared.points import ChunkPoint, chunk_of, chunk_payload, page_of, page_payload
from shared.qdrant_errors import qdrant_errors

#: Points a write: about 1 MB of JSON at 384 dimensions and three windows.
WRITE_BATCH: Final = 100
#: Points a scroll request reads.
READ_BATCH: Final = 500
#: Pages whose chunks are read together: some hundred chunks, usually.
PAGE_BATCH: Final = 20
#: Values of one `any` match; keeps a filter's body under 100 kB.
MATCH_BATCH: Final = 500
#: Points a scroll request reads with their vectors: each takes some tens of kilobytes here.
FULL_BATCH: Final = 100
#: Places of the index from which a sample is read: a chunk's neighbours by id have no more in common than any others.
SAMPLE_RUNS: Final = 4
#: What is read of a page where its passages are not needed.
PAGE_FACTS: Final = ["path", "title", "url", "revision"]
Record = Literal["chunk", "page"]
T = TypeVar("T")


class VectorStore(ChunkSearch):
    """Reads and writes chunks and pages. Every method raises DependencyDown if Qdrant does not answer."""

    # Reading at a release

    async def pages_of(self, collection: str, release: int, paths: Sequence[str]) -> dict[str, StoredPage]:
        """These pages of a release by their path, those that are there."""
        found: dict[str, StoredPage] = {}
        for part in _batches(paths, MATCH_BATCH):
            condition = _visible("page", release, _any("path", part))
            found |= {page.page.path: page async for page in self._pages(collection, condition)}
        return found

    async def page_facts(self, collection: str, release: int) -> AsyncIterator[PageFacts]:
        """Every page of a release, in no order: without its passages, which are most of a page's record."""
        async for record in self._scroll(collection, _visible("page", release), payload=PAGE_FACTS):
            yield _facts(record)

    async def pages_gained(self, collection: str, before: int, release: int) -> AsyncIterator[PageFacts]:
        """The versions of pages that a reader of `release` sees, and one of the earlier release `before` does not."""
        began = q.FieldCondition(key="since", range=q.Range(gt=before))
        async for record in self._scroll(collection, _visible("page", release, began), payload=PAGE_FACTS):
            yield _facts(record)

    async def pages_lost(self, collection: str, before: int, release: int) -> AsyncIterator[PageFacts]:
        """The versions of pages that a reader of the earlier release `before` sees, and one of `release` does not."""
        ended = q.FieldCondition(key="until", range=q.Range(lte=release))
        async for record in self._scroll(collection, _visible("page", before, ended), payload=PAGE_FACTS):
            yield _facts(record)

    async def page_at(self, collection: str, release: int, path: str) -> StoredPage | None:
        """One page of a release."""
        return (await self.pages_of(collection, release, [path])).get(path)

    async def chunks_of(self, collection: str, release: int, paths: Sequence[str]) -> list[StoredChunk]:
        """The chunks of these pages at a release, in no order (a page's `chunk_ids` has it)."""
        found: list[StoredChunk] = []
        for part in _batches(paths, MATCH_BATCH):
            condition = _visible("chunk", release, _any("path", part))
            found += [_chunk(record) async for record in self._scroll(collection, condition)]
        return found

    async def sample(self, collection: str, release: int, size: int) -> list[StoredChunk]:
        """At most `size` chunks of a release, the same ones each time. Ids are hashes, so that chunks which follow
        each other by id are from anywhere in the docs: reads no more than it returns."""
        starts = range(0, 2**128, 2**128 // SAMPLE_RUNS)
        found: dict[str, StoredChunk] = {}
        for start in starts:
            with qdrant_errors():
                records, _ = await self._client.scroll(
                    collection, scroll_filter=_visible("chunk", release), limit=-(-size // SAMPLE_RUNS),
                    offset=str(UUID(int=start)), with_payload=True, with_vectors=False,
                )  # fmt: skip
            found |= {str(record.id): _chunk(record) for record in records}
        return list(found.values())[:size]

    async def count(self, collection: str, record: Record, release: int) -> int:
        """Exactly how many chunks or pages a reader of the release can see."""
        with qdrant_errors():
            result = await self._client.count(collection, count_filter=_visible(record, release), exact=True)
        return result.count

    async def sees_all(self, collection: str, release: int, chunk_ids: Sequence[str]) -> bool:
        """Whether a reader of the release sees every one of these chunks."""
        condition = q.Filter(must=[*visible_at(release, release), q.HasIdCondition(has_id=_ids(chunk_ids))])
        counted = await self._reads.ask(collection, "points/count", {"filter": condition, "exact": True})
        return bool(counted["count"] == len(set(chunk_ids)))

    async def pages_known_as(
        self, collection: str, release: int, paths: Sequence[str], urls: Sequence[str]
    ) -> list[PageFacts]:
        """The pages of a release that have one of these paths or addresses."""
        known = q.Filter(should=[_any("path", paths), _any("url", urls)])
        condition = q.Filter(must=[_equal("record", "page"), *visible_at(release, release), known])
        return [_facts(record) async for record in self._scroll(collection, condition, payload=PAGE_FACTS)]

    # Reading several releases at once

    async def page_batches(self, collection: str, oldest: int, newest: int) -> AsyncIterator[list[StoredPage]]:
        """Every page that a reader of any of these releases sees, a request's worth at a time, in no order."""
        async for records in self._scrolled(collection, _seen("page", oldest, newest), PAGE_BATCH):
            yield [_page(record) for record in records]

    async def pages_between(
        self, collection: str, oldest: int, newest: int, paths: Sequence[str]
    ) -> AsyncIterator[StoredPage]:
        """Every version of these pages that a reader of any of these releases sees."""
        for part in _batches(paths, MATCH_BATCH):
            async for page in self._pages(collection, _seen("page", oldest, newest, _any("path", part))):
                yield page

    async def chunks_between(
        self, collection: str, oldest: int, newest: int, paths: Sequence[str]
    ) -> AsyncIterator[ChunkPoint]:
        """The chunks of these pages that a reader of any of these releases sees, with their vectors."""
        for part in _batches(paths, MATCH_BATCH):
            condition = _seen("chunk", oldest, newest, _any("path", part))
            async for records in self._scrolled(collection, condition, FULL_BATCH, vectors=True):
                for record in records:
                    yield _full_chunk(record)

    async def vectors_by_text(self, collection: str, text_hashes: Sequence[str]) -> dict[str, Vectors]:
        """The vectors of texts that were embedded before, whatever release they belong to."""
        known: dict[str, Vectors] = {}
        for part in _batches(text_hashes, MATCH_BATCH):
            condition = q.Filter(must=[_equal("record", "chunk"), _any("text_hash", part)])
            async for record in self._scroll(collection, condition, payload=["text_hash"], vectors=[DENSE]):
                vectors: Any = record.vector[DENSE] if isinstance(record.vector, dict) else None
                if vectors:
                    known[(record.payload or {})["text_hash"]] = _rows(vectors)
        return known

    async def known_texts(self, collection: str, text_hashes: Sequence[str]) -> set[str]:
        """Which of these texts `vectors_by_text` would find, without reading their vectors."""
        known: set[str] = set()
        for part in _batches(text_hashes, MATCH_BATCH):
            condition = q.Filter(must=[_equal("record", "chunk"), _any("text_hash", part)])
            async for record in self._scroll(collection, condition, payload=["text_hash"]):
                known.add((record.payload or {})["text_hash"])
        return known

    async def touched(self, collection: str, release: int, paths: Sequence[str]) -> tuple[set[str], set[str]]:
        """Ids that building this release has so far written for these pages, and those it has closed."""
        written: set[str] = set()
        closed: set[str] = set()
        for part in _batches(paths, MATCH_BATCH):
            condition = q.Filter(must=[_any("path", part)], should=[_equal("since", release), _equal("until", release)])
            async for record in self._scroll(collection, condition, payload=["since", "until"]):
                target = written if (record.payload or {})["since"] == release else closed
                target.add(str(record.id))
        return written, closed

    async def touched_paths(self, collection: str, release: int) -> set[str]:
        """The pages for which building this release has written or closed anything."""
        condition = q.Filter(should=[_equal("since", release), _equal("until", release)])
        return {
            (record.payload or {})["path"] async for record in self._scroll(collection, condition, payload=["path"])
        }

    # Building a release

    async def write(self, collection: str, chunks: Sequence[ChunkPoint], pages: Sequence[StoredPage]) -> None:
        """Upsert chunks, then pages: a page that is there has all its chunks. Safe to repeat."""
        windowed = bool(chunks) and await self._is_windowed(collection)
        points = [*(_chunk_point(chunk, windowed) for chunk in chunks), *map(_page_point, pages)]
        for part in _batches(points, WRITE_BATCH):
            # As bytes: to build and inspect the client's models takes several times as long as the write.
            body: Any = to_json({"points": part})
            with qdrant_errors():
                await self._client.http.points_api.upsert_points(collection, wait=True, point_insert_operations=body)

    async def close(self, collection: str, ids: Sequence[str], release: int) -> None:
        """End these points: readers from `release` on do not see them."""
        await self._set_until(collection, ids, release)

    async def reopen(self, collection: str, ids: Sequence[str]) -> None:
        """Take back a `close`."""
        await self._set_until(collection, ids, FOREVER)

    async def _set_until(self, collection: str, ids: Sequence[str], until: int) -> None:
        for part in _batches(ids, WRITE_BATCH):
            with qdrant_errors():
                await self._client.set_payload(collection, payload={"until": until}, points=_ids(part), wait=True)

    async def delete(self, collection: str, ids: Sequence[str]) -> None:
        for part in _batches(ids, WRITE_BATCH):
            with qdrant_errors():
                await self._client.delete(collection, points_selector=q.PointIdsList(points=_ids(part)), wait=True)

    async def undo(self, collection: str, release: int) -> None:
        """Take back everything that building an unpublished release has written."""
        born = q.Filter(must=[_equal("since", release)])
        ended = q.Filter(must=[_equal("until", release)])
        with qdrant_errors():
            await self._client.delete(collection, points_selector=q.FilterSelector(filter=born), wait=True)
            await self._client.set_payload(collection, payload={"until": FOREVER}, points=ended, wait=True)

    async def undo_pages(self, collection: str, release: int, paths: Sequence[str]) -> None:
        """The same for these pages alone."""
        written, closed = await self.touched(collection, release, paths)
        await self.delete(collection, sorted(written))
        await self.reopen(collection, sorted(closed))

    async def vacuum(self, collection: str, kept: Sequence[int]) -> None:
        """Delete what no reader of these releases, oldest first, can see. What is newer than all of them stays."""
        gone = [q.Filter(must=[q.FieldCondition(key="until", range=q.Range(lte=kept[0]))])]
        for older, newer in pairwise(kept):
            if newer > older + 1:
                between = [
                    q.FieldCondition(key="since", range=q.Range(gt=older)),
                    q.FieldCondition(key="until", range=q.Range(lte=newer)),
                ]
                gone.append(q.Filter(must=[*between]))
        for condition in gone:
            with qdrant_errors():
                await self._client.delete(collection, points_selector=q.FilterSelector(filter=condition), wait=True)

    # Scrolling

    async def _pages(self, collection: str, condition: q.Filter) -> AsyncIterator[StoredPage]:
        async for record in self._scroll(collection, condition):
            yield _page(record)

    async def _scroll(
        self, collection: str, condition: q.Filter, payload: bool | list[str] = True, vectors: bool | list[str] = False
    ) -> AsyncIterator[q.Record]:
        async for records in self._scrolled(collection, condition, READ_BATCH, payload, vectors):
            for record in records:
                yield record

    async def _scrolled(
        self,
        collection: str,
        condition: q.Filter,
        size: int,
        payload: bool | list[str] = True,
        vectors: bool | list[str] = False,
    ) -> AsyncIterator[list[q.Record]]:
        offset: Any = None
        while True:
            with qdrant_errors():
                records, offset = await self._client.scroll(
                    collection, scroll_filter=condition, limit=size, offset=offset,
                    with_payload=payload, with_vectors=vectors,
                )  # fmt: skip
            yield records
            if offset is None:
                return

    async def _is_windowed(self, collection: str) -> bool:
        return (await self.spec_of(collection)).window is not None


def _batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _ids(ids: Sequence[str]) -> list[int | str | UUID]:
    """As the client's types want them."""
    return list(ids)


def _equal(key: str, value: str | int) -> q.FieldCondition:
    return q.FieldCondition(key=key, match=q.MatchValue(value=value))


def _any(key: str, values: Sequence[str]) -> q.FieldCondition:
    return q.FieldCondition(key=key, match=q.MatchAny(any=list(values)))


def _visible(record: Record, release: int, *more: q.FieldCondition) -> q.Filter:
    return _seen(record, release, release, *more)


def _seen(record: Record, oldest: int, newest: int, *more: q.FieldCondition) -> q.Filter:
    """What a reader of any of these releases sees: releases are numbered without a gap."""
    return q.Filter(must=[_equal("record", record), *visible_at(oldest, newest), *more])


def _chunk_point(point: ChunkPoint, windowed: bool) -> dict[str, Any]:
    """As the body of an upsert has it."""
    sparse = {"indices": point.sparse.indices, "values": point.sparse.values}
    dense = point.vectors if windowed else point.vectors[0]
    return {"id": point.stored.id, "vector": {DENSE: dense, SPARSE: sparse}, "payload": chunk_payload(point.stored)}


def _page_point(stored: StoredPage) -> dict[str, Any]:
    return {"id": stored.id, "vector": {}, "payload": page_payload(stored)}


def _chunk(record: q.Record) -> StoredChunk:
    return chunk_of(str(record.id), record.payload or {})


def _page(record: q.Record) -> StoredPage:
    return page_of(str(record.id), record.payload or {})


def _facts(record: q.Record) -> PageFacts:
    payload = record.payload or {}
    return PageFacts(payload["path"], payload["title"], payload["url"], payload["revision"])


def _full_chunk(record: q.Record) -> ChunkPoint:
    """A chunk that was read with its vectors."""
    named: Any = record.vector
    dense, sparse = named[DENSE], named[SPARSE]
    return ChunkPoint(_chunk(record), _rows(dense), SparseVector(sparse.indices, sparse.values))


def _rows(dense: Any) -> Vectors:
    """A vector as Qdrant has it, which is one row, or several where windows are."""
    return dense if isinstance(dense[0], list) else [dense]
