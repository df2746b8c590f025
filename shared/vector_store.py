"""Chunks and pages in Qdrant: the only module that knows how they are laid out there.

Points of one collection are chunks (with vectors) and pages (without), told apart by the payload field `record`.
Both carry `since` and `until`: a reader at release R sees `since <= R < until`. Nothing here deletes what a reader
of a published release can see.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeVar
from uuid import UUID, uuid5

from qdrant_client import AsyncQdrantClient
from qdrant_client import models as q
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from shared.errors import DependencyDown
from shared.models import FOREVER, Chunk, Page, Part, Passage, SparseVector, StoredChunk, StoredPage, Vector, Vectors

#: Namespace of every id made here, so that the same content has the same id on every machine.
NAMESPACE: Final = UUID("6f0f7c58-6f0e-5a43-9b0e-1d6f3d3c7a11")
DENSE: Final = "dense"
SPARSE: Final = "bm25"
#: Candidates that each side brings to the fusion; more changes no top ten on the sets measured.
CANDIDATES: Final = 50
#: Points a write: about 1 MB of JSON at 384 dimensions and three windows.
WRITE_BATCH: Final = 100
#: Points a scroll request reads.
READ_BATCH: Final = 500
#: Values of one `any` match; keeps a filter's body under 100 kB.
MATCH_BATCH: Final = 500
#: A healthy search takes milliseconds; nobody waits longer than this for an unhealthy one.
READ_SECONDS: Final = 3
#: What is filtered on, hence indexed. Without an index a filter reads every payload.
INDEXES: Final[Mapping[str, q.PayloadSchemaType]] = {
    "record": q.PayloadSchemaType.KEYWORD,
    "path": q.PayloadSchemaType.KEYWORD,
    "text_hash": q.PayloadSchemaType.KEYWORD,
    "since": q.PayloadSchemaType.INTEGER,
    "until": q.PayloadSchemaType.INTEGER,
}

Record = Literal["chunk", "page"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """What makes the vectors of one collection comparable. Another value of any field means another collection."""

    model: str
    dimensions: int
    #: Tokens a vector, where the model reads less than a chunk holds; None where a chunk has one vector.
    window: int | None

    def name(self, alias: str) -> str:
        """`lectern__all-minilm-l6-v2-384-w144`: readable, unique a spec."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.model.lower()).strip("-")
        return f"{alias}__{slug}-{self.dimensions}" + (f"-w{self.window}" if self.window else "")


@dataclass(frozen=True, slots=True)
class ChunkPoint:
    """A chunk on its way into the index, with what it is found by."""

    stored: StoredChunk
    vectors: Vectors
    sparse: SparseVector


def digest_of(chunk: Chunk) -> str:
    """SHA-256 over everything that is shown of a chunk."""
    return _sha256(*(f"{name}={value!r}" for name, value in asdict(chunk).items()))


def text_hash_of(chunk: Chunk) -> str:
    """SHA-256 of what the embedding model reads."""
    return _sha256(chunk.embedded_text)


def chunk_id(path: str, digest: str, duplicate: int, since: int) -> str:
    """The id of a chunk's point. `since` is part of it: a text that comes back later is another point."""
    return str(uuid5(NAMESPACE, f"chunk\0{path}\0{digest}\0{duplicate}\0{since}"))


def page_id(path: str, since: int) -> str:
    """The id of a page's point."""
    return str(uuid5(NAMESPACE, f"page\0{path}\0{since}"))


class VectorStore:
    """Reads and writes chunks and pages. Every method raises DependencyDown if Qdrant does not answer."""

    def __init__(self, client: AsyncQdrantClient, alias: str) -> None:
        self._client = client
        self.alias = alias
        #: What collections were made for; it never changes, so it is asked once.
        self._specs: dict[str, CollectionSpec] = {}

    # Collections

    async def ensure_collection(self, spec: CollectionSpec) -> str:
        """Create the collection of this spec with its payload indexes unless it is there. Returns its name."""
        name = spec.name(self.alias)
        with qdrant_errors():
            if not await self._client.collection_exists(name):
                await self._create(name, spec)
            indexed = (await self._client.get_collection(name)).payload_schema
            for field, schema in INDEXES.items():
                if field not in indexed:  # for making one that is there is a write all the same
                    await self._client.create_payload_index(name, field, field_schema=schema)
        return name

    async def _create(self, name: str, spec: CollectionSpec) -> None:
        windows = q.MultiVectorConfig(comparator=q.MultiVectorComparator.MAX_SIM) if spec.window else None
        dense = q.VectorParams(size=spec.dimensions, distance=q.Distance.COSINE, multivector_config=windows)
        try:
            await self._client.create_collection(
                name,
                vectors_config={DENSE: dense},
                sparse_vectors_config={SPARSE: q.SparseVectorParams(modifier=q.Modifier.IDF)},
                metadata=asdict(spec),
            )
        except UnexpectedResponse as error:
            if error.status_code != 409:  # another worker was first
                raise

    async def spec_of(self, name: str) -> CollectionSpec:
        """What a collection was made for."""
        if name not in self._specs:
            with qdrant_errors():
                metadata = (await self._client.get_collection(name)).config.metadata or {}
            self._specs[name] = CollectionSpec(metadata["model"], metadata["dimensions"], metadata["window"])
        return self._specs[name]

    async def point_alias(self, name: str) -> None:
        """Let the alias name this collection, for people and other tools; readers go by the live record."""
        with qdrant_errors():
            aliases = (await self._client.get_aliases()).aliases
            current = next((a.collection_name for a in aliases if a.alias_name == self.alias), None)
            if current == name:
                return
            create = q.CreateAliasOperation(create_alias=q.CreateAlias(collection_name=name, alias_name=self.alias))
            delete = q.DeleteAliasOperation(delete_alias=q.DeleteAlias(alias_name=self.alias))
            await self._client.update_collection_aliases([delete, create] if current else [create])

    async def drop_collection(self, name: str) -> None:
        """Delete a collection that no kept release is in, or that is gone already."""
        with qdrant_errors():
            await self._client.delete_collection(name)

    async def ping(self) -> None:
        """Raise DependencyDown unless Qdrant answers."""
        with qdrant_errors():
            await self._client.get_collections()

    # Reading at a release

    async def pages_at(self, collection: str, release: int) -> dict[str, StoredPage]:
        """Every page of a release by its path."""
        return {page.page.path: page async for page in self._pages(collection, _visible("page", release))}

    async def pages_of(self, collection: str, release: int, paths: Sequence[str]) -> dict[str, StoredPage]:
        """These pages of a release by their path, those that are there."""
        found: dict[str, StoredPage] = {}
        for part in _batches(paths, MATCH_BATCH):
            condition = _visible("page", release, _any("path", part))
            found |= {page.page.path: page async for page in self._pages(collection, condition)}
        return found

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

    async def count(self, collection: str, record: Record, release: int) -> int:
        """Exactly how many chunks or pages a reader of the release can see."""
        with qdrant_errors():
            result = await self._client.count(collection, count_filter=_visible(record, release), exact=True)
        return result.count

    async def search(
        self, collection: str, release: int, dense: Vector | None, sparse: SparseVector, limit: int
    ) -> list[Passage]:
        """The best chunks of a release for a question, by distribution-based fusion of both sides' scores.

        The raw cosine and BM25 score come back beside the fused rank, because a fused score says nothing of how
        good a passage is. Without a dense vector (no embedding to be had) the words alone decide.
        """
        # Pages have no vectors, so that nothing has to tell them from chunks here.
        visible = q.Filter(must=_at(release))
        keywords = q.SparseVector(indices=sparse.indices, values=sparse.values)
        if dense is None:
            async with waiting_visitor():
                found = await self._client.query_points(
                    collection, query=keywords, using=SPARSE, query_filter=visible, limit=limit, with_payload=True
                )
            return [Passage(_chunk(point), point.score, None, point.score) for point in found.points]
        row: Any = [dense] if await self._is_windowed(collection) else dense
        sides = [
            q.Prefetch(query=row, using=DENSE, filter=visible, limit=CANDIDATES),
            q.Prefetch(query=keywords, using=SPARSE, filter=visible, limit=CANDIDATES),
        ]
        requests = [
            q.QueryRequest(prefetch=sides, query=q.FusionQuery(fusion=q.Fusion.DBSF), limit=limit, with_payload=True),
            q.QueryRequest(query=row, using=DENSE, filter=visible, limit=CANDIDATES),
            q.QueryRequest(query=keywords, using=SPARSE, filter=visible, limit=CANDIDATES),
        ]
        async with waiting_visitor():
            fused, by_meaning, by_words = await self._client.query_batch_points(collection, requests)
        cosine = {str(point.id): point.score for point in by_meaning.points}
        bm25 = {str(point.id): point.score for point in by_words.points}
        return [
            Passage(_chunk(point), point.score, cosine.get(str(point.id)), bm25.get(str(point.id)))
            for point in fused.points
        ]

    async def vectors_by_text(self, collection: str, text_hashes: Sequence[str]) -> dict[str, Vectors]:
        """The vectors of texts that were embedded before, whatever release they belong to."""
        known: dict[str, Vectors] = {}
        for part in _batches(text_hashes, MATCH_BATCH):
            condition = q.Filter(must=[_equal("record", "chunk"), _any("text_hash", part)])
            async for record in self._scroll(collection, condition, payload=["text_hash"], vectors=[DENSE]):
                vectors: Any = record.vector[DENSE] if isinstance(record.vector, dict) else None
                if vectors:
                    known[(record.payload or {})["text_hash"]] = vectors if isinstance(vectors[0], list) else [vectors]
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

    # Building a release

    async def write(self, collection: str, chunks: Sequence[ChunkPoint], pages: Sequence[StoredPage]) -> None:
        """Upsert chunks, then pages: a page that is there has all its chunks. Safe to repeat."""
        windowed = bool(chunks) and await self._is_windowed(collection)
        points = [*(_chunk_point(chunk, windowed) for chunk in chunks), *map(_page_point, pages)]
        for part in _batches(points, WRITE_BATCH):
            with qdrant_errors():
                await self._client.upsert(collection, points=part, wait=True)

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

    async def vacuum(self, collection: str, oldest_kept: int) -> None:
        """Delete what no release from `oldest_kept` on can see."""
        gone = q.Filter(must=[q.FieldCondition(key="until", range=q.Range(lte=oldest_kept))])
        with qdrant_errors():
            await self._client.delete(collection, points_selector=q.FilterSelector(filter=gone), wait=True)

    # Scrolling

    async def _pages(self, collection: str, condition: q.Filter) -> AsyncIterator[StoredPage]:
        async for record in self._scroll(collection, condition):
            yield _page(record)

    async def _scroll(
        self,
        collection: str,
        condition: q.Filter,
        payload: bool | list[str] = True,
        vectors: bool | list[str] = False,
    ) -> AsyncIterator[q.Record]:
        offset: Any = None
        while True:
            with qdrant_errors():
                records, offset = await self._client.scroll(
                    collection, scroll_filter=condition, limit=READ_BATCH, offset=offset,
                    with_payload=payload, with_vectors=vectors,
                )  # fmt: skip
            for record in records:
                yield record
            if offset is None:
                return

    async def _is_windowed(self, collection: str) -> bool:
        return (await self.spec_of(collection)).window is not None


@contextmanager
def qdrant_errors() -> Iterator[None]:
    """Translate the client's errors. A refusal (4xx), but for that of a key, is a bug of ours and stays as it is."""
    try:
        yield
    except UnexpectedResponse as error:
        if error.status_code in (401, 403):
            raise DependencyDown("Qdrant refuses the key; check QDRANT_API_KEY", retry_after=30) from error
        if error.status_code is not None and error.status_code < 500:
            raise
        raise DependencyDown(f"Qdrant answered {error.status_code}", retry_after=5) from error
    except (ApiException, QdrantException, OSError) as error:
        raise DependencyDown("Qdrant does not answer", retry_after=5) from error


@asynccontextmanager
async def waiting_visitor() -> AsyncIterator[None]:
    """As `qdrant_errors`, for a question that somebody waits for: a Qdrant that hangs is one that does not answer."""
    with qdrant_errors():
        async with asyncio.timeout(READ_SECONDS):
            yield


def _sha256(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


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
    return q.Filter(must=[_equal("record", record), *_at(release), *more])


def _at(release: int) -> list[q.Condition]:
    """What a reader of the release sees."""
    return [
        q.FieldCondition(key="since", range=q.Range(lte=release)),
        q.FieldCondition(key="until", range=q.Range(gt=release)),
    ]


def _chunk_point(point: ChunkPoint, windowed: bool) -> q.PointStruct:
    stored = point.stored
    sparse = q.SparseVector(indices=point.sparse.indices, values=point.sparse.values)
    dense: Any = point.vectors if windowed else point.vectors[0]
    payload = {
        "record": "chunk", **asdict(stored.chunk), "trail": list(stored.chunk.trail),
        "parts": [{**asdict(part), "trail": list(part.trail)} for part in stored.chunk.parts],
        "digest": stored.digest, "text_hash": stored.text_hash, "since": stored.since, "until": stored.until,
    }  # fmt: skip
    return q.PointStruct(id=stored.id, vector={DENSE: dense, SPARSE: sparse}, payload=payload)


def _page_point(stored: StoredPage) -> q.PointStruct:
    payload = {
        "record": "page", **asdict(stored.page), "chunk_ids": list(stored.chunk_ids),
        "since": stored.since, "until": stored.until,
    }  # fmt: skip
    return q.PointStruct(id=stored.id, vector={}, payload=payload)


def _chunk(record: q.Record | q.ScoredPoint) -> StoredChunk:
    p = record.payload or {}
    chunk = Chunk(
        path=p["path"], page_title=p["page_title"], url=p["url"], anchor=p["anchor"], trail=tuple(p["trail"]),
        text=p["text"], kind=p["kind"], tokens=p["tokens"], overlap=p["overlap"],
        parts=tuple(Part(a["start"], a["anchor"], a["url"], tuple(a["trail"])) for a in p["parts"]),
    )  # fmt: skip
    return StoredChunk(str(record.id), chunk, p["digest"], p["text_hash"], p["since"], p["until"])


def _page(record: q.Record) -> StoredPage:
    p = record.payload or {}
    page = Page(path=p["path"], title=p["title"], url=p["url"], revision=p["revision"])
    return StoredPage(str(record.id), page, tuple(p["chunk_ids"]), p["since"], p["until"])
