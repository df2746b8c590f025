"""Tasks that are cancelled end, also those that have not heard it the first time."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from shared import tasks
from shared.tasks import cancelled


async def test_a_task_that_loses_a_cancellation_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "DEAF_SECONDS", 0.05)

    async def lose_the_first() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        await asyncio.sleep(30)

    deaf, quick = asyncio.create_task(lose_the_first()), asyncio.create_task(asyncio.sleep(30))
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await cancelled(deaf, quick)
    assert deaf.cancelled()
    assert quick.cancelled()


async def test_what_has_ended_or_fails_at_its_end_raises_nothing() -> None:
    async def fail() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            raise ValueError

    failing, done = asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(0))
    await done
    await cancelled(failing, done)
    await cancelled()
    assert failing.done()
