"""Sitemaps: XML of the sitemaps.org protocol, or one address a line; a page list, or an index of further sitemaps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from worker.ingestion.sources.web import Inflater, Unfetched

#: Of one sitemap, uncompressed: the protocol's own limit.
MOST_BYTES: Final = 50 * 2**20
#: The protocol's limit for one address.
MOST_CHARACTERS: Final = 2048
_GZIP: Final = b"\x1f\x8b"


@dataclass(slots=True)
class Sitemap:
    """Addresses in the order of the file, as they stand in it."""

    pages: list[str] = field(default_factory=list)
    sitemaps: list[str] = field(default_factory=list)


def parse_sitemap(data: bytes, most: int) -> Sitemap:
    """The addresses of a sitemap; one more than `most` at the most. Raises Unfetched with the reason if it is none."""
    if data.startswith(_GZIP):
        inflater = Inflater(MOST_BYTES)
        data = inflater.feed(data)
        inflater.end()
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.lower().startswith((b"http://", b"https://")):
        return Sitemap(pages=_plain(data)[: most + 1])
    return _parse_xml(data, most)


def _plain(data: bytes) -> list[str]:
    lines = data.decode("utf-8-sig", "replace").splitlines()
    return [line.strip() for line in lines if line.strip()]


class _Enough(Exception):
    """Raised inside the parser once there are more addresses than anyone wants."""


def _parse_xml(data: bytes, most: int) -> Sitemap:
    """Only `<loc>` directly inside `<url>` or `<sitemap>` counts: images and videos have theirs deeper down."""
    found = Sitemap()
    open_elements: list[str] = []
    text: list[str] = []

    def start(name: str, _: object) -> None:
        open_elements.append(name.rpartition(" ")[2].lower())
        text.clear()

    def end(_: str) -> None:
        if open_elements[-2:] in (["url", "loc"], ["sitemap", "loc"]) and len(open_elements) == 3:
            into = found.pages if open_elements[-2] == "url" else found.sitemaps
            into.append("".join(text).strip())
            if len(into) > most:
                raise _Enough
        open_elements.pop()
        text.clear()

    def characters(part: str) -> None:
        if len(text) <= MOST_CHARACTERS:
            text.append(part)

    def refuse(*_: object) -> None:
        raise Unfetched("has a document type (<!DOCTYPE>), which no sitemap needs and which is not read")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except _Enough:
        return found
    except expat.ExpatError as error:
        raise Unfetched(f"is not a sitemap: its XML breaks in line {error.lineno}") from None
    if not found.pages and not found.sitemaps:
        raise Unfetched("is not a sitemap, or an empty one: it lists no address")
    return found
