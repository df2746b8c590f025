"""Marks of remarks, tabs and other containers that stand on a line of their own, and what a reader sees of them."""

from __future__ import annotations

import re
from typing import Final

from worker.ingestion.markup.elements import MAX_LABEL, label_line, remark_label

#: `:::note`, `:::tip[Title]{.class}`, `::: warning Title`, `::: {.note}`; colons alone close.
_COLONS: Final = re.compile(
    r":{3,}+[ \t]*+(?:\{[^{}\n]*?\.(?P<class>[A-Za-z][\w-]*+)[^{}\n]*+\}|(?P<kind>(?:[A-Za-z][\w-]*+)?))"
    r"(?:\[(?P<label>[^\n]*)\])?(?:[ \t]*\{[^{}\n]*+\})?[ \t]*+(?P<title>[^\n]*+)"
)
#: `/// note | Title`, with options that are indented below; slashes alone close.
_SLASHES: Final = re.compile(
    r"/{3,}+[ \t]*+(?P<kind>(?:[A-Za-z][\w-]*+)?)[ \t]*+(?:\|[ \t]*+(?P<title>[^\n]*+))?"
    r"(?P<rest>[^\n]*+)(?P<options>(?:\n[ ]{4,}+[\w-]++:[^\n]*+)*+)"
)
#: `> [!NOTE]`.
_ALERT: Final = re.compile(r"\[!(?P<kind>[A-Za-z][\w-]*+)\][-+]?[ \t]*+(?P<title>[^\n]*+)")
#: Containers that only arrange what they hold.
_ARRANGING: Final = frozenset((
    "card", "cards", "caption", "center", "code-group", "define", "figure-caption", "grid", "html", "raw",
    "row", "steps", "tabs",
))  # fmt: skip
#: Containers of which a reader sees the title alone.
_TITLED: Final = frozenset(("details", "tab", "tab-item"))


def colons(source: str, start: int) -> tuple[str | None, int]:
    """What a line of colons shows ("" for nothing, None for the end of a container), and where it ends."""
    line = _COLONS.match(source, start)
    if line is None:
        return "", start
    kind = line["class"] or line["kind"]
    if not kind:
        return (None if not line["title"].strip() else line[0]), line.end()
    return _label(kind, line["label"] or line["title"]), line.end()


def slashes(source: str, start: int) -> tuple[str | None, int]:
    """The same for a line of slashes."""
    line = _SLASHES.match(source, start)
    if line is None or (line["rest"].strip() and line["title"] is None):
        return "///", start
    if not line["kind"]:
        return None, line.end("rest")
    return _label(line["kind"], line["title"] or ""), line.end()


def alert(source: str, start: int) -> tuple[str, int] | None:
    """What the first line of a quote shows that is an alert, and where it ends."""
    line = _ALERT.match(source, start)
    return (_label(line["kind"].lower(), line["title"]), line.end()) if line else None


def _label(kind: str, title: str) -> str:
    title = " ".join(title[:MAX_LABEL].split())
    if kind in _ARRANGING:
        return label_line(title) if title else ""
    if kind in _TITLED:
        return label_line(title or kind.capitalize())
    return remark_label(kind, title)
