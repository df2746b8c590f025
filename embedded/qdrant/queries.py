"""Reads: REST bodies to the engine's requests, and what it found to JSON's plain values."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import qdrant_edge as edge
from qdrant_client.http import models as rest

from embedded.qdrant.errors import BadRequest, NotOffered
from embedded.qdrant.filters import edge_filter, point_id, without
from embedded.qdrant.names import engine_enum
from embedded.qdrant.points import require_unsharded
from embedded.qdrant.vectors import UNNAMED, VectorSchema, rest_vectors

#: Results where the request does not say how many: a server's own default, for queries, prefetches and scrolls.
_LIMIT = 10
#: Reciprocal rank fusion's constant where the request does not say: a server's own default.
_RRF_K = 2
#: Weight of diversity in maximal marginal relevance: a server's own default.
_MMR_DIVERSITY = 0.5

PointKey = int | uuid.UUID


@dataclass(frozen=True, slots=True)
class QueryTranslator:
    """Turns query requests into the engine's."""

    schema: VectorSchema
    #: The stored vector of a point, by its id and the vector's name; for queries by example.
    stored_vector: Callable[[PointKey, str], edge.NamedVector]

    def request(self, given: rest.QueryRequest) -> edge.QueryRequest:
        """One query with all its prefetches."""
        require_unsharded(given)
        limit = _limit(given.limit)
        query, examples = self._scoring(given, limit)
        return edge.QueryRequest(
            limit=limit,
            offset=_offset(given.offset),
            query=query,
            prefetches=self._prefetches(given.prefetch),
            filter=without(examples, edge_filter(given.filter)),
            score_threshold=given.score_threshold,
            params=_params(given.params),
            with_payload=with_payload(given.with_payload, otherwise=False),
            with_vector=with_vector(given.with_vector),
        )

    def _prefetches(self, given: list[rest.Prefetch] | rest.Prefetch | None) -> list[edge.Prefetch] | None:
        if given is None:
            return None
        return [self._prefetch(each) for each in (given if isinstance(given, list) else [given])]

    def _prefetch(self, given: rest.Prefetch) -> edge.Prefetch:
        limit = _limit(given.limit)
        query, examples = self._scoring(given, limit)
        return edge.Prefetch(
            limit=limit,
            query=query,
            prefetches=self._prefetches(given.prefetch),
            filter=without(examples, edge_filter(given.filter)),
            score_threshold=given.score_threshold,
            params=_params(given.params),
        )

    def _scoring(  # noqa: PLR0911 - one line a kind
        self, given: rest.QueryRequest | rest.Prefetch, limit: int
    ) -> tuple[edge.ScoringQueryType | None, list[PointKey]]:
        """The engine's query, and the points that serve it as an example."""
        if given.lookup_from is not None:
            raise NotOffered("`lookup_from`")
        using = given.using or UNNAMED
        match given.query:
            case None:
                return None, []
            case rest.NearestQuery(nearest=vector, mmr=mmr):
                return self._nearest(vector, using, mmr, limit)
            case rest.FusionQuery(fusion=rest.Fusion.DBSF):
                return edge.Fusion.Dbsf(), []  # type: ignore[return-value]
            case rest.FusionQuery():
                return edge.Fusion.Rrf(k=_RRF_K), []  # type: ignore[return-value]
            case rest.RrfQuery(rrf=rrf):
                return _rrf(rrf), []
            case rest.OrderByQuery(order_by=order):
                return edge_order(order), []
            case rest.SampleQuery():
                return edge.Sample.Random, []
            case rest.TextQuery(text=text):
                return _text(text, using), []
            case list() | rest.SparseVector() | rest.Document() | int() | str() | uuid.UUID():
                return self._nearest(given.query, using, None, limit)
            case _:
                raise NotOffered(f"the query {type(given.query).__name__}")

    def _nearest(
        self, given: rest.VectorInput, using: str, mmr: rest.Mmr | None, limit: int
    ) -> tuple[edge.ScoringQueryType, list[PointKey]]:
        examples: list[PointKey] = []
        if isinstance(given, int | str | uuid.UUID):
            examples = [point_id(given)]
            vector = self.stored_vector(examples[0], using)
        else:
            vector = self.schema.queried(using, given)
        if mmr is None:
            return edge.Query.Nearest(vector, using), examples
        diversity = _MMR_DIVERSITY if mmr.diversity is None else mmr.diversity
        return edge.Mmr(vector, 1.0 - diversity, mmr.candidates_limit or limit, using), examples


def scroll_request(given: rest.ScrollRequest) -> edge.ScrollRequest:
    """A page of points, by id or in the order of a payload field."""
    require_unsharded(given)
    return edge.ScrollRequest(
        offset=None if given.offset is None else point_id(given.offset),
        limit=_limit(given.limit),
        filter=edge_filter(given.filter),
        with_payload=with_payload(given.with_payload, otherwise=True),
        with_vector=with_vector(given.with_vector),
        order_by=None if given.order_by is None else edge_order(given.order_by),
    )


def count_request(given: rest.CountRequest) -> edge.CountRequest:
    """A count, always exact."""
    require_unsharded(given)
    return edge.CountRequest(exact=True, filter=edge_filter(given.filter))


def facet_request(given: rest.FacetRequest) -> edge.FacetRequest:
    """The most frequent values of a field, with exact counts."""
    require_unsharded(given)
    return edge.FacetRequest(given.key, limit=_limit(given.limit), exact=True, filter=edge_filter(given.filter))


def edge_order(given: rest.OrderByInterface) -> edge.OrderBy:
    """The order of a payload field that has a range index."""
    if isinstance(given, str):
        return edge.OrderBy(given)
    start = given.start_from
    return edge.OrderBy(
        given.key,
        direction=engine_enum(edge.Direction, given.direction) if given.direction else None,
        start_from=start if start is None or isinstance(start, int | float) else start.isoformat(),
    )


def with_payload(given: rest.WithPayloadInterface | None, *, otherwise: bool) -> edge.WithPayloadType:
    """Which keys of the payload to send."""
    match given:
        case None:
            return otherwise
        case rest.PayloadSelectorInclude(include=keys):
            return edge.PayloadSelector.Include(keys)
        case rest.PayloadSelectorExclude(exclude=keys):
            return edge.PayloadSelector.Exclude(keys)
        case _:
            return given


def with_vector(given: rest.WithVector | None) -> edge.WithVectorType:
    """Which vectors to send; none where the request does not say."""
    return False if given is None else given


def rest_scored(found: Sequence[edge.ScoredPoint]) -> list[dict[str, Any]]:
    """Found points as JSON's plain values."""
    return [
        {"id": each.id, "version": each.version, "score": each.score}
        | _asked_for(each.payload, each.vector, each.order_value)
        for each in found
    ]


def rest_records(found: Sequence[edge.Record]) -> list[dict[str, Any]]:
    """Retrieved points as JSON's plain values."""
    return [{"id": each.id} | _asked_for(each.payload, each.vector, each.order_value) for each in found]


def _asked_for(payload: edge.Payload | None, vector: edge.Vector | None, order_value: float | None) -> dict[str, Any]:
    parts = {"payload": payload, "vector": rest_vectors(vector), "order_value": order_value}
    return {name: value for name, value in parts.items() if value is not None}


def _rrf(given: rest.Rrf) -> Any:
    k = _RRF_K if given.k is None else given.k
    if k < 1:
        raise BadRequest("Validation error in JSON body: rrf.k must be 1 or larger")
    return edge.Fusion.Rrf(k=k, weights=given.weights)


def _text(given: rest.TextInterface, field: str) -> edge.TextQuery:
    if isinstance(given, str):
        return edge.TextQuery(field, given)
    scoring = given.scoring
    return edge.TextQuery(field, given.query, edge.Bm25Params(k=scoring.bm25.k, b=scoring.bm25.b) if scoring else None)


def _params(given: rest.SearchParams | None) -> edge.SearchParams | None:
    """What changes the result: whose words BM25 counts. The rest are hints for indexes, and there are none."""
    if given is None or not isinstance(given.idf, rest.IdfCorpusParams):
        return None
    return edge.SearchParams(idf=edge.IdfParams(edge_filter(given.idf.corpus)))


def _limit(given: int | None) -> int:
    if given is None:
        return _LIMIT
    if given < 1:
        raise BadRequest(f"Validation error in JSON body: limit is {given} and must be 1 or larger")
    return given


def _offset(given: int | None) -> int:
    if given is not None and given < 0:
        raise BadRequest(f"Validation error in JSON body: offset is {given} and must be 0 or larger")
    return given or 0
