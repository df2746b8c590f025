"""Working copies on disk: one folder a source, in it one folder a revision, whole from the moment it is there.

SOURCES_DIR/<source>/lock              held by whoever fetches
SOURCES_DIR/<source>/<revision>/       what jobs read; never changed once it stands there
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.errors import JobFailed
from shared.models import PageFault

#: The revision that a running job reads, and the one that the job before it has read.
KEPT: Final = 2
LOCK_POLL_SECONDS: Final = 0.2
_REVISION: Final = re.compile(r"[0-9a-f]{40,64}")
_STAGING: Final = ".new-"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A source as it was at one moment."""

    #: The folder that plays the part of the content root.
    root: Path
    #: What `checkout` makes the same folder from again; "" for a folder of the owner's, which has no revisions.
    revision: str
    #: Paths below `root` that differ from the revision that was compared with; None where that is not known.
    changed: frozenset[str] | None
    #: What was fetched, in one line for the owner.
    note: str
    #: Pages that could not be fetched, and what else the owner should know.
    faults: tuple[PageFault, ...] = ()


def source_folder(sources: Path, kind: str, *identity: str | None) -> Path:
    """The folder of one source: another for each address, so that changed settings never read another's copy."""
    named = hashlib.sha256("\0".join(part or "" for part in identity).encode()).hexdigest()[:16]
    return sources / f"{kind}-{named}"


def revision_folder(folder: Path, revision: str) -> Path:
    """Where a revision stands, or would. Raises JobFailed for what cannot be a revision."""
    if not _REVISION.fullmatch(revision):
        raise JobFailed(f"{revision[:80]!r} is not a revision of the source; start another ingest")
    return folder / revision


@asynccontextmanager
async def only_one(folder: Path) -> AsyncIterator[int]:
    """Hold a source's lock; makes the folder. What a killed holder has left is removed.

    The lock ends with the process, and with whatever it has handed the descriptor to that is given here.
    """
    lock = await asyncio.to_thread(_open_lock, folder)
    try:
        while True:
            if _taken(lock):
                break
            await asyncio.sleep(LOCK_POLL_SECONDS)
        await asyncio.to_thread(_remove_leftovers, folder)
        yield lock
    finally:
        os.close(lock)


def _open_lock(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise JobFailed(f"{folder} cannot be written: {error.strerror}; let SOURCES_DIR name another folder") from error


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_leftovers(folder: Path) -> None:
    for left in folder.glob(f"{_STAGING}*"):
        shutil.rmtree(left, ignore_errors=True)


def staging_folder(folder: Path) -> Path:
    """An empty folder to build a revision in. Call it under the lock."""
    return Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder))


def put_in_place(staging: Path, folder: Path, revision: str) -> Path:
    """Make a staging folder the revision, at once, and forget the oldest ones. Call it under the lock."""
    target = revision_folder(folder, revision)
    staging.chmod(0o755)
    staging.rename(target)
    keep(target)
    _forget_oldest(folder)
    return target


def keep(target: Path) -> None:
    """Mark a revision as the one that was used last."""
    with suppress(OSError):  # a read-only mount of a folder that somebody else looks after
        os.utime(target)


def _forget_oldest(folder: Path) -> None:
    copies = [entry for entry in folder.iterdir() if _REVISION.fullmatch(entry.name)]
    copies.sort(key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
    for old in copies[KEPT:]:
        # Renamed first: a folder that is half removed must not pass for a revision.
        doomed = folder / f"{_STAGING}gone-{old.name}"
        old.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
