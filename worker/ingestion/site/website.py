"""A fetched website: the manifest beside its pages says which page of the site each file was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shared.models import PageFault
from worker.ingestion.front_matter import FrontMatter
from worker.ingestion.markup.dialect import Dialect
from worker.ingestion.site.profile import SiteOptions, SitePage
from worker.ingestion.sources.manifest import MANIFEST, Manifest, read_manifest

#: Of what a page of HTML includes nothing depends on the dialect; this one adds nothing of its own.
_DIALECT: Dialect = "plain"


@dataclass(frozen=True, slots=True)
class FetchedRoute:
    """A page's own address: it was fetched from there."""

    address: str
    called: str

    def url(self, front: FrontMatter) -> str:
        return self.address

    def name(self, front: FrontMatter) -> str:
        return self.called


@dataclass(frozen=True, slots=True)
class Website:
    """The pages of a revision of a fetched site."""

    pages: Manifest
    faults: tuple[PageFault, ...] = ()
    endings: tuple[str, ...] = (".html",)

    @property
    def profile(self) -> str:
        """`Website: 312 pages of docs.example.org`."""
        hosts = sorted({urlsplit(page.url).netloc for page in self.pages.values()})
        amount = f"{len(self.pages):,} page{'' if len(self.pages) == 1 else 's'}"
        return f"Website: {amount}" + (f" of {', '.join(hosts)}" if hosts else "")

    def page(self, path: str) -> SitePage | None:
        """The page that was written to `path`; None for a file that nobody fetched."""
        known = self.pages.get(path)
        if known is None:
            return None
        return SitePage(path, FetchedRoute(known.url, known.title or _last_name(known.url)), _DIALECT)


def open_website(root: Path, options: SiteOptions) -> Website | None:
    """The fetched site in a folder; None unless it is said to be one: a manifest can be in anybody's repository."""
    if options.profile != "website":
        return None
    pages = read_manifest(root)
    if pages is not None:
        return Website(pages)
    fault = f"the folder holds no {MANIFEST}, by which pages are known; set SOURCE_SITEMAP_URL, or remove SITE_PROFILE"
    return Website({}, (PageFault(".", fault),))


def _last_name(url: str) -> str:
    """What a page without a title is called: the last part of its path, or its host."""
    parts = urlsplit(url)
    return parts.path.rstrip("/").rpartition("/")[2] or parts.netloc
