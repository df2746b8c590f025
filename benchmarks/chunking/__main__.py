"""How pages are cut, beside other splitters: `python -m benchmarks.chunking [DIR...]` (default: docs).

Each splitter runs in a process of its own over all pages below the folders, three times: the first run is cold, with
nothing remembered, the fastest of the others warm. Rates are megabytes of pages a second of CPU, imports and reading
the files aside. Lectern's way begins with the bytes and includes front matter and MDX; the others get the text.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.chunking.measures import Quality, quality
from benchmarks.chunking.splitters import SIZE, SPLITTERS, Passage, Source, Split

RUNS = 3
#: A splitter that takes longer than that over the folders is not worth waiting for.
PATIENCE = 1800
NOT_INSTALLED = "not installed; `make bench` does"


@dataclass(frozen=True, slots=True)
class Row:
    """What one splitter does."""

    megabytes: float
    seconds_cold: float
    seconds_warm: float
    quality: Quality


def pages_below(folders: Sequence[Path]) -> list[Source]:
    files = sorted(file for folder in folders for file in folder.rglob("*") if file.suffix in (".md", ".mdx"))
    return [Source(str(file), file.read_bytes()) for file in files if file.is_file()]


def measure(split: Split, pages: Sequence[Source]) -> Row:
    seconds = []
    for _ in range(RUNS):
        started = time.process_time()
        passages: list[list[Passage]] = [list(split(page)) for page in pages]
        seconds.append(time.process_time() - started)
    texts = [page.data.decode("utf-8", "replace") for page in pages]
    megabytes = sum(len(page.data) for page in pages) / 1e6
    return Row(megabytes, seconds[0], min(seconds[1:]), quality(list(zip(texts, passages, strict=True))))


def measure_apart(name: str, folders: Sequence[Path]) -> Row:
    """In a process of its own, which has not counted a word yet."""
    command = [sys.executable, "-m", "benchmarks.chunking", "--only", name, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Row(**{**found, "quality": Quality(**found["quality"])})


def show(folders: Sequence[Path]) -> None:
    table = Table(
        "splitter", "MB/s cold / warm", "passages", "tokens p50 / p95 / max", f"> {SIZE} %", "< 32 %", "unbalanced %",
        "headed %", "end on heading %", "small listings cut %", "with their lead %",
        "table rows cut or without header %",
    )  # fmt: skip
    for name, splitter in SPLITTERS.items():
        if not splitter.installed:
            table.add_row(name, NOT_INSTALLED)
            continue
        row = measure_apart(name, folders)
        found = row.quality
        table.add_row(
            name,
            f"{row.megabytes / row.seconds_cold:.1f} / {row.megabytes / row.seconds_warm:.1f}",
            f"{found.passages:,}",
            f"{found.tokens_p50} / {found.tokens_p95} / {found.tokens_max}",
            *(f"{value:.1f}" for value in (found.over, found.tiny, found.unbalanced, found.headed, found.orphans)),
            f"{found.cut_listings:.2f}",
            f"{found.led_listings:.1f}",
            f"{found.lost_rows:.1f}",
        )
    Console(width=260 if not sys.stdout.isatty() else None).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", metavar="DIR", nargs="*", type=Path, default=[Path("docs")])
    parser.add_argument("--only", choices=SPLITTERS, help="measure one splitter in this process; print it as JSON")
    arguments = parser.parse_args()
    pages = pages_below(arguments.folders)
    if not pages:
        raise SystemExit(f"no .md or .mdx file below {', '.join(map(str, arguments.folders))}")
    if arguments.only:
        print(json.dumps(asdict(measure(SPLITTERS[arguments.only].make(), pages))))
    else:
        show(arguments.folders)


if __name__ == "__main__":
    main()
