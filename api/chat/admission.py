"""Lets a few questions search at once; the others wait in line, and those for whom the line is too long are told so.

A search takes CPU, and more of them at once only wait for each other: served in turn, the first are done while the last
still wait, and answers that are already being written go on. Without an end of the line, a burst would be served when
nobody waits for it any more. Where the open answers alone are more than the process can keep up with, nobody is let in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakKeyDictionary

from shared.errors import Overloaded

#: Searches at once. Each waits a dozen times for its next step, and where hundreds of answers are under way a step is a
#: turn of them all: with four at once, three hundred answers left half of a core unused and questions in line.
AT_ONCE: Final = 16
#: Questions that wait. At 10 to 20 ms each, the last of them is served in some seconds.
MOST_WAITING: Final = 200
#: Seconds of a round of the loop, in which each open answer has its turn once. A question takes some twenty rounds to
#: its first words; where one takes longer than this, the answers that are open already come seconds late.
LONGEST_ROUND: Final = 0.5
ROUNDS: Final = 3
#: Seconds after which those who are turned away may ask again.
ASK_AGAIN: Final = 5.0


class Admission:
    """One process's line."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and keep it. Raises Overloaded where too many wait already."""
        if await _is_held_up() or self._waiting >= MOST_WAITING:
            raise Overloaded(
                "more questions have come than can be answered; ask again in a moment", retry_after=ASK_AGAIN
            )
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()


async def _is_held_up() -> bool:
    """Whether each of some rounds of the loop takes too long: one of them may be a hiccup."""
    loop = asyncio.get_running_loop()
    for _ in range(ROUNDS):
        began = loop.time()
        await asyncio.sleep(0)
        if loop.time() - began < LONGEST_ROUND:
            return False
    return True


_lines: WeakKeyDictionary[asyncio.AbstractEventLoop, Admission] = WeakKeyDictionary()


def admission() -> Admission:
    """The line of the running loop, which is the process's."""
    return _lines.setdefault(asyncio.get_running_loop(), Admission())
