"""An answer without a model: the sentences, lists and code of the passages that answer the question, quoted.

A piece counts by the question's words that it holds and by how close it is in meaning, half and half. On questions
about encyclopedia articles the answer stands in the first three pieces nine times out of ten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from api.chat.events import Question
from api.chat.overlap import Terms, share, terms_of, weigh
from api.chat.pieces import Piece, split_pieces
from api.chat.prompt import Prompt
from api.chat.retrieve import stands_alone
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
#: What a piece gets for standing in a well-placed passage, for words of the question in its heading, and for those in
#: the sentence before it.
PASSAGE_BONUS: Final = 0.2
HEADING_BONUS: Final = 0.1
NEIGHBOUR_BONUS: Final = 0.1
#: What a piece loses that only says the question again: it holds all of its words, and would win each time.
ECHO: Final = 0.4
#: ... that sends the reader elsewhere, or is no whole sentence, or announces something which is not there.
POINTER: Final = 0.2
FRAGMENT: Final = 0.15
#: A piece of no more terms than this beside the question's has nothing to answer with, unless one of them is a number.
NOTHING_NEW: Final = 1
#: Words that make a question which, standing in the docs word for word, is an example or a title and no answer.
WHOLE_QUESTION: Final = 4
#: What a piece with a number gets where a number is asked for.
NUMBER_BONUS: Final = 0.1
MOST: Final = 5
#: A piece that scores less than this part of the best one's score adds nothing. On encyclopedia articles the answer
#: stands in 91% of what is left, 2.5 pieces; with .55 it stands in 92% of 4.1 pieces.
WORTH: Final = 0.75
#: What a piece gains by standing in the best one's section: the rest of an answer is where it begins.
BESIDE_BONUS: Final = 0.05
#: Blocks of other sections are long and seldom to the point: they have to come this close to the best piece.
WORTH_OF_A_BLOCK: Final = 0.9
#: Two pieces that share so many of their terms say the same.
SAME: Final = 0.8

#: For passages of headings and pictures alone.
NO_PIECE: Final = "This section comes closest: [1]"
NEW_PARAGRAPH: Final = "\n\n"

_HOW_TO: Final = re.compile(
    r"\b(?:how\s+(?:do|to|can|does|should|would)|example|snippet|code|command|syntax|install|configure|set\s?up|usage)\b",
    re.IGNORECASE,
)
#: "See the guide." "For more on this, read ..."
_POINTER: Final = re.compile(
    r"\W*(?:please\s+)?(?:see|refer\s+to|check\s+out|for\s+(?:more|further|additional|a\s+(?:more|full|complete|detailed)))\b",
    re.IGNORECASE,
)
#: A sentence whose beginning was something that is not quoted: a title, a link, a tag.
_BEGINS_AMID: Final = re.compile(r"(?:as|and|or|but|which|where|with|that|because|than|to|of)\s")
_YES_OR_NO: Final = re.compile(
    r"\W*(?:is|are|was|were|do|does|did|can|could|will|would|should|must|may|has|have)\b", re.I
)
_GOES_ON: Final = re.compile(
    r"\W*(?:it|its|they|their|them|this|that|these|those|he|she|his|her|then|also|but|however|so|therefore|thus|other|others|"
    r"otherwise|instead|in\s+(?:addition|this|that|these|those)|for\s+this)\b",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"\d")
_WANTS_NUMBER: Final = re.compile(
    r"\bwhen\b|\bhow\s+(?:many|much|long|old|big|large|often|far|fast|tall|high)\b"
    r"|\b(?:what|which)(?:\s+\w+)?\s+(?:year|date|day|century|decade|percent\w*|version|port|number|size|limits?)\b",
    re.IGNORECASE,
)
_NOT_WORDS: Final = re.compile(r"[\W_]+")


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
    asked = _standalone(prompt.question, prompt.passages, services)
    candidates = _candidates(asked, prompt.passages[:READ], services)
    scored = await _scored(asked, candidates, services)
    chosen = choose(scored, wants_code=bool(_HOW_TO.search(asked)), most_tokens=prompt.answer_tokens)
    parts = [_marked(run) for run in arrange(introduced(chosen, candidates))] or [NO_PIECE]
    return [f"{NEW_PARAGRAPH if place else ''}{part}" for place, part in enumerate(parts)]


def choose(candidates: Sequence[Candidate], *, wants_code: bool, most_tokens: int) -> list[Candidate]:
    """The best candidates that say different things, best first; some code among them if code is wanted."""
    ranked = _ranked(candidates)
    chosen: list[Candidate] = []
    tokens = 0
    for candidate in ranked:
        if len(chosen) == MOST or candidate.score < WORTH * ranked[0].score:
            break
        size = count_tokens(candidate.piece.text)
        if chosen and (tokens + size > most_tokens or not _adds(candidate, chosen)):
            continue
        chosen.append(candidate)
        tokens += size
    if wants_code and not any(candidate.piece.kind == "code" for candidate in chosen):
        code = next((c for c in ranked if c.piece.kind == "code" and _beside(c, chosen)), None)
        if code and tokens + count_tokens(code.piece.text) <= most_tokens:
            chosen = [*chosen[: MOST - 1], code]
    return chosen


def _ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Best first, the section of the best one being preferred."""
    best = max(candidates, key=lambda candidate: candidate.score, default=None)
    others = (
        replace(other, score=other.score + BESIDE_BONUS) if best and _beside(other, [best]) else other
        for other in candidates
        if other is not best
    )
    return ([best] if best else []) + sorted(others, key=lambda candidate: -candidate.score)


def _adds(candidate: Candidate, chosen: Sequence[Candidate]) -> bool:
    """Whether a piece says something else than those chosen; a block mostly does in their sections only."""
    if candidate.piece.kind != "sentence" and not _beside(candidate, chosen):
        return candidate.score >= WORTH_OF_A_BLOCK * chosen[0].score and candidate.piece.kind != "code"
    return not any(_alike(candidate, other) for other in chosen)


def _beside(candidate: Candidate, chosen: Sequence[Candidate]) -> bool:
    """Whether a piece stands in the section of one that is quoted."""
    place = (candidate.number, candidate.piece.heading)
    return any(place == (other.number, other.piece.heading) for other in chosen)


def introduced(chosen: Sequence[Candidate], candidates: Sequence[Candidate]) -> list[Candidate]:
    """The chosen pieces; a sentence that goes on from the one before it ("Then it ...") is preceded by that one."""
    by_place = {(candidate.number, candidate.place): candidate for candidate in candidates}
    quoted = {(candidate.number, candidate.place) for candidate in chosen}
    complete: list[Candidate] = []
    for candidate in chosen:
        goes_on = (
            candidate.piece.kind == "sentence" and not candidate.piece.opens and _GOES_ON.match(candidate.piece.text)
        )
        before = (candidate.number, candidate.place - 1)
        if goes_on and before in by_place and before not in quoted:
            quoted.add(before)
            complete.append(by_place[before])
        complete.append(candidate)
    return complete


def arrange(chosen: Sequence[Candidate]) -> list[list[Candidate]]:
    """The order of reading: the best piece's run, the rest of its passage, then other passages by their best piece.

    Each inner list is quoted in one go: sentences that follow each other in a paragraph stand together.
    """
    arranged: list[list[Candidate]] = []
    for number in dict.fromkeys(candidate.number for candidate in chosen):
        runs = _runs([candidate for candidate in chosen if candidate.number == number])
        if not arranged:
            runs.sort(key=lambda run: chosen[0] not in run)
        arranged += runs
    return arranged


def _runs(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Candidates of one passage in reading order; sentences that follow each other in a paragraph are one run."""
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
    wants_number = bool(_WANTS_NUMBER.search(asked))
    for number, pieces in found:
        passage = passages[number - 1]
        bonus = PASSAGE_BONUS * passage.score / best if best > 0 else 0.0
        before: Terms = frozenset()
        for place, (piece, words) in enumerate(zip(pieces, terms[number], strict=True)):
            if _asks(piece, asked):
                continue
            heading = terms_of(piece.heading or passage.chunk.chunk.heading, services.bm25)
            own = _held(piece, words, weights, services)
            worth = own / 2 + bonus - _flaw(piece, words, asked, question)
            worth += NUMBER_BONUS * (wants_number and bool(_NUMBER.search(piece.text)))
            worth += HEADING_BONUS * (share(weights, words | heading) - share(weights, words))
            worth += NEIGHBOUR_BONUS * (share(weights, words | before) - share(weights, words))
            candidates.setdefault(piece.text, Candidate(number, place, piece, words, worth))
            before = words
    return list(candidates.values())


def _held(piece: Piece, words: Terms, weights: Mapping[int, float], services: Services) -> float:
    """The part of the question that a piece holds. A block that has its words all over, one in each line, is not about
    them: half counts for the line that holds most."""
    whole = share(weights, words)
    if piece.kind == "sentence":
        return whole
    return (whole + max(share(weights, terms_of(line, services.bm25)) for line in piece.text.splitlines())) / 2


def _flaw(piece: Piece, words: Terms, asked: str, question: Terms) -> float:
    """What a piece loses for its form, whatever its words are."""
    if _echoes(piece, words, asked, question):
        return ECHO
    if _POINTER.match(piece.text):
        return POINTER
    broken = piece.text.endswith(":") or _BEGINS_AMID.match(piece.text)
    return FRAGMENT if piece.kind == "sentence" and broken else 0.0


def _asks(piece: Piece, asked: str) -> bool:
    """Whether a piece asks instead of answering: a question, a list of them, or an example that asks this very one."""
    lines = piece.text.splitlines()
    questions = sum(line.rstrip(" *_\"'").endswith("?") for line in lines)
    if piece.kind != "code" and 2 * questions > len(lines):
        return True
    return asked.rstrip().endswith("?") and len(asked.split()) >= WHOLE_QUESTION and _plain(asked) in _plain(piece.text)


def _echoes(piece: Piece, words: Terms, asked: str, question: Terms) -> bool:
    """Whether a piece says nothing but the question's words; to a question of yes or no, that is an answer."""
    new = len(words - question)
    return new <= min(NOTHING_NEW, len(words) - 1) and not (_NUMBER.search(piece.text) or _YES_OR_NO.match(asked))


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


def _standalone(question: Question, passages: Sequence[Passage], services: Services) -> str:
    """The question, with the one before it or the selection if it leans on them."""
    if stands_alone(question.text, passages, services):
        return question.text
    context = question.selection or (question.history[-1].question if question.history else "")
    return f"{question.text}\n{context[:EMBEDDED_CHARACTERS]}"


def _alike(one: Candidate, other: Candidate) -> bool:
    return len(one.terms & other.terms) >= SAME * max(len(one.terms | other.terms), 1)


def _follows(candidate: Candidate, other: Candidate) -> bool:
    sentences = candidate.piece.kind == other.piece.kind == "sentence"
    return sentences and candidate.place == other.place + 1 and not candidate.piece.opens


def _plain(text: str) -> str:
    """Words alone, each between single spaces, so that one text can be looked for in another."""
    return f" {_NOT_WORDS.sub(' ', text).lower().strip()} "


def _marked(run: Sequence[Candidate]) -> str:
    """Pieces followed by the mark of their passage; on a line of its own where it would become part of them."""
    text = " ".join(candidate.piece.text for candidate in run)
    own_line = run[-1].piece.kind != "sentence"
    return f"{text}{NEW_PARAGRAPH if own_line else ' '}[{run[-1].number}]"
