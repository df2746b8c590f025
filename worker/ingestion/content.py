"""The content folder as the pipeline sees it: pages found with their revisions, pages read with their passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.content import PAGE_ENDINGS, resolve_content_path
from shared.errors import PageError
from shared.models import PageFault
from shared.settings import Settings
from worker.ingestion.chunk import ChunkRules
from worker.ingestion.discover import FileRules, discover
from worker.ingestion.pages import ParsedPage, page_revision, parse_page
from worker.ingestion.plan import FoundPage
from worker.ingestion.read import decode_page, read_page
from worker.ingestion.site.detect import open_site
from worker.ingestion.site.plain import document_page
from worker.ingestion.site.profile import ProfileName, Site, SiteOptions, SitePage

#: Characters of included files that are kept while pages are read: those of a large site fit, many times over.
MAX_KEPT: Final = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Found:
    """What a walk over the content has found."""

    #: Folder or page that was walked, relative to the content root; "." for all of it.
    scope: str
    pages: tuple[FoundPage, ...]
    #: Pages that are there and cannot be read; their last good versions stay.
    unreadable: tuple[PageFault, ...]
    #: What is left out and worth a word, and what is wrong with the site's own files.
    skipped: tuple[PageFault, ...]
    #: Folders that cannot be listed: the pages below them are not gone either.
    unreadable_folders: tuple[str, ...] = ()
    #: What kind of site the content is, in one line.
    profile: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """A content folder and the rules by which it is read. Blocking: call it in a thread."""

    root: Path
    files: FileRules
    site: SiteOptions
    chunks: ChunkRules
    max_bytes: int
    #: Endings of files of other formats that the owner asks for: `.pdf`.
    formats: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings, root: Path | None = None) -> Content:
        """`root` is where a source's working copy is; without one it is the content root."""
        return cls(
            root=settings.content_root if root is None else root,
            files=FileRules(settings.content_include, settings.content_exclude),
            site=site_options(settings),
            chunks=ChunkRules(
                settings.chunk_size, settings.chunk_overlap, settings.min_chunk_size, settings.embedding_limit
            ),
            max_bytes=settings.max_page_bytes,
            formats=settings.content_formats,
        )

    def find(self, content_path: str) -> Found:
        """Every page below a path with its revision. Raises InvalidInput or ContentNotFound for the path itself."""
        start = resolve_content_path(self.root, content_path, str(self.root), (*PAGE_ENDINGS, *self.formats))
        root = self.root.resolve()
        site = open_site(root, self.site)
        included = _IncludedFiles(root, self.max_bytes)
        discovery = discover(root, start, self.files, (*site.endings, *self.formats))
        pages: list[FoundPage] = []
        unreadable: list[PageFault] = []
        for file in discovery.files:
            source = self._page(site, file.path)
            if source is None:
                continue
            try:
                data = read_page(root, file.path, self.max_bytes)
            except PageError as error:
                unreadable.append(PageFault(file.path, error.message))
            else:
                revision = page_revision(source, data, self.chunks, included.read)
                pages.append(FoundPage(file.path, len(data), revision))
        return Found(
            scope=start.relative_to(root).as_posix(),
            pages=tuple(pages),
            unreadable=tuple(unreadable),
            skipped=(*site.faults, *discovery.skipped),
            unreadable_folders=tuple(discovery.unreadable_folders),
            profile=site.profile,
        )

    def read(self, paths: Sequence[str]) -> tuple[list[ParsedPage], list[PageFault]]:
        """These pages cut into passages, and those of them that cannot be read."""
        root = self.root.resolve()
        site = open_site(root, self.site)
        included = _IncludedFiles(root, self.max_bytes)
        pages: list[ParsedPage] = []
        faults: list[PageFault] = []
        for path in paths:
            source = self._page(site, path)
            if source is None:
                faults.append(PageFault(path, "is no page of the site any more; the next ingest takes it out"))
                continue
            try:
                pages.append(parse_page(source, read_page(root, path, self.max_bytes), self.chunks, included.read))
            except PageError as error:
                faults.append(PageFault(path, error.message))
        return pages, faults

    def _page(self, site: Site, path: str) -> SitePage | None:
        source = site.page(path)
        if source is None and path.lower().endswith(self.formats):
            return document_page(path, self.site)
        return source


def site_options(settings: Settings) -> SiteOptions:
    return SiteOptions(
        profile=_profile(settings),
        site_url=settings.site_url,
        docs_route=settings.docs_route,
        trailing_slash=settings.site_trailing_slash,
        versions=settings.docs_versions,
        locales=settings.docs_locales,
        index_unlisted=settings.index_unlisted,
    )


def _profile(settings: Settings) -> ProfileName | None:
    """As the owner says. A fetched site is known by its setting, not by a file that anyone could put into a folder."""
    if settings.source_sitemap_url:
        return "website"
    return None if settings.site_profile == "auto" else settings.site_profile


class _IncludedFiles:
    """The files that pages show, each read once as long as they are not too many."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._texts: dict[str, str | None] = {}
        self._kept = 0

    def read(self, path: str) -> str | None:
        """The text of a file below the root; None if there is none, or none that may be read."""
        if path not in self._texts:
            text = self._text(path)
            self._kept += len(path) + len(text or "")
            if self._kept > MAX_KEPT:
                self._texts.clear()
                self._kept = 0
            self._texts[path] = text
        return self._texts[path]

    def _text(self, path: str) -> str | None:
        if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
            return None
        try:
            return decode_page(read_page(self._root, path, self._max_bytes))
        except (PageError, UnicodeEncodeError):
            return None
