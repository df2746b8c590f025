"""What every format is read into: a title and sections, made of headings and blocks in reading order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from shared.models import ChunkKind, Heading
from worker.ingestion.markup.markdown import Block, Section

_HEADING_OR_QUOTE: Final = re.compile(r"^([ \t]*)(#{1,6}(?=\s|$)|>|`{3,}|~{3,})", re.MULTILINE)
_TICKS: Final = re.compile(r"`{3,}")
_BLANKS: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Document:
    """A page as its format tells it."""

    #: None if the document names none; it is then called after its file.
    title: str | None
    sections: tuple[Section, ...]
    #: Its author does not want it to be found.
    hidden: bool = False
    #: What could not be read of it, in words for its author.
    faults: tuple[str, ...] = ()


class SectionWriter:
    """Builds sections from headings and blocks that come in reading order."""

    def __init__(self) -> None:
        self._sections: list[Section] = []
        self._path: list[Heading] = []
        self._blocks: list[Block] = []
        self._prose: list[str] = []

    def heading(self, level: int, text: str, anchor: str | None) -> None:
        """Begin a section. A heading without text begins none."""
        text = squeeze(text)
        if not text:
            return
        self._end_section()
        while self._path and self._path[-1].level >= level:
            self._path.pop()
        self._path.append(Heading(level, text, anchor))

    def prose(self, text: str, *, close: bool = False) -> None:
        """Add a paragraph of Markdown; with `close`, without a blank line before it, as items of a list stand."""
        if text.strip():
            self._prose.append(("\n" if close and self._prose else "\n\n") + text)

    def code(self, text: str, language: str = "", indentation: str = "") -> None:
        """Add a listing. `indentation` stands in front of each of its lines."""
        longest = max((len(run) for run in _TICKS.findall(text)), default=2)
        fence = "`" * (longest + 1)
        lines = (f"{fence}{language}", *text.strip("\n").expandtabs(4).split("\n"), fence)
        self._add("code", "".join(f"\n{indentation}{line}".rstrip(" ") for line in lines))

    def table(self, header: list[str], rows: list[list[str]]) -> None:
        """Add a table of cells without line breaks; short rows are filled up."""
        width = max(map(len, [header, *rows]))
        lines = [_row(header, width), "| " + " | ".join(["---"] * width) + " |", *(_row(row, width) for row in rows)]
        self._add("table", "".join(f"\n{line}" for line in lines))

    def sections(self) -> tuple[Section, ...]:
        """All of them; call it once, at the end."""
        self._end_section()
        return tuple(self._sections)

    def _add(self, kind: ChunkKind, text: str) -> None:
        self._end_prose()
        self._blocks.append(Block(kind, text))

    def _end_prose(self) -> None:
        if self._prose:
            self._blocks.append(Block("prose", "".join(self._prose) + "\n"))
            self._prose = []

    def _end_section(self) -> None:
        self._end_prose()
        if self._path or self._blocks:
            trail = tuple(heading.text for heading in self._path)
            self._sections.append(Section(self._path[-1] if self._path else None, trail, tuple(self._blocks)))
        self._blocks = []


def _row(cells: list[str], width: int) -> str:
    filled = [*cells, *([""] * (width - len(cells)))]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in filled) + " |"


def squeeze(text: str) -> str:
    """`text` on one line, with single blanks."""
    return _BLANKS.sub(" ", text).strip()


def as_prose(text: str) -> str:
    """Text of another format as Markdown: what would start a heading, a quote or a listing is escaped."""
    return _HEADING_OR_QUOTE.sub(r"\1\\\2", text)
