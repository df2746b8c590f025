"""The question log in a real Redis: what it keeps and for how long, and what it does while Redis does nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from api import question_log
from api.question_log import NAMING_KEY, STREAM, QuestionLog
from shared.errors import DependencyDown
from shared.services import open_redis
from shared.settings import Settings
from shared.tasks import cancelled

MakeSettings = Callable[..., Settings]
DAY = 24 * 3600


@pytest.fixture
async def store(make_settings: MakeSettings) -> AsyncIterator[Redis]:
    client = open_redis(make_settings())
    yield client
    await client.aclose()


@asynccontextmanager
async def running(redis: Redis, settings: Settings, dropped: list[int] | None = None) -> AsyncIterator[QuestionLog]:
    log = QuestionLog(redis, settings, on_drop=lambda: (dropped if dropped is not None else []).append(1))
    writing = asyncio.create_task(log.keep_writing())
    try:
        yield log
    finally:
        await cancelled(writing)


async def written(log: QuestionLog) -> list[dict[str, Any]]:
    while log._waiting:
        await asyncio.sleep(0.005)
    return [entry async for entry in log.read("question")]


def note(log: QuestionLog, text: str, visitor: str = "someone") -> None:
    log.note("question", {"question": text, "no_results": False}, visitor)


async def test_what_is_noted_is_read_back_newest_first_by_every_process(
    store: Redis, make_settings: MakeSettings
) -> None:
    async with running(store, make_settings()) as one, running(store, make_settings()) as other:
        note(one, "first", "a")
        await written(one)
        note(other, "second", "a")
        note(other, "third", "b")
        await written(other)
        entries = await written(one)
    assert [entry["question"] for entry in entries] == ["third", "second", "first"]
    assert entries[2]["visitor"] == entries[1]["visitor"] != entries[0]["visitor"]
    assert abs(datetime.fromisoformat(entries[0]["at"]).timestamp() - time.time()) < 60


async def test_feedback_is_kept_beside_questions(store: Redis, make_settings: MakeSettings) -> None:
    async with running(store, make_settings()) as log:
        note(log, "How?")
        log.note("feedback", {"rating": "bad"}, "someone")
        assert [entry["question"] for entry in await written(log)] == ["How?"]
        (said,) = [entry async for entry in log.read("feedback")]
    assert said["rating"] == "bad"


async def test_entries_are_forgotten_when_their_days_are_over(store: Redis, make_settings: MakeSettings) -> None:
    now = round(time.time() * 1000)
    for days in (9, 8, 6):
        line = json.dumps({"question": f"{days} days ago", "no_results": False})
        await store.xadd(STREAM, {"kind": "question", "json": line}, id=f"{now - days * DAY * 1000}-0")
    log = QuestionLog(store, make_settings(question_log_days=7), on_drop=lambda: None)
    # Before anybody has deleted them, they are not shown either.
    assert [entry["question"] async for entry in log.read("question")] == ["6 days ago"]
    async with running(store, make_settings(question_log_days=7)) as log:
        note(log, "now")
        assert [entry["question"] for entry in await written(log)] == ["now", "6 days ago"]
    assert await store.xlen(STREAM) == 2
    assert 0 < await store.ttl(STREAM) <= 7 * DAY


async def test_there_are_never_many_more_entries_than_are_allowed(
    store: Redis, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question_log, "MOST_ENTRIES", 200)
    async with running(store, make_settings()) as log:
        for number in range(900):
            note(log, str(number))
        await written(log)
    # Redis trims whole nodes of a hundred entries.
    assert 200 <= await store.xlen(STREAM) <= 300
    assert (await anext(log.read("question")))["question"] == "899"


async def test_long_entries_are_fewer(
    store: Redis, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question_log, "MOST_BYTES", 500_000)
    async with running(store, make_settings()) as log:
        for number in range(900):
            note(log, f"{number} {'x' * 2000}")
        await written(log)
        await log._try(log._shrink)
    # Redis trims whole nodes, and knows the size of the whole by a sample.
    assert 100 < await store.xlen(STREAM) < 350
    assert (await anext(log.read("question")))["question"].startswith("899 ")


async def test_the_day_s_secret_is_shared_and_goes_with_the_day(store: Redis, make_settings: MakeSettings) -> None:
    async with running(store, make_settings()) as log:
        note(log, "How?")
        await written(log)
    name = NAMING_KEY + datetime.now(UTC).date().isoformat()
    assert 0 < await store.ttl(name) <= DAY
    midnight = (datetime.now(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert await store.expiretime(name) == midnight.timestamp()
    first = (await anext(log.read("question")))["visitor"]
    await store.delete(name)
    async with running(store, make_settings()) as other_day:
        note(other_day, "How?")
        newest, *_ = await written(other_day)
    assert newest["visitor"] != first


async def test_entries_wait_while_redis_is_away_and_are_written_when_it_is_back(
    store: Redis, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question_log, "RETRY_SECONDS", 0.05)
    away = open_redis(make_settings(redis_url="redis://127.0.0.1:1/0"))
    log = QuestionLog(away, make_settings(), on_drop=lambda: None)
    writing = asyncio.create_task(log.keep_writing())
    note(log, "How?")
    await asyncio.sleep(0.3)
    assert len(log._waiting) == 1
    log._redis = store
    assert [entry["question"] for entry in await written(log)] == ["How?"]
    await cancelled(writing)
    await away.aclose()


async def test_what_does_not_fit_is_counted_and_lost_and_nobody_waits(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question_log, "MOST_WAITING", 10)
    away = open_redis(make_settings(redis_url="redis://127.0.0.1:1/0"))
    dropped: list[int] = []
    async with running(away, make_settings(), dropped) as log:
        since = time.monotonic()
        for number in range(25):
            note(log, str(number))
        assert time.monotonic() - since < 0.1
        assert len(dropped) == 15
        with pytest.raises(DependencyDown, match="question log"):
            await anext(log.read("question"))
        stopping = time.monotonic()
    # What cannot be written keeps no process from stopping.
    assert time.monotonic() - stopping < 3
    await away.aclose()


async def test_a_process_that_stops_writes_what_is_left(store: Redis, make_settings: MakeSettings) -> None:
    async with running(store, make_settings()) as log:
        await asyncio.sleep(0.05)
        for number in range(250):
            note(log, str(number))
    assert len([entry async for entry in log.read("question")]) == 250


async def test_a_long_log_is_read_to_its_end(
    store: Redis, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question_log, "READ_BATCH", 7)
    async with running(store, make_settings()) as log:
        for number in range(30):
            note(log, str(number))
        entries = await written(log)
    assert [entry["question"] for entry in entries] == [str(number) for number in reversed(range(30))]
