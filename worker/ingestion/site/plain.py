"""A folder of Markdown without a config. Pages have the addresses that Docusaurus would give them by default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from shared.content import PAGE_ENDINGS
from shared.models import PageFault
from worker.ingestion.formats import is_document
from worker.ingestion.globs import anchored
from worker.ingestion.markup.dialect import Dialect
from worker.ingestion.routes import DocusaurusRoute, FixedRoute, joined, reader_url
from worker.ingestion.site.profile import SiteOptions, SitePage, hiding_flags

#: Neither partials nor tests, nor what belongs to them.
NEVER_PUBLISHED: Final = ("**/_*.*", "**/_*/**", "**/*.test.*", "**/__tests__/**")
DEFAULT_ROUTE: Final = "docs"


@dataclass(frozen=True, slots=True)
class PlainSite:
    """Every page of the content root."""

    options: SiteOptions
    dialect: Dialect = "plain"
    endings: tuple[str, ...] = PAGE_ENDINGS

    @property
    def profile(self) -> str:
        what = "Docusaurus (no config found)" if self.dialect == "docusaurus" else "a folder of Markdown"
        return (
            f"{what}: pages at {'/' + self._route.strip('/')}"
            if self.options.site_url
            else f"{what}, address not known"
        )

    @property
    def faults(self) -> tuple[PageFault, ...]:
        return ()

    def page(self, path: str) -> SitePage | None:
        if is_document(path) or anchored(NEVER_PUBLISHED).match(path):
            return None
        route = DocusaurusRoute(
            path=path,
            source=path,
            home=self.options.site_url,
            route=self._route,
            trailing_slash=self.options.trailing_slash,
        )
        return SitePage(path, route, self.dialect, hidden_by=hiding_flags(self.options))

    @property
    def _route(self) -> str:
        return DEFAULT_ROUTE if self.options.docs_route is None else self.options.docs_route


def document_page(path: str, options: SiteOptions) -> SitePage | None:
    """The page of a file of another format than Markdown, which is published as the file that it is, by any profile
    that does not know it; None for Markdown."""
    if not is_document(path) or anchored(NEVER_PUBLISHED).match(path):
        return None
    address = reader_url(path) if options.site_url is None else joined(options.site_url, path)
    return SitePage(path, FixedRoute(address, PurePosixPath(path).stem), "plain", hidden_by=hiding_flags(options))
