"""Makes Markdown pages of a corpus.jsonl, so that it can be ingested, and knows which page each document has become."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cli.errors import BadInput
from shared.golden import Place

#: Of a file's name, so that no file system refuses it.
LONGEST_NAME: Final = 80
#: Of a first line that may serve as the title of a document without one.
LONGEST_TITLE: Final = 120

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9.-]+")
_FENCE: Final = re.compile(r"^\s{0,3}(`{3,}|~{3,})")
#: What would be markup: headings, rules and underlines of headings, definitions, tags and explicit ids.
_LINE_MARKUP: Final = re.compile(r"^(\s*)(#|={2,}\s*$|-{2,}\s*$|:::|\[[^\]]+\]:)")
_INLINE_MARKUP: Final = re.compile(r"(?<!\\)(<(?=[A-Za-z/!?])|\{(?=#))")


@dataclass(frozen=True, slots=True)
class Document:
    """A line of corpus.jsonl."""

    id: str
    title: str
    text: str


def page_place(id_: str) -> Place:
    """Where a document stands. An address with a `#` is a heading of that address's page, everything else a page."""
    page, mark, anchor = id_.partition("#")
    parts = urlsplit(page)
    if not (mark and anchor and parts.scheme and parts.netloc):
        return Place(f"{_safe(id_)}.md")
    return Place("/".join(map(_safe, [parts.netloc, *filter(None, parts.path.split("/"))])) + ".md", anchor)


def _safe(name: str) -> str:
    """A name that every file system and site generator takes as it is. Other names keep their difference in a hash."""
    safe = _UNSAFE.sub("-", name).strip(".-")[:LONGEST_NAME]
    is_same = safe == name and name == name.lower() and name not in ("index", "readme")
    return safe if is_same else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".lstrip("-")


def write_pages(documents: Iterable[Document], folder: Path) -> int:
    """Write the pages into a folder that is empty or not there yet. Returns how many. Blocking. Raises BadInput."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} is not empty; name a folder that is not there yet")
    pages: dict[str, list[tuple[Place, Document]]] = {}
    for document in documents:
        place = page_place(document.id)
        pages.setdefault(place.path, []).append((place, document))
    for path, parts in pages.items():
        file = folder / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(page_text(parts), encoding="utf-8")
        except OSError as error:
            raise BadInput(f"{file} cannot be written ({error.strerror})") from error
    return len(pages)


def page_text(parts: Iterable[tuple[Place, Document]]) -> str:
    """A page of one document, or one with a heading for each of several. Pure."""
    (place, first), *others = parts
    if place.anchor is None:
        lines: Iterable[str] = [*escaped(first.text)]
        return _front_matter(_title(first)) + "\n".join(lines) + "\n"
    title = Path(place.path).stem.replace("-", " ").capitalize()
    sections = chain.from_iterable(_section(part) for part in [(place, first), *others])
    return _front_matter(title) + "\n".join(sections) + "\n"


def _section(part: tuple[Place, Document]) -> Iterator[str]:
    place, document = part
    title = " ".join(_title(document).split()) or document.id
    text = document.text.strip()
    heading = _INLINE_MARKUP.sub(r"\\\1", title)
    yield f"## {heading} {{#{place.anchor}}}"
    yield ""
    yield from escaped(text.removeprefix(document.title).strip("\n"))
    yield ""


def _title(document: Document) -> str:
    """The document's own, else its first line where that is short."""
    first = document.text.strip().partition("\n")[0].strip()
    return document.title.strip() or (first if len(first) <= LONGEST_TITLE else "")


def _front_matter(title: str) -> str:
    return f"---\ntitle: {json.dumps(title, ensure_ascii=False)}\n---\n\n" if title else ""


def escaped(text: str) -> Iterator[str]:
    """The lines of a text that is no Markdown, so that all of it is shown; fenced code is left as it is, and closed."""
    fence = ""
    for line in text.replace("\r\n", "\n").splitlines():
        found = _FENCE.match(line)
        if fence:
            yield line
            is_end = found and found[1].startswith(fence) and not line.strip().strip(fence[0])
            fence = "" if is_end else fence
        elif found:
            fence = found[1]
            yield line
        else:
            yield _INLINE_MARKUP.sub(r"\\\1", _LINE_MARKUP.sub(r"\1\\\2", line))
    if fence:
        yield fence
