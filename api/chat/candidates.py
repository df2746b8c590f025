"""The pieces of the passages that may answer a question, and what each is worth.

A piece counts by the question's words that it holds, by how close it is in meaning, by its passage and its neighbours,
and by whether it has the kind of thing that is asked for.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from api.chat.asked import Asked, defines, holds_what_is_asked
from api.chat.flaws import flaw, repeats
from api.chat.overlap import Terms, terms_of, weigh
from api.chat.pieces import Piece
from api.chat.read_pieces import BEGINNING, ReadPiece, read_pieces, sequence_of_words
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
#: Pieces whose vectors are remembered: some 10 MB. What visitors ask is answered from the same few pages mostly.
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
#: For pairs of words that stand beside each other, or nearly, in the question and in the piece.
PAIRS: Final = 0.1
#: For having the number, date or name that is asked for; for saying what the thing asked about is; for being the list
#: or the steps that are asked for, and what code and steps lose where a sentence is; for standing under a heading that
#: is what is asked about, and not by one word of many.
FITTING: Final = 0.08
DEFINITION: Final = 0.2
RIGHT_FORM: Final = 0.1
WRONG_FORM: Final = 0.15
OWN_SECTION: Final = 0.3
#: The part of it that counts where no thing is asked about by its name.
ELSE_OWN_SECTION: Final = 0.5
LEAST_ABOUT: Final = 0.3
#: For a label that is asked for: "Default: 600" says what the default is.
LABEL: Final = 0.2
#: What an entry of a changelog loses, which tells of a change, where it is not asked for one.
CHANGELOG: Final = 0.25


_CHANGELOG: Final = re.compile(r"\bchange[ -]?log\b|\brelease[ -]notes?\b|\bwhat['\u2019]?s new\b", re.IGNORECASE)
_ASKS_FOR_CHANGES: Final = re.compile(
    r"\b(?:new|chang\w*|versions?|releas\w*|added|since|drop\w*|deprecat\w*|remov\w*|support\w*|break\w*"
    r"|\d+\.\d[\w.]*)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A piece of a passage, and what it is worth as an answer."""

    #: Of its passage, from 1.
    number: int
    #: Among the pieces of its passage.
    place: int
    piece: Piece
    terms: Terms
    #: Those of the headings that it stands under, and how far its own heading is what is asked about, 0..1.
    under: Terms
    about: float
    #: Without regard to meaning, then with it.
    words: float
    score: float = 0.0
    #: Further passages that say the same, word for word.
    also: tuple[int, ...] = ()


def find_candidates(asked: Asked, passages: Sequence[Passage], bm25: Bm25Encoder) -> list[Candidate]:
    """Every piece of the passages, once, with what its words are worth."""
    whole_lists = asked.listing or asked.how_to
    read = [read_pieces(passage.chunk.chunk.text, whole_lists, bm25) for passage in passages]
    weights = _Weights(weigh(asked.terms, [found.terms for pieces in read for found in pieces]), asked)
    pairs = frozenset(pairwise(sequence_of_words(asked.plain, bm25)))
    best = max((passage.score for passage in passages), default=0.0)
    candidates: dict[str, Candidate] = {}
    for number, (passage, pieces) in enumerate(zip(passages, read, strict=True), 1):
        own, above = (terms_of(text, bm25) for text in (passage.chunk.chunk.heading, _headings(passage)))
        worth = _worth(passage, best, asked)
        around = _around(pieces, own, weights)
        for place, found in enumerate(pieces):
            if found.asks or repeats(found.plain, asked):
                continue
            if known := candidates.get(found.plain):
                further = () if number in (known.number, *known.also) else (number,)
                candidates[found.plain] = replace(known, also=known.also + further)
                continue
            about = weights.about(found.heading or own)
            opens = place == 0 or pieces[place - 1].piece.heading != found.piece.heading
            words = worth + around[place] + WORDS * _held(found, weights) + _fitting(found, asked)
            words += OWN_SECTION * about * (1.0 if asked.subject else ELSE_OWN_SECTION)
            words += DEFINITION * (opens and about == 1 and asked.subject != "")
            words += BEGINNINGS * weights.share(frozenset[int]().union(*_related(found, asked)))
            words += PAIRS * sum(_side_by_side(*pair, found) for pair in pairs) / max(len(pairs), 1)
            candidates[found.plain] = Candidate(
                number, place, found.piece, found.terms, above | found.heading, about, words
            )
    return list(candidates.values())


class _Weights:
    """What each term of a question weighs among the pieces."""

    def __init__(self, weights: Mapping[int, float], asked: Asked) -> None:
        self._weights = weights
        self._terms = frozenset(weights)
        self._whole = sum(weights.values())
        self._asked = asked
        self._topic = sum(weights.get(term, 0.0) for term in asked.topic)

    def share(self, terms: Terms) -> float:
        """The part of the question that these terms are, 0..1."""
        held = self._terms & terms
        return sum(map(self._weights.__getitem__, held)) / self._whole if held and self._whole else 0.0

    def about(self, heading: Terms) -> float:
        """How far a heading is what is asked about, 0..1: how much of that it says, times how much of it says that."""
        held = self._asked.terms & heading
        if not held or not self._topic:
            return 0.0
        topic = sum(self._weights.get(term, 0.0) for term in held & self._asked.topic) / self._topic
        about = topic * len(held) / len(heading)
        return about if about >= LEAST_ABOUT else 0.0


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


def _side_by_side(one: int, other: int, found: ReadPiece) -> bool:
    """Whether a piece has one word right before another, or with one between them."""
    if one not in found.terms or other not in found.terms:
        return False
    words = found.sequence
    return any(other in words[place + 1 : place + 3] for place, word in enumerate(words) if word == one)


def _headings(passage: Passage) -> str:
    return " ".join((passage.chunk.chunk.page_title, *passage.chunk.chunk.trail))


def _worth(passage: Passage, best: float, asked: Asked) -> float:
    """What a piece gets for the passage that it stands in."""
    placed = PLACED * passage.score / best if best > 0 else 0.0
    return placed + CLOSE * max(passage.cosine or 0.0, 0.0) - CHANGELOG * tells_of_changes(passage, asked)


def tells_of_changes(passage: Passage, asked: Asked) -> bool:
    """Whether a passage is of a changelog, which tells what was done once, where that is not asked for."""
    titled = _CHANGELOG.search(_headings(passage)) is not None
    return titled and _ASKS_FOR_CHANGES.search(asked.text) is None


def _around(pieces: Sequence[ReadPiece], own_heading: Terms, weights: _Weights) -> list[float]:
    """What each piece gets for words of the question that it has not itself, but what stands around it has."""
    held = [weights.share(found.terms) for found in pieces]
    beside = [weights.share(one.terms | other.terms) for one, other in pairwise(pieces)]
    worths = []
    for place, found in enumerate(pieces):
        worth = HEADING * (weights.share(found.terms | (found.heading or own_heading)) - held[place])
        if place:
            worth += BEFORE * (beside[place - 1] - held[place])
        if place + 1 < len(pieces):
            worth += AFTER * (beside[place] - held[place])
        worths.append(min(worth, AROUND))
    return worths


def _held(found: ReadPiece, weights: _Weights) -> float:
    """The part of the question that a piece holds. A block that has its words all over, one in each line, is not about
    them: half counts for the line that holds most."""
    whole = weights.share(found.terms)
    return (whole + max(map(weights.share, found.lines))) / 2 if found.lines else whole


def _related(found: ReadPiece, asked: Asked) -> Iterator[Terms]:
    """The terms of words that a piece has not, but has one that begins like it."""
    for word, terms in asked.words:
        if len(word) >= BEGINNING and word[:BEGINNING] in found.beginnings:
            yield terms - found.terms


def _fitting(found: ReadPiece, asked: Asked) -> float:
    """What a piece gets for having what is asked for, less what it loses for its form."""
    piece = found.piece
    worth = -flaw(found.flaw, piece.text, found.terms, asked)
    worth += FITTING * holds_what_is_asked(piece.text, asked)
    worth += DEFINITION * (piece.kind == "sentence" and defines(piece.text, asked))
    wanted = (asked.how_to and piece.ordered) or (asked.listing and piece.kind in ("list", "table"))
    worth += RIGHT_FORM * wanted
    worth -= WRONG_FORM * (asked.fact and (piece.kind in ("code", "table") or piece.ordered))
    return worth + LABEL * (found.label != "" and found.label in asked.plain)
