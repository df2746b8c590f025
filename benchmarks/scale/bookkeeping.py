"""What is held beside the passages: in Valkey a conversation, a client's rate limit and a job of many shards, in a
worker the pages of the release that it plans against. And what a shard takes, which grows with its job."""

from __future__ import annotations

import json
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from redis.asyncio import Redis
from rich.table import Table
from starlette.datastructures import Headers

from api.chat.events import Turn
from api.limits import Limiter
from api.security import Keys
from api.sessions import Conversation, Sessions
from benchmarks.scale.corpus import PASSAGES_A_PAGE, WINDOWED, Corpus, Synthetic
from shared.deaths import Start
from shared.models import ShardResult
from shared.plans import Plan, PlannedShard
from shared.points import page_of, page_payload
from shared.services import Services, open_services
from shared.settings import Settings, load_settings
from tests.stores import running_valkey

#: Conversations and clients that are written to take the mean of.
CLIENTS = 1000
#: Characters of an answer of 250 tokens.
ANSWER = "The red halyard hoists the mainsail. " * 30
#: Pages a shard: 64 KiB of Markdown with 8 KiB a page.
PAGES_A_SHARD = 8


async def measure(corpus: Corpus, shard_counts: tuple[int, ...]) -> Table:
    table = Table("what", "bytes each", "note", title="Bookkeeping")
    with tempfile.TemporaryDirectory() as folder, running_valkey(Path(folder)) as url:
        settings = load_settings(None, redis_url=url)
        async with open_services(settings) as services:
            redis = services.redis
            sessions = await _growth(redis, lambda: _hold_conversations(redis, settings))
            limits = await _growth(redis, lambda: _count_clients(settings))
            table.add_row(
                "Valkey: conversation", f"{sessions / CLIENTS:,.0f}", "3 exchanges with answers of 1,110 characters"
            )
            table.add_row("Valkey: client's rate limit", f"{limits / CLIENTS:,.0f}", "one IPv4 address")
            for shards in shard_counts:
                await _add_job(table, services, shards)
    note = f"in Python, while a job is planned; {PASSAGES_A_PAGE} passages"
    table.add_row("page of the release before", f"{_bytes_a_page(corpus):,.0f}", note)
    return table


async def _add_job(table: Table, services: Services, shards: int) -> None:
    job = f"job_{shards}"
    plan = _plan(shards)
    records = await _growth(services.redis, lambda: _run(services, job, plan))
    messages = await _growth(services.redis, lambda: _ring(services, job, plan))
    cpu = time.process_time()
    await _keep_books(services, job, plan.shards[0].id)
    cpu = time.process_time() - cpu
    table.add_row(
        f"Valkey: shard of a job of {shards:,}",
        f"{records / shards:,.0f}",
        "its part of plan, results and events, kept for a week",
    )
    table.add_row(
        "Valkey: its message",
        f"{messages / shards:,.0f}",
        f"until it is done; a worker's bookkeeping for one shard takes {1000 * cpu:.1f} ms of CPU",
    )


async def _growth(redis: Redis, work: Callable[[], Awaitable[None]]) -> int:
    """Bytes that Valkey's data have grown by."""
    before = await _used(redis)
    await work()
    return await _used(redis) - before


async def _used(redis: Redis) -> int:
    return int((await redis.info("memory"))["used_memory"])


async def _hold_conversations(redis: Redis, settings: Settings) -> None:
    sessions = Sessions(redis, settings)
    for number in range(CLIENTS):
        for turn in range(3):
            question = f"How do I hoist the mainsail in strong wind, number {number} and {turn}?"
            await sessions.remember(Conversation(f"session-{number}"), Turn(question, ANSWER))


async def _count_clients(settings: Settings) -> None:
    limiter = Limiter(settings, Keys(settings))
    for number in range(CLIENTS):
        await limiter.hit("/chat", Headers(), f"203.0.{number // 250}.{number % 250}")
    await limiter.close()


def _plan(shards: int) -> Plan:
    planned = []
    for number in range(shards):
        pages = tuple(f"guides/part-{number:05}/how-to-do-thing-{page}.md" for page in range(PAGES_A_SHARD))
        planned.append(PlannedShard(f"{number:012x}", pages, ()))
    return Plan(
        release=1, base=0, collection="lectern__all-minilm-l6-v2-384-w144", dimensions=384,
        pages_total=shards * PAGES_A_SHARD, base_chunks=0, base_pages=0, shards=tuple(planned),
    )  # fmt: skip


def _bytes_a_page(corpus: Corpus) -> float:
    """Of pages as they come out of Qdrant's replies."""
    pages, _ = Synthetic(corpus, WINDOWED, seed=7).part(0, 1000 * PASSAGES_A_PAGE)
    replies = [json.dumps(page_payload(page)) for page in pages]
    tracemalloc.start()
    live = {page.page.path: page for page in (page_of(str(uuid4()), json.loads(reply)) for reply in replies)}
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / len(live)


async def _run(services: Services, job: str, plan: Plan) -> None:
    await services.jobs.start_plan(job)
    await services.jobs.save_plan(job, plan)
    for shard in plan.shards:
        await services.jobs.save_result(job, _result(shard.id))
        await services.jobs.started(job, shard.id, Start(uuid4().hex, uuid4().hex))
        await services.jobs.ended(job, shard.id)


def _result(shard_id: str) -> ShardResult:
    return ShardResult(
        shard_id, pages=PAGES_A_SHARD, pages_written=PAGES_A_SHARD, pages_closed=0, chunks_written=90,
        chunks_kept=0, chunks_closed=0, texts_embedded=90, texts_reused=0, requests=0, tokens=20_000,
    )  # fmt: skip


async def _keep_books(services: Services, job: str, shard_id: str) -> None:
    """What a worker asks and says around the work at one shard, Qdrant aside."""
    jobs = services.jobs
    assert await jobs.shard(job, shard_id) is not None
    claim = await jobs.claim(job, shard_id, "message")
    assert claim is not None
    assert await jobs.is_done(job, shard_id)
    await jobs.started(job, shard_id, Start("message", "boot"))
    await jobs.ended(job, shard_id)
    await jobs.save_result(job, _result(shard_id))
    await jobs.release(claim)


async def _ring(services: Services, job: str, plan: Plan) -> None:
    for shard in plan.shards:
        await services.queue.shard(job, shard.id, shard.pages, ".")
    assert await cast(Any, services.redis.llen("lectern:ingest")) >= len(plan.shards)
