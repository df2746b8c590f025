"""PDF: its text page by page, under the headings of its outline. A heading's anchor opens the file at its page."""

from __future__ import annotations

import re
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from shared.errors import PageError
from worker.ingestion.formats.document import Document, SectionWriter, as_prose, squeeze
from worker.ingestion.markup.markdown import Section

if TYPE_CHECKING:
    import pypdfium2

#: More are data, not a document; each costs about two milliseconds.
MAX_PAGES: Final = 5_000
#: Entries of an outline that are headings; what is nested deeper belongs to the one above.
MAX_LEVEL: Final = 6
MAX_OUTLINE: Final = 10_000
#: Headings on one page; each is looked for among the page's lines.
MAX_ENTRIES: Final = 100
#: A line at the top or bottom of this many pages is a running title.
RUNNING_PAGES: Final = 3
#: A line that is shorter than this share of the longest ends its paragraph.
FULL_LINE: Final = 0.75

_DIGITS: Final = re.compile(r"\d+")
_PAGE_NUMBER: Final = re.compile(r"[-\u2013 ]*(?:\d{1,5}|[ivxlc]{1,7})[-\u2013 ]*")
#: A line of a table of contents: what it names is found where it stands.
_DOT_LEADER: Final = re.compile(r"(?:[ ]?\.){5,}[ ]*\w{1,7}$")
#: What PDFium makes of a hyphen that a line was broken at, and of the line's end.
_HYPHEN: Final = "\x02"
_CONTROLS: Final = dict.fromkeys(code for code in (*range(32), 127, 0xFFFE) if code not in (9, 10))
_SENTENCE_END: Final = (".", "!", "?", ":", ";", "\u3002")
_LIST_ITEM: Final = re.compile(r"(?:[\u2022\u25aa\u25cf\u2013*-]|\d{1,3}[.)])\s")
#: PDFium is not safe to be used by two threads at once.
_ONE_AT_A_TIME: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a document's outline. `page` counts from 0."""

    level: int
    title: str
    page: int


def read_pdf(data: bytes) -> Document:
    """A document's title and sections; each section begins a page or an outline's entry, its anchor is `page=N`.

    Raises PageError if `data` is no PDF, is locked or holds no text.
    """
    import pypdfium2  # noqa: PLC0415 - an extra

    with _ONE_AT_A_TIME:
        try:
            file = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).lower():
                raise PageError("is protected by a password; save it without one") from error
            raise PageError("is not a PDF file, or is damaged; save it anew") from error
        try:
            if len(file) > MAX_PAGES:
                raise PageError(f"has {len(file):,} pages, where {MAX_PAGES:,} are allowed; split it")
            texts, faults = _texts(file)
            outline = list(_outline(file))
            title = squeeze(file.get_metadata_value("Title"))
        finally:
            file.close()
    if not any(text.strip() for text in texts):
        raise PageError("holds no text, only pictures of it; run text recognition (OCR) over it first")
    return Document(title or None, _sections(texts, outline), faults=faults)


def _texts(file: pypdfium2.PdfDocument) -> tuple[list[str], tuple[str, ...]]:
    """Each page's text, and which pages could not be read."""
    import pypdfium2  # noqa: PLC0415 - an extra

    texts: list[str] = []
    faults: list[str] = []
    for number in range(len(file)):
        try:
            page = file[number]
            text = page.get_textpage().get_text_bounded()
            page.close()
        except pypdfium2.PdfiumError:
            text = ""
            faults.append(f"page {number + 1} cannot be read")
        texts.append(text.replace("\r\n", "\n").replace("\r", "\n").replace(_HYPHEN, "").translate(_CONTROLS))
    return texts, tuple(faults)


def _outline(file: pypdfium2.PdfDocument) -> Iterator[Entry]:
    for number, bookmark in enumerate(file.get_toc(max_depth=MAX_LEVEL)):
        if number == MAX_OUTLINE:
            return
        target = bookmark.get_dest()
        page = target.get_index() if target is not None else None
        title = squeeze(bookmark.get_title())
        if page is not None and 0 <= page < len(file) and title:
            yield Entry(bookmark.level + 1, title, page)


def _sections(texts: Sequence[str], outline: Sequence[Entry]) -> tuple[Section, ...]:
    by_page: defaultdict[int, list[Entry]] = defaultdict(list)
    for entry in outline:
        if len(by_page[entry.page]) < MAX_ENTRIES:
            by_page[entry.page].append(entry)
    writer = SectionWriter()
    current = Entry(1, "", 0)
    for number, lines in enumerate(_without_running_titles([_lines(text) for text in texts])):
        anchor = f"page={number + 1}"
        rest, entries = lines, by_page[number]
        if not entries or _position(rest, entries[0].title) not in (None, 0):
            before, rest = _split(rest, entries[0].title if entries else None)
            if before:
                # What a page begins with belongs to the heading before, but is found on this page.
                writer.heading(current.level, current.title or f"Page {number + 1}", anchor)
                _write(writer, before)
        for entry, following in zip_longest(entries, entries[1:]):
            current = entry
            writer.heading(entry.level, entry.title, anchor)
            position = _position(rest, entry.title)
            if position is not None:
                rest = rest[position + 1 :]
            text, rest = _split(rest, following.title if following else None)
            _write(writer, text)
    return writer.sections()


def _lines(text: str) -> list[str]:
    return [line for line in map(squeeze, text.split("\n")) if line and not _DOT_LEADER.search(line)]


def _without_running_titles(pages: list[list[str]]) -> list[list[str]]:
    """The pages without what stands at their tops and bottoms on many of them, but for the numbers in it."""
    for edge in (0, -1):
        seen = Counter(_DIGITS.sub("0", lines[edge]) for lines in pages if lines)
        for lines in pages:
            if lines and (_PAGE_NUMBER.fullmatch(lines[edge]) or seen[_DIGITS.sub("0", lines[edge])] >= RUNNING_PAGES):
                del lines[edge]
    return pages


def _split(lines: list[str], title: str | None) -> tuple[list[str], list[str]]:
    """The lines before a heading and from it on; all of them, if it is not found as a line of its own."""
    position = _position(lines, title) if title else None
    return (lines, []) if position is None else (lines[:position], lines[position:])


def _position(lines: Sequence[str], title: str) -> int | None:
    """Where the heading stands among the lines, with a number before it or not."""
    wanted = _bare(title)
    return next((at for at, line in enumerate(lines) if line and _bare(line) == wanted), None)


def _bare(text: str) -> str:
    """Without case, blanks and the number of a chapter."""
    return re.sub(r"^(?:chapter\s*)?[\d.]+\s*", "", text.lower()).replace(" ", "") or text.lower()


def _write(writer: SectionWriter, lines: Sequence[str]) -> None:
    """Lines as paragraphs: one goes on while its lines are full and end no sentence."""
    full = max(map(len, lines), default=0) * FULL_LINE
    paragraph: list[str] = []
    for line in lines:
        if paragraph and (_LIST_ITEM.match(line) or (len(paragraph[-1]) < full and _ends(paragraph[-1], line))):
            writer.prose(as_prose(" ".join(paragraph)))
            paragraph = []
        paragraph.append(line)
    writer.prose(as_prose(" ".join(paragraph)))


def _ends(line: str, following: str) -> bool:
    return line.endswith(_SENTENCE_END) or not following[:1].islower()
