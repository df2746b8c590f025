"""Starts the embedded Qdrant as the process that it is in the small size."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

API_KEY = "contract-key"
_MEMORY_DISK = Path("/dev/shm")
_ROOM = 1 << 30  # bytes; a test run takes a tenth of it, and the server wants 256 MB left free


@dataclass(frozen=True, slots=True)
class EmbeddedQdrant:
    """A running server and the address that it printed."""

    process: subprocess.Popen[str]
    url: str

    def stop(self, seconds: float = 10.0) -> int:
        """Ask it to end; its exit code."""
        self.process.terminate()
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End it without a chance to save anything."""
        self.process.kill()
        self.process.wait()


def launch(data: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the process and return at once."""
    command = [sys.executable, "-m", "embedded.qdrant", "--data", str(data), "--port", "0", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder for data that need not reach a disk; in memory where there is room.

    The engine syncs its files when a collection is made and when it is deleted: 250 ms on a disk, 3 ms in memory.
    """
    in_memory = _MEMORY_DISK.is_dir() and shutil.disk_usage(_MEMORY_DISK).free > _ROOM
    with tempfile.TemporaryDirectory(prefix="qdrant-", dir=_MEMORY_DISK if in_memory else None) as folder:
        yield Path(folder)


@contextmanager
def running(data: Path, *arguments: str) -> Iterator[EmbeddedQdrant]:
    """A server that answers; it is killed at the end if the test has not ended it."""
    process = launch(data, *arguments)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            raise AssertionError(f"the server did not start: {line}{process.stderr.read()}")
        yield EmbeddedQdrant(process, line.split()[-1])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
