"""The options of text analysis that BM25 documents and text indexes share."""

from __future__ import annotations

import qdrant_edge as edge
from qdrant_client.http import models as rest

from embedded.qdrant.names import engine_enum


def edge_stopwords(given: rest.StopwordsInterface) -> edge.Stopwords:
    """Stop words of a language, or a set of one's own."""
    if isinstance(given, rest.Language):
        return engine_enum(edge.Language, given)  # type: ignore[no-any-return]
    return edge.StopwordsSet(
        languages={engine_enum(edge.Language, each) for each in given.languages or []},
        custom=set(given.custom or []),
    )


def edge_stemmer(given: rest.StemmingAlgorithm) -> edge.StemmingAlgorithm:
    """The stemmer, or the one that leaves words alone."""
    if isinstance(given, rest.SnowballParams):
        return edge.SnowballParams(engine_enum(edge.SnowballLanguage, given.language))
    return edge.DisabledStemmer()
