"""A page as a client names it: by its path in the content root, or by its address on the site, however spelt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

#: Endings that an address may have or leave out, and those of the files that pages are made from.
_ENDINGS: Final = ("/index.html", ".html", "/index")
_FILES: Final = (".md", ".mdx", ".markdown")


@dataclass(frozen=True, slots=True)
class PageAddress:
    """One page. It is told by its path alone: previews and mirrors of a site have another host."""

    #: As given, without anchor and query.
    given: str
    #: `https://site.example`; "" where it was left out.
    host: str
    #: The path that is meant, bare: `docs/install` for `https://site.example/docs/install/#linux`.
    bare: str

    def is_of(self, path: str, url: str) -> bool:
        """Whether a passage of the page `path`, published at `url`, stands on this page."""
        return self.given == path or self.bare in (_bare(_split(url)[1]), _bare_file(path))

    @property
    def paths(self) -> list[str]:
        """Paths in the content root that this may be."""
        stem = self.given.strip("/").removeprefix("./")
        folders = [f"{folder}{ending}" for folder in (f"{stem}/index", f"{stem}/README") for ending in _FILES]
        return list(dict.fromkeys([stem, *(f"{stem}{ending}" for ending in _FILES), *folders]))

    def addresses(self, site: str) -> list[str]:
        """Addresses that the index may have this page under; `site` is where the site is published, if known."""
        hosts = filter(None, (self.host, _split(site)[0]))
        spelt = dict.fromkeys([self.bare, quote(self.bare, safe="/%:@!$&'()*+,;=~-._")])
        return [
            f"{host}/{bare}{ending}"
            for host in dict.fromkeys([*hosts, ""])
            for bare in spelt
            for ending in ("", *(("/", *_ENDINGS) if bare else ("index.html",)))
        ]


def page_address(text: str) -> PageAddress | None:
    """What a client means by a page; None if it is nothing."""
    given = text.strip().split("#", 1)[0].split("?", 1)[0]
    host, path = _split(given)
    return PageAddress(given, host, _bare(path)) if given else None


def _split(address: str) -> tuple[str, str]:
    """Its host, with the scheme, and its path."""
    try:
        parts = urlsplit(address)
    except ValueError:  # as of "http://[": no page has such an address
        return "", address
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else "", parts.path


def _bare(path: str) -> str:
    path = unquote(path).rstrip("/")
    for ending in _ENDINGS:
        path = f"/{path}".removesuffix(ending)
    return path.strip("/")


def _bare_file(path: str) -> str:
    for ending in _FILES:
        path = path.removesuffix(ending)
    return _bare(path)
