"""Lets a few questions search at once; the others wait in line, and those for whom the line is too long are told so.

A search takes CPU, and more of them at once only wait for each other: served in turn, the first are done while the last
still wait, and answers that are already being written go on. Without an end of the line, a burst would be served when
nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakKeyDictionary

from shared.errors import Overloaded

#: Searches at once: enough to use a second core while one waits for Qdrant.
AT_ONCE: Final = 4
#: Questions that wait. At 20 to 40 ms each, a hundred visitors at once are served in three seconds, the last in seven.
MOST_WAITING: Final = 200
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
        if self._waiting >= MOST_WAITING:
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


_lines: WeakKeyDictionary[asyncio.AbstractEventLoop, Admission] = WeakKeyDictionary()


def admission() -> Admission:
    """The line of the running loop, which is the process's."""
    return _lines.setdefault(asyncio.get_running_loop(), Admission())
