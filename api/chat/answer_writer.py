"""Writes an answer as it streams: marks become links, and each sentence is held against the passages at its end.

Words go on at once. Only the space behind a sentence waits for what follows, so that a link can be put there: to the
passage that supports a sentence whose writer named none, or not the right one. A sentence that no passage supports is
marked as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from api.chat.citations import CitationWriter, Written
from api.chat.events import Citation, Claim
from api.chat.evidence import Evidence
from api.chat.markdown import Whole
from api.chat.sentences import sentence_ends
from shared.bm25 import Bm25Encoder
from shared.models import Passage

#: Stands behind a sentence that no passage supports, for a reader who sees nothing but the text.
NOT_FOUND: Final = "*(not found in the sources)*"

#: Characters of a sentence that are looked at; what is longer is no sentence.
LONGEST_SENTENCE: Final = 2000
#: Characters of a sentence in which its end may stand that could not be told before more came.
LOOKED_BACK: Final = 100
#: Links that one sentence is given.
MOST_LINKS: Final = 2

_MAY_END: Final = re.compile(r"[.!?\u2026\u3002\uff01\uff1f\n]")
#: What waits for the next piece: space, with what opens a sentence before its first letter, or a line's first sign.
_WAITING: Final = re.compile(r"(?:\s*\n[ \t]*(?:[-+>#|]|\d{1,3}[.)]?)|\s+[\"'(*_\u201c\u2018]*)\Z")
_BREAK: Final = re.compile(r"[ \t]*\n\s*")
_LINE_SIGN: Final = re.compile(
    r"[ \t>]*(?:(?P<heading>#{1,6}[ \t])|(?P<row>\|)|(?P<item>(?:[-*+]|\d{1,9}[.)])[ \t]+)|)"
)
#: A line in bold letters is a heading.
_BOLD_LINE: Final = re.compile(r"\*\*[^*\n]+\*\*:?|__[^_\n]+__:?")
_CELL_END: Final = re.compile(r"(?<!\\)\|")
_BEGINS_BLOCK: Final = re.compile(r"[-*+#|>]|\d{1,9}[.)]")
_ENDED: Final = re.compile(r"[.!?:\u2026\u3002\uff01\uff1f][\"')\]*_\u201d\u2019]*\Z")

Kind = Literal["prose", "heading", "item", "row", "code"]


class AnswerWriter:
    """Feed it a model's words as they come, and send on what it returns."""

    def __init__(self, passages: Sequence[Passage], bm25: Bm25Encoder, *, mends: bool = True) -> None:
        """`passages` in the order of their numbers, from 1.

        mends: put in links and remarks that the writer has left out, and take `(passage 1)` for a mark; not wanted
        where the answer consists of quotes.
        """
        #: Every sentence that claims something, in reading order.
        self.claims: list[Claim] = []
        self._mends = mends
        self._evidence = Evidence(passages, bm25)
        self._citations = CitationWriter(passages, self._evidence, other_marks=mends)
        self._out: list[str] = []
        #: The sentence so far, and what of it is still to be sent: the space behind it.
        self._sentence = ""
        self._held = ""
        #: The sentence is over if what comes next begins another.
        self._may_be_over = False
        #: Passages that the sentence names.
        self._numbers: list[int] = []
        self._kind: Kind | None = None
        #: The rows of a table so far; its first one is no claim.
        self._rows = 0
        #: The passages that this paragraph, list or table has been linked to.
        self._linked: set[int] = set()
        #: Links of a table's rows, which have to wait for its end.
        self._of_table: list[str] = []

    @property
    def cited(self) -> list[Citation]:
        """Headings named so far, in the order of their first mention."""
        return self._citations.cited

    @property
    def grounded(self) -> float | None:
        """The part of the claims that is supported, 0..1; None without claims."""
        if not self.claims:
            return None
        return sum(claim.support == "supported" for claim in self.claims) / len(self.claims)

    def feed(self, delta: str) -> Written:
        """What can be said for sure after `delta`; never half a mark or link."""
        return self._advance(delta, final=False)

    def finish(self) -> Written:
        """What was held back until the end was known."""
        return self._advance("", final=True)

    def read_ahead(self) -> Iterator[None]:
        """Reads one passage a step, each of which takes some milliseconds; what is left of them is read when the first
        sentence ends. For the time before the model's first word."""
        return self._evidence.read_ahead()

    def _advance(self, delta: str, final: bool) -> Written:
        known = len(self._citations.cited)
        pieces = self._citations.pieces(delta, final)
        if len(pieces) == 1 and not (final or self._may_be_over or isinstance(pieces[0], Whole)):
            piece = pieces[0]
            if not _MAY_END.search(piece):
                self._sentence += piece
                return Written(piece)
        for piece in pieces:
            if isinstance(piece, Whole):
                self._take_whole(piece)
            elif self._may_be_over or _MAY_END.search(piece):
                self._take_prose(piece)
            else:
                self._sentence += piece
                self._out.append(piece)
        if final:
            self._end()
        text = "".join(self._out)
        self._out.clear()
        return Written(text, tuple(self.cited[known:]))

    def _end(self) -> None:
        if self._held.strip():
            self._read(self._held)
            self._held = ""
        self._end_sentence()
        self._end_table()
        self._out.append(self._held)
        self._held = ""

    # What comes in

    def _take_prose(self, piece: str) -> None:
        """Text in which a sentence may end or begin."""
        if self._held.isspace() and piece.isspace():
            self._held += piece  # a model that is stuck writes thousands of line ends
            return
        text = self._held + piece
        waiting = _WAITING.search(text)
        text, self._held = (text[: waiting.start()], waiting.group()) if waiting else (text, "")
        self._read(text)

    def _take_whole(self, piece: Whole) -> None:
        held, self._held = self._held, ""
        if piece.kind in ("code", "link"):
            self._read(held + piece)
            number = self._citations.number_at(piece.target) if piece.target else None
            self._names(() if number is None else (number,))
        elif piece.kind == "mark":
            if held.strip():
                self._read(held)  # it opens a line or a sentence of its own
            else:
                self._out.append(held)
            self._out.append(piece)
            self._sentence = self._sentence.rstrip()
            self._names(piece.numbers)
        else:
            self._take_code(piece, held)

    def _names(self, numbers: Sequence[int]) -> None:
        """The sentence names these passages, and the reader sees it."""
        self._numbers += numbers
        self._linked.update(numbers)

    def _take_code(self, piece: Whole, held: str) -> None:
        """A line of a code block, which is one claim as a whole."""
        if piece.kind == "opening":
            self._end_sentence()
            self._end_block(held)
            self._kind = "code"
        elif piece.kind == "line" and len(self._sentence) < LONGEST_SENTENCE:
            self._sentence += piece
        self._out.append(piece)
        self._may_be_over = True

    # Sentences

    def _read(self, text: str) -> None:
        """Text that is sure to be followed by no more of its last word's space."""
        position = 0
        for found in _BREAK.finditer(text):
            self._read_line(text[position : found.start()])
            self._read_break(found.group(), text[found.end() :])
            position = found.end()
        self._read_line(text[position:])
        self._may_be_over = bool(self._held or self._kind == "code" or _MAY_END.search(self._sentence[-3:]))

    def _read_line(self, text: str) -> None:
        """More of a line, in which sentences may end."""
        if not text:
            return
        if self._kind == "code":
            self._end_sentence()
            self._kind = "prose"
        sent = len(self._sentence)
        line = self._sentence + text
        begins = 0
        sign = _LINE_SIGN.match(line)
        first = max(sign.end() if sign and self._kind is None else 0, sent - LOOKED_BACK)
        ends = [] if sign and sign["row"] and self._kind is None else sentence_ends(line, first)
        for end, following in ends:
            over = max(end, sent)
            self._out.append(line[sent:over])
            self._sentence = line[begins:over]
            self._end_sentence()
            begins = sent = max(over, following)
            self._out.append(line[over:begins])
        self._out.append(line[sent:])
        self._sentence = line[begins:]
        if len(self._sentence) > LONGEST_SENTENCE:
            self._kind = self._kind_of(self._sentence)
            self._sentence = self._sentence[-LONGEST_SENTENCE // 2 :]

    def _read_break(self, space: str, following: str) -> None:
        """The end of a line: of a sentence too, unless the next line goes on with it."""
        kind = self._kind_of(self._sentence)
        blank = space.count("\n") > 1
        wrapped = (
            not blank and kind in ("prose", "item") and following[:1].islower() and not _ENDED.search(self._sentence)
        )
        if wrapped and not _BEGINS_BLOCK.match(following):
            self._sentence += space
            self._out.append(space)
            return
        sign = _LINE_SIGN.match(following)
        self._end_sentence()
        same_list = kind == "item" and sign and sign["item"]
        same_table = kind == "row" and sign and sign["row"] and not blank
        if same_list or same_table or (kind in ("prose", "item") and not blank):
            self._out.append(space)
        else:
            self._end_block(space)
        self._kind = None

    def _end_block(self, space: str) -> None:
        self._end_table()
        self._linked.clear()
        self._out.append(space)

    def _end_table(self) -> None:
        self._rows = 0
        if self._of_table:
            self._out.append("\n\n" + " ".join(dict.fromkeys(self._of_table)))
            self._of_table.clear()

    def _end_sentence(self) -> None:
        """Check the sentence, and put behind it what is missing."""
        kind = self._kind = self._kind_of(self._sentence)
        sentence, self._sentence = self._sentence[-LONGEST_SENTENCE:], ""
        numbers, self._numbers = self._numbers, []
        self._may_be_over = False
        if kind == "row":
            self._rows += 1
        if kind == "heading" or (kind == "row" and self._rows == 1) or not any(map(str.isalnum, sentence)):
            return
        text = sentence if kind == "code" else _without_signs(sentence)
        claim = self._evidence.check(text, numbers, code=kind == "code")
        if claim is None:
            return
        self.claims.append(claim)
        if self._mends:
            self._mend(claim, text, kind)

    def _mend(self, claim: Claim, text: str, kind: Kind) -> None:
        if claim.support == "unsupported" and kind in ("prose", "item"):
            self._out.append(f" {NOT_FOUND}")
        if claim.support != "supported":
            return
        wanted = [number for number in claim.numbers if number not in self._linked][:MOST_LINKS]
        links = [self._citations.link(number, text) for number in wanted]
        self._linked.update(wanted)
        if kind == "row":
            self._of_table += links
        elif links:
            self._out.append(("\n\n" if kind == "code" else " ") + " ".join(links))

    def _kind_of(self, sentence: str) -> Kind:
        """What kind of line the sentence stands on; its first one decides."""
        if self._kind is not None:
            return self._kind
        sign = _LINE_SIGN.match(sentence)
        if _BOLD_LINE.fullmatch(sentence.strip()) or (sign and sign["heading"]):
            return "heading"
        if sign and sign["row"]:
            return "row"
        return "item" if sign and sign["item"] else "prose"


def _without_signs(sentence: str) -> str:
    """A sentence without what begins its line and what parts its cells."""
    sign = _LINE_SIGN.match(sentence)
    return _CELL_END.sub(" ", sentence[sign.end() if sign else 0 :]).strip()
