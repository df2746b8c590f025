"""Reading and writing the pieces of Markdown that an answer is made of. Pure functions over text.

A model's words arrive in pieces, so each reader has three outcomes: a result, "not this construct" (None), or WAIT
when more text could still change the verdict. What a reader decides never depends on where the text was cut.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal


class Undecided(Enum):
    """More text is needed."""

    WAIT = "wait"


WAIT: Final = Undecided.WAIT
Wait = Literal[Undecided.WAIT]

#: Longer than any sensible code span or link text. A construct that has not closed by then is not one, so an answer
#: never hangs on a bracket.
LONGEST_SPAN: Final = 1000
#: Parentheses within parentheses that an address may have.
DEEPEST: Final = 4
#: Longest address that browsers agree on.
LONGEST_URL: Final = 2000

#: A code fence on a line of its own, inside whatever quotes and lists.
FENCE: Final = re.compile(
    r"(?P<prefix>(?:[ \t]|>|(?:[-*+]|\d{1,9}[.)])(?=[ \t]))*)(?P<run>`{3,}|~{3,})(?P<info>[^\n]*)"
)
#: A line's beginning that could still turn out to be a fence.
FENCE_BEGINNING: Final = re.compile(r"(?:[ \t>*+.)-]|\d){0,80}(?:`*|~*)")
#: A bare address, which many renderers turn into a link.
BARE_URL: Final = re.compile(r"(?:(?:https?|ftp)://|www\.)[^\s<>`\"\[\]|\\]*", re.IGNORECASE)
#: The characters of a link's target that mean the same to every browser and every Markdown reader: no spaces,
#: entities, backslashes or parentheses.
_PLAIN_TARGET: Final = re.compile(r"[^\s\\<>()&;\"'`|\x00-\x1f]+")
ASCII_PUNCTUATION: Final = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
#: Pairs that would make a construct of two halves if what stood between them is taken out.
_CONSTRUCTS: Final = frozenset({"](", "][", "]:", "![", "``", "~~", "//", ":/", "</", "<!", "<?"})
_BRACKET_STEP: Final = re.compile(r"\\[^\n]|`+|[\[\]\n]")
_PAREN_STEP: Final = re.compile(r"\\[^\n]|[()\n]")
_LINK_TEXT_SPECIAL: Final = re.compile(r"[\\\[\]`*~|]|(?<![^\W_])_|_(?![^\W_])")
_WHITESPACE: Final = re.compile(r"\s+")
_INLINE_LINK: Final = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)")


#: A whole code block of a text that is complete: its fence, what stands behind that, its lines.
BLOCK: Final = re.compile(r"^[ \t>]*(`{3,30}|~{3,30})([^\n]*)\n(.*?)(?:^[ \t>]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
#: A code span on one line, short enough for a name or a command: its sign, what it holds.
SPAN: Final = re.compile(r"(?<!`)(`+)(?!`)([^\n]{1,200}?)(?<!`)\1(?!`)")


@dataclass(frozen=True, slots=True)
class Bracket:
    """`[content]` or `[content](target)`."""

    content: str
    #: None where no parenthesis follows.
    target: str | None
    #: Position after its last character.
    end: int


class Whole(str):
    """A piece of what is written that is no prose: no sentence begins or ends within it."""

    __slots__ = ("kind", "numbers", "target")

    #: A code span, a link, marks, or of a code block its opening line, its lines and its closing one.
    kind: Literal["code", "link", "mark", "opening", "line", "closing"]
    #: The passages that marks name.
    numbers: tuple[int, ...]
    #: The address that a link leads to.
    target: str

    @classmethod
    def of(
        cls,
        text: str,
        kind: Literal["code", "link", "mark", "opening", "line", "closing"],
        numbers: tuple[int, ...] = (),
        target: str = "",
    ) -> Whole:
        whole = cls(text)
        whole.kind, whole.numbers, whole.target = kind, numbers, target
        return whole


def read_bracket(text: str, start: int, final: bool) -> Bracket | Wait | None:
    """The bracket that opens at `start`. Brackets that nest, span lines or never close are none."""
    position = start + 1
    while True:
        step = _BRACKET_STEP.search(text, position, start + LONGEST_SPAN)
        if step is None:
            return None if final or len(text) >= start + LONGEST_SPAN else WAIT
        found = step.group()
        if found in ("[", "\n"):
            return None
        if found == "]":
            return _with_target(text, start, step.end(), final)
        position = step.end()
        if found[0] == "`":
            code = read_code_span(text, step.start(), final)
            if code is WAIT:
                return WAIT
            position = code or position


def _with_target(text: str, start: int, end: int, final: bool) -> Bracket | Wait | None:
    content = text[start + 1 : end - 1]
    if end == len(text):
        return Bracket(content, None, end) if final else WAIT
    if text[end] != "(":
        return Bracket(content, None, end)
    depth, position = 0, end
    while True:
        step = _PAREN_STEP.search(text, position, end + LONGEST_URL)
        if step is None:
            return None if final or len(text) >= end + LONGEST_URL else WAIT
        position = step.end()
        depth += {"(": 1, ")": -1}.get(step.group(), 0)
        if step.group() == "\n" or depth > DEEPEST:
            return None
        if depth == 0:
            return Bracket(content, text[end + 1 : position - 1], position)


def read_code_span(text: str, start: int, final: bool) -> int | Wait | None:
    """Where the code span ends whose backticks begin at `start`; None if it does not close on its line."""
    run = _run_length(text, start)
    if start + run == len(text) and not final:
        return WAIT
    limit = start + LONGEST_SPAN
    line_end = text.find("\n", start, limit)
    position = start + run
    while (position := text.find("`", position, limit if line_end < 0 else line_end)) >= 0:
        length = _run_length(text, position)
        if position + length == len(text) and not final:
            return WAIT
        if length == run:
            return position + length
        position += length
    return None if final or line_end >= 0 or len(text) >= limit else WAIT


def _run_length(text: str, start: int) -> int:
    end = start
    while end < len(text) and text[end] == text[start]:
        end += 1
    return end - start


def target_of(inside: str) -> str:
    """The address among what stands in a link's parentheses, without its title and angle brackets."""
    inside = inside.strip()
    if inside.startswith("<"):
        return inside[1:].partition(">")[0]
    return inside.split(maxsplit=1)[0] if inside else ""


def plain_target(url: str) -> str:
    """An address as it can stand in a link's parentheses."""
    return url.strip().replace(" ", "%20").replace("(", "%28").replace(")", "%29")


def is_plain_target(target: str) -> bool:
    """Whether every reader takes this for the same address."""
    return _PLAIN_TARGET.fullmatch(target) is not None


def language_of(info: str) -> str:
    """The language that stands behind a fence; "" where none does."""
    return (info.split() or [""])[0].lower().strip("{.}")


def link(text: str, url: str) -> str:
    """A Markdown link whose text is shown as it is."""
    return f"[{escape_link_text(text)}]({plain_target(url)})"


def escape_link_text(text: str) -> str:
    """Text on one line, with everything escaped that could end a link, a table cell or begin markup."""
    flat = _WHITESPACE.sub(" ", text).strip().replace("<", "&lt;")
    return _LINK_TEXT_SPECIAL.sub(lambda found: "\\" + found.group(), flat)


def without_links(text: str) -> str:
    """Markdown with links and images replaced by their text."""
    return _INLINE_LINK.sub(r"\1", text)


def code_span(text: str) -> str:
    """A code span around text without backticks and line ends."""
    return f"`{text}`"


def run_together(tail: str, following: str) -> bool:
    """Whether two pieces would mean something together that neither means alone."""
    last = tail[-1:]
    if last.isalnum():
        after_www = following == "." and tail.lower().endswith("www")
        return following.isalnum() or following in ":/" or after_www
    if last == "\\":
        return following in ASCII_PUNCTUATION
    return last + following in _CONSTRUCTS or (last == "<" and following.isalpha())


def without_trailing_punctuation(url: str) -> str:
    """Where a sentence's full stop or a closing parenthesis is not part of the address."""
    while url and (url[-1] in ".,;:!?'*_~" or (url[-1] == ")" and url.count(")") > url.count("("))):
        url = url[:-1]
    return url
