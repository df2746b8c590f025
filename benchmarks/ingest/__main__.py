"""Ingest, measured beside its peers: `python -m benchmarks.ingest [--data DIR] [--peers PYTHON]`.

On real docs (the folders of DIR) and on a made site: what one core does alone, then the whole product against a
provider that answers at once or after 150 ms, with 1, 2 and 4 worker processes: first, unchanged, and with one line
added to a page. In the same run, LlamaIndex's IngestionPipeline and LangChain's indexing API do the same work.
CPU is that of whoever ingests and stores; the provider's is not counted. Compare rows of one run only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.ingest import lectern, one_core
from benchmarks.ingest.corpora import Corpus
from benchmarks.ingest.results import Run

HERE = Path(__file__).parent
PEERS = {"llamaindex": "LlamaIndex IngestionPipeline", "langchain": "LangChain index()"}
#: Pages that get one more line between the second and the third run.
EDITS = 1
#: A peer that takes longer is stopped, and its row says so.
PEER_SECONDS = 1200
console = Console(width=220)


@contextmanager
def provider() -> Iterator[str]:
    """The stand-in provider as a process. Yields its base URL."""
    with tempfile.TemporaryDirectory() as scratch:
        port_file = Path(scratch) / "port"
        with subprocess.Popen([sys.executable, str(HERE / "provider.py"), str(port_file)]) as process:
            try:
                while not (port_file.exists() and port_file.read_text()):
                    time.sleep(0.05)
                yield f"http://127.0.0.1:{port_file.read_text()}/v1"
            finally:
                process.kill()


def alone(corpora: list[Corpus]) -> None:
    table = Table(title="One core by itself")
    for column in ("docs", "parse and chunk, MB/s: cold", "warm", "local model, texts/s: 1 thread", "2 threads"):
        table.add_column(column)
    for corpus in corpora:
        with corpus.copy() as docs:
            cold, *_, warm = one_core.megabytes_per_second(docs, 3)
            one, two = (one_core.texts_per_second(docs, threads) for threads in (1, 2))
        table.add_row(corpus.name, f"{cold:.1f}", f"{warm:.1f}", f"{one:.0f}", f"{two:.0f}")
    console.print(table)


def whole(corpus: Corpus, base_url: str, delay: float, workers: list[int], peers: str | None) -> None:
    table = Table(title=f"{corpus.name}, provider at {delay * 1000:.0f} ms")
    for column in (
        *("who", "run", "wall s", "CPU s", "pages", "passages", "written", "written/s", "requests", "in flight"),
        *("texts sent", "peak MiB", "API, Qdrant, Valkey", "planning s", "disk MiB"),
    ):
        table.add_column(column)
    for number in workers:
        with corpus.copy() as docs:
            for run in lectern.runs(docs, base_url, EDITS, delay, number):
                table.add_row(f"Lectern, {number} worker process{'es' if number > 1 else ''}", *row(run))
    for name, title in PEERS.items() if peers else ():
        with corpus.copy() as docs:
            for found in peer(name, docs, base_url, delay, peers or ""):
                table.add_row(title, *(row(found) if isinstance(found, Run) else ["", found]))
    console.print(table)


def peer(name: str, docs: Path, base_url: str, delay: float, python: str) -> Iterator[Run | str]:
    command = [python, str(HERE / "peers.py"), name, str(docs), base_url, str(EDITS), str(delay)]
    variables = {"PATH": os.environ["PATH"], "HOME": str(docs.parent), "ANONYMIZED_TELEMETRY": "false"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PEER_SECONDS, env=variables, check=False)
    except subprocess.TimeoutExpired:
        yield f"stopped after {PEER_SECONDS} s"
        return
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            yield Run(**json.loads(line))
    if done.returncode:
        yield f"failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}"


def row(run: Run) -> list[str]:
    return [
        run.phase,
        f"{run.wall_seconds:.2f}",
        f"{run.cpu_seconds:.2f}",
        str(run.pages),
        str(run.chunks),
        str(run.written),
        f"{run.written / run.wall_seconds:.0f}",
        str(run.requests),
        str(run.most_in_flight),
        str(run.texts),
        f"{run.peak_mib:.0f}",
        ", ".join(f"{peak:.0f}" for peak in run.beside_mib.values()) or "-",
        "-" if run.planning_seconds is None else f"{run.planning_seconds:.2f}",
        "-" if run.written_mib is None else f"{run.written_mib:.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of folders with docs to measure on")
    parser.add_argument("--pages", type=int, default=10_000, help="pages of the made site")
    parser.add_argument("--workers", default="1,2,4", help="numbers of worker processes")
    parser.add_argument("--delays", default="0,0.15", help="seconds that a request to the provider takes")
    parser.add_argument("--peers", help="a Python with the packages of the group bench; without, no peer runs")
    parser.add_argument("--skip-alone", action="store_true", help="leave out what one core does by itself")
    arguments = parser.parse_args()
    folders = (
        sorted(folder for folder in arguments.data.iterdir() if (folder / "docs").is_dir()) if arguments.data else []
    )
    real = [Corpus(folder.name, folder / "docs") for folder in folders]
    made = Corpus(f"made site of {arguments.pages:,} pages", pages=arguments.pages)
    if not arguments.skip_alone:
        alone(real or [Corpus("made site of 1,000 pages", pages=1000)])
    workers = [int(number) for number in arguments.workers.split(",")]
    with provider() as base_url:
        for corpus in (*real, *([made] if arguments.pages else [])):
            for delay in map(float, arguments.delays.split(",")):
                whole(corpus, base_url, delay, workers, arguments.peers)


if __name__ == "__main__":
    main()
