"""MkDocs's blocks whose content is indented (`!!! note`, `??? tip`, `=== "Tab"`, `::: module`), as plain Markdown."""

from __future__ import annotations

import re
from typing import Final

from worker.ingestion.markup.elements import MAX_LABEL, label_line, remark_label

_ANY_BLOCK: Final = re.compile(r"\n[ \t]*+(?:!!!|\?\?\?\+?|===[!+]*|:::)[ ]")
_LEAD: Final = re.compile(r"[ \t]*+")
_FENCE: Final = re.compile(r"(?:[-*+][ ]|\d{1,9}[.)][ ])?[ \t]*+(?P<fence>`{3,}+|~{3,}+)(?P<info>[^\n]*+)")
_REMARK: Final = re.compile(
    r"(?:!!!|\?\?\?\+?)[ ]++(?P<kind>[A-Za-z][\w-]*+)(?:[ ]++[A-Za-z][\w-]*+)*+(?:[ ]++\"(?P<title>[^\n]*)\")?[ ]*+\Z"
)
_TAB: Final = re.compile(r"===[!+]*[ ]++(?P<quote>[\"'])(?P<label>[^\n]*)(?P=quote)[ ]*+\Z")
_MODULE: Final = re.compile(r":::[ ]++(?P<name>[A-Za-z_][\w.:/-]*+)[ ]*+\Z")
_INDENT: Final = 4


def dedent_blocks(text: str) -> str:
    """`text` with such blocks' content at the depth of the block, below a line that names it.

    `text` starts with a line break. Listings keep what they hold: a line in one opens nothing.
    """
    if _ANY_BLOCK.search(text) is None:
        return text
    lines = _Lines()
    for line in text.split("\n"):
        lines.add(line)
    return "\n".join(lines.shown)


class _Lines:
    """Takes one line after the other and remembers which blocks are open."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        #: Where the content of each open block starts, and whether that of the innermost is left out.
        self._open: list[int] = []
        self._hidden = False
        self._fence = ""
        #: A label belongs to what follows it: no blank line goes between.
        self._labelled = False

    def add(self, line: str) -> None:
        lead = _LEAD.match(line)
        written = line[lead.end() :] if lead else line
        if not written:
            if not self._labelled:
                self.shown.append("")
            return
        depth = len(line[: len(line) - len(written)].expandtabs(_INDENT))
        self._close(depth)
        if self._hidden:
            return
        offset = _INDENT * len(self._open)
        if self._fence:
            if written.startswith(self._fence) and not written.strip(self._fence[0] + " \t"):
                self._fence = ""
        elif fence := _FENCE.match(written):
            if fence["fence"][0] != "`" or "`" not in fence["info"]:
                self._fence = fence["fence"]
        elif written[:3] in ("!!!", "???", "===", ":::") and self._enter(written, depth, offset):
            return
        self._labelled = False
        self.shown.append(" " * (depth - offset) + written if offset else line)

    def _close(self, depth: int) -> None:
        while self._open and depth < self._open[-1]:
            if self._fence:
                # The listing ends with its block.
                self.shown.append(" " * (self._open[-1] - _INDENT * len(self._open)) + self._fence)
                self._fence = ""
            self._open.pop()
            self._hidden = False

    def _enter(self, written: str, depth: int, offset: int) -> bool:
        label = self._label(written)
        if label is None:
            return False
        self._open.append(depth + _INDENT)
        if label:
            if self.shown and self.shown[-1]:
                self.shown.append("")
            self.shown.append(" " * (depth - offset) + label)
            self._labelled = not self._hidden
        return True

    def _label(self, written: str) -> str | None:
        if remark := _REMARK.match(written):
            title = remark["title"]
            return "" if title == "" else remark_label(remark["kind"], (title or "")[:MAX_LABEL])
        if tab := _TAB.match(written):
            return label_line(tab["label"][:MAX_LABEL])
        if module := _MODULE.match(written):
            # What is indented below it are options.
            self._hidden = True
            return f"`{module['name']}`"
        return None
