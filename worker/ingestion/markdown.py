"""Cuts a page's Markdown or MDX into sections: headings with their anchors, and the blocks that stand under them.

One pass with one compiled pattern that stops only at lines that can start something; full parsers take ten to twenty
times as long, and what is needed is block structure alone. No pattern backtracks over more than a line, so that time
grows with the size of the page whatever is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal, NamedTuple

from shared.models import ChunkKind, Heading
from worker.ingestion.inline import plain_text
from worker.ingestion.slug import Slugger, split_explicit_id

#: A longer line with # in front is text: as a heading it would be repeated in each of its chunks.
MAX_HEADING: Final = 300
#: Lines of one heading that is underlined with === or ---.
MAX_SETEXT_LINES: Final = 3
#: Paragraphs that an `export` may take to close its brackets.
MAX_EXPORT_PARAGRAPHS: Final = 50


class Block(NamedTuple):
    """A stretch of a section as it stands in the page, from its first line's line break on."""

    kind: ChunkKind
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it, up to the next heading of any level."""

    #: None for what stands before the page's first heading.
    heading: Heading | None
    #: Headings from the page's top down to this one, itself included.
    trail: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def text(self) -> str:
        return "".join(block.text for block in self.blocks)


def parse_markdown(text: str, *, mdx: bool = False) -> tuple[Section, ...]:
    """All sections of a page in reading order; those without text too, a first one without heading only if it has text.

    `text` has "\\n" line ends and no front matter. Left out: comments, imports and exports, scripts and styles, and
    components that stand alone and have no text. In MDX, headings may be indented as far as one likes.
    """
    source = f"\n{text}"
    has_comments = "<!--" in text or "{/*" in text

    def add_prose(start: int, end: int) -> None:
        prose = source[start:end]
        if prose and not prose.isspace():
            blocks.append(Block("prose", _without_comments(prose) if has_comments else prose))

    sections: list[Section] = []
    path: list[Heading] = []
    blocks: list[Block] = []
    slugger = Slugger()
    position = 0
    for span in _spans(source, indentation=None if mdx else 3):
        add_prose(position, span.start)
        position = span.end
        if span.kind == "heading":
            _append_section(sections, path, blocks)
            _enter(path, span, slugger)
            blocks = []
        elif span.kind == "nested heading":
            # It takes an id on the site, so that later ones are numbered right; a quote or list item is no section.
            _heading(span, slugger)
            add_prose(span.start, span.end)
        elif span.kind == "raw":
            blocks.append(Block("prose", source[span.start : span.end]))
        elif span.kind != "dropped":
            blocks.append(Block(span.kind, source[span.start : span.end] + span.text))
    add_prose(position, len(source))
    _append_section(sections, path, blocks)
    return tuple(sections)


def _append_section(sections: list[Section], path: list[Heading], blocks: list[Block]) -> None:
    if path or blocks:
        trail = tuple([heading.text for heading in path])
        sections.append(Section(path[-1] if path else None, trail, tuple(blocks)))


def _enter(path: list[Heading], span: _Span, slugger: Slugger) -> None:
    """Leave the headings that end where this one starts, and go under it."""
    while path and path[-1].level >= span.level:
        path.pop()
    path.append(_heading(span, slugger))


def _heading(span: _Span, slugger: Slugger) -> Heading:
    markdown, explicit = split_explicit_id(span.text)
    text = plain_text(markdown).strip()
    anchor = explicit or slugger.slug(text)
    # The themes of Docusaurus put no id on an H1.
    return Heading(span.level, text, anchor if span.level > 1 else None)


_SpanKind = Literal["heading", "nested heading", "code", "table", "raw", "dropped"]


class _Span(NamedTuple):
    """A stretch of the page that is not plain text. It starts at the line break before it."""

    kind: _SpanKind
    start: int
    end: int
    #: Of a heading.
    level: int = 0
    #: A heading's Markdown; for code, the closing fence that the page left out.
    text: str = ""


#: A line break, indentation with marks of quotes and list items, and what can start a block other than a paragraph.
_START: Final = re.compile(
    r"""\n(?P<lead>[ \t>]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)*+)
    (?:(?P<fence>`{3,}+|~{3,}+)
      |(?P<hashes>\#{1,6}+)(?=[ \t\n]|\Z)
      |(?P<underline>(?:=++|-++)[ \t]*+(?=\n|\Z))
      |(?P<columns>\|?+[ \t]*+:?+-++:?+[ \t]*+(?:\|[ \t]*+:?+-++:?+[ \t]*+)*+\|?+[ \t]*+(?=\n|\Z))
      |(?P<comment><!--|\{/\*)
      |(?P<module>(?:import|export)[ ])
      |<(?P<raw>script|style|pre)(?=[\s>])
      |(?P<component><[A-Z])
    )""",
    re.VERBOSE,
)
_BLANK_LINE: Final = re.compile(r"\n[ \t]*+(?=\n)")
_BLANK_REST: Final = re.compile(r"[ \t]*+(?:\n|\Z)")
_FENCE_END: Final = re.compile(r"\n(?P<lead>[ \t]*+)(?P<fence>`{3,}+|~{3,}+)[ \t]*+(?=\n|\Z)")
#: The same in a quote, which also ends where a line has no `>`.
_QUOTED_FENCE_END: Final = re.compile(r"\n(?:(?P<lead>[ \t>]*+)(?P<fence>`{3,}+|~{3,}+)[ \t]*+(?=\n|\Z)|(?![ \t]*+>))")
_CLOSING_HASHES: Final = re.compile(r"(?:^|[ \t])#+[ \t]*\Z")
#: Lines that an underline below does not turn into a heading: list items, quotes, tables, tags, admonition marks.
_NOT_A_PARAGRAPH: Final = re.compile(r"[ \t]*+(?:\Z|[>|<#]|:::|(?:[-*+]|\d{1,9}[.)])[ \t]|={3,}[ \t]*\Z| {4}|\t)")
_TABLE_ROWS: Final = re.compile(r"(?:\n(?=[^\n|]*+\|)[^\n]++)*+")
_IMPORT: Final = re.compile(
    r"import[ ][\w$*{},\s]{0,2000}+(?:(?<=import )|(?<=from )|(?<=[\s}]from))(?P<quote>['\"])[^'\"\n]++(?P=quote)"
    r"[ \t]*+;?[ \t]*+(?=\n|\Z)"
)
_EXPORT: Final = re.compile(r"export (?:const|let|var|function|class|default|async|type|interface)\b|export [{*]")
_COMPONENT: Final = re.compile(r"<[A-Z][\w.]*+(?:\s[^<>]*)?/>[ \t]*+(?=\n|\Z)")
_CLOSERS: Final = {"<!--": "-->", "{/*": "*/}", "script": "</script>", "style": "</style>", "pre": "</pre>"}
#: A comment does not contain another one's start, which is also what keeps the search linear.
_INLINE_COMMENTS: Final = re.compile(r"(?P<code>`[^`\n]*+`)|<!--(?:[^<]|<(?!!--))*?-->|\{/\*(?:[^{]|\{(?!/\*))*?\*/\}")


def _without_comments(prose: str) -> str:
    return _INLINE_COMMENTS.sub(lambda found: found["code"] or "", prose)


def _spans(source: str, indentation: int | None) -> Iterator[_Span]:
    """Everything that is not plain text, in order and without overlaps."""
    position = 0
    scan = _Scan(source, indentation)
    while start := _START.search(source, position):
        span = scan.read(start, position)
        if span is None:
            position = start.end()
        else:
            yield span
            position = span.end


class _Scan:
    """Reads the block that starts at a match of `_START`; None means that it is plain text after all."""

    def __init__(self, source: str, indentation: int | None) -> None:
        self._source = source
        self._indentation = indentation
        #: Where the block before ends: nothing in front of it belongs to this one.
        self._floor = 0
        #: Closing marks that do not come any more: looking for them once is enough.
        self._missing: set[str] = set()
        self._readers = {
            "fence": self._fence,
            "hashes": self._atx_heading,
            "underline": self._setext_heading,
            "columns": self._table,
            "comment": self._enclosed,
            "module": self._module,
            "raw": self._enclosed,
            "component": self._component,
        }

    def read(self, start: re.Match[str], floor: int) -> _Span | None:
        self._floor = floor
        return self._readers[start.lastgroup or ""](start)

    def _fence(self, start: re.Match[str]) -> _Span | None:
        fence, lead = start["fence"], start["lead"]
        opened = self._line_end(start.end())
        if fence[0] == "`" and "`" in self._source[start.end() : opened]:
            return None
        ends = _QUOTED_FENCE_END if ">" in lead else _FENCE_END
        # A fence within the listing stands deeper than the one that opened it.
        deepest = len(lead.expandtabs(4)) + 3
        for end in ends.finditer(self._source, opened):
            if end["fence"] is None:
                return self._unclosed(start, end.start())
            if end["fence"].startswith(fence) and len(end["lead"].expandtabs(4)) <= deepest:
                return _Span("code", start.start(), end.end())
        return self._unclosed(start, max(opened, len(self._source.rstrip("\n"))))

    def _unclosed(self, start: re.Match[str], end: int) -> _Span:
        """The listing goes on to the end of the quote or page, and is closed there."""
        lead = re.sub(r"[^>\s]", " ", start["lead"])
        return _Span("code", start.start(), end, text=f"\n{lead}{start['fence']}")

    def _atx_heading(self, start: re.Match[str]) -> _Span | None:
        lead = start["lead"]
        if self._indentation is not None and len(lead.expandtabs(4)) > self._indentation and lead.isspace():
            return None
        end = self._line_end(start.end())
        if end - start.end() > MAX_HEADING:
            return None
        text = self._source[start.end() : end].strip()
        if text.endswith("#"):
            text = _CLOSING_HASHES.sub("", text)
        if not text:
            return None
        kind: _SpanKind = "nested heading" if lead.strip() else "heading"
        return _Span(kind, start.start(), end, len(start["hashes"]), text)

    def _setext_heading(self, start: re.Match[str]) -> _Span | None:
        if start["lead"].strip() or len(start["lead"].expandtabs(4)) > 3:
            return None
        first = start.start()
        for _ in range(MAX_SETEXT_LINES):
            above = self._source.rfind("\n", self._floor, first)
            line = self._source[above + 1 : first] if above >= 0 else ""
            if not line.strip():
                break
            if start.start() - above > MAX_HEADING or _NOT_A_PARAGRAPH.match(line):
                return None
            first = above
        else:
            return None
        text = " ".join(self._source[first : start.start()].split())
        level = 1 if start["underline"][0] == "=" else 2
        return _Span("heading", first, start.end(), level, text) if text else None

    def _table(self, start: re.Match[str]) -> _Span | None:
        """The line above holds the columns' names, the lines below are rows as long as they have a `|`."""
        header = self._source.rfind("\n", self._floor, start.start())
        if header < 0 or "|" not in start["columns"] or "|" not in self._source[header : start.start()]:
            return None
        rows = _TABLE_ROWS.match(self._source, start.end())
        return _Span("table", header, rows.end() if rows else start.end())

    def _module(self, start: re.Match[str]) -> _Span | None:
        """An import or export of MDX; prose that begins with the word stays."""
        after_text = start.start() > self._floor and self._source[start.start() - 1] != "\n"
        if start["lead"] or after_text:
            return None
        at = start.start("module")
        if imported := _IMPORT.match(self._source, at):
            return _Span("dropped", start.start(), imported.end())
        if _EXPORT.match(self._source, at):
            return _Span("dropped", start.start(), self._end_of_export(at))
        return None

    def _end_of_export(self, at: int) -> int:
        """The first blank line with all brackets closed; if that does not come soon, the first blank line."""
        first_blank = _BLANK_LINE.search(self._source, at)
        if first_blank is None:
            return len(self._source)
        if "export" in self._missing:
            return first_blank.start()
        depth, position = 0, at
        for blank in islice(_BLANK_LINE.finditer(self._source, at), MAX_EXPORT_PARAGRAPHS):
            paragraph = self._source[position : blank.start()]
            depth += sum(map(paragraph.count, "([{")) - sum(map(paragraph.count, ")]}"))
            if depth <= 0:
                return blank.start()
            position = blank.start()
        self._missing.add("export")
        return first_blank.start()

    def _component(self, start: re.Match[str]) -> _Span | None:
        component = None if start["lead"].strip() else _COMPONENT.match(self._source, start.start("component"))
        return _Span("dropped", start.start(), component.end()) if component else None

    def _enclosed(self, start: re.Match[str]) -> _Span | None:
        """A comment, or an element in which Markdown means nothing, up to its closing mark."""
        opener = start["comment"] or start["raw"]
        closer = _CLOSERS[opener]
        if closer in self._missing:
            return None
        found = self._source.find(closer, start.end())
        if found < 0:
            self._missing.add(closer)
            return None
        end = found + len(closer)
        if opener == "pre":
            return _Span("raw", start.start(), end)
        rest = _BLANK_REST.match(self._source, end)
        if rest and not start["lead"].strip():
            return _Span("dropped", start.start(), max(end, rest.end() - 1))
        return _Span("dropped", start.start() + 1 + len(start["lead"]), end)

    def _line_end(self, position: int) -> int:
        end = self._source.find("\n", position)
        return len(self._source) if end < 0 else end
