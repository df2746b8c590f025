"""From a page's bytes to its chunks: the table of contents of parsing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal

from shared.bm25 import TERMS_VERSION
from shared.errors import PageError
from shared.models import Chunk, Page, PageFault
from shared.revisions import revision_of
from worker.ingestion.chunk import ChunkRules, make_chunks
from worker.ingestion.formats import is_document, read_document
from worker.ingestion.front_matter import FrontMatter, read_front_matter
from worker.ingestion.markup.dialect import Dialect
from worker.ingestion.markup.includes import expand_includes, included_paths
from worker.ingestion.markup.markdown import Section, parse_markdown
from worker.ingestion.read import decode_page
from worker.ingestion.site.profile import HidingFlag, SitePage

#: Raised whenever the same bytes would give other chunks than before: every page is then indexed anew.
CHUNKER_VERSION: Final = 2
#: Files that one page may show, and those that they show: more is a loop of generated names.
MAX_INCLUDED: Final = 1000

Hidden = Literal[HidingFlag, "empty"]
#: The text of a file by its POSIX path relative to the content root; None if there is none that can be read.
ReadText = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class ParsedPage:
    page: Page
    #: In reading order; empty if the page is hidden.
    chunks: tuple[Chunk, ...]
    #: Warnings for the page's author; what could be read is indexed all the same.
    faults: tuple[PageFault, ...] = ()
    #: Why no visitor may be shown the page, or why there is nothing to show; None for a page to index.
    hidden: Hidden | None = None


def parse_page(source: SitePage, data: bytes, rules: ChunkRules, read: ReadText) -> ParsedPage:
    """The page that `data` is the source of, and its chunks; `read` gives the files that it includes.

    Raises PageError, with the reason as its message, if `data` cannot be read as what its ending says.
    """
    parsed = _parse_document(source, data) if is_document(source.path) else _parse_markdown(source, data, read)
    page = Page(
        path=source.path,
        title=source.title or parsed.title or source.route.name(parsed.front),
        url=source.route.url(parsed.front),
        revision=page_revision(source, data, rules, read),
        version=source.version,
        locale=source.locale,
    )
    faults = tuple(PageFault(source.path, fault) for fault in parsed.faults)
    if parsed.hidden:
        return ParsedPage(page, (), faults, parsed.hidden)
    chunks = make_chunks(page, parsed.sections, rules)
    if not chunks:
        return ParsedPage(page, (), (*faults, PageFault(source.path, "has no text to index")), "empty")
    if page.version or page.locale:
        chunks = tuple(replace(chunk, version=page.version, locale=page.locale) for chunk in chunks)
    return ParsedPage(page, chunks, faults)


def page_revision(source: SitePage, data: bytes, rules: ChunkRules, read: ReadText) -> str:
    """Of the bytes, of the files that the page shows, and of whatever else decides what its chunks are."""
    return revision_of(
        rules=_shaping_key(rules), text=data, place=repr(source).encode(), included=_included(source, data, read)
    )


@dataclass(frozen=True, slots=True)
class _Parsed:
    """What every kind of page is read into."""

    front: FrontMatter
    #: That the page gives itself.
    title: str | None
    sections: tuple[Section, ...]
    faults: tuple[str, ...]
    hidden: HidingFlag | None


def _parse_markdown(source: SitePage, data: bytes, read: ReadText) -> _Parsed:
    front = read_front_matter(decode_page(data))
    expanded = expand_includes(front.body, source.path, source.dialect, read, source.include_folders)
    sections = parse_markdown(expanded.text, dialect=source.dialect, mdx=source.path.lower().endswith(".mdx"))
    return _Parsed(
        front=front,
        title=front.text("title") or _first_heading(sections, source.dialect),
        sections=sections,
        faults=(*([front.fault] if front.fault else []), *expanded.faults),
        hidden=next((flag for flag in source.hidden_by if front.flag(flag)), None),
    )


def _first_heading(sections: Sequence[Section], dialect: Dialect) -> str | None:
    """The first H1. Docusaurus and MkDocs take it for the page's title only if nothing stands before it."""
    candidates = sections if dialect == "plain" else sections[:1]
    headings = (section.heading for section in candidates if section.heading and section.heading.level == 1)
    return next((heading.text for heading in headings), None)


def _parse_document(source: SitePage, data: bytes) -> _Parsed:
    document = read_document(source.path, data)
    hidden: HidingFlag | None = "unlisted" if document.hidden and "unlisted" in source.hidden_by else None
    return _Parsed(FrontMatter(""), document.title, document.sections, document.faults, hidden)


def _included(source: SitePage, data: bytes, read: ReadText) -> Iterator[bytes]:
    """The files that a page shows, and those that they show, each with its path."""
    if is_document(source.path):
        return
    try:
        waiting = deque(included_paths(decode_page(data), source.path, source.dialect, source.include_folders))
    except PageError:
        # Parsing says so, and until then the bytes are all there is to know of it.
        return
    seen: set[str] = set()
    while waiting and len(seen) < MAX_INCLUDED:
        path = waiting.popleft()
        text = None if path in seen else read(path)
        seen.add(path)
        if text is not None:
            yield f"{path}\0{text}".encode("utf-8", "surrogatepass")
            waiting.extend(included_paths(text, path, source.dialect, source.include_folders))


@cache
def _shaping_key(rules: ChunkRules) -> bytes:
    return repr((CHUNKER_VERSION, TERMS_VERSION, rules)).encode()
