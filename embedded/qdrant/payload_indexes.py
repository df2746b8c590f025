"""Payload indexes: REST schemas to the engine's."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge
from qdrant_client.http import models as rest

from embedded.qdrant.names import engine_enum
from embedded.qdrant.text_options import edge_stemmer, edge_stopwords

_PARAMS: dict[type, type[Any]] = {
    rest.KeywordIndexParams: edge.KeywordIndexParams,
    rest.IntegerIndexParams: edge.IntegerIndexParams,
    rest.FloatIndexParams: edge.FloatIndexParams,
    rest.GeoIndexParams: edge.GeoIndexParams,
    rest.TextIndexParams: edge.TextIndexParams,
    rest.BoolIndexParams: edge.BoolIndexParams,
    rest.DatetimeIndexParams: edge.DatetimeIndexParams,
    rest.UuidIndexParams: edge.UuidIndexParams,
}


def edge_schema(given: rest.PayloadFieldSchema) -> edge.PayloadSchemaType | edge.PayloadSchemaParams:
    """The index to build: its type alone, or with its options."""
    if isinstance(given, rest.PayloadSchemaType):
        return engine_enum(edge.PayloadSchemaType, given)  # type: ignore[no-any-return]
    options = {name: _option(value) for name, value in given if value is not None and name != "type"}
    return _PARAMS[type(given)](**options)  # type: ignore[no-any-return]


def rest_info(given: rest.PayloadFieldSchema, points: int) -> rest.PayloadIndexInfo:
    """How `GET /collections/{name}` shows an index that holds `points` points."""
    if isinstance(given, rest.PayloadSchemaType):
        return rest.PayloadIndexInfo(data_type=given, points=points)
    return rest.PayloadIndexInfo(data_type=rest.PayloadSchemaType(given.type.value), params=given, points=points)


def _option(given: Any) -> Any:
    match given:
        case rest.Memory():
            return engine_enum(edge.Memory, given)
        case rest.TokenizerType():
            return engine_enum(edge.TokenizerType, given)
        case rest.Language() | rest.StopwordsSet():
            return edge_stopwords(given)
        case rest.SnowballParams() | rest.DisabledStemmerParams():
            return edge_stemmer(given)
        case rest.TextScoringParams():
            return edge.TextScoringParams(engine_enum(edge.TextScoringType, given.type))
        case _:
            return given
