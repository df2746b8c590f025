"""What a passage costs in the embedded Qdrant: memory, disk, and the time and CPU of the API's own search.

The embedded engine scans. A Qdrant server builds a graph by itself; the same engine can be told to, between two runs of
the process, and the last row of each kind is measured on such a graph.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from benchmarks.scale.corpus import Corpus, Synthetic
from benchmarks.scale.processes import MIB, Memory, cpu_seconds, disk_of, median_and_slow, memory_of
from shared.bm25 import Bm25Encoder
from shared.chunk_collections import CollectionSpec
from shared.services import open_qdrant, open_reads
from shared.settings import load_settings
from shared.vector_store import VectorStore
from tests import qdrant_server

#: Passages made and written at a time.
BATCH = 600
#: Searches a row. Those before, which load what the others then find loaded, are not counted.
SEARCHES, WARM_UP = 60, 10
#: As many passages as the API looks at for a question.
LIMIT = 12
BUILD_GRAPH = (
    "import qdrant_edge, sys; shard = qdrant_edge.EdgeShard.load(sys.argv[1]); shard.optimize(); shard.close()"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One size, measured."""

    passages: int
    state: str
    #: After the searches.
    memory: Memory
    disk: int
    seconds: Sequence[float]
    #: Of the engine's process, seconds a search.
    cpu: float


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine and the API's store over it."""

    store: VectorStore
    pid: int
    folder: Path


async def measure(corpus: Corpus, spec: CollectionSpec, sizes: Sequence[int], graph: int) -> list[Row]:
    """A row for each size as it grows, one after a restart, one at `graph` passages with a graph."""
    with tempfile.TemporaryDirectory() as folder:
        rows = await grown(corpus, spec, sizes, Path(folder))
        rows.append(await _reopened(corpus, spec, sizes[-1], Path(folder), "restarted"))
    with tempfile.TemporaryDirectory() as folder:
        await grown(corpus, spec, [graph], Path(folder))
        began = time.perf_counter()
        shard = next(Path(folder).rglob(f"{spec.name('scale')}*/segments")).parent
        peak = _build_graph(shard)
        state = f"graph, built in {time.perf_counter() - began:.0f} s with {peak / MIB:,.0f} MiB"
        rows.append(await _reopened(corpus, spec, graph, Path(folder), state))
    return rows


def _build_graph(shard: Path) -> int:
    """Peak memory of the process that builds it, in bytes, mapped files included."""
    process = subprocess.Popen([sys.executable, "-c", BUILD_GRAPH, str(shard)])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"the engine left with {process.returncode}"
    return usage.ru_maxrss * 1024


def table_of(title: str, rows: Sequence[Row]) -> Table:
    """The rows, and what a passage adds: the slope of a straight line through the sizes just written."""
    table = Table(title=title)
    for column in ("passages", "state", "memory MiB", "and mapped MiB", "disk MiB", "search p50 / p95 ms", "CPU ms"):
        table.add_column(column)
    for row in rows:
        table.add_row(
            f"{row.passages:,}",
            row.state,
            f"{row.memory.own / MIB:.0f}",
            f"{row.memory.mapped / MIB:.0f}",
            f"{row.disk / MIB:.0f}",
            median_and_slow(row.seconds, digits=1),
            f"{1000 * row.cpu:.1f}",
        )
    grown = [row for row in rows if row.state == "written"]
    resident = _slope([row.passages for row in grown], [row.memory.resident for row in grown])
    own = _slope([row.passages for row in grown], [row.memory.own for row in grown])
    disk = _slope([row.passages for row in grown], [row.disk for row in grown])
    table.caption = f"bytes a passage: {own:,.0f} of memory, {resident:,.0f} with what is mapped, {disk:,.0f} of disk"
    return table


def _slope(sizes: Sequence[int], amounts: Sequence[int]) -> float:
    return float(np.polyfit(sizes, amounts, 1)[0])


async def grown(corpus: Corpus, spec: CollectionSpec, sizes: Sequence[int], folder: Path) -> list[Row]:
    site = Synthetic(corpus, spec, seed=7)
    rows: list[Row] = []
    async with _running(folder) as engine:
        collection = await engine.store.ensure_collection(spec)
        start = 0
        for size in sizes:
            while start < size:
                end = min(start + BATCH, size)
                pages, points = site.part(start, end)
                await engine.store.write(collection, points, pages)
                start = end
            rows.append(await _row(corpus, spec, size, "written", engine))
    return rows


async def _reopened(corpus: Corpus, spec: CollectionSpec, size: int, folder: Path, state: str) -> Row:
    async with _running(folder) as engine:
        return await _row(corpus, spec, size, state, engine)


async def _row(corpus: Corpus, spec: CollectionSpec, size: int, state: str, engine: Engine) -> Row:
    asking = Synthetic(corpus, spec, seed=11)
    await _search(corpus, asking, engine.store, range(WARM_UP))
    before = cpu_seconds(engine.pid)
    seconds = await _search(corpus, asking, engine.store, range(WARM_UP, WARM_UP + SEARCHES))
    cpu = (cpu_seconds(engine.pid) - before) / SEARCHES
    return Row(size, state, memory_of(engine.pid), disk_of(engine.folder), seconds, cpu)


async def _search(corpus: Corpus, asking: Synthetic, store: VectorStore, numbers: range) -> list[float]:
    """Seconds of each search, one after the other."""
    bm25, collection = Bm25Encoder(), asking.spec.name(store.alias)
    seconds = []
    for number in numbers:
        dense, sparse = asking.vectors(1)[0], bm25.encode_query(corpus.question(number))
        began = time.perf_counter()
        found = await store.search(collection, 1, dense, sparse, LIMIT)
        seconds.append(time.perf_counter() - began)
        assert len(found) == LIMIT
    return seconds


@asynccontextmanager
async def _running(folder: Path) -> AsyncIterator[Engine]:
    """An engine that has just been started on this folder."""
    with qdrant_server.running(folder) as server:
        settings = load_settings(None, qdrant_url=server.url)
        client, reads = open_qdrant(settings), open_reads(settings)
        try:
            yield Engine(VectorStore(client, reads, "scale"), server.process.pid, folder)
        finally:
            await reads.close()
            await client.close()
            server.stop()
