"""Passages for tests, and services that find them without an index."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

from api.chat.overlap import terms_of
from shared.bm25 import Bm25Encoder
from shared.chunk_collections import CollectionSpec
from shared.chunk_search import ANYWHERE, Query, Where
from shared.embedding_batches import BatchLimits
from shared.embeddings import EmbeddedPart, EmbeddingBatch
from shared.errors import LecternError
from shared.models import FOREVER, Chunk, ChunkKind, Passage, Release, SparseVector, StoredChunk, Vector
from shared.points import digest_of, text_hash_of
from shared.services import Services
from shared.settings import load_settings
from shared.tokens import count_tokens

SITE = "https://site.example/docs"
BM25 = Bm25Encoder()


def passage(
    text: str = "Some words.",
    *,
    title: str = "Guide",
    heading: str | None = "Install",
    url: str | None = None,
    path: str = "guide.md",
    score: float = 1.0,
    cosine: float | None = 0.6,
    bm25: float | None = 5.0,
    kind: ChunkKind = "prose",
) -> Passage:
    """A found passage under `title` > `heading`."""
    trail = (title,) if heading is None else (title, heading)
    anchor = trail[-1].lower().replace(" ", "-")
    chunk = Chunk(
        path, title, url or f"{SITE}/{path.removesuffix('.md')}#{anchor}", anchor, trail, text, kind,
        count_tokens(text),
    )  # fmt: skip
    digest = digest_of(chunk)
    return Passage(StoredChunk(digest, chunk, digest, text_hash_of(chunk), 1, FOREVER), score, cosine, bm25)


RELEASE = Release(1, "docs", documents=1, chunks=1, job_id="job", created_at="2026-01-01T00:00:00Z")


class FakeReleases:
    """A live release, or none yet."""

    def __init__(self, release: Release | None = RELEASE) -> None:
        self.release = release

    async def live(self) -> Release | None:
        return self.release


class FakeStore:
    """Answers searches by how the query begins; remembers what it was asked."""

    def __init__(self, found: dict[str, list[Passage]], model: str = "fake") -> None:
        self.found = found
        self.model = model
        self.vectors: list[Vector | None] = []
        self.scopes: list[Where] = []

    async def spec_of(self, name: str) -> CollectionSpec:
        return CollectionSpec(self.model, 3, window=None)

    async def search(
        self, collection: str, release: int, dense: Vector | None, sparse: SparseVector, limit: int
    ) -> list[Passage]:
        self.vectors.append(dense)
        words = frozenset(sparse.indices)
        for query, passages in self.found.items():
            if words == terms_of(query, BM25):
                return passages[:limit]
        return []

    async def search_all(
        self, collection: str, release: int, queries: Sequence[Query], limit: int, where: Where = ANYWHERE
    ) -> list[list[Passage]]:
        self.scopes.append(where)
        return [await self.search(collection, release, query.dense, query.sparse, limit) for query in queries]

    async def holding(
        self, collection: str, release: int, names: Sequence[SparseVector], each: int
    ) -> list[StoredChunk]:
        return []

    async def chunks_under(
        self, collection: str, release: int, places: Sequence[tuple[str, str]]
    ) -> list[list[StoredChunk]]:
        return []


class FakeEmbedder:
    """Every text means the same."""

    model = "fake"
    dimensions = 3
    window: int | None = None
    batch = room = BatchLimits(items=10, tokens=1000)

    def __init__(self, error: LecternError | None = None) -> None:
        self.error = error
        self.asked: list[str] = []

    async def open(self) -> None:
        return

    async def embed(self, texts: Sequence[str]) -> EmbeddingBatch:
        self.asked += texts
        return EmbeddingBatch(tuple([1.0, 0.0, 0.0] for _ in texts), requests=0, tokens=0)

    def embed_parts(self, texts: Sequence[str]) -> AsyncGenerator[EmbeddedPart]:
        raise AssertionError("nothing is indexed here")

    async def embed_query(self, text: str) -> Vector:
        if self.error is not None:
            raise self.error
        return (await self.embed([text])).vectors[0]

    async def close(self) -> None:
        return


def services_with(
    store: FakeStore | None = None, embedder: FakeEmbedder | None = None, releases: FakeReleases | None = None
) -> Services:
    """What answering a question needs of the services, and nothing else."""
    nothing: Any = None
    return Services(
        settings=load_settings(None), redis=nothing, schema=nothing, store=cast(Any, store or FakeStore({})),
        releases=cast(Any, releases or FakeReleases()), jobs=nothing, queue=nothing,
        embedder=embedder or FakeEmbedder(), pacer=nothing, bm25=BM25,
    )  # fmt: skip
