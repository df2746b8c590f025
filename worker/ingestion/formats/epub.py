"""EPUB: the chapters in the order of the book's spine, each of them HTML."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from shared.errors import PageError
from shared.models import Heading
from worker.ingestion.formats.document import Document, squeeze
from worker.ingestion.formats.html import read_html
from worker.ingestion.formats.packed import entry, opened
from worker.ingestion.formats.slugs import with_slugs
from worker.ingestion.markup.markdown import Section

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

_CONTAINER: Final = "META-INF/container.xml"
_CHAPTERS: Final = ("application/xhtml+xml", "text/html")


def read_epub(data: bytes) -> Document:
    """A book's title and the sections of its chapters. Raises PageError if `data` is no EPUB, or is locked."""
    with opened(data, "EPUB") as archive:
        if entry(archive, "META-INF/rights.xml") is not None:
            raise PageError("is locked by its publisher (DRM) and cannot be read")
        package_path, package = _package(archive)
        title = package.css_first("metadata dc\\:title, metadata title")
        sections: list[Section] = []
        faults: list[str] = []
        # Each once, as the standard has it: a list that names one chapter a million times is a bomb.
        for path in dict.fromkeys(_chapters(package, posixpath.dirname(package_path))):
            chapter = entry(archive, path)
            if chapter is None:
                faults.append(f"the chapter {path} is missing from the file")
                continue
            sections += _chapter(chapter)
    if not sections and faults:
        raise PageError("is damaged: none of its chapters can be read; save it anew")
    named = squeeze(title.text(deep=True)) if title is not None else ""
    return Document(named or None, with_slugs(sections), faults=tuple(faults))


def _package(archive: zipfile.ZipFile) -> tuple[str, LexborHTMLParser]:
    """The package document, which lists everything else, and its path. XML, read by a parser that expands nothing."""
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 - an extra

    container = entry(archive, _CONTAINER)
    if container is not None:
        root = LexborHTMLParser(container.decode("utf-8", "replace")).css_first("rootfile")
        path = (root.attributes.get("full-path") or "") if root is not None else ""
        package = entry(archive, path)
        if package is not None:
            return path, LexborHTMLParser(package.decode("utf-8", "replace"))
    raise PageError("is not an EPUB file: it does not say where its contents are; save it anew")


def _chapters(package: LexborHTMLParser, folder: str) -> Iterator[str]:
    items = {item.id: item.attributes for item in package.css("manifest item") if item.id}
    for reference in package.css("spine itemref"):
        item = items.get(reference.attributes.get("idref") or "", {})
        # The table of contents is in the spine of many books.
        if item.get("media-type") in _CHAPTERS and "nav" not in (item.get("properties") or "").split():
            yield posixpath.normpath(posixpath.join(folder, unquote(item.get("href") or "")))


def _chapter(data: bytes) -> list[Section]:
    """A chapter's sections. One that has text and no heading is called as its file's title says."""
    chapter = read_html(data)
    sections = list(chapter.sections)
    if sections and chapter.title and all(section.heading is None for section in sections):
        return [Section(Heading(1, chapter.title, None), (chapter.title,), sections[0].blocks)]
    return sections
