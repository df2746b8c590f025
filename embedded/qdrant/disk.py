"""Refuses to write before the disk is full: the engine maps its files, and a full disk kills it with SIGBUS."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

from embedded.qdrant.errors import DiskFull

#: Seconds for which a look at the disk holds. A second of the fastest upserts writes less than 100 MB.
_LOOK_EVERY = 1.0


class DiskGuard:
    """Knows how much room the folder's file system has, looking at most once a second."""

    def __init__(self, folder: Path, least_free: int) -> None:
        self._folder = folder
        self._least_free = least_free
        self._lock = threading.Lock()
        self._free = 0
        self._looked_at = float("-inf")

    def require_room(self) -> None:
        """Raise `DiskFull` when less than `least_free` bytes are left."""
        if (free := self._free_bytes()) < self._least_free:
            raise DiskFull(
                f"No room to write: {free >> 20} MB left on the disk of {self._folder}, "
                f"{self._least_free >> 20} MB must stay free"
            )

    def _free_bytes(self) -> int:
        with self._lock:
            now = time.monotonic()
            if now - self._looked_at >= _LOOK_EVERY:
                self._free = shutil.disk_usage(self._folder).free
                self._looked_at = now
            return self._free
