"""A book of mdBook: the chapters that its SUMMARY.md lists, and nothing else."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any, Final
from urllib.parse import unquote

from shared.models import PageFault
from worker.ingestion.markup.inline import plain_text
from worker.ingestion.routes import FixedRoute, is_web_address, joined, reader_url
from worker.ingestion.site.files import Config, Unreadable, below, find_config, is_file, read_text, relative_to
from worker.ingestion.site.profile import SiteOptions, SitePage, hiding_flags

CONFIG_NAME: Final = "book.toml"
SUMMARY: Final = "SUMMARY.md"
#: Where repositories keep their book.
SITE_FOLDERS: Final = ("book", "docs", "doc", "guide")
#: Chapters without a file that a fault names.
MOST_NAMED: Final = 3
#: `- [Title](path.md)`, also without the dash before and after the numbered chapters; `[Title]()` is a draft.
_ENTRY: Final = re.compile(
    r"[ \t]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)?\[(?P<title>(?:[^\[\]\\\n]|\\.|\[[^\[\]\n]*+\])*+)\]"
    r"\((?:<(?P<bracketed>[^<>\n]*+)>|(?P<plain>[^()\s]*+(?:\([^()\s]*+\)[^()\s]*+)*+))"
    r"(?:[ \t]++\"[^\"\n]*+\")?[ \t]*+\)"
)


@dataclass(frozen=True, slots=True)
class MdBookSite:
    """The chapters of a book, laid out."""

    profile: str
    faults: tuple[PageFault, ...]
    #: Of the chapters, relative to the content root; None if it does not lie below it.
    folder: str | None
    #: Titles by path below that folder.
    chapters: Mapping[str, str]
    #: Address of the book; None if it is not known.
    home: str | None
    options: SiteOptions
    endings: tuple[str, ...] = (".md",)

    def page(self, path: str) -> SitePage | None:
        source = None if self.folder is None else below(self.folder, path)
        title = None if source is None else self.chapters.get(source)
        if source is None or title is None:
            return None
        file = PurePosixPath(source)
        name = "index" if file.stem.lower() == "readme" else file.stem
        address = reader_url(path) if self.home is None else joined(self.home, str(file.with_name(f"{name}.html")))
        route = FixedRoute(address, file.stem)
        return SitePage(path, route, "mdbook", title=title or None, hidden_by=hiding_flags(self.options))


def open_mdbook(root: Path, options: SiteOptions) -> MdBookSite | None:
    """The book whose config lies in, below or just above the content root."""
    found = find_config(root, (CONFIG_NAME,), SITE_FOLDERS, ())
    if found is None and options.profile == "mdbook":
        # Without a config: the folder of the chapters, or the one above it.
        has_folder = read_text(root, SUMMARY) is None and read_text(root, f"src/{SUMMARY}") is not None
        found = Config(root, CONFIG_NAME, "" if has_folder else '[book]\nsrc = "."')
    if found is None:
        return None
    config, faults = _read(found)
    source = _value(config, "book", "src") or "src"
    folder = relative_to(root, found.folder, source)
    if folder != "" and relative_to(root, found.folder, "") is None:
        # The config of some other folder: the content root is not its book's.
        return None
    chapters, drafts = _chapters(root, folder, faults)
    faults += _missing(root, folder, chapters)
    home = _home(config, options)
    if home is None:
        faults.append("does not say where the book is published; set SITE_URL, so that citations link to its pages")
    shown = _counted(len(chapters), "chapter") + (f" and {_counted(drafts, 'draft')}" if drafts else "")
    return MdBookSite(
        profile=f"mdBook ({found.shown}): {shown} in {folder or '.'}, "
        + (f"at {home}/" if home else "address not known"),
        faults=tuple(PageFault(found.shown, fault) for fault in faults),
        folder=folder,
        chapters=chapters,
        home=home,
        options=options,
    )


def read_summary(text: str) -> tuple[dict[str, str], int]:
    """Titles of the chapters by path, the first of each, and how many chapters are drafts."""
    chapters: dict[str, str] = {}
    drafts = 0
    for line in _without_comments(text).split("\n"):
        entry = _ENTRY.match(line)
        if entry is None:
            continue
        target = unquote((entry["bracketed"] or entry["plain"] or "").partition("#")[0])
        if not target:
            drafts += 1
        else:
            chapters.setdefault(normpath(target), plain_text(entry["title"]).strip())
    return chapters, drafts


def _without_comments(text: str) -> str:
    parts: list[str] = []
    at = 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start)) >= 0:
        parts.append(text[at:start])
        at = end + len("-->")
    return "".join((*parts, text[at:]))


def _chapters(root: Path, folder: str | None, faults: list[str]) -> tuple[dict[str, str], int]:
    if folder is None:
        faults.append("its chapters lie outside of the content root; let CONTENT_ROOT be the book's folder")
        return {}, 0
    path = f"{folder}/{SUMMARY}" if folder else SUMMARY
    text = read_text(root, path)
    if isinstance(text, str):
        return read_summary(text)
    reason = "is not there" if text is None else text.reason
    faults.append(f"{path} {reason}; mdBook publishes what it lists, so that no page is indexed")
    return {}, 0


def _missing(root: Path, folder: str | None, chapters: Mapping[str, str]) -> list[str]:
    """mdBook makes an empty page of a chapter whose file is not there, unless it is told not to."""
    missing = [path for path in chapters if not is_file(root, f"{folder}/{path}" if folder else path)]
    if not missing:
        return []
    named = ", ".join(missing[:MOST_NAMED]) + (f" and {len(missing) - MOST_NAMED} more" * (len(missing) > MOST_NAMED))
    return [f"{SUMMARY} lists {named}, and there is no such file; correct the list, or put the file there"]


def _read(found: Config) -> tuple[Mapping[str, Any], list[str]]:
    if isinstance(found.text, Unreadable):
        return {}, [f"{found.text.reason}; the defaults of mdBook are taken"]
    try:
        return tomllib.loads(found.text), []
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        return {}, [f"cannot be read: {str(error).partition(chr(10))[0]}; the defaults of mdBook are taken"]


def _value(config: Mapping[str, Any], *keys: str) -> str | None:
    value: Any = config
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) and value else None


def _home(config: Mapping[str, Any], options: SiteOptions) -> str | None:
    """SITE_URL; else `site-url` of the config, which seldom is more than a path."""
    written = _value(config, "output", "html", "site-url")
    url = options.site_url or (written if written and is_web_address(written) else None)
    return None if url is None else joined(url, options.docs_route or "").rstrip("/")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
