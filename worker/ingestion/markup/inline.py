"""What a reader sees of a heading: its text without Markdown's inline marks, as Docusaurus takes it for heading ids."""

from __future__ import annotations

import html
import re
from typing import Final

_MARKS: Final = re.compile(r"[`*_~\[\]<>\\&{}]")
_NESTED_BRACKETS: Final = r"(?:[^\[\]\\]|\\.|\[[^\[\]]*\])*"
_TOKENS: Final = re.compile(
    r"(?<!`)(?P<ticks>`++)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)"
    r"|\\(?P<escaped>[!-/:-@\[-`{-~])"
    r"|\{/\*.*?\*/\}|<!--.*?-->"
    r"|\[\^[^\]\s]+\]"
    rf"|!?\[(?P<label>{_NESTED_BRACKETS})\](?:\((?:[^()\\]|\\.|\([^()]*\))*\)|\[[^\[\]]*\])"
    r"|<(?P<address>[a-z][a-z0-9+.-]+:[^\s<>]*)>"
    r"|</?[A-Za-z][^<>]*>|</?>",
    re.DOTALL,
)
#: Emphasis opens before a character and closes after one; `_` does neither inside a word.
_EMPHASIS: Final = re.compile(
    r"(?<![*~])(?P<mark>\*{1,3}|~{1,2})(?![\s*~])(?P<inner>.+?)(?<![\s*~])(?P=mark)(?![*~])", re.DOTALL
)
_UNDERSCORES: Final = re.compile(r"(?<!\w)(?P<mark>_{1,3})(?=\S)(?P<inner>.+?)(?<=\S)(?P=mark)(?!\w)", re.DOTALL)
#: Holds the place of a character that must survive as it is. Noncharacters, which no text needs.
_KEPT: Final = "\ufdd0{}\ufdd1"
_KEPT_PLACE: Final = re.compile("\ufdd0(\\d+)\ufdd1")


def plain_text(markdown: str) -> str:
    """`markdown`, one short piece of inline Markdown, as text. Costs grow faster than its length: bound it first."""
    if not _MARKS.search(markdown):
        return markdown
    literals: list[str] = []
    text = _resolve(markdown.replace(_KEPT[0], ""), literals)
    return _KEPT_PLACE.sub(lambda place: literals[int(place[1])], text)


def _resolve(markdown: str, literals: list[str]) -> str:
    """Takes links, tags and emphasis off; code and escapes are put aside, where nothing else is found in them."""

    def put_aside(literal: str) -> str:
        literals.append(literal)
        return _KEPT.format(len(literals) - 1)

    def replace(token: re.Match[str]) -> str:
        if token["code"] is not None:
            code = token["code"]
            padded = code.startswith(" ") and code.endswith(" ") and code.strip()
            return put_aside(code[1:-1] if padded else code)
        if token["label"] is not None:
            return _resolve(token["label"], literals)
        literal = token["escaped"] or token["address"]
        return put_aside(literal) if literal else ""

    text = html.unescape(_TOKENS.sub(replace, markdown))
    for emphasis in (_EMPHASIS, _UNDERSCORES):
        # Twice: `***both***` around a part, or one kind within another.
        text = emphasis.sub(r"\g<inner>", emphasis.sub(r"\g<inner>", text))
    return text
