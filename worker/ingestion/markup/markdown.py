"""Cuts a page's Markdown or MDX into sections: headings with their anchors, and the blocks that stand under them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from shared.models import ChunkKind, Heading
from worker.ingestion.markup.dialect import Dialect
from worker.ingestion.markup.indented import dedent_blocks
from worker.ingestion.markup.inline import plain_text
from worker.ingestion.markup.listing import show_listing
from worker.ingestion.markup.modules import unwrap_mdx
from worker.ingestion.markup.prose import Prose, has_icons, tidy, without_icons
from worker.ingestion.markup.scan import Span, spans
from worker.ingestion.markup.slug import Title, heading_ids, split_explicit_id


class Block(NamedTuple):
    """A stretch of a section as a reader sees it, in Markdown, from its first line's line break on."""

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
    #: Headings in quotes and list items of its text: they have anchors, and open no section.
    nested: tuple[Heading, ...] = ()

    @property
    def text(self) -> str:
        return "".join(block.text for block in self.blocks)


def parse_markdown(text: str, *, dialect: Dialect = "docusaurus", mdx: bool = False) -> tuple[Section, ...]:
    """All sections of a page in reading order; those without text too, a first one without heading only if it has text.

    `text` has "\\n" line ends and no front matter. Left out is what a reader does not see: comments, imports and
    exports, scripts and styles, tags, and components that have no text. In MDX, headings may be indented as far as one
    likes, and expressions are left out too.
    """
    source = f"\n{text}"
    if dialect == "mkdocs":
        source = dedent_blocks(source)
    elif dialect == "docusaurus":
        source = unwrap_mdx(source)
    prose = Prose(source, dialect, mdx=mdx)
    page = _Page(source, dialect, prose, any_margin=mdx or dialect == "docusaurus")
    position = 0
    for span in spans(source, dialect, prose, mdx=mdx):
        page.add_prose(position, span.start)
        page.add(span)
        position = span.end
    page.add_prose(position, len(source))
    return tuple(_sections(page.finish(), dialect))


#: Elements that are indented less do not turn their text into a listing, whatever the kind of Markdown.
_LISTING_INDENTATION: Final = 4
_LEADING_BLANK: Final = re.compile(r"(?:\n[ \t]*+(?=\n))++")
_FIRST_INDENTATION: Final = re.compile(r"\n([ \t]*+)[^\s]")


@dataclass(slots=True)
class _Draft:
    """A section while its page is being read."""

    heading: Span | None
    blocks: list[Block] = field(default_factory=list)
    nested: list[Span] = field(default_factory=list)


class _Page:
    """Collects the blocks of a page under its headings, as they come."""

    def __init__(self, source: str, dialect: Dialect, prose: Prose, *, any_margin: bool) -> None:
        self._source = source
        self._dialect = dialect
        self._prose = prose
        self._any_margin = any_margin
        self._icons = dialect == "mkdocs" and has_icons(source)
        self._drafts = [_Draft(None)]
        #: Prose since the last block of another kind, and whether some of it was left out or put in.
        self._parts: list[str] = []
        self._changed = False
        #: Elements that are open around the text, where the outermost begins, and how far its content is indented.
        self._depth = 0
        self._base = 0
        self._margin: int | None = None

    def add_prose(self, start: int, end: int) -> None:
        if start == end:
            return
        text = self._source[start:end]
        depth = self._depth
        if not self._prose.is_plain(start, end):
            shown = self._prose.flatten(start, end)
            self._changed = self._changed or shown.text != text
            text = shown.text
            self._nest(shown.depth)
        if self._icons:
            text = without_icons(text)
        if depth:
            text = self._dedented(text)
        if self._parts and self._parts[-1].endswith("**\n"):
            # A label belongs to what follows it.
            self._parts[-1] = self._parts[-1][:-1]
            blank = _LEADING_BLANK.match(text)
            text = text[blank.end() :] if blank else text
            text = text if text.startswith("\n") else "\n" + text
            text = "" if text.isspace() else text
        if text:
            self._parts.append(text)

    def add(self, span: Span) -> None:
        if span.kind == "shown":
            self._changed = True
            if span.text:
                self._parts.append(self._placed(span))
            if span.depth or span.indentation >= 0:
                self._enter(span)
            return
        if span.kind == "nested heading":
            # It takes an id on the site; a quote or list item is no section.
            self._drafts[-1].nested.append(span)
            self.add_prose(span.start, span.end)
            return
        self._flush()
        if span.kind == "heading":
            self._drafts.append(_Draft(span))
            self._margin = None
        else:
            self._append(self._block(span))

    def finish(self) -> list[_Draft]:
        self._flush()
        return self._drafts if self._drafts[0].blocks else self._drafts[1:]

    def _append(self, block: Block) -> None:
        blocks = self._drafts[-1].blocks
        if block.kind == "table" and blocks and blocks[-1].kind == "table":
            # Without a blank line between them they would be one table.
            blocks.append(Block("prose", "\n"))
        blocks.append(block)

    def _block(self, span: Span) -> Block:
        if span.kind == "table":
            text = span.text or self._show_table(span)
            return Block("table", self._dedented(text) if self._depth else text)
        listing = show_listing(span.text or self._source[span.start : span.end], self._dialect)
        return Block("code", self._dedented(listing) if self._depth else listing)

    def _show_table(self, span: Span) -> str:
        """Row by row: whatever a cell shows, it stays on its line."""
        table = self._source[span.start : span.end]
        if "<" not in table and "{" not in table:
            return table
        rows: list[str] = []
        position = span.start + 1
        for row in table[1:].split("\n"):
            shown = self._prose.flatten(position, position + len(row)).text
            rows.append(re.sub(r"[ \t]*\n\s*", " ", shown))
            position += len(row) + 1
        return "\n" + "\n".join(rows)

    def _placed(self, span: Span) -> str:
        """What an element on a line of its own shows, no deeper than the outermost one that it stands in."""
        if span.indentation < 0:
            return span.text
        lead = " " * (min(span.indentation, self._base) if self._depth else span.indentation)
        written = span.text.lstrip("\n")
        return f"{span.text[: len(span.text) - len(written)]}{lead}{written}"

    def _enter(self, span: Span) -> None:
        """Go into or out of elements; the first line after a tag says how far their content is indented."""
        if self._depth == 0 and span.depth > 0:
            self._base = max(span.indentation, 0)
        self._nest(span.depth)
        if span.indentation >= 0:
            self._margin = None

    def _nest(self, depth: int) -> None:
        self._depth = max(0, self._depth + depth)

    def _dedented(self, text: str) -> str:
        """`text` without the indentation that it has for standing in elements."""
        if self._margin is None:
            first = _FIRST_INDENTATION.search(text)
            if first is None:
                return text
            self._margin = max(0, len(first[1].expandtabs(4)) - self._base)
            if self._margin >= _LISTING_INDENTATION and not self._any_margin:
                self._margin = 0
        return re.sub(rf"\n[ \t]{{1,{self._margin}}}", "\n", text) if self._margin else text

    def _flush(self) -> None:
        """Makes one block of the prose so far."""
        prose = "".join(self._parts)
        self._parts = []
        if prose and not prose.isspace():
            self._drafts[-1].blocks.append(Block("prose", tidy(prose) if self._changed else prose))
        self._changed = False


def _sections(drafts: Sequence[_Draft], dialect: Dialect) -> Iterator[Section]:
    """The sections with their trails, and with the ids that all headings of the page together have."""
    headings: list[Span] = []
    for draft in drafts:
        if draft.heading:
            headings.append(draft.heading)
        headings += draft.nested
    made = iter(_headings(headings, dialect))
    path: list[Heading] = []
    for draft in drafts:
        heading = next(made) if draft.heading else None
        if heading:
            while path and path[-1].level >= heading.level:
                path.pop()
            path.append(heading)
        trail = tuple([heading.text for heading in path])
        yield Section(
            heading, trail, tuple(draft.blocks), tuple([next(made) for _ in draft.nested]) if draft.nested else ()
        )


def _headings(headings: Sequence[Span], dialect: Dialect) -> list[Heading]:
    titles: list[Title] = []
    for span in headings:
        markdown, explicit = split_explicit_id(span.text)
        titles.append(Title(plain_text(markdown).strip(), explicit))
    # The themes of Docusaurus put no id on an H1.
    first = 2 if dialect == "docusaurus" else 1
    return [
        Heading(span.level, title.text, id_ if span.level >= first else None)
        for span, title, id_ in zip(headings, titles, heading_ids(titles, dialect), strict=True)
    ]
