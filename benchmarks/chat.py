"""What Lectern adds to a model's own time: `python -m benchmarks.chat [--streams 1 50]`.

A stand-in model streams its answer at a fixed pace. Three servers pass it on in the same run: the model itself (the
floor), the peer in `benchmarks/peer_chat.py`, and Lectern with retrieval, prompt, citations and sessions. First token
is the first `chunk` event at the client; CPU is the server process's own, over the tokens it passed on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from embedded.ports import pick_free
from tests.stand_in.fixtures import Provider, running_provider
from tests.system import System, docs_folder, environment, until

#: Seconds between two tokens: twenty tokens a second, as hosted models stream.
PACE = 0.05
QUESTION = "How do I hoist the mainsail?"
#: A hundred words: long enough that setting up an answer is not what is measured.
ANSWER = "Hoist the mainsail with the red halyard [1], then cleat it at the mast. " * 7
DOCS = {"rigging": "# Rigging\n\n## Mainsail\n\nHoist the mainsail with the red halyard and cleat it at the mast.\n"}


@dataclass(frozen=True, slots=True)
class Stream:
    """One visitor's answer as it arrived. Seconds."""

    first: float
    total: float
    chunks: int


async def visit(client: httpx.AsyncClient, url: str, body: dict[str, object], field: str) -> Stream:
    began = time.perf_counter()
    first, chunks = 0.0, 0
    async with client.stream("POST", url, json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if line.startswith("data: {") and _has_text(json.loads(line[6:]), field):
                first = first or time.perf_counter() - began
                chunks += 1
    return Stream(first, time.perf_counter() - began, chunks)


def _has_text(event: dict[str, object], field: str) -> bool:
    if field == "content":
        return event.get("type") == "chunk"
    choices = event.get("choices")
    return bool(isinstance(choices, list) and choices and choices[0]["delta"].get("content"))


async def visitors(url: str, count: int, body: dict[str, object], field: str) -> list[Stream]:
    limits = httpx.Limits(max_connections=count + 10)
    async with httpx.AsyncClient(timeout=120, limits=limits) as client:
        await visit(client, url, body, field)  # connections, imports and caches are warm
        return await asyncio.gather(*(visit(client, url, body, field) for _ in range(count)))


def cpu_seconds(pid: int) -> float:
    fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def peer(provider: Provider) -> Iterator[tuple[str, int]]:
    (port,) = pick_free(1)
    command = [sys.executable, "-m", "uvicorn", "benchmarks.peer_chat:app", "--port", str(port), "--log-level", "error"]
    process = subprocess.Popen(command, env=environment({"OPENAI_BASE_URL": provider.base_url}))
    try:
        until(lambda: _answers(f"http://127.0.0.1:{port}/docs"), 30)
        yield f"http://127.0.0.1:{port}/chat", process.pid
    finally:
        process.terminate()
        process.wait(timeout=10)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


def row(table: Table, name: str, streams: Sequence[Stream], *, cpu: float | None, tokens: int) -> None:
    first = sorted(stream.first for stream in streams)
    table.add_row(
        name,
        str(len(streams)),
        f"{1000 * first[len(first) // 2]:.0f}",
        f"{1000 * first[int(len(first) * 0.95)]:.0f}",
        f"{1000 * sum(stream.total for stream in streams) / len(streams):.0f}",
        "-" if cpu is None else f"{1e6 * cpu / (tokens * len(streams)):.0f}",
    )


async def compare(provider: Provider, lectern: tuple[str, int], other: tuple[str, int], counts: Sequence[int]) -> Table:
    table = Table(title=f"Streams at {1 / PACE:.0f} tokens a second")
    for column in ("server", "streams", "first token p50 ms", "p95 ms", "whole answer ms", "CPU us a token"):
        table.add_column(column)
    upstream: dict[str, object] = {
        "model": "stand-in",
        "stream": True,
        "messages": [{"role": "user", "content": QUESTION}],
    }
    question: dict[str, object] = {"question": QUESTION}
    for count in counts:
        direct = await visitors(f"{provider.base_url}/chat/completions", count, upstream, "delta")
        tokens = direct[0].chunks
        row(table, "the model itself", direct, cpu=None, tokens=tokens)
        for name, (url, pid) in (("FastAPI + SDK objects", other), ("Lectern", lectern)):
            before = cpu_seconds(pid)
            streams = await visitors(url, count, question, "content")
            row(table, name, streams, cpu=cpu_seconds(pid) - before, tokens=tokens)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 50])
    counts: list[int] = parser.parse_args().streams
    with tempfile.TemporaryDirectory() as scratch, running_provider() as provider:
        folder = Path(scratch)
        settings = {
            "OPENAI_BASE_URL": provider.base_url,
            "CHAT_MODEL": "stand-in",
            "RATE_LIMIT_REQUESTS": "100000",
        }
        with (
            docs_folder(folder / "docs", **DOCS) as docs,
            System(folder / "home", docs, **settings) as system,
            peer(provider) as other,
        ):
            assert system.ingest()["status"] == "completed"
            assert system.state is not None
            provider.fault("chat", "slow_tokens", seconds=PACE, text=ANSWER)
            lectern = (f"{system.state['api_url']}/chat", system.pids("uvicorn", "api.main")[0])
            table = asyncio.run(compare(provider, lectern, other, counts))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
