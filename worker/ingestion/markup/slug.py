"""Heading ids, exactly as the published site has them: each site generator's rule, and ids that an author wrote."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple

from worker.ingestion.markup.dialect import Dialect

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
    r"\{:?[ \t]*(?:[.\w][^\s{}#]*[ \t]+)*#(?P<braces>[^\s{}]+)[^{}]*\}"
    r"|\{/\*[ \t]*#(?P<mdx>[^\s*{}]+)[ \t]*\*/\}"
    r"|<!--[ \t]*#(?P<html>[^\s<>]+)[ \t]*-->"
    r")[ \t]*\Z"
)


class Title(NamedTuple):
    """A heading as it asks for its id."""

    #: Without Markdown's marks.
    text: str
    #: The id that the author wrote.
    explicit: str | None = None


def heading_ids(titles: Sequence[Title], dialect: Dialect) -> list[str]:
    """The ids of all headings of one page, in reading order."""
    if dialect == "mkdocs":
        return _mkdocs_ids(titles)
    slugger = MdbookSlugger() if dialect == "mdbook" else Slugger()
    return [title.explicit or slugger.slug(title.text) for title in titles]


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
    """Gives the headings of one page their ids, in reading order. Ids that an author wrote do not count here."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def slug(self, text: str) -> str:
        """The id for a heading's text; a repeated one gets `-1`, `-2`."""
        return self._unique(slugify(text))

    def _unique(self, plain: str) -> str:
        unique = plain
        while unique in self._seen:
            self._seen[plain] += 1
            unique = f"{plain}-{self._seen[plain]}"
        self._seen[unique] = 0
        return unique


class MdbookSlugger(Slugger):
    """mdBook keeps letters, digits, `_` and `-`, and makes small only what ASCII has capitals for."""

    def slug(self, text: str) -> str:
        kept = ("-" if char.isspace() else char for char in text.strip() if char.isspace() or _is_written(char))
        return self._unique("".join(char.lower() if char.isascii() else char for char in kept))


def _is_written(char: str) -> bool:
    """Whether mdBook takes it for a letter or digit: vowel signs are letters, accents of their own and viramas not."""
    if char.isalnum() or char in "_-" or any(ord(char) in symbols for symbols in _KEPT_SYMBOLS):
        return True
    is_sign = unicodedata.category(char) in ("Mn", "Mc") and not unicodedata.combining(char)
    return is_sign and not 0xFE00 <= ord(char) <= 0xFE0F


_MKDOCS_DROPPED: Final = re.compile(r"[^\w\s-]")
_RUNS: Final = re.compile(r"[-\s]+")
#: A trailing number that MkDocs counts on from.
_NUMBERED: Final = re.compile(r"(.*)_([0-9]{1,9})\Z", re.DOTALL)


def _mkdocs_ids(titles: Sequence[Title]) -> list[str]:
    """Ids that authors wrote come first, wherever they stand; the others make way for them with `_1`, `_2`."""
    used = {title.explicit for title in titles if title.explicit}
    # Up to which number all ids of a name are taken: the next one need not try them again.
    taken: dict[str, int] = {}
    ids: list[str] = []
    for title in titles:
        unique = title.explicit or _mkdocs_slug(title.text)
        if not title.explicit and (not unique or unique in used):
            unique = _mkdocs_unique(unique, used, taken)
        used.add(unique)
        ids.append(unique)
    return ids


def _mkdocs_unique(plain: str, used: set[str], taken: dict[str, int]) -> str:
    numbered = _NUMBERED.match(plain)
    base, count = (numbered[1], int(numbered[2])) if numbered else (plain, 0)
    known = taken.get(base, 0)
    in_a_row = count <= known + 1
    count = max(count, known if in_a_row else 0) + 1
    while f"{base}_{count}" in used:
        count += 1
    if in_a_row:
        taken[base] = count
    return f"{base}_{count}"


def _mkdocs_slug(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return _RUNS.sub("-", _MKDOCS_DROPPED.sub("", text).strip().lower())


def split_explicit_id(heading: str) -> tuple[str, str | None]:
    """A heading's Markdown without the id that stands at its end, and that id."""
    if not heading.endswith(("}", "-->")):
        return heading, None
    # Only the last one can be at the end, and looking at it alone keeps the time linear.
    start = max(heading.rfind("{"), heading.rfind("<!--"))
    match = _EXPLICIT_ID.match(heading, start) if start >= 0 else None
    if match is None:
        return heading, None
    return heading[:start].rstrip(), match["braces"] or match["mdx"] or match["html"]
