"""Lectern's own runs: the whole product as processes, asked and watched from outside."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from benchmarks.ingest.corpora import edit
from benchmarks.ingest.results import Run
from benchmarks.scale.processes import MIB, cpu_of
from tests.system import System

#: What ingests, and what keeps the result, by words of their command lines.
WORKERS = ("celery", "--concurrency")
STORES = (("embedded.qdrant",), ("valkey",))
#: After this long nothing that was just started, Flower for one, takes CPU any more.
SETTLING_SECONDS = 6
#: Longest job that is waited for: ten thousand pages at 150 ms a request.
JOB_SECONDS = 1800


def runs(docs: Path, provider: str, edits: int, delay: float, workers: int) -> Iterator[Run]:
    """First, unchanged and edited, against the stand-in provider, with so many worker processes."""
    with TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        settings = {"OPENAI_BASE_URL": provider, "OPENAI_EMBEDDING_MODEL": "stand-in", "EMBED_BATCH_SIZE": "2048"}
        with System(home, docs, WORKER_CONCURRENCY=str(workers), **settings) as system:
            time.sleep(SETTLING_SECONDS)
            for phase in ("first", "unchanged", "edited"):
                if phase == "edited":
                    edit(docs, edits)
                yield one_run(system, phase, provider, delay)


def one_run(system: System, phase: str, provider: str, delay: float) -> Run:
    counter = provider.removesuffix("/v1")
    httpx.get(f"{counter}/reset", params={"delay": delay}).raise_for_status()
    ingesting, stores = system.pids(*WORKERS), [pid for words in STORES for pid in system.pids(*words)]
    cpu, written = cpu_of([*ingesting, *stores]), bytes_written(stores)
    job = finished(system, system.post_ingest())
    assert job["status"] == "completed", job
    counts = httpx.get(f"{counter}/counts").json()
    totals = job["totals"]
    return Run(
        phase=phase,
        wall_seconds=when(job["completed_at"]) - when(job["started_at"]),
        cpu_seconds=cpu_of([*ingesting, *stores]) - cpu,
        pages=totals["pages_found"],
        chunks=totals["chunks"],
        written=totals["chunks_written"],
        requests=counts["requests"],
        texts=counts["texts"],
        most_in_flight=counts["most_in_flight"],
        peak_mib=max(map(peak_mib, ingesting)),
        planning_seconds=planning_seconds(system, job["task_id"]),
        written_mib=(bytes_written(stores) - written) / MIB,
        beside_mib=beside(system),
    )


def finished(system: System, job_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + JOB_SECONDS
    while (job := system.job(job_id))["status"] not in ("completed", "failed", "cancelled"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{job_id} has not ended after {JOB_SECONDS} seconds")
        time.sleep(0.2)
    return job


def planning_seconds(system: System, job_id: str) -> float | None:
    """Between the events with which planning begins and ends."""
    at: dict[str, float] = {}
    with system.api.stream("GET", f"/ingest/{job_id}/events", headers=system.admin) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                event = json.loads(line[6:])
                if "at" in event:
                    at.setdefault(event["type"], when(event["at"]))
    return at["indexing"] - at["planning"] if {"indexing", "planning"} <= set(at) else None


def beside(system: System) -> dict[str, float]:
    """High-water marks of what runs beside the workers, in MiB."""
    named = {"API": ("uvicorn",), "Qdrant": STORES[0], "Valkey": STORES[1]}
    return {name: max(map(peak_mib, system.pids(*words))) for name, words in named.items()}


def peak_mib(pid: int) -> float:
    status = (Path("/proc") / str(pid) / "status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def bytes_written(pids: Sequence[int]) -> int:
    """What the processes have sent to the disk."""
    texts = [(Path("/proc") / str(pid) / "io").read_text() for pid in pids]
    return sum(int(line.split()[1]) for text in texts for line in text.splitlines() if line.startswith("write_bytes"))


def when(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
