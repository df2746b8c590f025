"""Searches among the chunks of a release: by meaning, by words, and by both."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from qdrant_client import AsyncQdrantClient
from qdrant_client import models as q

from shared.chunk_collections import DENSE, SPARSE, ChunkCollections
from shared.fusion import fuse
from shared.models import SERVERS_CHOICE, Passage, Placement, SparseVector, StoredChunk, Vector
from shared.points import chunk_of
from shared.qdrant_reads import QdrantReads

#: Candidates that each side brings to the fusion; more changes no top ten on the sets measured.
CANDIDATES: Final = 50
#: Chunks of some sections that are read at once: a section of more is a list that no answer needs the whole of.
SECTION_CHUNKS: Final = 200
#: Chunks that are remembered, of 2 to 4 kB each: those that a site's usual questions find, several times over.
REMEMBERED: Final = 2048


@dataclass(frozen=True, slots=True)
class Where:
    """Which chunks may be found. None lets all through."""

    version: str | None = None
    locale: str | None = None
    #: What the page's path begins with, character for character.
    prefix: str | None = None
    #: Pages; an empty tuple lets nothing through.
    paths: tuple[str, ...] | None = None


ANYWHERE: Final = Where()


@dataclass(frozen=True, slots=True)
class Query:
    """What one text is searched for by."""

    #: None where there is no embedding to be had: then the words alone decide.
    dense: Vector | None
    sparse: SparseVector


@dataclass(frozen=True, slots=True)
class _Scores:
    """Both sides' own scores, by chunk."""

    cosine: dict[str, float]
    bm25: dict[str, float]


class ChunkSearch(ChunkCollections):
    """Every method raises DependencyDown if Qdrant does not answer."""

    def __init__(
        self, client: AsyncQdrantClient, reads: QdrantReads, alias: str, placement: Placement = SERVERS_CHOICE
    ) -> None:
        super().__init__(client, alias, placement)
        self._reads = reads
        #: Chunks that were found lately, the latest last. An id is made of what it stands for, which never changes.
        self._found: OrderedDict[str, StoredChunk] = OrderedDict()

    async def search(
        self,
        collection: str,
        release: int,
        dense: Vector | None,
        sparse: SparseVector,
        limit: int,
        *,
        where: Where = ANYWHERE,
    ) -> list[Passage]:
        """The best chunks of a release for a question, best first."""
        (found,) = await self.search_all(collection, release, [Query(dense, sparse)], limit, where)
        return found[:limit]

    async def search_all(
        self, collection: str, release: int, queries: Sequence[Query], limit: int, where: Where = ANYWHERE
    ) -> list[list[Passage]]:
        """For each query the chunks that fit it, best first: the best `limit` of every query, each in the list of all
        queries that it fits.

        Two requests, however many the queries: one for scores, one for what the best chunks hold. The raw cosine and
        BM25 score stand beside the fused rank, because a fused score says nothing of how good a passage is.
        """
        if where.paths == ():
            return [[] for _ in queries]
        scores = await self._scores(
            collection, queries, q.Filter(must=[*visible_at(release, release), *_within(where)])
        )
        ranks = [fuse(each.cosine, each.bm25) for each in scores]
        wanted = dict.fromkeys(
            id_ for rank in ranks for id_ in sorted(rank, key=rank.__getitem__, reverse=True)[:limit]
        )
        chunks = await self.chunks_by_id(collection, wanted)
        return [
            [
                Passage(chunks[id_], score, each.cosine.get(id_), each.bm25.get(id_))
                for id_, score in sorted(rank.items(), key=lambda item: -item[1])
                if id_ in chunks
            ]
            for rank, each in zip(ranks, scores, strict=True)
        ]

    async def chunks_by_id(self, collection: str, ids: Iterable[str]) -> dict[str, StoredChunk]:
        """These chunks, those that are there; `since` and `until` are as they were when each was read."""
        wanted = dict.fromkeys(ids)
        # Held on to, since others may push them out while this waits for the rest.
        there = {id_: self._found[id_] for id_ in wanted if id_ in self._found}
        lacking = [id_ for id_ in wanted if id_ not in there]
        if lacking:
            points = await self._reads.ask(collection, "points", {"ids": lacking, "with_payload": True})
            there |= {point["id"]: chunk_of(point["id"], point["payload"]) for point in points}
        for id_, chunk in there.items():
            self._found[id_] = chunk
            self._found.move_to_end(id_)
        while len(self._found) > REMEMBERED:
            self._found.popitem(last=False)
        return {id_: there[id_] for id_ in wanted if id_ in there}

    async def holding(
        self, collection: str, release: int, names: Sequence[SparseVector], each: int
    ) -> list[StoredChunk]:
        """Chunks of a release that hold words of these names: up to `each` of the best for every name, by words."""
        condition = q.Filter(must=visible_at(release, release))
        queries = [Query(None, name) for name in names]
        scores = await self._scores(collection, queries, condition, each)
        return list(
            (await self.chunks_by_id(collection, dict.fromkeys(id_ for s in scores for id_ in s.bm25))).values()
        )

    async def chunks_under(
        self, collection: str, release: int, places: Sequence[tuple[str, str]]
    ) -> list[list[StoredChunk]]:
        """The chunks of a release under these headings, named by page path and address: runs in reading order, one a
        heading, or more where it has too many chunks for all of them to be read."""
        sections = [q.Filter(must=[_is("path", path), _is("url", url), _is("record", "chunk")]) for path, url in places]
        paths = sorted({path for path, _ in places})
        pages = q.Filter(must=[_is("record", "page"), q.FieldCondition(key="path", match=q.MatchAny(any=paths))])
        condition = q.Filter(must=visible_at(release, release), should=[*sections, pages])
        found: dict[tuple[str, str], dict[str, StoredChunk]] = {place: {} for place in places}
        order: dict[str, int] = {}
        wanted = {"filter": condition, "limit": SECTION_CHUNKS, "with_payload": True}
        for point in (await self._reads.ask(collection, "points/scroll", wanted))["points"]:
            payload = point["payload"]
            if payload["record"] == "page":
                order |= {id_: place for place, id_ in enumerate(payload["chunk_ids"])}
            else:
                chunk = chunk_of(point["id"], payload)
                found[chunk.chunk.path, chunk.chunk.url][chunk.id] = chunk
        return [run for chunks in found.values() for run in runs_of(chunks, order)]

    async def _scores(
        self, collection: str, queries: Sequence[Query], condition: q.Filter, limit: int = CANDIDATES
    ) -> list[_Scores]:
        windowed = (await self.spec_of(collection)).window is not None
        searches: list[dict[str, Any]] = []
        places: list[dict[str, float]] = []
        scores: list[_Scores] = []
        # Pages have no vectors, so that nothing has to tell them from chunks here.
        for query in queries:
            found = _Scores({}, {})
            scores.append(found)
            if query.dense is not None:
                row = [query.dense] if windowed else query.dense
                searches.append({"query": row, "using": DENSE, "filter": condition, "limit": limit})
                places.append(found.cosine)
            if query.sparse.indices:
                words = {"indices": query.sparse.indices, "values": query.sparse.values}
                searches.append({"query": words, "using": SPARSE, "filter": condition, "limit": limit})
                places.append(found.bm25)
        if not searches:
            return scores
        replies = await self._reads.ask(collection, "points/query/batch", {"searches": searches})
        for place, reply in zip(places, replies, strict=True):
            place.update((point["id"], point["score"]) for point in reply["points"])
        return scores


def runs_of(chunks: Mapping[str, StoredChunk], order: Mapping[str, int]) -> list[list[StoredChunk]]:
    """Chunks by their id, put in order by their places on the page: those that follow each other are one run. Chunks
    without a place are left out: nobody knows what stands beside them."""
    runs: list[list[StoredChunk]] = []
    last: int | None = None
    for place, id_ in sorted((order[id_], id_) for id_ in chunks if id_ in order):
        if last is None or place != last + 1:
            runs.append([])
        runs[-1].append(chunks[id_])
        last = place
    return runs


def visible_at(oldest: int, newest: int) -> list[q.Condition]:
    """What a reader of any of these releases sees: releases are numbered without a gap."""
    return [
        q.FieldCondition(key="since", range=q.Range(lte=newest)),
        q.FieldCondition(key="until", range=q.Range(gt=oldest)),
    ]


def _is(key: str, value: str) -> q.FieldCondition:
    return q.FieldCondition(key=key, match=q.MatchValue(value=value))


def _within(where: Where) -> list[q.Condition]:
    conditions: list[q.Condition] = [
        _is(key, value) for key, value in (("version", where.version), ("locale", where.locale)) if value is not None
    ]
    if where.prefix is not None:
        conditions.append(q.FieldCondition(key="path", match=q.MatchPrefix(prefix=where.prefix)))
    if where.paths is not None:
        conditions.append(q.FieldCondition(key="path", match=q.MatchAny(any=list(where.paths))))
    return conditions
