"""Notices that a folder of pages has changed, by looking: works on every file system, network shares among them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from shared.content import PAGE_ENDINGS

#: Between two looks. A thousand pages take a few milliseconds.
LOOK_SECONDS: Final = 1.0
#: A folder is ready when two looks this far apart agree: an editor or a checkout writes files one after the other.
SETTLE_SECONDS: Final = 1.0

#: Modification time in nanoseconds and size in bytes, by path.
Snapshot = Mapping[str, tuple[int, int]]


def snapshot(root: Path) -> Snapshot:
    """The pages at or below `root` as they are now. A file that vanishes while we look is not there."""
    found: dict[str, tuple[int, int]] = {}
    for file in _pages(root):
        try:
            status = file.stat()
        except OSError:
            continue
        found[str(file)] = (status.st_mtime_ns, status.st_size)
    return found


def has_pages(root: Path) -> bool:
    """Whether there is at least one page at or below `root`."""
    return next(_pages(root), None) is not None


async def changed(root: Path, known: Snapshot) -> Snapshot:
    """Wait until the pages differ from `known` and have stopped changing. Returns what they are then."""
    current = await asyncio.to_thread(snapshot, root)
    while current == known:
        await asyncio.sleep(LOOK_SECONDS)
        current = await asyncio.to_thread(snapshot, root)
    return await settled(root, current)


async def settled(root: Path, current: Snapshot) -> Snapshot:
    """Wait until two looks agree."""
    while True:
        await asyncio.sleep(SETTLE_SECONDS)
        later = await asyncio.to_thread(snapshot, root)
        if later == current:
            return later
        current = later


def _pages(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "node_modules"]
        yield from (Path(folder, name) for name in files if name.lower().endswith(PAGE_ENDINGS))
