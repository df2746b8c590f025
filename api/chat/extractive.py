"""An answer without a model: the sentences, lists and code of the passages that answer the question, quoted.

A piece counts by the question's words that it holds and by how close it is in meaning, half and half. On questions
about encyclopedia articles the answer stands in the first three pieces nine times out of ten.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from api.chat.events import Question
from api.chat.overlap import Terms, share, terms_of, weigh
from api.chat.pieces import Piece, split_pieces
from api.chat.prompt import Prompt
from api.chat.retrieve import leans
from shared.models import Passage
from shared.services import Services
from shared.settings import LOCAL_EMBEDDING_MODEL
from shared.tokens import count_tokens

#: Passages that are read for pieces.
READ: Final = 5
#: Pieces whose meaning is looked at, at 3 to 8 ms each.
EMBEDDED: Final = 20
#: Characters of a piece that say what it means.
EMBEDDED_CHARACTERS: Final = 400
#: What a piece gets for standing in a well-placed passage, and for words of the question in its heading or in the
#: sentence before it.
PASSAGE_BONUS: Final = 0.2
NEIGHBOUR_BONUS: Final = 0.1
#: What a sentence loses that announces something which is not there.
DANGLING: Final = 0.15
FEWEST: Final = 2
MOST: Final = 5
#: A piece that scores less than this part of the best one's score adds nothing.
WORTH: Final = 0.55
#: Two pieces that share so many of their terms say the same.
SAME: Final = 0.8

#: For passages of headings and pictures alone.
NO_PIECE: Final = "This section comes closest: [1]"
NEW_PARAGRAPH: Final = "\n\n"

_HOW_TO: Final = re.compile(
    r"\b(?:how\s+(?:do|to|can|does|should|would)|example|snippet|code|command|syntax|install|configure|set\s?up|usage)\b",
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
    #: Without regard to meaning, then with it.
    words: float
    score: float = 0.0


async def quote(prompt: Prompt, services: Services) -> list[str]:
    """The best pieces, best first, each with its mark: one part of the answer's text each."""
    asked = _standalone(prompt.question, services)
    candidates = _candidates(asked, prompt.passages[:READ], services)
    scored = await _scored(asked, candidates, services)
    chosen = choose(scored, wants_code=bool(_HOW_TO.search(asked)), most_tokens=prompt.answer_tokens)
    parts = [_marked(run) for run in arrange(chosen)] or [NO_PIECE]
    return [f"{NEW_PARAGRAPH if place else ''}{part}" for place, part in enumerate(parts)]


def choose(candidates: Sequence[Candidate], *, wants_code: bool, most_tokens: int) -> list[Candidate]:
    """The best candidates that say different things, best first; some code among them if code is wanted."""
    ranked = sorted(candidates, key=lambda candidate: -candidate.score)
    chosen: list[Candidate] = []
    tokens = 0
    for candidate in ranked:
        if len(chosen) >= FEWEST and candidate.score < WORTH * ranked[0].score:
            break
        size = count_tokens(candidate.piece.text)
        if chosen and (tokens + size > most_tokens or any(_alike(candidate, other) for other in chosen)):
            continue
        chosen.append(candidate)
        tokens += size
        if len(chosen) == MOST:
            break
    if wants_code and not any(candidate.piece.kind == "code" for candidate in chosen):
        quoted = {candidate.number for candidate in chosen}
        code = next((c for c in ranked if c.piece.kind == "code" and c.number in quoted), None)
        chosen = [*chosen[: MOST - 1], code] if code else chosen
    return chosen


def arrange(chosen: Sequence[Candidate]) -> list[list[Candidate]]:
    """The order of reading: the best piece, then the rest of its passage, then other passages by their best piece.

    Each inner list is quoted in one go: sentences that follow each other in their passage stand together.
    """
    arranged: list[list[Candidate]] = []
    for number in dict.fromkeys(candidate.number for candidate in chosen):
        runs = _runs([candidate for candidate in chosen if candidate.number == number])
        if not arranged:
            best = next(run for run in runs if chosen[0] in run)
            place = best.index(chosen[0])
            others = [run for run in runs if run is not best]
            runs = [best[place:], *([best[:place]] if place else []), *others]
        arranged += runs
    return arranged


def _runs(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Candidates of one passage in reading order; sentences that follow each other are one run."""
    runs: list[list[Candidate]] = []
    for candidate in sorted(candidates, key=lambda candidate: candidate.place):
        if runs and _follows(candidate, runs[-1][-1]):
            runs[-1].append(candidate)
        else:
            runs.append([candidate])
    return runs


def _candidates(asked: str, passages: Sequence[Passage], services: Services) -> list[Candidate]:
    """Every piece of the passages, once, with what its words are worth."""
    question = terms_of(asked, services.bm25)
    found = [(number, split_pieces(passage.chunk.chunk.text)) for number, passage in enumerate(passages, 1)]
    terms = {number: [terms_of(piece.text, services.bm25) for piece in pieces] for number, pieces in found}
    weights = weigh(question, [words for of_passage in terms.values() for words in of_passage])
    best = max((passage.score for passage in passages), default=0.0)
    candidates: dict[str, Candidate] = {}
    for number, pieces in found:
        passage = passages[number - 1]
        before = terms_of(passage.chunk.chunk.heading, services.bm25)
        bonus = PASSAGE_BONUS * passage.score / best if best > 0 else 0.0
        for place, (piece, words) in enumerate(zip(pieces, terms[number], strict=True)):
            own = share(weights, words)
            worth = own / 2 + NEIGHBOUR_BONUS * (share(weights, words | before) - own) + bonus
            if piece.kind == "sentence" and piece.text.endswith(":"):
                worth -= DANGLING
            candidates.setdefault(piece.text, Candidate(number, place, piece, words, worth))
            before = words
    return list(candidates.values())


async def _scored(asked: str, candidates: Sequence[Candidate], services: Services) -> list[Candidate]:
    """The candidates with the best words, scored for their meaning as well where the model is at hand."""
    likely = sorted(candidates, key=lambda candidate: -candidate.words)[:EMBEDDED]
    if services.embedder.model != LOCAL_EMBEDDING_MODEL or not likely:
        return [replace(candidate, score=candidate.words) for candidate in likely]
    texts = [candidate.piece.text[:EMBEDDED_CHARACTERS] for candidate in likely]
    question, *meanings = np.array((await services.embedder.embed([asked, *texts])).vectors)
    return [
        replace(candidate, score=candidate.words + float(meaning @ question) / 2)
        for candidate, meaning in zip(likely, meanings, strict=True)
    ]


def _standalone(question: Question, services: Services) -> str:
    """The question, with the one before it or the selection if it leans on them."""
    if not leans(question.text, services):
        return question.text
    context = question.selection or (question.history[-1].question if question.history else "")
    return f"{question.text}\n{context[:EMBEDDED_CHARACTERS]}"


def _alike(one: Candidate, other: Candidate) -> bool:
    return len(one.terms & other.terms) >= SAME * max(len(one.terms | other.terms), 1)


def _follows(candidate: Candidate, other: Candidate) -> bool:
    sentences = candidate.piece.kind == other.piece.kind == "sentence"
    return sentences and candidate.place == other.place + 1


def _marked(run: Sequence[Candidate]) -> str:
    """Pieces followed by the mark of their passage; on a line of its own where it would become part of them."""
    text = " ".join(candidate.piece.text for candidate in run)
    own_line = run[-1].piece.kind != "sentence"
    return f"{text}{NEW_PARAGRAPH if own_line else ' '}[{run[-1].number}]"
