"""Where a visitor finds a page: the address that the site's generator publishes a source file at."""

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
#: The address of a whole site. What a config says becomes the head of links that visitors follow.
_WEB_ADDRESS: Final = re.compile(r"https?://[^\s/?#@\\<>\"'`]++(?:/[^\s?#\\<>\"'`]*+)?", re.IGNORECASE)
#: Where the API shows a page when the site's address is not known.
READER_ROUTE: Final = "/documents/"


@dataclass(frozen=True, slots=True)
class FixedRoute:
    """A page whose address does not depend on what is written in it."""

    address: str
    #: What the page is called if nothing gives it a title.
    label: str

    def url(self, front: FrontMatter) -> str:
        return self.address

    def name(self, front: FrontMatter) -> str:
        return self.label


@dataclass(frozen=True, slots=True)
class DocusaurusRoute:
    """A page that Docusaurus publishes: its address comes from its path and its front matter."""

    #: POSIX path relative to the content root.
    path: str
    #: POSIX path relative to the folder that the docs' route stands for.
    source: str
    #: Address of the site in the page's language, without a slash at its end; None if it is not known.
    home: str | None
    #: What stands between the two: `docs`, `docs/next`; "" or "/" for a site that consists of docs only.
    route: str = ""
    strips_prefixes: bool = True
    #: None leaves a page without one, and the page of a folder with one.
    trailing_slash: bool | None = None

    def url(self, front: FrontMatter) -> str:
        if self.home is None:
            return reader_url(self.path)
        permalink = self._permalink(front)
        address = joined(self.home, self.route, permalink)
        if self.trailing_slash is None or address.rstrip("/") == self.home.rstrip("/"):
            return address
        return address.rstrip("/") + "/" * self.trailing_slash

    def name(self, front: FrontMatter) -> str:
        """The page's name within its folder: front matter `id`, else the file's name without its number prefix."""
        stem = PurePosixPath(self.source).stem
        return front.text("id") or (_without_prefix(stem) if self._strips(front) else stem)

    def _permalink(self, front: FrontMatter) -> str:
        """The address below the route. That of a folder ends in a slash, and a static host insists on it."""
        slug = front.text("slug")
        if slug is not None and slug.startswith("/"):
            return slug
        source = PurePosixPath(self.source)
        folders = source.parts[:-1]
        published = [_without_prefix(folder) if self._strips(front) else folder for folder in folders]
        stands_for_folder = source.stem.lower() in (*_FOLDER_PAGES, *(folder.lower() for folder in folders[-1:]))
        if slug is None and stands_for_folder:
            return "/".join(("", *published, ""))
        name = slug or self.name(front)
        return normpath("/" + "/".join((*published, name))) + ("/" if name.endswith("/") else "")

    def _strips(self, front: FrontMatter) -> bool:
        return self.strips_prefixes and front.flag("parse_number_prefixes", default=True)


def joined(home: str, *paths: str) -> str:
    """The address below `home`, percent-encoded. It ends in a slash if the last path does or there is none."""
    segments = [quote(part, safe=_PATH_SAFE) for path in paths for part in path.split("/") if part]
    ends_open = not segments or paths[-1].endswith("/")
    return "/".join((home.rstrip("/"), *segments, *([""] if ends_open else [])))


def is_web_address(text: str) -> bool:
    """Whether a site can be published there: http or https, a host, perhaps a path."""
    return text.isprintable() and _WEB_ADDRESS.fullmatch(text) is not None


def reader_url(path: str) -> str:
    """Where the API itself shows the page of a path."""
    return READER_ROUTE + quote(path, safe="/")


def anchored(url: str, anchor: str | None) -> str:
    """`url` at a heading; the page itself for None."""
    return f"{url}#{quote(anchor, safe=_PATH_SAFE + '?')}" if anchor else url


def _without_prefix(name: str) -> str:
    if _NOT_A_PREFIX.match(name):
        return name
    match = _NUMBER_PREFIX.fullmatch(name)
    return match["rest"] if match else name
