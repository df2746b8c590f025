"""Finds the files of a content folder that look like pages. Which of them are is for the site's profile to say."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.content import PAGE_ENDINGS
from shared.models import PageFault
from worker.ingestion.globs import floating

#: Folders of tools; any folder whose name starts with a dot is one as well.
TOOL_FOLDERS: Final = frozenset({"node_modules"})


@dataclass(frozen=True, slots=True)
class FileRules:
    """Which files count, as globs over the path relative to the content root (`worker.ingestion.globs.floating`)."""

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


def discover(root: Path, start: Path, rules: FileRules, endings: tuple[str, ...] = PAGE_ENDINGS) -> Discovery:
    """All files that look like pages at or below `start`, a folder or file inside `root` (`resolve_content_path`).

    `endings` are in lower case.
    Symbolic links are never followed. Hidden folders and what the globs leave out are not mentioned.
    """
    files: list[FoundFile] = []
    skipped: list[PageFault] = []
    unreadable: list[str] = []
    for found in _walk(root, start, endings):
        if isinstance(found, FoundFile):
            if is_wanted(found.path, rules):
                files.append(found)
            continue
        skipped.append(found)
        if isinstance(found, _UnreadableFolder):
            unreadable.append(found.path)
    return Discovery(tuple(files), tuple(skipped), tuple(unreadable))


def is_wanted(path: str, rules: FileRules) -> bool:
    """Whether the globs let a path through."""
    if rules.include and not floating(rules.include).match(path):
        return False
    return not floating(rules.exclude).match(path)


def _walk(root: Path, start: Path, endings: tuple[str, ...]) -> Iterator[FoundFile | PageFault]:
    """Depth first, names in code point order. Not recursive: a tree may be deeper than Python's stack."""
    relative = "" if start == root else start.relative_to(root).as_posix()
    if start.is_file():
        yield FoundFile(relative, start.stat().st_size)
        return
    open_folders = [_entries(start, relative, endings)]
    while open_folders:
        found = next(open_folders[-1], None)
        if found is None:
            open_folders.pop()
        elif isinstance(found, _Folder):
            open_folders.append(_entries(found.location, found.path, endings))
        else:
            yield found


@dataclass(frozen=True, slots=True)
class _Folder:
    location: Path
    path: str


class _UnreadableFolder(PageFault):
    """A fault that hides whatever is below its path."""


def _entries(folder: Path, path: str, endings: tuple[str, ...]) -> Iterator[FoundFile | PageFault | _Folder]:
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        yield _UnreadableFolder(
            _printable(path or "."), f"the folder cannot be read: {error.strerror}; check its permissions"
        )
        return
    for entry in entries:
        found = _classify(entry, f"{path}/{entry.name}" if path else entry.name, endings)
        if found is not None:
            yield found


def _classify(entry: os.DirEntry[str], path: str, endings: tuple[str, ...]) -> FoundFile | PageFault | _Folder | None:
    """What an entry is to us; None if nobody would expect it to be a page."""
    hidden = entry.name.startswith(".") or entry.name in TOOL_FOLDERS
    looks_like_page = entry.name.lower().endswith(endings)
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
