"""Where a visitor finds a page: the address that the site generator publishes a source file at.

Only Docusaurus's rules are known; sites of other generators get the address that those rules would give.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from posixpath import normpath
from typing import Final
from urllib.parse import quote

from worker.ingestion.front_matter import FrontMatter

#: `2021-11-01-news`, `7.0-notes`: a date or a version, not a position in the sidebar.
_NOT_A_PREFIX: Final = re.compile(r"\d+[-_.]\d+")
_NUMBER_PREFIX: Final = re.compile(r"\d+\s*[-_.]+\s*(?P<rest>[^-_.\s].*)", re.DOTALL)
#: What may stand unescaped in a URL's path and fragment (RFC 3986) beside letters, digits and `-._~`.
_PATH_SAFE: Final = "/!$&'()*+,;=:@"
#: Pages that stand for their folder; so does one that has the folder's name.
_FOLDER_PAGES: Final = ("index", "readme")
#: Where the API shows a page when the site's address is not known.
READER_ROUTE: Final = "/documents/"


@dataclass(frozen=True, slots=True)
class SiteRules:
    """How the published site is laid out."""

    #: `https://example.org/base`; None if unknown.
    site_url: str | None = None
    #: Docusaurus's `routeBasePath`; "/" for a site that consists of docs only.
    docs_route: str = "docs"


def page_url(path: str, front: FrontMatter, site: SiteRules) -> str:
    """The published address of the page whose source is `path`, percent-encoded, without an anchor."""
    if site.site_url is None:
        return READER_ROUTE + quote(path, safe="/")
    permalink = _permalink(path, front)
    segments = [quote(part, safe=_PATH_SAFE) for part in f"{site.docs_route}/{permalink}".split("/") if part]
    return "/".join((site.site_url.rstrip("/"), *segments, *([""] if permalink.endswith("/") else [])))


def anchored(url: str, anchor: str | None) -> str:
    """`url` at a heading; the page itself for None."""
    return f"{url}#{quote(anchor, safe=_PATH_SAFE + '?')}" if anchor else url


def base_id(path: str, front: FrontMatter) -> str:
    """The page's name within its folder: front matter `id`, else the file's name without its number prefix."""
    stem = PurePosixPath(path).stem
    return front.text("id") or (_without_prefix(stem) if _strips_prefixes(front) else stem)


def _permalink(path: str, front: FrontMatter) -> str:
    """The address below the docs' route. That of a folder ends in a slash, and a static host insists on it."""
    slug = front.text("slug")
    if slug is not None and slug.startswith("/"):
        return slug
    source = PurePosixPath(path)
    folders = source.parts[:-1]
    published = [_without_prefix(folder) if _strips_prefixes(front) else folder for folder in folders]
    stands_for_folder = source.stem.lower() in (*_FOLDER_PAGES, *(folder.lower() for folder in folders[-1:]))
    if slug is None and stands_for_folder:
        return "/".join(("", *published, ""))
    name = slug or base_id(path, front)
    return normpath("/" + "/".join((*published, name))) + ("/" if name.endswith("/") else "")


def _strips_prefixes(front: FrontMatter) -> bool:
    return front.flag("parse_number_prefixes", default=True)


def _without_prefix(name: str) -> str:
    if _NOT_A_PREFIX.match(name):
        return name
    match = _NUMBER_PREFIX.fullmatch(name)
    return match["rest"] if match else name
