"""How much of a question stands in a text, by words: the lexical half of every verdict on a passage or a sentence.

Words are the terms of keyword search (stemmed, without stop words, identifiers whole and in parts). A term weighs the
more the fewer of the compared texts hold it, which needs no statistics of the whole index: what keyword search brings
up holds the rare terms if anything does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from shared.bm25 import Bm25Encoder

#: Words remembered before starting afresh: about 20 MB, more than a large site's vocabulary.
MAX_REMEMBERED: Final = 100_000
#: A longer word is unlikely to come again.
MAX_REMEMBERED_LENGTH: Final = 64
#: Texts whose words are remembered: 10 to 20 MB. Most questions bring up the same few passages, which are looked at
#: from several sides.
READ_TEXTS: Final = 2048
#: Passages whose words are remembered in their order: about 10 MB.
READ_PASSAGES: Final = 1024

#: Words that say what kind of question it is, not what it is about. "How does streaming work?" is about streaming, and
#: a passage on that need not say "work".
ASKING: Final = (
    "able available best can could do does enable exactly example explain find get give going happen happens have help "
    "know like list make makes mean means need needed needs please possible provide recommend require required should "
    "show support supported supports tell thing things try understand use used uses using want way ways work working "
    "works would"
)

_WORDS: Final = re.compile(r"\w+")
Terms = frozenset[int]
T = TypeVar("T")


@lru_cache(maxsize=READ_TEXTS)
def terms_of(text: str, bm25: Bm25Encoder) -> Terms:
    """The terms of a question or a passage.

    Terms never reach across whitespace, so a text's are those of its words; remembering each word's is exact and five
    times as fast as cutting up every passage that is looked at.
    """
    words = set(text.split())
    return frozenset[int]().union(*map(_looked_up(words, bm25).__getitem__, words))


@lru_cache(maxsize=READ_PASSAGES)
def sequence_of(text: str, bm25: Bm25Encoder) -> tuple[int, ...]:
    """One term for each word of a text, in its order, without stop words: what stands beside what."""
    words = _WORDS.findall(text.lower())
    found = map(_looked_up(set(words), bm25).__getitem__, words)
    return tuple([min(terms) for terms in found if terms])


def _looked_up(words: set[str], bm25: Bm25Encoder) -> Mapping[str, tuple[int, ...]]:
    """The terms of these words, and of others that were seen before."""
    known = _known.setdefault(bm25, {})
    fresh = {word: tuple(bm25.encode_query(word).indices) for word in words.difference(known)}
    if len(known) + len(fresh) > MAX_REMEMBERED:
        fresh |= {word: known[word] for word in words.intersection(known)}
        known.clear()
    lasting = {word: found for word, found in fresh.items() if len(word) <= MAX_REMEMBERED_LENGTH}
    known.update(lasting)
    return known if len(lasting) == len(fresh) else known | fresh


def topic_of(question: str, bm25: Bm25Encoder) -> Terms:
    """The terms that say what a question is about; all of them if it consists of nothing but ways to ask."""
    terms = terms_of(question, bm25)
    return terms - terms_of(ASKING, bm25) or terms


#: The terms of the words seen so far.
_known: WeakKeyDictionary[Bm25Encoder, dict[str, tuple[int, ...]]] = WeakKeyDictionary()


def weigh(question: Terms, texts: Sequence[Terms]) -> dict[int, float]:
    """The weight of each term of the question among these texts."""
    count = len(texts)
    holding = {term: sum(term in text for text in texts) for term in question}
    return {term: math.log(1 + (count - held + 0.5) / (held + 0.5)) for term, held in holding.items()}


def share(weights: Mapping[T, float], text: Iterable[T]) -> float:
    """The part of the question that `text` holds, 0..1."""
    whole = sum(weights.values())
    return sum(weights.get(term, 0.0) for term in text) / whole if whole else 0.0
