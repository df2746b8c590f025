"""Finds the pages of a content folder, by the rules with which Docusaurus finds its own."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from shared.content import PAGE_ENDINGS
from shared.models import PageFault

#: Docusaurus publishes no partials, and neither tests nor what belongs to them.
NEVER_PUBLISHED: Final = ("**/_*.md", "**/_*.mdx", "**/_*/**", "**/*.test.*", "**/__tests__/**")
#: Folders of tools; any folder whose name starts with a dot is one as well.
TOOL_FOLDERS: Final = frozenset({"node_modules"})


@dataclass(frozen=True, slots=True)
class FileRules:
    """Which files count, as globs over the path relative to the content root: `**`, `*`, `?`, `{a,b}`.

    A glob without a slash fits at any depth; one that ends in a slash fits everything in that folder.
    """

    #: Empty means everything.
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that looks like a page."""

    #: POSIX path relative to the content root.
    path: str
    #: Bytes, when it was found.
    size: int


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a walk found, in a stable order, and what the owner should know that it left out."""

    files: tuple[FoundFile, ...]
    skipped: tuple[PageFault, ...]
    #: Folders that could not be listed: which pages are below them is unknown, not none. Named in `skipped` as well.
    unreadable_folders: tuple[str, ...] = ()


def discover(root: Path, start: Path, rules: FileRules) -> Discovery:
    """All pages at or below `start`, a folder or file inside `root` (see `resolve_content_path`).

    Symbolic links are never followed. Partials, tests, hidden folders and what the globs leave out are not mentioned.
    """
    files: list[FoundFile] = []
    skipped: list[PageFault] = []
    unreadable: list[str] = []
    for found in _walk(root, start):
        if isinstance(found, FoundFile):
            if is_wanted(found.path, rules):
                files.append(found)
            continue
        skipped.append(found)
        if isinstance(found, _UnreadableFolder):
            unreadable.append(found.path)
    return Discovery(tuple(files), tuple(skipped), tuple(unreadable))


def is_wanted(path: str, rules: FileRules) -> bool:
    """Whether a page of that path would be published and the globs let it through."""
    if _matcher(NEVER_PUBLISHED).fullmatch(path):
        return False
    if rules.include and not _matcher(rules.include).fullmatch(path):
        return False
    return not (rules.exclude and _matcher(rules.exclude).fullmatch(path))


def _walk(root: Path, start: Path) -> Iterator[FoundFile | PageFault]:
    """Depth first, names in code point order. Not recursive: a tree may be deeper than Python's stack."""
    relative = "" if start == root else start.relative_to(root).as_posix()
    if start.is_file():
        yield FoundFile(relative, start.stat().st_size)
        return
    open_folders = [_entries(start, relative)]
    while open_folders:
        found = next(open_folders[-1], None)
        if found is None:
            open_folders.pop()
        elif isinstance(found, _Folder):
            open_folders.append(_entries(found.location, found.path))
        else:
            yield found


@dataclass(frozen=True, slots=True)
class _Folder:
    location: Path
    path: str


class _UnreadableFolder(PageFault):
    """A fault that hides whatever is below its path."""


def _entries(folder: Path, path: str) -> Iterator[FoundFile | PageFault | _Folder]:
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        yield _UnreadableFolder(
            _printable(path or "."), f"the folder cannot be read: {error.strerror}; check its permissions"
        )
        return
    for entry in entries:
        found = _classify(entry, f"{path}/{entry.name}" if path else entry.name)
        if found is not None:
            yield found


def _classify(entry: os.DirEntry[str], path: str) -> FoundFile | PageFault | _Folder | None:
    """What an entry is to us; None if nobody would expect it to be a page."""
    hidden = entry.name.startswith(".") or entry.name in TOOL_FOLDERS
    looks_like_page = entry.name.lower().endswith(PAGE_ENDINGS)
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        # Gone since the folder was listed: the next run will not see it either.
        return None
    if stat.S_ISDIR(status.st_mode):
        return None if hidden else _Folder(Path(entry.path), path)
    is_link = stat.S_ISLNK(status.st_mode)
    if hidden or not (looks_like_page or (is_link and _leads_to_folder(entry))):
        return None
    fault = _fault(status, path)
    return PageFault(_printable(path), fault) if fault else FoundFile(path, status.st_size)


def _fault(status: os.stat_result, path: str) -> str | None:
    """Why an entry that looks like a page is none."""
    if stat.S_ISLNK(status.st_mode):
        return "is a symbolic link, which is not followed; put the real file here"
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file (a pipe, socket or device)"
    if _printable(path) != path:
        return "its name is not valid UTF-8; rename the file"
    return None


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=True)
    except OSError:
        return False


def _printable(path: str) -> str:
    """The path with bytes that are no UTF-8 shown as U+FFFD; Python holds them as lone surrogates."""
    return os.fsencode(path).decode("utf-8", "replace")


@cache
def _matcher(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(_translate(glob) for glob in globs), re.DOTALL)


_GLOB_PARTS: Final = re.compile(r"\*\*/|\*\*|\*|\?|\{[^{}/]*\}|.", re.DOTALL)
_WILDCARDS: Final = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _translate(glob: str) -> str:
    """A glob as a regular expression over a whole path."""
    glob = glob.removeprefix("./").lstrip("/")
    if glob.endswith("/"):
        glob += "**"
    elif "/" not in glob:
        glob = f"**/{glob}"
    return "".join(_translate_part(part) for part in _GLOB_PARTS.findall(glob))


def _translate_part(part: str) -> str:
    if part in _WILDCARDS:
        return _WILDCARDS[part]
    if len(part) > 1:
        return f"(?:{'|'.join(re.escape(choice) for choice in part[1:-1].split(','))})"
    return re.escape(part)
