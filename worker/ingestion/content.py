"""The content folder as the pipeline sees it: pages found with their revisions, pages read with their passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.content import resolve_content_path
from shared.errors import PageError
from shared.models import PageFault
from shared.settings import Settings
from worker.ingestion.chunk import ChunkRules
from worker.ingestion.discover import FileRules, discover
from worker.ingestion.pages import PageRules, ParsedPage, page_revision, parse_page
from worker.ingestion.plan import FoundPage
from worker.ingestion.read import read_page
from worker.ingestion.routes import SiteRules


@dataclass(frozen=True, slots=True)
class Found:
    """What a walk over the content has found."""

    #: Folder or page that was walked, relative to the content root; "." for all of it.
    scope: str
    pages: tuple[FoundPage, ...]
    #: Pages that are there and cannot be read; their last good versions stay.
    unreadable: tuple[PageFault, ...]
    #: What is left out and worth a word.
    skipped: tuple[PageFault, ...]
    #: Folders that cannot be listed: the pages below them are not gone either.
    unreadable_folders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """A content folder and the rules by which it is read. Blocking: call it in a thread."""

    root: Path
    files: FileRules
    rules: PageRules
    max_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> Content:
        return cls(
            root=settings.content_root,
            files=FileRules(settings.content_include, settings.content_exclude),
            rules=PageRules(
                SiteRules(settings.site_url, settings.docs_route),
                ChunkRules(settings.chunk_size, settings.chunk_overlap, settings.min_chunk_size),
            ),
            max_bytes=settings.max_page_bytes,
        )

    def find(self, content_path: str) -> Found:
        """Every page below a path with its revision. Raises InvalidInput or ContentNotFound for the path itself."""
        start = resolve_content_path(self.root, content_path, str(self.root))
        root = self.root.resolve()
        discovery = discover(root, start, self.files)
        pages: list[FoundPage] = []
        unreadable: list[PageFault] = []
        for file in discovery.files:
            try:
                data = read_page(root, file.path, self.max_bytes)
            except PageError as error:
                unreadable.append(PageFault(file.path, error.message))
            else:
                pages.append(FoundPage(file.path, len(data), page_revision(data, self.rules)))
        scope = start.relative_to(root).as_posix()
        return Found(scope, tuple(pages), tuple(unreadable), discovery.skipped, tuple(discovery.unreadable_folders))

    def read(self, paths: Sequence[str]) -> tuple[list[ParsedPage], list[PageFault]]:
        """These pages cut into passages, and those of them that cannot be read."""
        root = self.root.resolve()
        pages: list[ParsedPage] = []
        faults: list[PageFault] = []
        for path in paths:
            try:
                pages.append(parse_page(path, read_page(root, path, self.max_bytes), self.rules))
            except PageError as error:
                faults.append(PageFault(path, error.message))
        return pages, faults
