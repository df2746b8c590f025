"""Reads a site's own small files: configs, tables of contents."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Final

from shared.errors import PageError
from worker.ingestion.read import decode_page, read_page

#: A config is a few KiB; a table of contents of thousands of chapters a few hundred.
MAX_FILE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that is there and cannot be read, with the reason."""

    reason: str


def read_text(root: Path, path: str) -> str | Unreadable | None:
    """The text of `path` (POSIX) below `root`; None if nothing is there. Follows no symbolic link below `root`."""
    try:
        return decode_page(read_page(root, path, MAX_FILE_BYTES))
    except PageError as error:
        # What else the message says is advice for pages.
        return None if isinstance(error.__cause__, FileNotFoundError) else Unreadable(error.message.partition(";")[0])


@dataclass(frozen=True, slots=True)
class Config:
    """A site's config file, and where the site lies."""

    #: The site's folder, absolute. May be outside of the content root, where that is the docs folder of a site.
    folder: Path
    #: Relative to the content root, as a person would write it: `website/mkdocs.yml`, `../mkdocs.yml`.
    shown: str
    text: str | Unreadable

    @property
    def name(self) -> str:
        return self.shown.rpartition("/")[2]


def find_config(root: Path, names: Sequence[str], below: Sequence[str], beside: Sequence[str]) -> Config | None:
    """The first config of one of these names: in the content root, in a folder `below` it, or, where the root may be
    the docs folder alone, in its parent or in a folder `beside` it. Nothing else outside of the root is looked for.
    """
    for folder in ("", *below):
        for name in names:
            path = f"{folder}/{name}" if folder else name
            if (text := read_text(root, path)) is not None:
                return Config(root / folder, path, text)
    for folder in ("", *beside):
        for name in names:
            path = f"{folder}/{name}" if folder else name
            # Only a real file counts: a parent that may not be looked into says nothing about the content.
            if is_file(root.parent, path) and root != root.parent:
                text = read_text(root.parent, path)
                if text is not None:
                    return Config(root.parent / folder, f"../{path}", text)
    return None


def relative_to(root: Path, folder: Path, path: str) -> str | None:
    """What `path`, as a config in `folder` says it, is below `root`: POSIX, "" for the root itself, None outside of it.

    By names alone: symbolic links are not followed when pages are looked for either.
    """
    target = PurePosixPath(normpath(folder / path))
    try:
        inside = target.relative_to(root).as_posix()
    except ValueError:
        return None
    return "" if inside == "." else inside


def below(folder: str, path: str) -> str | None:
    """`path` relative to `folder`, both relative to the content root; None if it does not lie below it."""
    if not folder:
        return path
    return path.removeprefix(f"{folder}/") if path.startswith(f"{folder}/") else None


def is_file(root: Path, path: str) -> bool:
    """Whether a regular file lies at `path` below `root`."""
    return stat.S_ISREG(_mode(root / path))


def is_folder(root: Path, path: str) -> bool:
    """Whether a folder, and no link to one, lies at `path` below `root`."""
    return stat.S_ISDIR(_mode(root / path))


def _mode(path: Path) -> int:
    try:
        return os.lstat(path).st_mode
    except (OSError, ValueError):
        return 0
