"""The files of one commit, read from git's objects and written as plain files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.errors import JobFailed
from shared.models import PageFault
from worker.ingestion.sources.git_command import Git, GitFailed

#: Folders inside the folder; nobody's docs are that deep, and every level costs a system call a file.
MOST_LEVELS: Final = 64
MOST_NAME_BYTES: Final = 255
#: Bytes that are copied at a time.
PART_BYTES: Final = 1024 * 1024
#: What is left out and named one by one; a repository of ten thousand links has one more line that sums them up.
NAMED: Final = 20

#: Where a site's config lies if it lies beside the docs.
SITE_FOLDER: Final = "website"
#: A config is smaller; what lies beside it may be anything.
AROUND_BYTES: Final = 1024 * 1024

_FOLDER: Final = "040000"
_FILES: Final = ("100644", "100755", "100664")
_LEFT_OUT: Final = {
    "120000": "is a symbolic link, which is not followed; put the real file here",
    "160000": "is a submodule, which is not fetched; make its repository a source of its own",
}


@dataclass(frozen=True, slots=True)
class TreeFile:
    #: Relative to the repository's root.
    path: str
    blob: str
    #: Bytes.
    size: int


@dataclass(frozen=True, slots=True)
class Tree:
    """What is written out of a commit: a folder with all that is in it, and the files that lie around it."""

    files: tuple[TreeFile, ...]
    #: What is not an ordinary file, with the reason why it is left out; paths are relative to the folder.
    faults: tuple[PageFault, ...]

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)


async def read_tree(git: Git, commit: str, folder: str) -> Tree:
    """The ordinary files of a commit below a folder. Raises JobFailed if there is no such folder, or no file in it."""
    try:
        files, left_out = await _listed(git, commit, folder, "-r")
    except GitFailed as error:
        raise JobFailed(
            f"the repository has no folder {folder!r} at {commit[:12]}; correct SOURCE_GIT_FOLDER"
        ) from error
    if not files:
        raise JobFailed(f"the repository has no file in {folder or '.'!r} at {commit[:12]}; correct SOURCE_GIT_FOLDER")
    return Tree((*files, *await files_around(git, commit, folder)), _summed_up(left_out))


async def files_around(git: Git, commit: str, folder: str) -> list[TreeFile]:
    """Files right in the folder's parent, and in a site's folder there: one of them may be the config of its site."""
    if not folder:
        return []
    parent = folder.rpartition("/")[0]
    beside = f"{parent}/{SITE_FOLDER}" if parent else SITE_FOLDER
    files = await _files_of(git, commit, parent)
    if not f"{folder}/".startswith(f"{beside}/"):
        files += await _files_of(git, commit, beside)
    return [file for file in files if file.size <= AROUND_BYTES]


async def _files_of(git: Git, commit: str, folder: str) -> list[TreeFile]:
    try:
        return (await _listed(git, commit, folder))[0]
    except GitFailed:
        return []


async def _listed(git: Git, commit: str, folder: str, *options: str) -> tuple[list[TreeFile], list[PageFault]]:
    listing = await git.run("ls-tree", *options, "-l", "-z", "--full-tree", "--end-of-options", f"{commit}:{folder}")
    files: list[TreeFile] = []
    left_out: list[PageFault] = []
    for entry in listing.split(b"\0"):
        found = _classified(entry, f"{folder}/" if folder else "") if entry else None
        if isinstance(found, TreeFile):
            files.append(found)
        elif found is not None:
            left_out.append(found)
    return files, left_out


def _classified(entry: bytes, prefix: str) -> TreeFile | PageFault | None:
    """One line of the listing: `<mode> <type> <object> <size>\\t<path>`; None for a folder."""
    about, _, name = entry.partition(b"\t")
    mode, _, blob, size = about.decode("ascii").split()
    shown = name.decode("utf-8", "replace")
    if mode == _FOLDER:
        return None
    if mode not in _FILES:
        return PageFault(shown, _LEFT_OUT.get(mode, "is no ordinary file"))
    if not is_plain(name):
        return PageFault(shown[:200], "has a name that is not safe to write; rename it")
    return TreeFile(prefix + os.fsdecode(name), blob, int(size))


def is_plain(path: bytes) -> bool:
    """Whether a path of a commit stays in its folder: git's own checks are for its own checkouts."""
    names = path.split(b"/")
    return len(names) <= MOST_LEVELS and all(
        0 < len(name) <= MOST_NAME_BYTES and name not in (b".", b"..") and name.lower() != b".git" for name in names
    )


def _summed_up(left_out: list[PageFault]) -> tuple[PageFault, ...]:
    if len(left_out) <= NAMED:
        return tuple(left_out)
    more = PageFault(".", f"{len(left_out) - NAMED:,} more links, submodules and odd names are left out")
    return (*left_out[:NAMED], more)


async def write_files(git: Git, tree: Tree, into: Path) -> None:
    """Write every file of a tree below an empty folder. Raises OSError, JobFailed."""
    await asyncio.to_thread(_make_folders, tree, into)
    async with git.running("cat-file", "--batch") as reading:
        asking = asyncio.create_task(_ask(reading.stdin, tree))
        try:
            for file in tree.files:
                header = (await reading.stdout.readline()).split()
                if len(header) != 3 or int(header[2]) != file.size:
                    raise JobFailed("the worker's copy of the repository is damaged; start another ingest")
                await _copy(reading.stdout, file, into)
        except asyncio.IncompleteReadError as error:
            raise JobFailed("git died while the repository's files were written; start another ingest") from error
        finally:
            asking.cancel()


async def _ask(stdin: asyncio.StreamWriter, tree: Tree) -> None:
    for file in tree.files:
        stdin.write(f"{file.blob}\n".encode())
        await stdin.drain()
    stdin.close()


async def _copy(stdout: asyncio.StreamReader, file: TreeFile, into: Path) -> None:
    missing = file.size
    # A path that stands in a tree twice, or both as file and folder, is somebody's trick.
    descriptor = os.open(into / file.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "wb") as target:
        while missing:
            part = await stdout.readexactly(min(missing, PART_BYTES))
            missing -= len(part)
            target.write(part)
    await stdout.readexactly(1)  # the line's end behind each object


def _make_folders(tree: Tree, into: Path) -> None:
    for folder in sorted({path for path in _folders(tree) if path}):
        (into / folder).mkdir(exist_ok=True)


def _folders(tree: Tree) -> Iterator[str]:
    for file in tree.files:
        folder = file.path.rpartition("/")[0]
        while folder:
            yield folder
            folder = folder.rpartition("/")[0]
