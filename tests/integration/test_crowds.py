"""Many visitors at once: stores that are busy are waited for, and only stores that hang are given up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from shared import qdrant_reads
from shared.errors import DependencyDown
from shared.qdrant_reads import QdrantReads
from tests.conftest import OpenServices

CROWD = 150


async def test_a_crowd_of_visitors_has_redis_all_at_once(opened: OpenServices) -> None:
    async with opened() as services:
        waiting: list[Awaitable[object]] = [services.redis.blpop(["nothing"], timeout=1) for _ in range(CROWD)]
        assert await asyncio.gather(*waiting) == [None] * CROWD


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> QdrantReads:
    """Asked for nothing. Patience is a tenth of a second, and half a second for one's turn."""
    monkeypatch.setattr(qdrant_reads, "READ_SECONDS", 0.1)
    monkeypatch.setattr(qdrant_reads, "TURN_SECONDS", 0.5)
    return QdrantReads("http://127.0.0.1:1")


async def ask(reads: QdrantReads, answer: Callable[[], Awaitable[object]]) -> float:
    """Seconds until the answer was there, or the visitor was told that there is none."""
    began = time.monotonic()
    try:
        async with reads.turn():
            await answer()
    except DependencyDown:
        return -(time.monotonic() - began)
    return time.monotonic() - began


async def test_a_qdrant_that_answers_one_visitor_after_the_other_is_waited_for(reads: QdrantReads) -> None:
    turns = [ask(reads, partial(asyncio.sleep, 0.05 * place)) for place in range(1, 9)]
    assert all(seconds > 0 for seconds in await asyncio.gather(*turns))


async def test_a_qdrant_that_answers_nobody_is_given_up_by_all_at_the_same_time(reads: QdrantReads) -> None:
    assert await ask(reads, partial(asyncio.sleep, 0)) > 0
    waits = await asyncio.gather(*(ask(reads, partial(asyncio.sleep, 30)) for _ in range(20)))
    assert all(-0.4 < seconds < -0.09 for seconds in waits)


async def test_a_process_that_was_held_up_looks_for_the_answer_before_it_gives_up(reads: QdrantReads) -> None:
    began = asyncio.Event()

    async def answer_read_in_steps() -> None:
        began.set()
        await asyncio.sleep(0.05)
        for _ in range(5):  # as head and body of a reply
            await asyncio.sleep(0)

    asked = asyncio.create_task(ask(reads, answer_read_in_steps))
    await began.wait()
    time.sleep(0.8)  # this is what holds the process up
    assert await asked > 0


async def test_nobody_waits_without_end_for_his_turn(reads: QdrantReads) -> None:
    async def keep_answering() -> None:
        while True:
            await ask(reads, partial(asyncio.sleep, 0.02))

    others = asyncio.create_task(keep_answering())
    try:
        assert -0.9 < await ask(reads, partial(asyncio.sleep, 30)) < -0.45
    finally:
        others.cancel()
