"""The interface between the pipeline and a site's layout; one module a profile implements it.

A profile is opened by a function `open_<name>(root, options) -> Site | None`, which `detect.py` calls:

- `root` is the content root, resolved. Read below it with `files.read_text`, which follows no symbolic link and is
  bounded; never through `open`.
- It returns None where the folder is no such site, and never None where `options.profile` is its name.
- It never raises for what it reads: what is wrong with a config becomes one of `Site.faults`, and the site is laid out
  as well as it can be without it.
- It is called for every shard of a job, so that it reads a few small files and does not walk the content.

The pipeline then asks `Site.page(path)` about every file that looks like a page, and indexes those that it gets a
`SitePage` for. Everything that decides what becomes of a page's bytes stands in that value object, for its `repr` is
part of the page's revision: a config that moves a page indexes it anew, and one that does not costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from shared.models import PageFault
from worker.ingestion.front_matter import FrontMatter
from worker.ingestion.markup.dialect import Dialect

ProfileName = Literal["website", "docusaurus", "mkdocs", "mdbook", "plain"]
#: Front matter flags with which an author keeps a page from visitors.
HidingFlag = Literal["draft", "unlisted"]
#: `versions` or `locales` that mean every one there is.
ALL = "all"


@dataclass(frozen=True, slots=True)
class SiteOptions:
    """What the settings say about the site; each value that is set comes before what a config says."""

    #: SITE_PROFILE; None detects it.
    profile: ProfileName | None = None
    #: SITE_URL, with the path that the site is published under: `https://example.org/base`, no slash at its end.
    site_url: str | None = None
    #: DOCS_ROUTE; "/" for a site that consists of docs only.
    docs_route: str | None = None
    #: SITE_TRAILING_SLASH.
    trailing_slash: bool | None = None
    #: DOCS_VERSIONS: names, or `all`; empty is the version that visitors get first.
    versions: tuple[str, ...] = ()
    #: DOCS_LOCALES: names, or `all`; empty is the default locale.
    locales: tuple[str, ...] = ()
    #: INDEX_UNLISTED.
    index_unlisted: bool = False


def hiding_flags(options: SiteOptions) -> tuple[HidingFlag, ...]:
    """Which flags in a page's front matter keep it from the index."""
    return ("draft",) if options.index_unlisted else ("draft", "unlisted")


class Route(Protocol):
    """Where one page is published. A frozen dataclass: its `repr` has to say everything that the answers depend on."""

    def url(self, front: FrontMatter) -> str:
        """The published address, percent-encoded, without an anchor; below `/documents/` where it is not known."""
        ...

    def name(self, front: FrontMatter) -> str:
        """What the page is called if nothing gives it a title."""
        ...


@dataclass(frozen=True, slots=True)
class SitePage:
    """A page as its site's layout knows it, before the page is read."""

    #: POSIX path relative to the content root.
    path: str
    route: Route
    dialect: Dialect
    #: The title that the site's own table of contents gives it; comes before whatever the page says.
    title: str | None = None
    #: The version of the docs that it belongs to; "" where there is only one.
    version: str = ""
    #: The language of the page, as the site names it; "" where there is only one.
    locale: str = ""
    #: Flags that hide the page where its front matter sets them.
    hidden_by: tuple[HidingFlag, ...] = ("draft", "unlisted")
    #: Folders that its includes are looked for in first, relative to the content root; "" for the root itself.
    include_folders: tuple[str, ...] = ()


class Site(Protocol):
    """A content root laid out by one profile."""

    @property
    def profile(self) -> str:
        """What was detected, in one line for the owner: `MkDocs (mkdocs.yml): docs in docs, at /`."""
        ...

    @property
    def faults(self) -> tuple[PageFault, ...]:
        """What is wrong with the site's own files, and which setting mends it."""
        ...

    @property
    def endings(self) -> tuple[str, ...]:
        """How the files of its pages may end, in lower case."""
        ...

    def page(self, path: str) -> SitePage | None:
        """The page whose source is `path` (POSIX, relative to the content root); None if the file is not a page."""
        ...
