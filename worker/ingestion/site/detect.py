"""Tells what kind of site a content root is: by its config, else by what its pages look like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from worker.ingestion.site.docusaurus import open_docusaurus
from worker.ingestion.site.mdbook import open_mdbook
from worker.ingestion.site.mkdocs import mkdocs_without_config, open_mkdocs
from worker.ingestion.site.plain import PlainSite
from worker.ingestion.site.profile import ProfileName, Site, SiteOptions
from worker.ingestion.site.sample import look_at
from worker.ingestion.site.website import open_website

#: In the order in which they are tried.
_OPENERS: Final[tuple[tuple[ProfileName, Callable[[Path, SiteOptions], Site | None]], ...]] = (
    ("website", open_website),
    ("docusaurus", open_docusaurus),
    ("mkdocs", open_mkdocs),
    ("mdbook", open_mdbook),
)


def open_site(root: Path, options: SiteOptions) -> Site:
    """The site whose sources lie at or below `root`, a resolved path: the first profile that knows it."""
    for name, open_profile in _OPENERS:
        if options.profile in (None, name) and (site := open_profile(root, options)) is not None:
            return site
    return PlainSite(options) if options.profile == "plain" else _by_its_pages(root, options)


def _by_its_pages(root: Path, options: SiteOptions) -> Site:
    signs = look_at(root)
    if signs.dialect == "mkdocs":
        return mkdocs_without_config(root, options, signs.folder)
    return PlainSite(options, signs.dialect)
