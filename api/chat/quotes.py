"""A passage cut into units as its page shows them, and links that let a browser show one of them.

A text fragment (`#:~:text=`) makes a browser look for words as they are rendered, within one block of the page. So a
unit is plain text, and only what is sure to stand in one block as it is written here is linked to.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote as percent_encoded

from api.chat.pieces import blocks_of
from api.chat.sentences import CODE_SPAN, around_code, split_sentences

#: Words of a text that are named whole; of a longer one its first and last words are, which keeps the link short.
NAMED_WHOLE: Final = 8
#: Words at either end of a longer one.
AT_AN_END: Final = 4
#: A text of fewer letters stands on a page by chance.
SHORTEST: Final = 12
#: Characters of a quote that are shown.
LONGEST_QUOTE: Final = 400

UnitKind = Literal["sentence", "row", "code", "heading"]

_FENCE: Final = re.compile(r"[ \t>]*(`{3,}|~{3,}|:{3,}|/{3,})")
_ITEM_SIGN: Final = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)(?:\[[ xX]\][ \t]+)?")
_RULE: Final = re.compile(r"[\s|:+=-]*")
_CELL_END: Final = re.compile(r"(?<!\\)\|")
_IMAGE: Final = re.compile(r"!\[[^\[\]\n]*\](?:\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)|\[[^\[\]\n]*\])")
_LINK: Final = re.compile(r"\[([^\[\]\n]*)\](?:\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)|\[[^\[\]\n]*\])")
_TAG: Final = re.compile(r"</?[A-Za-z][^<>]*>|<!--(?:(?!<!--).)*?-->|\{#[^{}]*\}|\[\^[^\[\]]*\]")
#: Text without any sign of Markdown or HTML.
_PLAIN: Final = re.compile(r"[^<>{}\[\]&*_~\\]*")
_AUTOLINK: Final = re.compile(r"<((?:https?://|mailto:)[^\s<>]+)>")
_EMPHASIS: Final = re.compile(r"(?<!\\)(?:\*{1,3}(?=\S)|(?<=\S)\*{1,3}|(?<!\w)_{1,3}(?=\S)|(?<=\S)_{1,3}(?!\w)|~~)")
_ESCAPED: Final = re.compile(r"\\([!-/:-@\[-`{-~])")
#: What a site's builder may make something else of than these words: components, formulas, footnotes, emoji.
_RENDERED_ANYHOW: Final = re.compile(r"[{}<$^]|!\[|(?<!\w):\w+:(?!\w)|\+\+|==|https?://|\\$")
#: Characters that builders set otherwise: quotes, dashes, dots.
_TYPOGRAPHIC: Final = re.compile(r"[\"'\u2018-\u201f\u2013\u2014\u2026]|--|\.\.\.|\([cr]\)|\(tm\)", re.IGNORECASE)
_EDGE: Final = re.compile(r"^[^\w]+|[^\w]+$")


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence, an item's sentence, a table's row, a line of code or a heading, as it stands on the page."""

    kind: UnitKind
    #: Plain words on one line.
    text: str
    #: Whether the page is sure to hold these words in one block.
    linkable: bool = False
    #: What of it is written as code.
    code: tuple[str, ...] = ()


def units_of(markdown: str) -> list[Unit]:
    """The units of a passage in reading order."""
    return [unit for unit in _units(markdown) if unit.text]


def rendered(markdown: str) -> str:
    """A line of Markdown as its reader sees it."""
    return " ".join(around_code(markdown, _without_signs, _inside).split())


def _without_signs(text: str) -> str:
    text = _LINK.sub(r"\1", _IMAGE.sub("", text)) if "[" in text else text
    if not _PLAIN.fullmatch(text):
        text = _TAG.sub("", _AUTOLINK.sub(r"\1", text))
        text = html.unescape(_ESCAPED.sub(r"\1", _EMPHASIS.sub("", text)))
    return text


def code_in(markdown: str) -> tuple[str, ...]:
    """What stands between backticks in a line."""
    return tuple(_inside(found.group()) for found in CODE_SPAN.finditer(markdown)) if "`" in markdown else ()


def fragment_link(url: str, unit: Unit) -> str:
    """`url` with a text fragment for the unit; `url` itself where the browser might not find it."""
    directive = text_directive(unit.text) if unit.linkable else ""
    if not directive:
        return url
    return f"{url}{'' if '#' in url else '#'}:~:{directive}"


def text_directive(text: str) -> str:
    """`text=first%20words,last%20words`, or `text=all%20of%20them` of a short text; "" for one that cannot be named."""
    words = text.split()
    if len(words) <= NAMED_WHOLE and not _TYPOGRAPHIC.search(text):
        whole = _EDGE.sub("", text)
        return f"text={_encoded(whole)}" if len(whole) >= SHORTEST else ""
    first = _until_typography(words)
    last = list(reversed(_until_typography(list(reversed(words)))))
    if len(first) + len(last) > len(words):
        return ""
    start, end = _EDGE.sub("", " ".join(first)), _EDGE.sub("", " ".join(last))
    return f"text={_encoded(start)},{_encoded(end)}" if min(len(start), len(end)) >= SHORTEST // 2 else ""


def _until_typography(words: list[str]) -> list[str]:
    kept: list[str] = []
    for word in words[:AT_AN_END]:
        if _TYPOGRAPHIC.search(word):
            break
        kept.append(word)
    return kept


def _encoded(text: str) -> str:
    """Percent-encoded, with the three signs that separate a directive's parts: `-`, `,` and `&`."""
    return percent_encoded(text, safe="").replace("-", "%2D")


def _units(markdown: str) -> Iterator[Unit]:
    for kind, block in blocks_of(markdown):
        if kind == "heading":
            yield Unit("heading", rendered(block))
        elif kind == "code":
            yield from _lines_of_code(block.split("\n"))
        elif kind == "table":
            yield from (
                Unit("row", _row(line), code=code_in(line)) for line in block.split("\n") if not _RULE.fullmatch(line)
            )
        elif kind == "list":
            yield from _items(block.split("\n"))
        else:
            yield from _sentences(block)


def _sentences(block: str) -> Iterator[Unit]:
    """The sentences of a paragraph or an item."""
    for sentence in split_sentences(" ".join(block.split())):
        yield Unit(
            "sentence",
            rendered(sentence),
            linkable=_RENDERED_ANYHOW.search(CODE_SPAN.sub("", sentence)) is None,
            code=code_in(sentence),
        )


def _items(lines: list[str]) -> Iterator[Unit]:
    """Every item of a list by itself, with the lines that go on from it; code between them line by line."""
    said: list[str] = []
    fence = ""
    for line in lines:
        opened = _FENCE.match(line)
        if fence and opened and line.strip(" \t>").startswith(fence):
            fence = ""
        elif fence:
            yield Unit("code", " ".join(line.split()))
        elif opened or not line.strip() or _ITEM_SIGN.match(line):
            yield from _sentences(" ".join(said))
            said = [_ITEM_SIGN.sub("", line, count=1)] if not opened else []
            fence = opened[1] if opened and opened[1][0] in "`~" else ""
        else:
            said.append(line)
    yield from _sentences(" ".join(said))


def _lines_of_code(lines: list[str]) -> Iterator[Unit]:
    yield from (Unit("code", " ".join(line.split())) for line in lines[1:] if not _FENCE.match(line))


def _row(line: str) -> str:
    return " | ".join(cell for cell in map(rendered, _CELL_END.split(line)) if cell)


def _inside(span: str) -> str:
    run = len(span) - len(span.lstrip("`"))
    return span[run:-run].strip()
