"""Lets words gather where many answers are under way at once, so that each of them costs less.

What a word costs is mostly what is done once for each piece that is passed on: reading, checking, sending. A visitor
reads five words every 250 ms as fast as a word every 50, and a process can serve several times as many of the former.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: Seconds between two pieces of an answer for each answer under way: with fifty of them each word of a usual model (a
#: token every 20 to 50 ms) is passed on by itself, with a hundred two words at a time, with 250 and more five.
GAP: Final = 0.001
#: Longest gap. Words that come less often are seen to come in jerks.
LONGEST: Final = 0.25
#: A shorter wait is not worth its timer.
SHORTEST: Final = 0.01


class Pace:
    """What all answers of one model share."""

    def __init__(self) -> None:
        self._under_way = 0

    @contextmanager
    def answer(self) -> Iterator[Gap]:
        """The pace of one answer, which counts until it is over."""
        self._under_way += 1
        try:
            yield Gap(self)
        finally:
            self._under_way -= 1

    @property
    def gap(self) -> float:
        """Seconds between two pieces of one answer."""
        return min(self._under_way * GAP, LONGEST)


class Gap:
    """Between the pieces of one answer."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        #: time.monotonic() of the last piece.
        self._last = 0.0

    async def rest(self) -> None:
        """Wait until the next piece is due; the first one always is."""
        now = time.monotonic()
        wait = self._last + self._pace.gap - now
        if wait < SHORTEST:
            self._last = now
            return
        self._last = now + wait
        await asyncio.sleep(wait)
