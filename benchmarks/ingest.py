"""Ingest rate through the whole product: `python -m benchmarks.ingest [--pages 400] [--docs DIR]`.

Starts `lectern up` on a synthetic site (or a copy of DIR) with a stand-in embedding provider, then with the local
model, and ingests three times: first, unchanged, and after one line was edited on one page. Rates are pages and
passages over the job's own wall time, peak memory is the worker process's high-water mark.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.stand_in.fixtures import Provider, running_provider
from tests.system import System

#: What the synthetic pages are written with.
VOCABULARY = (
    "heron mast sail rope anchor harbour tide wind keel rudder deck cabin chart compass buoy lantern storm reef hoist "
    "lower fasten check repair paint store launch the a of with before after when until beside under"
)


@dataclass(frozen=True, slots=True)
class Run:
    """One row of the table."""

    name: str
    seconds: float
    job: dict[str, Any]
    requests: int
    texts: int


def write_site(folder: Path, pages: int) -> None:
    """A site of pages with four sections each, about 600 words a page, the same at every run."""
    dice, words = random.Random(7), VOCABULARY.split()
    for number in range(pages):
        sections = []
        for section in range(4):
            sentences = (" ".join(dice.choices(words, k=12)).capitalize() + "." for _ in range(12))
            sections.append(f"## Section {section} of page {number}\n\n{' '.join(sentences)}\n")
        file = folder / f"part-{number // 50:03}" / f"page-{number:05}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# Page {number}\n\n" + "\n".join(sections), encoding="utf-8")


def edit_one_page(folder: Path) -> None:
    page = sorted(folder.rglob("*.md*"))[0]
    page.write_text(page.read_text(encoding="utf-8") + "\nOne more line than before.\n", encoding="utf-8")


def measure(system: System, docs: Path, provider: Provider | None) -> Iterator[Run]:
    for name in ("first run", "unchanged", "one line edited"):
        if name == "one line edited":
            edit_one_page(docs)
        before = provider.stats() if provider else None
        job = system.ingest()
        assert job["status"] == "completed", job
        after = provider.stats() if provider else None
        seconds = _when(job["completed_at"]) - _when(job["started_at"])
        requests = after.embedding_requests - before.embedding_requests if after and before else 0
        texts = after.embedded_texts - before.embedded_texts if after and before else job["totals"]["texts_embedded"]
        yield Run(name, seconds, job, requests, texts)


def _when(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def peak_megabytes(system: System) -> float:
    """High-water mark of the largest worker process."""
    marks = []
    for pid in system.pids("celery", "worker"):
        status = (Path("/proc") / str(pid) / "status").read_text()
        marks.append(int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]))
    return max(marks) / 1024


@contextmanager
def site(source: Path | None, pages: int) -> Iterator[tuple[Path, Path]]:
    """A scratch folder and the docs in it."""
    with tempfile.TemporaryDirectory() as scratch:
        docs = Path(scratch) / "docs"
        if source is None:
            write_site(docs, pages)
        else:
            shutil.copytree(source, docs)
        yield Path(scratch), docs


def run(title: str, source: Path | None, pages: int, provider: Provider | None, table: Table) -> None:
    environment = (
        {"OPENAI_BASE_URL": provider.base_url, "OPENAI_EMBEDDING_MODEL": "stand-in"}
        if provider
        else {"EMBEDDING_THREADS": "2"}
    )
    with site(source, pages) as (scratch, docs), System(scratch / "home", docs, **environment) as system:
        for row in measure(system, docs, provider):
            totals = row.job["totals"]
            table.add_row(
                title,
                row.name,
                f"{row.seconds:.2f}",
                str(totals["pages_found"]),
                f"{totals['pages_found'] / row.seconds:.0f}",
                f"{totals['chunks_written']}",
                f"{totals['chunks_written'] / row.seconds:.0f}",
                str(row.texts),
                str(row.requests) if provider else "-",
                f"{peak_megabytes(system):.0f}",
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=400, help="pages of the synthetic site")
    parser.add_argument("--docs", type=Path, help="a folder of Markdown to measure on instead")
    parser.add_argument("--local-pages", type=int, default=40, help="pages for the local model, which is slower")
    arguments = parser.parse_args()
    table = Table(title="Ingest, whole product (one worker process)")
    for column in (
        *("embeddings", "run", "seconds", "pages", "pages/s", "passages written", "passages/s"),
        *("texts embedded", "requests", "worker peak MB"),
    ):
        table.add_column(column)
    with running_provider() as provider:
        run("provider, 0 ms", arguments.docs, arguments.pages, provider, table)
        provider.fault("embeddings", "slow", seconds=0.15)
        run("provider, 150 ms", arguments.docs, arguments.pages, provider, table)
    run("local model", arguments.docs, arguments.local_pages, None, table)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
