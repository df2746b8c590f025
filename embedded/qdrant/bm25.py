"""Turns `Document(text, model="qdrant/bm25")` into a sparse vector, as a server does."""

from __future__ import annotations

from functools import lru_cache

import qdrant_edge as edge
from qdrant_client.http import models as rest

from embedded.qdrant.errors import NotOffered
from embedded.qdrant.names import engine_enum
from embedded.qdrant.text_options import edge_stemmer, edge_stopwords

_MODEL = "qdrant/bm25"


def embed(document: rest.Document, *, as_query: bool) -> edge.SparseVector:
    """The document's sparse vector: term weights to store, or ones to ask with."""
    if document.model.lower() != _MODEL:
        raise NotOffered(f"the model `{document.model}`")
    options = rest.Bm25Config.model_validate(document.options or {})
    model = _model(options.model_dump_json(exclude_none=True))
    return model.embed_query(document.text) if as_query else model.embed_document(document.text)


@lru_cache(maxsize=16)  # a collection is written and asked with one set of options; a few collections are usual
def _model(options: str) -> edge.Bm25:
    given = rest.Bm25Config.model_validate_json(options)
    config = edge.Bm25Config(
        k=given.k,
        b=given.b,
        avg_len=given.avg_len,
        tokenizer=engine_enum(edge.TokenizerType, given.tokenizer) if given.tokenizer else None,
        language=given.language,
        lowercase=given.lowercase,
        ascii_folding=given.ascii_folding,
        stopwords=edge_stopwords(given.stopwords) if given.stopwords else None,
        stemmer=edge_stemmer(given.stemmer) if given.stemmer else None,
        min_token_len=given.min_token_len,
        max_token_len=given.max_token_len,
    )
    return edge.Bm25(config)
