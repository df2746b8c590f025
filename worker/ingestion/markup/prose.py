"""Text between listings and tables as a reader sees it: tags, expressions and comments gone, what they show kept."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from worker.ingestion.markup.dialect import Dialect
from worker.ingestion.markup.elements import APART, HEADINGS, HTML, MAX_LABEL, PAIRS, VOID, opening
from worker.ingestion.markup.tags import Tag, TagReader, literal

#: Characters that a link, an inline piece of code or a summary may have between its tags.
MAX_INNER: Final = 4_000
#: How deep such elements may stand in each other: a link in a summary.
MAX_NESTED: Final = 3

_OPENERS: Final = re.compile(r"[<{]")
_MARKS: Final = re.compile(r"`++|<|\{|\\[<{`\\]")
_BLANK_LINE: Final = re.compile(r"\n[ \t>]*+(?=\n)")
_BLANK_LINES: Final = re.compile(r"\n(?:[ \t]*+\n){2,}")
#: In front of a brace that belongs to a formula, and in one that does.
_FORMULA: Final = re.compile(r"(?:[_^}$]|\\[A-Za-z]+)\Z")
_COMMAND: Final = re.compile(r"\\[A-Za-z]")
#: MkDocs's classes and ids behind a link, image or other inline mark.
_ATTRIBUTE_LIST: Final = re.compile(
    r"\{:?[ \t]*+(?:[.#][\w-]++|[\w:-]++=(?:\"[^\"\n]*+\"|'[^'\n]*+'|[^\s{}\"']++))[^{}\n]*+\}"
)
_ICON: Final = re.compile(r"(?P<code>`[^`\n]++`)|:(?:material|octicons|fontawesome|simple)-[\w-]++:")
_ANY_ICON: Final = re.compile(r":(?:material|octicons|fontawesome|simple)-")


class Shown(NamedTuple):
    """What stands in the page's place from where it was asked for to `end`."""

    text: str
    end: int
    #: By how many elements the nesting grows.
    depth: int = 0


class Prose:
    """Flattens the prose of one page."""

    def __init__(self, source: str, dialect: Dialect, *, mdx: bool) -> None:
        self._source = source
        self._dialect = dialect
        self._mdx = mdx
        self._tags = TagReader(source)
        self._closed: frozenset[str] | None = None
        #: From where on there is nothing to flatten, and where there is.
        self._since = self._opener = 0
        #: From where on each mark was looked for, and where the next one stands.
        self._found: dict[str, tuple[int, int]] = {}
        self._blank = (0, -1)
        self._nested = 0
        self._is_template: bool | None = None

    def flatten(self, start: int, end: int) -> Shown:
        """The source between two places, neither of which is within a listing."""
        source = self._source
        ticks = dict[int, int]()
        shown: list[str] = []
        depth = 0
        position = at = start
        while opener := _OPENERS.search(source, at, end):
            # Code may begin in front of it, in the same paragraph.
            at = max(at, source.rfind("\n\n", at, opener.start()))
            while at <= opener.start() and (mark := _MARKS.search(source, at, end)):
                piece = None
                if mark[0][0] == "`":
                    at = self._code_end(mark, end, ticks)
                    continue
                if mark[0] == "<":
                    piece = self.at(mark.start(), end)
                elif mark[0] == "{":
                    piece = self._expression(mark.start(), end)
                if piece is None:
                    at = mark.end()
                    continue
                before = source[position : mark.start()]
                # What is gone from a line's end takes the blanks in front of it along.
                ends_line = not piece.text.strip(" ") and source.startswith("\n", piece.end)
                shown += (before.rstrip(" \t"), "") if ends_line else (before, piece.text)
                depth += piece.depth
                position = at = piece.end
        if not shown:
            return Shown(source[start:end], end)
        shown.append(source[position:end])
        return Shown("".join(shown), end, depth)

    def is_plain(self, start: int, end: int) -> bool:
        """Whether there is nothing to flatten, which most stretches of most pages say without being looked through."""
        if not self._since <= start or end > self._opener:
            self._since = start
            self._opener = min(self._next("<", start), self._next("{", start))
        return end <= self._opener

    def _next(self, mark: str, start: int) -> int:
        """Where the next `mark` stands, which is looked for once between two of them; the page's end if none does."""
        since, found = self._found.get(mark, (0, -1))
        if not since <= start <= found:
            found = self._source.find(mark, start)
            found = found if found >= 0 else len(self._source)
            self._found[mark] = (start, found)
        return found

    def at(self, start: int, limit: int) -> Shown | None:
        """What the tag or comment at `start` shows; None if it is text."""
        source = self._source
        if source.startswith("<!--", start):
            return self._comment(start, "-->", limit)
        tag = self._tags.tag(start, limit)
        if tag is None or not self._is_element(tag):
            return None
        depth = 0 if tag.kind == "alone" or tag.name in VOID else (-1 if tag.kind == "close" else 1)
        if tag.kind == "open" and (pair := self._pair(tag, limit)):
            return pair
        if tag.kind == "close":
            return Shown("\n\n" if tag.name in APART or tag.name == "tr" else "", tag.end, depth)
        return Shown(opening(tag), tag.end, depth)

    def heading(self, start: int) -> tuple[int, Shown] | None:
        """A heading of HTML that has an id: its level, and its Markdown with that id."""
        tag = self._tags.tag(start, len(self._source))
        if tag is None or tag.kind != "open" or tag.name not in HEADINGS or not tag.attributes.get("id"):
            return None
        closed = self._source.find(f"</{tag.name}>", tag.end, tag.end + MAX_LABEL)
        inner = " ".join(self.flatten(tag.end, closed).text.split()) if closed >= 0 else ""
        if not inner:
            return None
        return int(tag.name[1]), Shown(f"{inner} {{#{tag.attributes['id']}}}", closed + len("</h1>"))

    def _comment(self, start: int, closer: str, limit: int) -> Shown | None:
        end = self._next(closer, start) + len(closer)
        return Shown("", end) if end <= limit else None

    def _paragraph_end(self, start: int, limit: int) -> int:
        """Where the next blank line stands, which is looked for once a paragraph."""
        since, end = self._blank
        if not since <= start <= end:
            blank = _BLANK_LINE.search(self._source, start)
            end = blank.start() if blank else len(self._source)
            self._blank = (start, end)
        return min(end, limit)

    def _code_end(self, ticks: re.Match[str], limit: int, none: dict[int, int]) -> int:
        """Behind the code that starts at a run of backticks, or behind the run if no equal one closes its paragraph.

        `none` remembers up to where there is no run of so many.
        """
        length = len(ticks[0])
        if ticks.start() < none.get(length, 0):
            return ticks.end()
        end = self._paragraph_end(ticks.end(), limit)
        closing = re.compile(rf"(?<!`)`{{{length}}}(?!`)").search(self._source, ticks.end(), end)
        if closing is None:
            none[length] = end
            return ticks.end()
        return closing.end()

    def _is_element(self, tag: Tag) -> bool:
        """Whether it is an element and no placeholder such as `<name>` or a type's parameter such as `<T>`."""
        if tag.kind != "open" or not tag.name or tag.name in HTML or any(tag.attributes.values()):
            return True
        if self._closed is None:
            self._closed = frozenset(re.findall(r"</[ \t]*([A-Za-z][\w.:-]*)", self._source))
        return tag.name in self._closed

    def _pair(self, tag: Tag, limit: int) -> Shown | None:
        """An element that is read as a whole, because what stands in it and what stands around it go together."""
        write = PAIRS.get(tag.name)
        if write is None or self._nested == MAX_NESTED:
            return None
        closer = f"</{tag.name}>"
        limit = min(limit, tag.end + MAX_INNER)
        closed = self._source.find(closer, tag.end, limit)
        if closed < 0:
            return None
        self._nested += 1
        inner = " ".join(self.flatten(tag.end, closed).text.split())
        self._nested -= 1
        return Shown(write(tag, inner), closed + len(closer))

    def _expression(self, start: int, limit: int) -> Shown | None:
        source = self._source
        if source.startswith("{/*", start):
            return self._comment(start, "*/}", limit)
        if self._dialect == "mkdocs":
            if source.startswith(("{%", "{{"), start):
                return self._template(start, limit)
            attributes = _ATTRIBUTE_LIST.match(source, start, limit)
            return Shown("", attributes.end()) if attributes and source[start - 1] in ")]*_`:" else None
        if self._dialect != "docusaurus" and not self._mdx:
            return None
        if _FORMULA.search(source, max(0, start - 30), start):
            return None
        return self.expression(start, self._paragraph_end(start, limit))

    def _template(self, start: int, limit: int) -> Shown | None:
        """What a template puts in is not known here; a page without statements is none."""
        if self._is_template is None:
            self._is_template = "{%" in self._source
        if not self._is_template:
            return None
        closer = "%}" if self._source.startswith("{%", start) else "}}"
        end = self._source.find(closer, start, min(limit, start + MAX_LABEL))
        return Shown("", end + len(closer)) if end >= 0 else None

    def expression(self, start: int, limit: int) -> Shown | None:
        """What an expression of MDX shows: strings. Others are gone, unless the page is not sure to be MDX."""
        end = self._tags.closing_brace(start, limit)
        if end is None:
            return None
        inner = self._source[start + 1 : end - 1]
        text = literal(inner)
        if text is not None:
            return Shown(text, end)
        return Shown("", end) if self._mdx and not _COMMAND.search(inner) else None


def without_icons(prose: str) -> str:
    """`prose` without the names that Material for MkDocs draws icons for."""
    return _ICON.sub(lambda icon: icon["code"] or "", prose)


def has_icons(page: str) -> bool:
    return _ANY_ICON.search(page) is not None


def tidy(prose: str) -> str:
    """At most one blank line between paragraphs: tags that are gone leave more."""
    if "\n\n\n" in prose:
        prose = _BLANK_LINES.sub("\n\n", prose)
    # What comes next begins with a line break of its own.
    return prose[:-1] if prose.endswith("\n\n") else prose
