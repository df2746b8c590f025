"""One measured run, whoever made it. Plain Python: the peers' environments read it too."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Run:
    """What one ingest took."""

    #: first, unchanged, one page edited...
    phase: str
    wall_seconds: float
    #: Of the ingester's processes; without the provider's.
    cpu_seconds: float
    pages: int
    #: Passages that are in the store afterwards.
    chunks: int
    #: Passages that were written.
    written: int
    requests: int
    #: Texts that were sent to the provider.
    texts: int
    most_in_flight: int
    #: High-water mark of the largest process that ingests, in MiB.
    peak_mib: float
    #: Seconds from the start to the first unit of work; None where there is no such step.
    planning_seconds: float | None = None
    #: MiB written by the stores' processes; None where they are in memory.
    written_mib: float | None = None
    #: High-water marks of the processes beside the ingesting ones, in MiB, by their names.
    beside_mib: dict[str, float] = field(default_factory=dict)
