"""What an answer costs beside the model's own time: `python -m benchmarks.chat [--streams 1 100 500 1000]`.

A stand-in model streams 200 tokens at 20 a second. Three servers pass them on in the same run: bytes passed through
unread, plain FastAPI with the SDK's objects, and Lectern as it is shipped, with retrieval, citations, evidence checks,
sessions and the question log. Visitors come in evenly, a tenth of the open streams a second, each with a question that
nobody has asked before. First words and CPU are those of the seconds in which all streams are open: CPU is the server
process's own, over the tokens that the model has sent meanwhile.

Then the time that a search takes over the embedded Qdrant at several sizes (`--passages`), through `GET /search` and
without the question's embedding. Figures depend on the machine: compare rows.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.chat.servers import Server, running_model, running_servers
from benchmarks.chat.visitors import Visit, arrive, visit
from benchmarks.scale import qdrant
from benchmarks.scale.corpus import WINDOWED, Corpus
from benchmarks.scale.processes import MIB, cpu_of, median_and_slow, memory_of

PACE, TOKENS = 0.05, 200
#: Seconds of an answer, and those that are measured once all streams are open.
LENGTH, MEASURED = PACE * TOKENS, 15.0
#: Questions at once before anything counts: connections, imports, caches. What a stream adds is told from what is
#: remembered of all of them.
WARM_UP = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One server under so many open streams."""

    server: str
    streams: int
    #: Seconds of each visitor who came while all streams were open.
    firsts: Sequence[float]
    #: Seconds that whole answers took beyond the model's own time.
    late: Sequence[float]
    #: Microseconds of the server's own process, and of the others that it needs, for each token.
    cpu: float
    other_cpu: float
    #: Events with words, for each token: below 1 where tokens that come together are sent together.
    events: float
    #: Of the process with all streams open, and what each of them adds, in bytes.
    memory: int
    each: float
    broken: int


async def measure(server: Server, count: int, model_url: str, first_number: int) -> Row:
    """Open `count` streams, keep as many open for some seconds, and weigh them."""
    await asyncio.gather(*(visit(server.target, first_number + number) for number in range(WARM_UP)))
    before = memory_of(server.pid).resident
    visits: list[Visit] = []
    rate = count / LENGTH
    coming = asyncio.create_task(arrive(server.target, rate, LENGTH + MEASURED, first_number + WARM_UP, visits))
    await asyncio.sleep(LENGTH)
    began, cpu, other, sent = time.perf_counter(), cpu_of([server.pid]), cpu_of(server.others), await _sent(model_url)
    await asyncio.sleep(MEASURED)
    cpu, other, sent = cpu_of([server.pid]) - cpu, cpu_of(server.others) - other, await _sent(model_url) - sent
    memory = memory_of(server.pid).resident
    await asyncio.gather(*await coming)
    counted = [each for each in visits if each.began >= began] or visits
    return Row(
        server=server.name, streams=count,
        firsts=[each.first for each in counted if each.first_at],
        late=[each.total - LENGTH for each in counted if each.whole],
        cpu=1e6 * cpu / sent, other_cpu=1e6 * other / sent,
        events=sum(each.events for each in visits) / (TOKENS * len(visits)),
        memory=memory, each=(memory - before) / count, broken=sum(not each.whole for each in visits),
    )  # fmt: skip


async def _sent(model_url: str) -> int:
    async with httpx.AsyncClient() as client:
        return int((await client.get(f"{model_url}/sent")).json()["sent"])


def table_of(rows: Sequence[Row]) -> Table:
    table = Table(title=f"Streams of {TOKENS} tokens at {1 / PACE:.0f} a second; a tenth of them begins each second")
    for column in (
        "open streams", "server", "first words p50 / p95 ms", "end late p50 / p95 ms", "CPU us a token",
        "streams a core", "Qdrant and Valkey us", "events a token", "MiB", "KiB a stream", "broken",
    ):  # fmt: skip
        table.add_column(column, justify="right" if column != "server" else "left")
    for row in rows:
        table.add_row(
            f"{row.streams:,}",
            row.server,
            median_and_slow(row.firsts),
            median_and_slow(row.late),
            f"{row.cpu:.0f}",
            f"{1e6 * PACE / row.cpu:,.0f}",
            f"{row.other_cpu:.0f}",
            f"{row.events:.2f}",
            f"{row.memory / MIB:.0f}",
            f"{row.each / 1024:.0f}",
            str(row.broken),
        )
    return table


async def compare(servers: Sequence[Server], counts: Sequence[int], model_url: str) -> list[Row]:
    rows = []
    number = 0
    for count in counts:
        for server in servers:
            rows.append(await measure(server, count, model_url, number))
            number += round(count / LENGTH * (LENGTH + MEASURED)) + WARM_UP + 1
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="*", default=[1, 100, 500, 1000])
    parser.add_argument("--passages", type=int, nargs="*", default=[5_000, 20_000, 100_000])
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="what is indexed and asked about")
    parser.add_argument("--only", help="measure servers whose name begins like this")
    arguments = parser.parse_args()
    corpus = Corpus.of(arguments.docs)
    console = Console(width=170)
    if arguments.streams:
        with (
            tempfile.TemporaryDirectory() as scratch,
            running_model(PACE, TOKENS) as model_url,
            running_servers(model_url, Path(scratch), arguments.docs, corpus) as servers,
        ):
            chosen = [each for each in servers if each.name.startswith(arguments.only or "")]
            console.print(table_of(asyncio.run(compare(chosen, arguments.streams, model_url))))
    if arguments.passages:
        with tempfile.TemporaryDirectory() as folder:
            found = asyncio.run(qdrant.grown(corpus, WINDOWED, arguments.passages, Path(folder)))
        console.print(qdrant.table_of("A search without the question's embedding, by passages", found))


if __name__ == "__main__":
    main()
