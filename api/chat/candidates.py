"""The pieces of the passages that may answer a question, and what each is worth.

A piece counts by the question's words that it holds, by how close it is in meaning, by its passage and its neighbours,
and by whether it has the kind of thing that is asked for.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from api.chat.asked import Asked, defines, holds_what_is_asked, plain
from api.chat.flaws import asks, flaw
from api.chat.overlap import Terms, share, terms_of, weigh
from api.chat.pieces import Piece, split_pieces
from shared.bm25 import Bm25Encoder
from shared.embeddings import Embedder
from shared.models import Passage
from shared.services import Services
from shared.settings import LOCAL_EMBEDDING_MODEL

#: Passages that are read for pieces.
READ: Final = 5
#: Pieces whose meaning is looked at, at 2 to 5 ms each: with 14 the answer is among the best three as often as with 24.
EMBEDDED: Final = 14
#: ... of each passage at least: the right sentence may stand in a passage that search has placed last.
EMBEDDED_OF_EACH: Final = 2
#: Characters of a piece that say what it means.
EMBEDDED_CHARACTERS: Final = 300
#: Passages whose pieces, and pieces whose vectors, are remembered: some 10 MB each. What visitors ask is answered from
#: the same few pages mostly.
PASSAGES_REMEMBERED: Final = 512
VECTORS_REMEMBERED: Final = 4096

#: The parts of a piece's worth. They were fitted to one half of a set of 1,440 questions about encyclopedia articles
#: and rounded; on the other half, too, they are better than words and meaning alone.
WORDS: Final = 0.5
MEANING: Final = 0.4
#: For standing in a passage that search has placed well, and in one that is close to the question in meaning.
PLACED: Final = 0.2
CLOSE: Final = 0.4
#: For words of the question that the heading has, or the piece before, or the one after it.
HEADING: Final = 0.2
BEFORE: Final = 0.25
AFTER: Final = 0.15
#: ... and for all of them together: a piece that has the words itself is the better one.
AROUND: Final = 0.3
#: For words that begin like words of the question: "declare" and "declaration" share no term.
BEGINNINGS: Final = 0.2
BEGINNING: Final = 5
#: For having the number, date or name that is asked for; for saying what the thing asked about is; for being the list
#: or the steps that are asked for; for standing under a heading that is the name of the thing asked about.
FITTING: Final = 0.08
DEFINITION: Final = 0.2
RIGHT_FORM: Final = 0.1
OWN_SECTION: Final = 0.3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A piece of a passage, and what it is worth as an answer."""

    #: Of its passage, from 1.
    number: int
    #: Among the pieces of its passage.
    place: int
    piece: Piece
    terms: Terms
    #: Without regard to meaning, then with it.
    words: float
    score: float = 0.0
    #: Further passages that say the same, word for word.
    also: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Read:
    """A piece with its terms; a block's also line by line."""

    piece: Piece
    terms: Terms
    lines: tuple[Terms, ...]
    #: The first letters of its longer words.
    beginnings: frozenset[str]


def find_candidates(asked: Asked, passages: Sequence[Passage], bm25: Bm25Encoder) -> list[Candidate]:
    """Every piece of the passages, once, with what its words are worth."""
    read = [(number, passage, _read(passage.chunk.chunk.text, bm25)) for number, passage in enumerate(passages, 1)]
    weights = weigh(asked.terms, [found.terms for _, _, pieces in read for found in pieces])
    best = max((passage.score for passage in passages), default=0.0)
    candidates: dict[str, Candidate] = {}
    for number, passage, pieces in read:
        placed = PLACED * passage.score / best if best > 0 else 0.0
        worth = placed + CLOSE * max(passage.cosine or 0.0, 0.0)
        for place, found in enumerate(pieces):
            if asks(found.piece, asked):
                continue
            key = plain(found.piece.text)
            if key in candidates:
                known = candidates[key]
                further = () if number in (known.number, *known.also) else (number,)
                candidates[key] = replace(known, also=known.also + further)
                continue
            around = _around(place, pieces, passage, weights, bm25)
            words = worth + WORDS * _held(found, weights) + around + _fitting(found, asked)
            heading = found.piece.heading or passage.chunk.chunk.heading
            words += OWN_SECTION * (asked.subject != "" and plain(heading).strip() == asked.subject)
            words += BEGINNINGS * share(weights, frozenset[int]().union(*_related(found, asked)))
            candidates[key] = Candidate(number, place, found.piece, found.terms, words)
    return list(candidates.values())


async def score(asked: Asked, candidates: Sequence[Candidate], services: Services) -> list[Candidate]:
    """The candidates with the best words, scored for their meaning as well where the model is at hand."""
    likely = _likeliest(candidates)
    if services.embedder.model != LOCAL_EMBEDDING_MODEL or not likely:
        return [replace(candidate, score=candidate.words) for candidate in likely]
    texts = [asked.text, *(candidate.piece.whole[:EMBEDDED_CHARACTERS] for candidate in likely)]
    question, *meanings = await _meanings(texts, services.embedder)
    return [
        replace(candidate, score=candidate.words + MEANING * float(meaning @ question))
        for candidate, meaning in zip(likely, meanings, strict=True)
    ]


def _likeliest(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those with the best words: a few of each passage, then of all."""
    taken: Counter[int] = Counter()
    of_each: list[Candidate] = []
    others: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda candidate: -candidate.words):
        taken[candidate.number] += 1
        (of_each if taken[candidate.number] <= EMBEDDED_OF_EACH else others).append(candidate)
    return [*of_each, *others][:EMBEDDED]


async def _meanings(texts: Sequence[str], embedder: Embedder) -> list[NDArray[np.float32]]:
    """The vectors of texts, those of recent ones from memory."""
    remembered = _vectors.setdefault(embedder, OrderedDict())
    missing = [text for text in dict.fromkeys(texts) if text not in remembered]
    if missing:
        made = (await embedder.embed(missing)).vectors
        remembered.update((text, np.array(vector, np.float32)) for text, vector in zip(missing, made, strict=True))
    found = [remembered[text] for text in texts]
    for text in texts:
        remembered.move_to_end(text)
    while len(remembered) > VECTORS_REMEMBERED:
        remembered.popitem(last=False)
    return found


#: Vectors of pieces and questions, the latest last.
_vectors: WeakKeyDictionary[Embedder, OrderedDict[str, NDArray[np.float32]]] = WeakKeyDictionary()


@lru_cache(maxsize=PASSAGES_REMEMBERED)
def _read(text: str, bm25: Bm25Encoder) -> tuple[_Read, ...]:
    return tuple(
        _Read(
            piece,
            terms_of(piece.whole, bm25),
            () if piece.kind == "sentence" else tuple(terms_of(line, bm25) for line in piece.text.splitlines()),
            frozenset(word[:BEGINNING] for word in plain(piece.text).split() if len(word) >= BEGINNING),
        )
        for piece in split_pieces(text)
    )


def _around(
    place: int, pieces: Sequence[_Read], passage: Passage, weights: Mapping[int, float], bm25: Bm25Encoder
) -> float:
    """What a piece gets for words of the question that it has not itself, but what stands around it has."""
    terms = pieces[place].terms
    own = share(weights, terms)
    heading = terms_of(pieces[place].piece.heading or passage.chunk.chunk.heading, bm25)
    worth = HEADING * (share(weights, terms | heading) - own)
    if place:
        worth += BEFORE * (share(weights, terms | pieces[place - 1].terms) - own)
    if place + 1 < len(pieces):
        worth += AFTER * (share(weights, terms | pieces[place + 1].terms) - own)
    return min(worth, AROUND)


def _held(found: _Read, weights: Mapping[int, float]) -> float:
    """The part of the question that a piece holds. A block that has its words all over, one in each line, is not about
    them: half counts for the line that holds most."""
    whole = share(weights, found.terms)
    if not found.lines:
        return whole
    return (whole + max(share(weights, line) for line in found.lines)) / 2


def _related(found: _Read, asked: Asked) -> Iterator[Terms]:
    """The terms of words that a piece has not, but has one that begins like it."""
    for word, terms in asked.words:
        if len(word) >= BEGINNING and word[:BEGINNING] in found.beginnings:
            yield terms - found.terms


def _fitting(found: _Read, asked: Asked) -> float:
    """What a piece gets for having what is asked for, less what it loses for its form."""
    piece = found.piece
    worth = -flaw(piece, found.terms, asked)
    worth += FITTING * holds_what_is_asked(piece.text, asked)
    worth += DEFINITION * (piece.kind == "sentence" and defines(piece.text, asked))
    wanted = (asked.how_to and piece.ordered) or (asked.listing and piece.kind in ("list", "table"))
    return worth + RIGHT_FORM * wanted
