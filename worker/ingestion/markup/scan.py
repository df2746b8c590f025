"""Finds what is not plain text in a page: headings, listings, tables, and what sites put around text.

One pass with one compiled pattern that stops only at lines that can start something; full parsers take ten to twenty
times as long, and what is needed is block structure alone. No pattern backtracks over more than a line, so that time
grows with the size of the page whatever is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from worker.ingestion.markup import remarks
from worker.ingestion.markup.dialect import Dialect
from worker.ingestion.markup.html_blocks import continued, markdown_table, preformatted
from worker.ingestion.markup.modules import Modules
from worker.ingestion.markup.prose import Prose, Shown

#: A longer line with # in front is text: as a heading it would be repeated in each of its chunks.
MAX_HEADING: Final = 300
#: Lines of one heading that is underlined with === or ---.
MAX_SETEXT_LINES: Final = 3

SpanKind = Literal["heading", "nested heading", "code", "table", "shown"]


class Span(NamedTuple):
    """A stretch of the page that is not plain text. It starts at the line break before it."""

    kind: SpanKind
    start: int
    end: int
    #: Of a heading.
    level: int = 0
    #: A heading's Markdown; of anything else, what is shown instead of the source, which listings and tables have only
    #: if it differs.
    text: str = ""
    #: By how many elements the nesting grows.
    depth: int = 0
    #: Columns in front of an element that stands alone on its line; -1 if there is none.
    indentation: int = -1


def _start_pattern(after_hashes: str) -> re.Pattern[str]:
    """A line break, indentation with marks of quotes and list items, and what starts a block that is no paragraph."""
    return re.compile(
        rf"""\n(?=[\ \t>\-*+0-9`~\#=|:<{{\[/ie])  # most lines are text, and go no further than this
        (?P<lead>[ \t>]*+(?:(?:[-*+]|\d{{1,9}}[.)])[ \t]++)*+)
        (?:(?P<fence>`{{3,}}+|~{{3,}}+)
          |(?P<hashes>\#{{1,6}}+){after_hashes}
          |(?P<underline>(?:=++|-++)[ \t]*+(?=\n|\Z))
          |(?P<columns>\|?+[ \t]*+:?+-++:?+[ \t]*+(?:\|[ \t]*+:?+-++:?+[ \t]*+)*+\|?+[ \t]*+(?=\n|\Z))
          |(?P<comment><!--|\{{/\*)
          |<(?P<raw>script|style|pre)(?=[\s>])
          |(?P<tag></?[A-Za-z>])
          |(?P<expression>\{{)
          |(?P<directive>:{{3,}}+|/{{3,}}+|\[!)
          |(?P<module>(?:import|export)[ ])
        )""",
        re.VERBOSE,
    )


_START: Final = _start_pattern(r"(?=[ \t\n]|\Z)")
#: Python's Markdown wants no blank behind the marks of a heading.
_MKDOCS_START: Final = _start_pattern(r"(?=[^#\n]|\n|\Z)")
_BLANK_REST: Final = re.compile(r"[ \t]*+(?:\n|\Z)")
_SPACE: Final = re.compile(r"\s*+")
_FENCE_END: Final = re.compile(r"\n(?P<lead>[ \t]*+)(?P<fence>`{3,}+|~{3,}+)[ \t]*+(?=\n|\Z)")
#: The same in a quote, which also ends where a line has no `>`.
_QUOTED_FENCE_END: Final = re.compile(r"\n(?:(?P<lead>[ \t>]*+)(?P<fence>`{3,}+|~{3,}+)[ \t]*+(?=\n|\Z)|(?![ \t]*+>))")
_CLOSING_HASHES: Final = re.compile(r"(?:^|[ \t])#+[ \t]*\Z")
#: Lines that an underline below does not turn into a heading: list items, quotes, tables, tags, admonition marks.
_NOT_A_PARAGRAPH: Final = re.compile(r"[ \t]*+(?:\Z|[>|<#]|:::|///|(?:[-*+]|\d{1,9}[.)])[ \t]|={3,}[ \t]*\Z| {4}|\t)")
_TABLE_ROWS: Final = re.compile(r"(?:\n(?=[^\n|]*+\|)[^\n]++)*+")
_CLOSERS: Final = {"<!--": "-->", "{/*": "*/}", "script": "</script>", "style": "</style>", "pre": "</pre>"}


def spans(source: str, dialect: Dialect, prose: Prose, *, mdx: bool) -> Iterator[Span]:
    """Everything that is not plain text, in order and without overlaps. `source` starts with a line break."""
    position = 0
    start_of = _MKDOCS_START if dialect == "mkdocs" else _START
    scan = _Scan(source, dialect, prose, mdx=mdx)
    while start := start_of.search(source, position):
        span = scan.read(start, position)
        if span is None:
            position = start.end()
        else:
            yield span
            position = span.end


class _Scan:
    """Reads the block that starts at a match; None means that it is plain text after all."""

    def __init__(self, source: str, dialect: Dialect, prose: Prose, *, mdx: bool) -> None:
        self._source = source
        self._dialect = dialect
        self._prose = prose
        self._mdx = mdx
        self._modules = Modules(source)
        #: Where the block before ends: nothing in front of it belongs to this one.
        self._floor = 0
        #: Containers that are open.
        self._open = 0
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
            "tag": self._tag,
            "expression": self._expression,
            "directive": self._directive,
        }

    def read(self, start: re.Match[str], floor: int) -> Span | None:
        self._floor = floor
        return self._readers[start.lastgroup or ""](start)

    # ---- listings, headings, tables

    def _fence(self, start: re.Match[str]) -> Span | None:
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
                return Span("code", start.start(), end.end())
        return self._unclosed(start, max(opened, len(self._source.rstrip("\n"))))

    def _unclosed(self, start: re.Match[str], end: int) -> Span:
        """The listing goes on to the end of the quote or page, and is closed there."""
        closing = f"\n{continued(start['lead'])}{start['fence']}"
        return Span("code", start.start(), end, text=self._source[start.start() : end] + closing)

    def _atx_heading(self, start: re.Match[str]) -> Span | None:
        lead = start["lead"]
        if not self._mdx and len(lead.expandtabs(4)) > 3 and lead.isspace():
            return None
        end = self._line_end(start.end())
        if end - start.end() > MAX_HEADING:
            return None
        text = self._source[start.end() : end].strip()
        if text.endswith("#"):
            text = _CLOSING_HASHES.sub("", text)
        if not text:
            return None
        kind: SpanKind = "nested heading" if lead.strip() else "heading"
        return Span(kind, start.start(), end, len(start["hashes"]), text)

    def _setext_heading(self, start: re.Match[str]) -> Span | None:
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
        return Span("heading", first, start.end(), level, text) if text else None

    def _table(self, start: re.Match[str]) -> Span | None:
        """The line above holds the columns' names, the lines below are rows as long as they have a `|`."""
        header = self._source.rfind("\n", self._floor, start.start())
        if header < 0 or "|" not in start["columns"] or "|" not in self._source[header : start.start()]:
            return None
        rows = _TABLE_ROWS.match(self._source, start.end())
        return Span("table", header, rows.end() if rows else start.end())

    def _module(self, start: re.Match[str]) -> Span | None:
        """An import or export of MDX; prose that begins with the word stays."""
        after_text = start.start() > self._floor and self._source[start.start() - 1] != "\n"
        if start["lead"] or after_text:
            return None
        end = self._modules.end(start.start("module"))
        return Span("shown", start.start(), end) if end else None

    # ---- elements, expressions, comments

    def _tag(self, start: re.Match[str]) -> Span | None:
        at = start.start("tag")
        if start["lead"].strip():
            # Of a quote or list item: read with the text around it.
            return None
        shown = self._heading_element(at, start.start()) or self._prose.at(at, len(self._source))
        if isinstance(shown, Shown) and self._source.startswith("<table", at):
            table = markdown_table(self._source, shown.end, lambda first, last: self._prose.flatten(first, last).text)
            if table:
                return Span("table", start.start(), table[1], text="\n" + table[0])
        return self._in_place(start, shown) if isinstance(shown, Shown) else shown

    def _heading_element(self, at: int, start: int) -> Span | None:
        """A heading that is written in HTML, if it has an id to link to."""
        if not self._source.startswith("<h", at):
            return None
        found = self._prose.heading(at)
        if found is None or not _BLANK_REST.match(self._source, found[1].end):
            return None
        level, shown = found
        return Span("heading", start, shown.end, level, shown.text)

    def _expression(self, start: re.Match[str]) -> Span | None:
        """An expression that begins a line and may go over blank ones; others are read with the text around them."""
        if not self._mdx or start["lead"].strip():
            return None
        shown = self._prose.expression(start.start("expression"), len(self._source))
        return self._in_place(start, shown) if shown else None

    def _in_place(self, start: re.Match[str], shown: Shown) -> Span:
        """What is shown of an element: instead of its whole line, if it stands alone there."""
        lead = start["lead"]
        rest = _BLANK_REST.match(self._source, shown.end)
        if shown.text.endswith("- ") and (content := _SPACE.match(self._source, shown.end)):
            # A list item's text goes on the line of its mark.
            return Span("shown", start.start(), content.end(), text=shown.text, depth=shown.depth)
        if rest is None:
            # What stands apart from this line does not need its indentation.
            first = start.start() if shown.text.startswith("\n") else start.start() + 1 + len(lead)
            return Span("shown", first, shown.end, text=shown.text, depth=shown.depth)
        text = shown.text.strip()
        if text:
            before = "\n\n" if shown.text.startswith("\n\n") else "\n"
            text = f"{before}{text}\n" if shown.text.endswith("**\n") else before + text
        end = max(shown.end, rest.end() - 1)
        return Span("shown", start.start(), end, text=text, depth=shown.depth, indentation=len(lead.expandtabs(4)))

    def _enclosed(self, start: re.Match[str]) -> Span | None:
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
            return Span(
                "code", start.start(), end, text=preformatted(self._source, start.start(), found, start["lead"])
            )
        rest = _BLANK_REST.match(self._source, end)
        if rest and not start["lead"].strip():
            return Span("shown", start.start(), max(end, rest.end() - 1))
        return Span("shown", start.start() + 1 + len(start["lead"]), end)

    # ---- remarks and tabs

    def _directive(self, start: re.Match[str]) -> Span | None:
        mark, at = start["directive"], start.start("directive")
        if mark == "[!":
            found = remarks.alert(self._source, at) if ">" in start["lead"] else None
            return self._label(start, *found) if found else None
        if (mark[0] == "/") != (self._dialect == "mkdocs"):
            return None
        if self._source.startswith("\n", start.end()):
            label, end = None, start.end()
        else:
            label, end = (remarks.slashes if mark[0] == "/" else remarks.colons)(self._source, at)
        if end == at:
            return None
        if label is None:
            if not self._open:
                return None
            self._open -= 1
            return Span("shown", start.start(), end)
        self._open += 1
        return self._label(start, label, end)

    def _label(self, start: re.Match[str], label: str, end: int) -> Span:
        lead = start["lead"]
        before = "\n" if lead.strip() else "\n\n"
        return Span("shown", start.start(), end, text=f"{before}{lead}{label}\n" if label else "")

    def _line_end(self, position: int) -> int:
        end = self._source.find("\n", position)
        return len(self._source) if end < 0 else end
