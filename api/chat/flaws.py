"""What makes a piece of a passage a poor answer, whatever its words are."""

from __future__ import annotations

import re
from typing import Final

from api.chat.asked import Asked
from api.chat.overlap import Terms
from api.chat.pieces import Piece
from api.chat.wording import NEGATION

#: What a piece loses that only says the question again, or sets its scene: it holds all of its words, and would win
#: each time.
ECHO: Final = 0.4
#: ... that sends the reader elsewhere, or announces something which is not there.
POINTER: Final = 0.25
#: ... that is no whole sentence, goes on from something that is not there, or says how something is not done.
FRAGMENT: Final = 0.15
#: A piece of no more terms than this beside the question's has nothing to answer with, unless one of them is a number.
NOTHING_NEW: Final = 1
#: Words that make a question which, standing in the docs word for word, is an example or a title and no answer.
WHOLE_QUESTION: Final = 4

#: "See the guide."
_POINTER: Final = re.compile(
    r"\W*(?:(?:note|tip|info|warning|also|finally)\W+)?(?:please\s+)?(?:see|refer\s+to|check\s+out"
    r"|read\s+(?:more|about|the)|here\s+(?:is|are)|about\s"
    r"|for\s+(?:more|further|additional|a\s+(?:more|full|complete|detailed))|(?:to|for)\s[^.:;]{1,80},\s+(?:see|read))\b",
    re.IGNORECASE,
)
#: "You will read about it in the next section."
_ON_THE_DOCS: Final = re.compile(
    r"\b(?:you\s+(?:can|will|could|may)\s+(?:also\s+|later\s+)?(?:read|see|learn|look\s+at)|(?:read|learn|see)\s+more"
    r"|(?:we(?:['\u2019]ll|\s+will)|let['\u2019]?s|you['\u2019]ll)\s+(?:now\s+)?"
    r"(?:see|look|take\s+a|learn|talk|cover|update|upgrade)"
    r"|check\s+(?:out\s+)?the\s+(?:docs|documentation|section|guide|chapter)|go\s+ahead|skip\s+to"
    r"|you\s+have\s+already\s+seen|welcome\s+to|(?:next|previous)\s+(?:section|chapter|page)"
    r"|this\s+(?:article|chapter|page|section|tutorial))\b",
    re.IGNORECASE,
)
#: "Let's say that you want to ...": what comes after it is the answer.
_SCENE: Final = re.compile(
    r"\W*(?:(?:for\s+example|note|tip|info|so|now|but)\W+)?(?:let['\u2019]?s\s+say|imagine|suppose|up\s+to\s+now"
    r"|say\s+(?:that\s+)?you|you\s+(?:(?:might|may|could|will)\s+have|(?:have\s+)?probably)\s"
    r"|there\s+are\s+(?:many|some|several)\s+\w+\s+(?:in\s+which|where|when)|(?:\d+[.)]\s+)?here\s+(?:we|you)\b)",
    re.IGNORECASE,
)
#: An entry of a changelog tells what was done once, seldom what is.
_CHANGE: Final = re.compile(r"\bPR\s+#\d+|\(#\d+\)|\bby\s+@\w+|/pull/\d+")
#: A sentence whose beginning was something that is not quoted: a title, a link, a tag.
_BEGINS_AMID: Final = re.compile(r"(?:\.\.\.|\u2026)|(?:as|and|or|but|which|where|with|that|because|than|to|of)\s")
_ANNOUNCES: Final = re.compile(
    r":[*_ ]*$|\b(?:has|have|are|takes?|accepts?|supports?)\s+the\s+following\b[^.]{0,40}\.[*_ ]*$"
)
_GOES_ON: Final = re.compile(
    r"\W*(?:it|its|they|their|them|this|that|these|those|he|she|his|her|then|also|but|and|however|so|therefore|thus|other"
    r"|others|otherwise|instead|of\s+course|in\s+(?:addition|this|that|these|those)|for\s+this)\b",
    re.IGNORECASE,
)
#: A line that asks, or names a lesson: "How to set up a store".
_QUESTION: Final = re.compile(r"\?[ *_\"']*$|^\W*how\s+to\s+[^:.]*$", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\d")


def flaw(form: float, text: str, terms: Terms, asked: Asked) -> float:
    """What a piece of this text and these terms loses as an answer. form: see `flaw_of_form`."""
    if _echoes(text, terms, asked):
        return ECHO
    return form if form or not _denies(text, asked) else FRAGMENT


def flaw_of_form(piece: Piece) -> float:
    """What a piece loses for its form, whatever is asked."""
    if dangles(piece) or _POINTER.match(piece.text) or _speaks_of_the_docs(piece):
        return POINTER
    if piece.kind != "code" and _SCENE.match(piece.text):
        return ECHO
    return FRAGMENT if begins_amid(piece) or (piece.opens and goes_on(piece)) else 0.0


def is_question(piece: Piece) -> bool:
    """Whether a piece asks instead of answering: a question, or a list of them."""
    lines = piece.text.splitlines()
    return piece.kind != "code" and 2 * sum(_QUESTION.search(line) is not None for line in lines) > len(lines)


def repeats(plain_text: str, asked: Asked) -> bool:
    """Whether a text holds the question word for word: an example that asks this very one."""
    whole = asked.text.rstrip().endswith("?") and len(asked.text.split()) >= WHOLE_QUESTION
    return whole and asked.plain in plain_text


def goes_on(piece: Piece) -> bool:
    """Whether a sentence makes sense only after the one before it: "Then it ..." """
    return piece.kind == "sentence" and _GOES_ON.match(piece.text) is not None


def begins_amid(piece: Piece) -> bool:
    """Whether a text is the latter half of a sentence: "or with the other command"."""
    return _BEGINS_AMID.match(piece.whole) is not None


def dangles(piece: Piece) -> bool:
    """Whether a sentence announces something that does not follow it."""
    return piece.kind == "sentence" and _ANNOUNCES.search(piece.text) is not None


def _speaks_of_the_docs(piece: Piece) -> bool:
    """Whether a piece tells where something stands, or what was changed, instead of what is."""
    if piece.kind == "sentence" and _ON_THE_DOCS.search(piece.text):
        return True
    return piece.kind != "code" and _CHANGE.search(piece.text) is not None


def _denies(text: str, asked: Asked) -> bool:
    """Whether a sentence says that something is not so, or not needed, where it is asked how it is done."""
    return asked.task and NEGATION.search(text) is not None


def _echoes(text: str, terms: Terms, asked: Asked) -> bool:
    """Whether a piece says nothing but the question's words; to a question of yes or no, that is an answer."""
    if asked.yes_or_no or not terms:
        return False
    new = len(terms) - len(terms & asked.terms)
    return new <= min(NOTHING_NEW, len(terms) - 1) and not _NUMBER.search(text)
