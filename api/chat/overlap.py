"""How much of a question stands in a text, by words: the lexical half of every verdict on a passage or a sentence.

Words are the terms of keyword search (stemmed, without stop words, identifiers whole and in parts). A term weighs the
more the fewer of the compared texts hold it, which needs no statistics of the whole index: what keyword search brings
up holds the rare terms if anything does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from shared.bm25 import Bm25Encoder

Terms = frozenset[int]


def terms_of(text: str, bm25: Bm25Encoder) -> Terms:
    """The terms of a question or a passage."""
    return frozenset(bm25.encode_query(text).indices)


def weigh(question: Terms, texts: Sequence[Terms]) -> dict[int, float]:
    """The weight of each term of the question among these texts."""
    count = len(texts)
    holding = {term: sum(term in text for text in texts) for term in question}
    return {term: math.log(1 + (count - held + 0.5) / (held + 0.5)) for term, held in holding.items()}


def share(weights: Mapping[int, float], text: Iterable[int]) -> float:
    """The part of the question that `text` holds, 0..1."""
    whole = sum(weights.values())
    return sum(weights.get(term, 0.0) for term in text) / whole if whole else 0.0
