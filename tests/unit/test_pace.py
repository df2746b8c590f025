"""Words gather where many answers are under way, and only there."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

from api.chat.pace import GAP, LONGEST, Pace


async def test_one_answer_is_never_held_back() -> None:
    with Pace().answer() as gap:
        began = time.monotonic()
        for _ in range(50):
            await gap.rest()
        assert time.monotonic() - began < 0.05


async def test_the_first_words_come_at_once_however_many_answers_are_under_way() -> None:
    pace = Pace()
    with ExitStack() as stack:
        gaps = [stack.enter_context(pace.answer()) for _ in range(1000)]
        began = time.monotonic()
        await gaps[-1].rest()
        assert time.monotonic() - began < LONGEST / 2


async def test_words_gather_for_as_long_as_there_are_many_answers_and_no_longer_than_can_be_seen() -> None:
    pace = Pace()
    with ExitStack() as stack:
        gap = [stack.enter_context(pace.answer()) for _ in range(200)].pop()
        assert pace.gap == 200 * GAP
        began = time.monotonic()
        for _ in range(3):
            await gap.rest()
        assert time.monotonic() - began >= 2 * 200 * GAP * 0.9
        for _ in range(5000):
            stack.enter_context(pace.answer())
        assert pace.gap == LONGEST
    assert pace.gap == 0


async def test_time_spent_waiting_for_the_model_counts() -> None:
    pace = Pace()
    with ExitStack() as stack:
        gap = [stack.enter_context(pace.answer()) for _ in range(100)].pop()
        await gap.rest()
        await asyncio.sleep(2 * pace.gap)
        began = time.monotonic()
        await gap.rest()
        assert time.monotonic() - began < pace.gap / 2
