"""Heading ids, exactly as the published site has them: github-slugger's rules, and ids that an author wrote."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_ASCII_DROPPED: Final = re.compile(r"[^0-9a-z_ \-]")
_KEPT_CATEGORIES: Final = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "Pc"})
#: Circled and squared letters: symbols to Unicode, letters to github-slugger.
_KEPT_SYMBOLS: Final = (
    range(0x24B6, 0x24EA),
    range(0x1F130, 0x1F14A),
    range(0x1F150, 0x1F16A),
    range(0x1F170, 0x1F18A),
)

#: `{#id}`, MkDocs's `{ #id .class }` and `{: #id }`, and the comments that newer Docusaurus reads: at a heading's end.
_EXPLICIT_ID: Final = re.compile(
    r"(?:"
    r"\{:?[ \t]*#(?P<braces>[^\s{}]+)[^{}]*\}"
    r"|\{/\*[ \t]*#(?P<mdx>[^\s*{}]+)[ \t]*\*/\}"
    r"|<!--[ \t]*#(?P<html>[^\s<>]+)[ \t]*-->"
    r")[ \t]*\Z"
)


def slugify(text: str) -> str:
    """The id that github-slugger gives to a heading's text, before it is made unique."""
    lower = text.lower()
    if lower.isascii():
        return _ASCII_DROPPED.sub("", lower).replace(" ", "-")
    return "".join("-" if char == " " else char for char in lower if _is_kept(char))


def _is_kept(char: str) -> bool:
    if char in " -" or unicodedata.category(char) in _KEPT_CATEGORIES:
        return True
    return any(ord(char) in symbols for symbols in _KEPT_SYMBOLS)


class Slugger:
    """Gives the headings of one page their ids, in reading order."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def slug(self, text: str) -> str:
        """The id for a heading's text; a repeated one gets `-1`, `-2`."""
        plain = unique = slugify(text)
        while unique in self._seen:
            self._seen[plain] += 1
            unique = f"{plain}-{self._seen[plain]}"
        self._seen[unique] = 0
        return unique


def split_explicit_id(heading: str) -> tuple[str, str | None]:
    """A heading's Markdown without the id that stands at its end, and that id."""
    # Only the last one can be at the end, and looking at it alone keeps the time linear.
    start = max(heading.rfind("{"), heading.rfind("<!--"))
    match = _EXPLICIT_ID.match(heading, start) if start >= 0 else None
    if match is None:
        return heading, None
    return heading[:start].rstrip(), match["braces"] or match["mdx"] or match["html"]
