"""An answer without a model: the sentences, lists and code of the passages that answer the question, quoted.

On questions about encyclopedia articles the answer stands in the first three pieces nine times out of ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Final

from api.chat.arrange import arrange, choose, introduced
from api.chat.asked import read_question
from api.chat.candidates import EMBEDDED_CHARACTERS, READ, Candidate, find_candidates, score
from api.chat.events import Question
from api.chat.follow_up import stands_alone
from api.chat.pieces import BARE_BLOCK, quotable
from api.chat.prompt import Prompt
from api.chat.read_pieces import LABELLED
from shared.models import Passage
from shared.services import Services

#: For passages of headings and pictures alone.
NO_PIECE: Final = "This section comes closest: [1]"
#: Says what the answer is. It stands last, where it keeps nobody from the answer.
NOTICE: Final = "*Quoted from the docs.*"
#: Opens an answer that may well be none.
DOUBTFUL: Final = "The docs do not say this directly; this comes closest:"
NEW_PARAGRAPH: Final = "\n\n"


async def quote(prompt: Prompt, services: Services) -> list[str]:
    """The best pieces, best first, each with its mark: one part of the answer's text each."""
    asked = read_question(_standalone(prompt.question, prompt.passages, services), services.bm25)
    candidates = find_candidates(asked, prompt.passages[:READ], services.bm25)
    scored = await score(asked, candidates, services)
    chosen = choose(scored, asked, most_tokens=prompt.answer_tokens, doubtful=prompt.doubtful)
    runs = arrange(introduced(chosen, candidates))
    quotes = [
        titled(run, before, prompt.passages[run[0].number - 1]) + marked(run) for before, run in pairwise([[], *runs])
    ]
    opening = [DOUBTFUL] if prompt.doubtful and quotes else []
    parts = [*opening, *quotes, NOTICE] if quotes else [NO_PIECE]
    return [f"{NEW_PARAGRAPH if place else ''}{part}" for place, part in enumerate(parts)]


def titled(run: Sequence[Candidate], before: Sequence[Candidate], passage: Passage) -> str:
    """The heading of a run that says nothing without it: a value with its label, a block that nothing leads to. "" for
    others, and where what stands before it is of the same section."""
    first = run[0]
    label = first.piece.kind == "sentence" and LABELLED.fullmatch(first.piece.text)
    bare = first.piece.kind != "sentence" and BARE_BLOCK.match(first.piece.whole)
    own = quotable(passage.chunk.chunk.heading) if len(passage.chunk.chunk.trail) > 1 else ""
    heading = first.piece.heading or own
    same = bool(before) and (before[-1].number, before[-1].piece.heading) == (first.number, first.piece.heading)
    if not heading or same or not (label or bare):
        return ""
    return f"**{heading}:**{' ' if label else NEW_PARAGRAPH}"


def marked(run: Sequence[Candidate]) -> str:
    """Pieces that are quoted in one go, followed by the marks of their passages; on a line of their own where they
    would become part of a block."""
    if run[0].piece.kind == "sentence":
        same = groupby(run, key=_marks)
        return " ".join(f"{' '.join(map(_told, group))} {marks}" for marks, group in same)
    block = "\n".join(candidate.piece.text for candidate in run)
    marks = "".join(dict.fromkeys(f"[{number}]" for candidate in run for number in (candidate.number, *candidate.also)))
    return f"{run[0].piece.above}{block}{NEW_PARAGRAPH}{marks}"


def _told(candidate: Candidate) -> str:
    """A sentence; what one announces that is not quoted stands where its mark leads."""
    text = candidate.piece.text
    return f"{text[:-1]} ..." if text.endswith(":") else text


def _marks(candidate: Candidate) -> str:
    return "".join(f"[{number}]" for number in (candidate.number, *candidate.also))


def _standalone(question: Question, passages: Sequence[Passage], services: Services) -> str:
    """The question, with the one before it or the selection if it leans on them."""
    if stands_alone(question.text, passages, services):
        return question.text
    context = question.selection or (question.history[-1].question if question.history else "")
    return f"{question.text}\n{context[:EMBEDDED_CHARACTERS]}"
