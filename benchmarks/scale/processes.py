"""What a running process uses, read from /proc."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.measures import percentile

MIB = 1 << 20
#: Bytes of a block, as stat(2) counts them whatever the file system's own are.
BLOCK = 512


@dataclass(frozen=True, slots=True)
class Memory:
    """A process's resident memory, in bytes."""

    #: Its own, which has to be there.
    own: int
    #: Pages of files that it has mapped, which the system can drop and read again.
    mapped: int

    @property
    def resident(self) -> int:
        return self.own + self.mapped


def memory_of(*pids: int) -> Memory:
    """Of one process, or of a process and its children: what they share is counted once."""
    rollups = [_rollup(pid) for pid in pids]
    return Memory(
        own=sum(each["Pss_Anon"] for each in rollups),
        mapped=max(each["Rss"] - each["Anonymous"] for each in rollups),
    )


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU that a process has used since it began."""
    fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_of(pids: Sequence[int]) -> float:
    """Seconds of CPU that the processes have used since they began."""
    return sum(map(cpu_seconds, pids))


def disk_of(folder: Path) -> int:
    """Bytes that the files of a folder take up: the engine's are sparse, so their lengths say more."""
    return sum(file.stat().st_blocks * BLOCK for file in folder.rglob("*") if file.is_file())


def _rollup(pid: int) -> dict[str, int]:
    """Bytes by name; of pages that several processes share, `Pss` counts a process's part."""
    lines = (Path("/proc") / str(pid) / "smaps_rollup").read_text().splitlines()[1:]
    return {name.rstrip(":"): int(kilobytes) * 1024 for name, kilobytes, _ in map(str.split, lines)}


def median_and_slow(seconds: Sequence[float], digits: int = 0) -> str:
    """The 50th and the 95th percentile in milliseconds; `-` of nothing."""
    median, slow = percentile(seconds, 50), percentile(seconds, 95)
    return "-" if median is None or slow is None else f"{1000 * median:.{digits}f} / {1000 * slow:.{digits}f}"
