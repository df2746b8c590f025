"""What docs/scaling.md reckons with: `python -m benchmarks.scale [--docs DIR] [--only PART] [--quick]`.

Real parts on loopback, each its own process: the embedded Qdrant under synthetic passages of real texts, Valkey, and
`lectern up` with the local model and with a stand-in provider. Memory and CPU are the processes' own, from /proc, so
that neighbours on the machine disturb them little; times they disturb. Takes some ten minutes; `--quick` tries
everything once, and its figures mean nothing.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from rich.console import Console

from benchmarks.scale import bookkeeping, qdrant, system
from benchmarks.scale.corpus import ONE_VECTOR, WINDOWED, Corpus

SIZES, WIDE_SIZES = (1_000, 10_000, 50_000, 100_000), (1_000, 5_000, 10_000)
#: Of the local model's vectors; building it takes a minute.
GRAPH = 20_000
SHARDS, OPEN_STREAMS = (1_000, 10_000), (100, 1_000)
PARTS = ("qdrant", "bookkeeping", "system")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--docs", type=Path, default=Path("docs"), help="a folder of Markdown: texts, and what is ingested"
    )
    parser.add_argument(
        "--graph", type=int, default=GRAPH, help="passages to build a graph over (default: %(default)s)"
    )
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part alone; may be repeated")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    arguments = parser.parse_args()
    console = Console(width=160)
    corpus = Corpus.of(arguments.docs)
    console.print(f"texts of {arguments.docs}: {corpus.description}")
    wanted = arguments.only or PARTS
    if "qdrant" in wanted:
        _measure_qdrant(console, corpus, arguments.graph, quick=arguments.quick)
    if "bookkeeping" in wanted:
        console.print(asyncio.run(bookkeeping.measure(corpus, (100,) if arguments.quick else SHARDS)))
    if "system" in wanted:
        console.print(*system.measure(arguments.docs, corpus, (20,) if arguments.quick else OPEN_STREAMS))


def _measure_qdrant(console: Console, corpus: Corpus, graph: int, *, quick: bool) -> None:
    kinds = {
        "Qdrant, vectors of the local model": (WINDOWED, (100, 1_000) if quick else SIZES, 1_000 if quick else graph),
        "Qdrant, one vector of 1,536 numbers": (
            ONE_VECTOR,
            (100, 500) if quick else WIDE_SIZES,
            WIDE_SIZES[0 if quick else -1],
        ),
    }
    for title, (spec, sizes, of_graph) in kinds.items():
        rows = asyncio.run(qdrant.measure(corpus, spec, sizes, of_graph))
        console.print(qdrant.table_of(title, rows))


if __name__ == "__main__":
    main()
