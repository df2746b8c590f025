"""Which pieces make the answer, and in which order they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from api.chat.asked import Asked
from api.chat.candidates import Candidate
from api.chat.flaws import begins_amid, dangles, goes_on
from api.chat.overlap import Terms
from api.chat.pieces import FENCES
from shared.tokens import count_tokens

#: Pieces of an answer, and words after which nothing more is added: visitors read about 120.
MOST: Final = 5
ENOUGH_WORDS: Final = 110
#: Pieces that are quoted if they are worth this part of the best one: one of the first three has the answer far more
#: often than the best one alone.
FIRST: Final = 3
WORTH_OF_THE_FIRST: Final = 0.6
#: What a further piece has to be worth.
WORTH: Final = 0.85
#: Pieces of an answer that may well be none.
MOST_IF_DOUBTFUL: Final = 3
#: What a piece gains by standing in the best one's section: the rest of an answer is where it begins.
BESIDE: Final = 0.05
#: Blocks of other sections are long and seldom to the point: they have to come this close to the best piece.
WORTH_OF_A_BLOCK: Final = 0.9
#: Two pieces that share so many of their terms say the same.
SAME: Final = 0.8
#: A piece that holds so much of one side of a comparison speaks of it.
SPEAKS_OF: Final = 0.5


def choose(
    candidates: Sequence[Candidate], asked: Asked, *, most_tokens: int, doubtful: bool = False
) -> list[Candidate]:
    """The best candidates that say different things, best first, within `most_tokens` (but never none); of each thing
    that is compared one, and code where it is asked how something is done."""
    ranked = _ranked(candidates)
    chosen: list[Candidate] = []
    tokens = 0
    for candidate in ranked:
        if len(chosen) == (MOST_IF_DOUBTFUL if doubtful else MOST) or not _worth(candidate, chosen, ranked[0]):
            break
        size = count_tokens(candidate.piece.whole)
        if chosen and (tokens + size > most_tokens or not _adds(candidate, chosen, asked)):
            continue
        chosen.append(candidate)
        tokens += size
    if doubtful:
        return chosen
    for wanted in (*_missing_sides(ranked, chosen, asked), *_missing_code(ranked, chosen, asked)):
        size = count_tokens(wanted.piece.whole)
        if tokens + size <= most_tokens:
            leads = wanted.piece.kind == "code" and wanted.about and not _beside(wanted, chosen)
            chosen = [wanted, *chosen[: MOST - 1]] if leads else [*chosen[: MOST - 1], wanted]
            tokens += size
    return chosen


def introduced(chosen: Sequence[Candidate], candidates: Sequence[Candidate]) -> list[Candidate]:
    """The chosen pieces, the best one preceded by the sentence that it goes on from ("Then it ..."), and code by the
    one that leads to it. Others keep to themselves: what leads to them would take a better piece's place."""
    by_place = {(candidate.number, candidate.place): candidate for candidate in candidates}
    quoted = {(candidate.number, candidate.place) for candidate in chosen}
    complete: list[Candidate] = []
    for rank, candidate in enumerate(chosen):
        before = by_place.get((candidate.number, candidate.place - 1))
        if before and (before.number, before.place) not in quoted and _leads(before, candidate, rank):
            quoted.add((before.number, before.place))
            complete.append(before)
        complete.append(candidate)
    return complete


def arrange(chosen: Sequence[Candidate]) -> list[list[Candidate]]:
    """The pieces in runs that are quoted in one go, best first: sentences that follow each other in a paragraph, and
    parts of the same list or table. Of the first few, what goes on from a sentence stands after it, whichever is
    better; later ones must not come between them."""
    runs: list[list[Candidate]] = []
    for rank, candidate in enumerate(chosen):
        near = runs if rank < FIRST or candidate.piece.part else runs[-1:]
        after = next((run for run in near if _goes_with(candidate, run[-1])), None)
        before = next((run for run in near if goes_on(run[0].piece) and _goes_with(run[0], candidate)), None)
        if after is not None:
            after.append(candidate)
        elif before is not None:
            before.insert(0, candidate)
        else:
            runs.append([candidate])
    return [run if run[0].piece.kind == "sentence" else sorted(run, key=lambda part: part.place) for run in runs]


def _ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Best first, the section of the best one being preferred. What announces something that is not there can only be
    the best one: its link leads to what is announced."""
    best = max(candidates, key=lambda candidate: candidate.score, default=None)
    others = (
        replace(other, score=other.score + BESIDE) if best and _beside(other, [best]) else other
        for other in candidates
        if other is not best and not dangles(other.piece) and not begins_amid(other.piece)
    )
    return ([best] if best else []) + sorted(others, key=lambda candidate: -candidate.score)


def _worth(candidate: Candidate, chosen: Sequence[Candidate], best: Candidate) -> bool:
    """Whether a piece is good enough to be the next one."""
    if not chosen:
        return True
    words = sum(_words(other) for other in chosen if other.piece.kind != "code")
    least = WORTH_OF_THE_FIRST if len(chosen) < FIRST and not dangles(best.piece) else WORTH
    return candidate.score >= least * best.score and words < ENOUGH_WORDS


def _adds(candidate: Candidate, chosen: Sequence[Candidate], asked: Asked) -> bool:
    """Whether a piece says something else than those chosen; a block mostly does in their sections only. Where
    sentences are asked for, it never does, nor where it is longer than an answer should be."""
    kind = candidate.piece.kind
    if kind != "sentence" and asked.fact and not _is_item(candidate):
        return False
    if kind in ("list", "table") and not asked.listing and _words(candidate) > ENOUGH_WORDS:
        return False
    if candidate.piece.kind != "sentence" and not _beside(candidate, chosen):
        return candidate.score >= WORTH_OF_A_BLOCK * chosen[0].score and candidate.piece.kind != "code"
    return not any(_alike(candidate, other) for other in chosen)


def _missing_sides(ranked: Sequence[Candidate], chosen: Sequence[Candidate], asked: Asked) -> list[Candidate]:
    """The best piece on each side of a comparison that none of the chosen is about. What stands under a heading that
    names a side is about it; elsewhere its words may mean anything."""
    missing: list[Candidate] = []
    for side in asked.sides:
        told = [other for other in ranked if asked.how_to or other.piece.kind != "code"]
        headed = [other for other in told if _holds(other.under, side.terms)]
        about = headed or [other for other in told if _holds(other.terms, side.terms)]
        if not any(_same_place(one, other) for one in about for other in chosen):
            missing += about[:1]
    return list(dict.fromkeys(missing))


def _missing_code(ranked: Sequence[Candidate], chosen: Sequence[Candidate], asked: Asked) -> list[Candidate]:
    """The best code, if some is wanted and there is none: of the sections that are quoted, else of one whose heading is
    the task, else of the best piece's passage."""
    if not asked.how_to or any(candidate.piece.kind == "code" for candidate in chosen):
        return []
    code = [other for other in ranked if other.piece.kind == "code"]
    beside = [other for other in code if _beside(other, chosen)]
    named = sorted((other for other in code if other.about), key=lambda other: -other.about)
    near = [other for other in code if chosen and other.number == chosen[0].number]
    return (beside or named or near)[:1]


def _holds(terms: Terms, side: Terms) -> bool:
    return len(side & terms) >= SPEAKS_OF * len(side)


def _same_place(one: Candidate, other: Candidate) -> bool:
    return (one.number, one.place) == (other.number, other.place)


def _beside(candidate: Candidate, chosen: Sequence[Candidate]) -> bool:
    """Whether a piece stands in the section of one that is quoted."""
    place = (candidate.number, candidate.piece.heading)
    return any(place == (other.number, other.piece.heading) for other in chosen)


def _is_item(candidate: Candidate) -> bool:
    """Whether a piece is one item of a list, which reads like a sentence."""
    return candidate.piece.kind == "list" and "\n" not in candidate.piece.text.strip() and not candidate.piece.ordered


def _words(candidate: Candidate) -> int:
    return len(candidate.piece.text.split())


def _alike(one: Candidate, other: Candidate) -> bool:
    return len(one.terms & other.terms) >= SAME * max(len(one.terms | other.terms), 1)


def _leads(before: Candidate, candidate: Candidate, rank: int) -> bool:
    if before.piece.kind != "sentence" or before.piece.heading != candidate.piece.heading:
        return False
    if candidate.piece.kind == "code":
        return candidate.piece.text.startswith(FENCES)
    return rank == 0 and goes_on(candidate.piece) and not candidate.piece.opens


def _goes_with(candidate: Candidate, other: Candidate) -> bool:
    """Whether a piece is quoted in one go with one that stands before it."""
    if candidate.number != other.number or candidate.piece.kind != other.piece.kind:
        return False
    if candidate.piece.kind == "sentence":
        return candidate.place == other.place + 1 and not candidate.piece.opens
    one, two = candidate.piece, other.piece
    return one.part and two.part and (one.above, one.heading) == (two.above, two.heading)
