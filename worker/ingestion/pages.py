"""From a page's bytes to its chunks: the table of contents of parsing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from functools import cache
from typing import Final, Literal

from shared.models import Chunk, Page, PageFault
from worker.ingestion.chunk import ChunkRules, make_chunks
from worker.ingestion.front_matter import FrontMatter, read_front_matter
from worker.ingestion.markdown import Section, parse_markdown
from worker.ingestion.read import decode_page
from worker.ingestion.routes import SiteRules, base_id, page_url

#: Raised whenever the same bytes would give other chunks than before: every page is then indexed anew.
CHUNKER_VERSION: Final = 1

Hidden = Literal["draft", "unlisted", "empty"]
#: Front matter flags with which an author keeps a page from visitors.
_HIDING_FLAGS: Final[tuple[Hidden, ...]] = ("draft", "unlisted")


@dataclass(frozen=True, slots=True)
class PageRules:
    """All settings that shape what becomes of a page's bytes."""

    site: SiteRules = field(default_factory=SiteRules)
    chunks: ChunkRules = field(default_factory=ChunkRules)


@dataclass(frozen=True, slots=True)
class ParsedPage:
    page: Page
    #: In reading order; empty if the page is hidden.
    chunks: tuple[Chunk, ...]
    #: Warnings for the page's author; what could be read is indexed all the same.
    faults: tuple[PageFault, ...] = ()
    #: Why no visitor may be shown the page, or why there is nothing to show; None for a page to index.
    hidden: Hidden | None = None


def parse_page(path: str, data: bytes, rules: PageRules) -> ParsedPage:
    """The page at `path` (POSIX, relative to the content root) and its chunks.

    Pure: reads nothing but its arguments. Raises PageError, with the reason as its message, if `data` is not text.
    """
    text = decode_page(data)
    front = read_front_matter(text)
    sections = parse_markdown(front.body, mdx=path.lower().endswith(".mdx"))
    page = Page(
        path=path,
        title=_title(path, front, sections),
        url=page_url(path, front, rules.site),
        revision=page_revision(data, rules),
    )
    faults = (PageFault(path, front.fault),) if front.fault else ()
    for hidden in _HIDING_FLAGS:
        if front.flag(hidden):
            return ParsedPage(page, (), faults, hidden)
    chunks = make_chunks(page, sections, rules.chunks)
    if not chunks:
        return ParsedPage(page, (), (*faults, PageFault(path, "has no text to index")), "empty")
    return ParsedPage(page, chunks, faults)


def page_revision(data: bytes, rules: PageRules) -> str:
    """SHA-256 over the bytes and whatever else decides what the page's chunks are; equal means nothing to do."""
    digest = hashlib.sha256(_shaping_key(rules))
    digest.update(data)
    return digest.hexdigest()


@cache
def _shaping_key(rules: PageRules) -> bytes:
    return repr((CHUNKER_VERSION, astuple(rules))).encode() + b"\0"


def _title(path: str, front: FrontMatter, sections: Iterable[Section]) -> str:
    """Front matter `title`, else the first H1, else the file's name: Docusaurus's order."""
    headings = (section.heading for section in sections if section.heading and section.heading.level == 1)
    first = next(headings, None)
    return front.text("title") or (first.text if first else "") or base_id(path, front)
