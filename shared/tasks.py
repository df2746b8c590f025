"""Ending tasks that run beside others."""

from __future__ import annotations

import asyncio
from typing import Any, Final

#: Seconds after which a task that goes on has not heard that it is cancelled: its last words take a second at most.
#: Redis' client, for one, loses a cancellation that comes in the same moment as an answer.
DEAF_SECONDS: Final = 2.0


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel what still runs and wait until it has cleaned up; tell it again for as long as it has not heard."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=DEAF_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
