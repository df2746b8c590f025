"""Notices that a folder of docs has changed, by looking: works on every file system, network shares among them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

#: Between two looks. A thousand files take a few milliseconds.
LOOK_SECONDS: Final = 1.0
#: Where a look takes long, the pause is so many times as long: looking never takes more than a tenth of a core.
PAUSES_A_LOOK: Final = 9
#: Between two attempts to reach an API that is away.
AWAY_SECONDS: Final = 2.0
#: Folders of tools; any whose name starts with a dot is one as well.
TOOL_FOLDERS: Final = frozenset({"node_modules"})
#: A folder is ready when two looks this far apart agree: an editor or a checkout writes files one after the other.
SETTLE_SECONDS: Final = 1.0

#: Modification time in nanoseconds and size in bytes, by path.
Snapshot = Mapping[str, tuple[int, int]]


def snapshot(root: Path) -> Snapshot:
    """The files at or below `root` as they are now: pages, and what they include or are laid out by.

    A file that vanishes while we look is not there.
    """
    found: dict[str, tuple[int, int]] = {}
    for file in _files(root):
        try:
            status = file.stat()
        except OSError:
            continue
        found[str(file)] = (status.st_mtime_ns, status.st_size)
    return found


def has_pages(root: Path, endings: tuple[str, ...]) -> bool:
    """Whether there is at least one file at or below `root` whose name, in lower case, ends like a page's."""
    return any(file.name.lower().endswith(endings) for file in _files(root))


async def changed(root: Path, known: Snapshot) -> Snapshot:
    """Wait until the files differ from `known` and have stopped changing. Returns what they are then."""
    while True:
        started = time.monotonic()
        current = await asyncio.to_thread(snapshot, root)
        if current != known:
            return await settled(root, current)
        await asyncio.sleep(max(LOOK_SECONDS, PAUSES_A_LOOK * (time.monotonic() - started)))


async def settled(root: Path, current: Snapshot) -> Snapshot:
    """Wait until two looks agree."""
    while True:
        await asyncio.sleep(SETTLE_SECONDS)
        later = await asyncio.to_thread(snapshot, root)
        if later == current:
            return later
        current = later


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in TOOL_FOLDERS]
        yield from (Path(folder, name) for name in files if not name.startswith("."))
