"""Code of MDX pages that no reader sees: imports and exports, and fences that hide MDX from translators."""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

#: Paragraphs that an `export` may take to close its brackets.
MAX_EXPORT_PARAGRAPHS: Final = 50

_BLANK_LINE: Final = re.compile(r"\n[ \t]*+(?=\n)")
_IMPORT: Final = re.compile(
    r"import[ ][\w$*{},\s]{0,2000}+(?:(?<=import )|(?<=from )|(?<=[\s}]from))(?P<quote>['\"])[^'\"\n]++(?P=quote)"
    r"[ \t]*+;?[ \t]*+(?=\n|\Z)"
)
_EXPORT: Final = re.compile(r"export (?:const|let|var|function|class|default|async|type|interface)\b|export [{*]")
_FENCE: Final = re.compile(r"\n[ \t]*+(?P<ticks>`{3,}+)(?P<mdx>(?:mdx-code-block)?)[ \t]*+(?=\n|\Z)")


def unwrap_mdx(text: str) -> str:
    """`text` with what stands in fences of the kind `mdx-code-block` as part of the page, as Docusaurus has it."""
    if "```mdx-code-block" not in text:
        return text
    pieces: list[str] = []
    position = 0
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence if fence["mdx"] else None
        elif not fence["mdx"] and fence["ticks"] == opened["ticks"]:
            pieces += (text[position : opened.start()], text[opened.end() : fence.start()])
            position, opened = fence.end(), None
    return "".join(pieces) + text[position:]


class Modules:
    """Finds where the imports and exports of one page end."""

    def __init__(self, source: str) -> None:
        self._source = source
        #: Whether some export's brackets are never closed: looking for that once is enough.
        self._unclosed = False

    def end(self, at: int) -> int | None:
        """Where the import or export at `at` ends; None if it is prose that begins with the word."""
        if imported := _IMPORT.match(self._source, at):
            return imported.end()
        return self._end_of_export(at) if _EXPORT.match(self._source, at) else None

    def _end_of_export(self, at: int) -> int:
        """The first blank line with all brackets closed; if that does not come soon, the first blank line."""
        first_blank = _BLANK_LINE.search(self._source, at)
        if first_blank is None:
            return len(self._source)
        if self._unclosed:
            return first_blank.start()
        depth, position = 0, at
        for blank in islice(_BLANK_LINE.finditer(self._source, at), MAX_EXPORT_PARAGRAPHS):
            paragraph = self._source[position : blank.start()]
            depth += sum(map(paragraph.count, "([{")) - sum(map(paragraph.count, ")]}"))
            if depth <= 0:
                return blank.start()
            position = blank.start()
        self._unclosed = True
        return first_blank.start()
