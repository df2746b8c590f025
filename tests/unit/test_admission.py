"""The line in which questions wait for their search."""

from __future__ import annotations

import asyncio
import time

import pytest

from api.chat.admission import AT_ONCE, LONGEST_ROUND, MOST_WAITING, ROUNDS, Admission, admission
from shared.errors import Overloaded


async def test_a_few_search_at_once_and_the_others_in_the_order_in_which_they_came() -> None:
    line, served, most, now = Admission(), [], 0, 0

    async def ask(number: int) -> None:
        nonlocal most, now
        async with line.turn():
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.001)
            served.append(number)
            now -= 1

    await asyncio.gather(*(ask(number) for number in range(40)))
    assert most == AT_ONCE
    assert served == sorted(served)


async def test_whoever_would_wait_too_long_is_turned_away_at_once_and_may_come_again() -> None:
    line, open_door = Admission(), asyncio.Event()

    async def ask() -> None:
        async with line.turn():
            await open_door.wait()

    waiting = [asyncio.create_task(ask()) for _ in range(AT_ONCE + MOST_WAITING)]
    await asyncio.sleep(0.01)
    with pytest.raises(Overloaded) as refused:
        await ask()
    assert refused.value.retryable
    assert refused.value.retry_after
    open_door.set()
    await asyncio.gather(*waiting)
    await ask()


async def held_up(rounds: int) -> None:
    """A process with more to do than it can: each round of its loop takes too long."""
    for _ in range(rounds):
        time.sleep(1.2 * LONGEST_ROUND)
        await asyncio.sleep(0)


async def test_nobody_is_let_in_where_the_open_answers_alone_are_too_many() -> None:
    line = Admission()

    async def ask() -> None:
        async with line.turn():
            raise AssertionError

    work = asyncio.create_task(held_up(ROUNDS + 2))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await ask()
    await work


async def test_a_hiccup_turns_nobody_away() -> None:
    work = asyncio.create_task(held_up(ROUNDS - 1))
    async with Admission().turn():
        pass
    await work


async def test_a_visitor_who_leaves_the_line_takes_no_turn_with_them() -> None:
    line, open_door = Admission(), asyncio.Event()

    async def ask() -> None:
        async with line.turn():
            await open_door.wait()

    asking = [asyncio.create_task(ask()) for _ in range(AT_ONCE + 10)]
    await asyncio.sleep(0)
    for task in asking[::2]:
        task.cancel()
    await asyncio.gather(*asking[::2], return_exceptions=True)
    open_door.set()
    await asyncio.gather(*asking[1::2])
    async with asyncio.timeout(1):
        await asyncio.gather(*(ask() for _ in range(2 * AT_ONCE)))


async def test_a_process_has_one_line() -> None:
    assert admission() is admission()
