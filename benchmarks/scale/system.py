"""The whole product under questions: what each process holds, what an ingest costs a worker, what a question, a token
and an open stream cost the API, and how long a visitor waits for the first word."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import redis
from rich.table import Table

from benchmarks.chat.visitors import Visit, arrive, lectern, visit
from benchmarks.scale.corpus import Corpus
from benchmarks.scale.processes import MIB, cpu_of, median_and_slow, memory_of
from shared.tokens import count_tokens
from tests.stand_in.control import Provider
from tests.stand_in.fixtures import provider_process
from tests.system import TERMINAL, System, until

#: Words of the processes' command lines by which they are told apart.
PARTS = {
    "API": "api.main",
    "worker": "worker.app --concurrency",
    "Flower": "flower --conf",
    "Qdrant": "embedded.qdrant",
    "Valkey": "valkey-server",
}
#: Those that have to do with a question.
ASKED = ("API", "Qdrant", "Valkey")
#: Seconds between two tokens: forty a second.
PACE = 0.025
#: Words of a short and of a long answer: between them, all that differs is tokens.
SHORT, LONG = 25, 250
#: Streams at once while tokens are counted, and questions asked alone.
STREAMS, QUESTIONS = 40, 120
#: Seconds in which nobody asks anything, to know what the parts do by themselves.
QUIET = 10
#: Visitors who come in a second while streams are opened that stay open.
ARRIVALS = 10
#: Seconds between two tokens of a stream that stays open.
IDLE_PACE = 2.0
#: As an embedding provider takes for a request.
LATENCY = 0.15
DIMENSIONS = 1536
#: Longest that an ingest may take.
INGEST_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds of each part and commands of Valkey, up to a moment or over some seconds."""

    seconds: float
    cpu: dict[str, float]
    commands: float

    def __sub__(self, other: Costs) -> Costs:
        cpu = {part: self.cpu[part] - other.cpu[part] for part in PARTS}
        return Costs(self.seconds - other.seconds, cpu, self.commands - other.commands)

    def over(self, quiet: Costs) -> Costs:
        """Without what the parts would have done by themselves in the same time."""
        share = self.seconds / quiet.seconds
        cpu = {part: self.cpu[part] - share * quiet.cpu[part] for part in PARTS}
        return Costs(self.seconds, cpu, self.commands - share * quiet.commands)


class Site:
    """A running Lectern with its content indexed, to put questions to."""

    def __init__(self, system: System, corpus: Corpus) -> None:
        assert system.state is not None
        self.system = system
        self.corpus = corpus
        self.asked = 0
        self.quiet: Costs | None = None
        self.target = lectern(system.state["api_url"], corpus.question)
        password = (system.home / "secrets" / "redis.password").read_text().strip()
        self.valkey = redis.Redis(port=system.state["valkey_port"], password=password)
        until(lambda: all(self.pids(part) for part in PARTS), 30)  # Flower starts when the others answer

    def pids(self, part: str) -> list[int]:
        return self.system.pids(*PARTS[part].split())

    def memory(self, part: str) -> str:
        return f"{memory_of(*self.pids(part)).resident / MIB:.0f}"

    def now(self) -> Costs:
        commands: Any = self.valkey.info("stats")
        cpu = {part: cpu_of(self.pids(part)) for part in PARTS}
        return Costs(time.perf_counter(), cpu, commands["total_commands_processed"])

    def rest(self) -> Costs:
        """What the parts do while nobody asks anything."""
        before = self.now()
        time.sleep(QUIET)
        self.quiet = self.now() - before
        return self.quiet

    def number(self) -> int:
        """Of a question that nobody has asked before."""
        self.asked += 1
        return self.asked

    async def ask(self, count: int, at_once: int) -> tuple[list[Visit], Costs]:
        """Questions that are answered to their end, so many at a time, and what they cost."""
        assert self.quiet is not None
        gate = asyncio.Semaphore(at_once)

        async def one() -> Visit:
            async with gate:
                return await visit(self.target, self.number())

        before = self.now()
        visits = await asyncio.gather(*(one() for _ in range(count)))
        assert all(each.whole for each in visits)
        return visits, (self.now() - before).over(self.quiet)


def measure(docs: Path, corpus: Corpus, open_streams: Sequence[int]) -> tuple[Table, ...]:
    tables = Tables()
    with TemporaryDirectory() as scratch, _site(Path(scratch), docs, corpus, EMBEDDING_THREADS="1") as site:
        tables.add_memory("local model, just started", site)
        _ingest(tables, "local model, one thread", site)
        tables.add_memory("local model, after an ingest", site)
        asyncio.run(_ask_for_extracts(tables, site))
        tables.add_memory("local model, after questions", site)
    with TemporaryDirectory() as scratch, provider_process() as (provider, _):
        provider.fault("embeddings", "slow", seconds=LATENCY)
        environment = {
            "OPENAI_BASE_URL": provider.base_url,
            "OPENAI_EMBEDDING_MODEL": "stand-in",
            "EMBEDDING_DIMENSIONS": str(DIMENSIONS),
            "CHAT_MODEL": "stand-in",
        }
        with _site(Path(scratch), docs, corpus, **environment) as site:
            tables.add_memory("provider, just started", site)
            _ingest(tables, f"provider, {1000 * LATENCY:.0f} ms a request", site)
            provider.reset()
            asyncio.run(_ask_a_provider(tables, site, provider))
            tables.add_memory("provider, after questions", site)
            for count in open_streams:
                asyncio.run(_open_streams(tables, site, provider, count))
    return tables.memory, tables.ingest, tables.costs, tables.streams


class Tables:
    """What is printed."""

    def __init__(self) -> None:
        self.memory = Table("state", *PARTS, title="Resident memory of the processes, MiB")
        self.ingest = Table(
            *("embeddings", "passages", "seconds", "passages/s", "CPU ms a passage: worker", "Qdrant", "worker MiB"),
            title="Ingest, one worker process",
        )
        self.costs = Table(
            *("what", *(f"CPU ms: {part}" for part in ASKED), "Valkey commands", "first word p50 / p95 ms"),
            title="A question",
        )
        self.streams = Table(
            *("open streams", "KiB a stream", "API MiB", "first word p50 / p95 ms"), title="Streams that stay open"
        )

    def add_memory(self, state: str, site: Site) -> None:
        self.memory.add_row(state, *(site.memory(part) for part in PARTS))

    def add_cost(self, what: str, cpu: dict[str, float], commands: float, streams: Sequence[Visit] = ()) -> None:
        self.costs.add_row(
            what,
            *(f"{1000 * cpu[part]:.1f}" for part in ASKED),
            f"{commands:.1f}",
            median_and_slow([stream.first for stream in streams]) if streams else "",
        )


@contextmanager
def _site(scratch: Path, docs: Path, corpus: Corpus, **settings: str) -> Iterator[Site]:
    shutil.copytree(docs, scratch / "docs")
    # The stand-in's vectors know little of meaning; whatever is found is answered from.
    always = {"RATE_LIMIT_REQUESTS": "1000000", "MIN_SCORE": "-1"}
    with System(scratch / "home", scratch / "docs", **always, **settings) as system:
        yield Site(system, corpus)


def _ingest(tables: Tables, embeddings: str, site: Site) -> None:
    before = site.now()
    task = site.system.post_ingest()
    until(lambda: site.system.job(task)["status"] in TERMINAL, INGEST_SECONDS)
    job, spent = site.system.job(task), site.now() - before
    assert job["status"] == "completed", job
    passages = job["totals"]["chunks_written"]
    seconds = (datetime.fromisoformat(job["completed_at"]) - datetime.fromisoformat(job["started_at"])).total_seconds()
    tables.ingest.add_row(
        embeddings,
        f"{passages:,}",
        f"{seconds:.1f}",
        f"{passages / seconds:.0f}",
        *(f"{1000 * spent.cpu[part] / passages:.2f}" for part in ("worker", "Qdrant")),
        site.memory("worker"),
    )
    _add_rest(tables, embeddings, site)


def _add_rest(tables: Tables, embeddings: str, site: Site) -> None:
    quiet = site.rest()
    each = {part: quiet.cpu[part] / quiet.seconds for part in PARTS}
    tables.add_cost(f"a second without a question ({embeddings})", each, quiet.commands / quiet.seconds)


async def _ask_for_extracts(tables: Tables, site: Site) -> None:
    await site.ask(10, at_once=2)
    streams, spent = await site.ask(QUESTIONS, at_once=1)
    each = {part: spent.cpu[part] / QUESTIONS for part in PARTS}
    tables.add_cost("a question, extracts, local model", each, spent.commands / QUESTIONS, streams)


async def _ask_a_provider(tables: Tables, site: Site, provider: Provider) -> None:
    """What a question costs and what its answer's tokens do: two lengths of answer tell them apart."""
    _answer_with(provider, SHORT, PACE)
    await site.ask(STREAMS, at_once=STREAMS)
    alone, _ = await site.ask(STREAMS, at_once=1)
    _, short = await site.ask(QUESTIONS, at_once=STREAMS)
    _answer_with(provider, LONG, PACE)
    together, long = await site.ask(QUESTIONS, at_once=STREAMS)
    token = {part: (long.cpu[part] - short.cpu[part]) / (QUESTIONS * (LONG - SHORT)) for part in PARTS}
    question = {part: short.cpu[part] / QUESTIONS - SHORT * token[part] for part in PARTS}
    tables.add_cost("a question, provider, without its tokens", question, short.commands / QUESTIONS, alone)
    tokens = {part: 1000 * token[part] for part in PARTS}
    tables.add_cost(f"1,000 tokens, provider, {STREAMS} streams", tokens, 0.0, together)
    tables.costs.caption = f"a prompt has {_prompt_tokens(provider):,.0f} tokens on average, as the local model counts"


def _prompt_tokens(provider: Provider) -> float:
    prompts = [body["messages"] for body in provider.stats().chat.bodies]
    return fmean(sum(count_tokens(message["content"]) for message in messages) for messages in prompts)


async def _open_streams(tables: Tables, site: Site, provider: Provider, count: int) -> None:
    """Open streams one after the other, as visitors come, until all are open; then weigh the process, then leave."""
    _answer_with(provider, round(count / ARRIVALS / IDLE_PACE) + 60, IDLE_PACE)
    before = memory_of(*site.pids("API")).resident
    visits: list[Visit] = []
    tasks = await arrive(site.target, ARRIVALS, count / ARRIVALS, site.number(), visits)
    site.asked += count
    while not all(each.first_at for each in visits):
        failed = [task for task in tasks if task.done()]
        assert not failed, failed[0]
        await asyncio.sleep(0.5)
    memory = memory_of(*site.pids("API")).resident
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    each = f"{(memory - before) / count / 1024:.0f}"
    tables.streams.add_row(
        f"{count:,}", each, f"{memory / MIB:.0f}", median_and_slow([visit.first for visit in visits])
    )


def _answer_with(provider: Provider, words: int, pace: float) -> None:
    text = ("Hoist the mainsail with the red halyard [1], then cleat it at the mast. " * (words // 14 + 1)).split()
    provider.fault("chat", "slow_tokens", seconds=pace, text=" ".join(text[:words]))
