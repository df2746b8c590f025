"""Tables and preformatted text that are written in HTML, as tables and listings of Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Final

#: A longer table is left to be read as text.
MAX_TABLE: Final = 200_000

_CELL: Final = re.compile(
    r"<(?P<tag>tr|td|th)\b[^<>]*+>|</(?:td|th|tr|table)[ \t]*+>|<(?P<nested>table)\b|(?P<listing>```)"
)
_TAGS: Final = re.compile(r"</?[A-Za-z][^<>]*+>")
_LANGUAGE_CLASS: Final = re.compile(r"(?:language-|lang=[\"'])([\w+-]++)")
_BACKTICKS: Final = re.compile(r"`{3,}+")


def markdown_table(source: str, start: int, show: Callable[[int, int], str]) -> tuple[str, int] | None:
    """The table whose content begins at `start`, and where it ends; None if it is more than rows of text.

    `show` gives what a reader sees of the source between two places.
    """
    rows: list[list[str]] = []
    opened: int | None = None
    for mark in _CELL.finditer(source, start, start + MAX_TABLE):
        if mark["nested"] or mark["listing"]:
            return None
        if opened is not None:
            rows[-1].append(_cell(show(opened, mark.start())))
            opened = None
        if mark["tag"] == "tr":
            rows.append([])
        elif mark["tag"]:
            opened = mark.end()
            if not rows:
                rows.append([])
        elif mark[0].startswith("</table"):
            return _written([row for row in rows if row]), mark.end()
    return None


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _written(rows: list[list[str]]) -> str:
    if not rows:
        return ""
    width = max(map(len, rows))
    lines = ["| " + " | ".join([*row, *[""] * (width - len(row))]) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])


def preformatted(source: str, start: int, end: int, lead: str) -> str:
    """A listing of what stands in the `<pre>` that begins the line at `start` behind `lead`, up to its closing tag."""
    opened = source.find(">", start + 1 + len(lead), end) + 1 or end
    language = _LANGUAGE_CLASS.search(source, start, min(end, opened + 200))
    code = html.unescape(_TAGS.sub("", source[opened:end])).strip("\n").rstrip()
    inner = continued(lead)
    if lead.strip():
        code = "\n".join(inner + line.removeprefix(inner) for line in code.split("\n"))
    fence = max(["```", *(f"{ticks}`" for ticks in _BACKTICKS.findall(code))], key=len)
    return f"\n{lead}{fence}{language[1] if language else ''}\n{code}\n{inner}{fence}"


def continued(lead: str) -> str:
    """What stands in front of the next lines of a quote or list item that begins with `lead`."""
    return re.sub(r"[^>\s]", " ", lead)
