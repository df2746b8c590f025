"""How often a process died at a piece of work, so that a page that kills is told from a page that was in the way.

A start is noted, and the note is taken back at the end, whatever that is. A note that is still there at the next start
means that the process died in between. Whether the work killed it shows in how it comes back:

- Celery hands the same message out again, because the pool's process died and its parent lives: strong evidence;
- another message had to be sent, because the whole worker was gone: weak, for that ends innocent work as well;
- the worker had said that it was about to stop: none at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from redis.asyncio import Redis

from shared.redis_errors import redis_errors

NOTES_SECONDS: Final = 7 * 24 * 3600
#: A worker that has said that it stops is gone after this long, and its work begun elsewhere.
LEAVING_SECONDS: Final = 15 * 60


@dataclass(frozen=True, slots=True)
class Start:
    """Who starts a piece of work: the message that asks for it, and the worker as it was started (its `boot`)."""

    message: str
    boot: str

    def __str__(self) -> str:
        return f"{self.boot} {self.message}"


@dataclass(frozen=True, slots=True)
class Deaths:
    """Times that a process died at a piece of work."""

    #: The process alone, under a worker that lived on.
    alone: int = 0
    #: The whole worker.
    with_worker: int = 0

    @property
    def all(self) -> int:
        return self.alone + self.with_worker


class Starts:
    """Notes starts and counts deaths. A piece of work is under a claim meanwhile, so it has one writer at a time."""

    _redis: Redis

    async def started(self, job_id: str, work: str, start: Start) -> Deaths:
        """Note a start. Returns how often a process has died at this work so far."""
        with redis_errors():
            before = await cast(Any, self._redis.hget(_begun(job_id), work))
            if before is not None:
                await self._count(job_id, work, before, start)
            await cast(Any, self._redis.hset(_begun(job_id), work, str(start)))
            await self._redis.expire(_begun(job_id), NOTES_SECONDS)
            counts = await cast(Any, self._redis.hmget(_deaths(job_id), f"alone {work}", f"worker {work}"))
        return Deaths(*(int(count or 0) for count in counts))

    async def ended(self, job_id: str, work: str) -> None:
        """The work has come to an end in order: done, refused, or given back."""
        with redis_errors():
            await cast(Any, self._redis.hdel(_begun(job_id), work))

    async def count_death(self, job_id: str, work: str) -> None:
        """The work has all but killed its process: it used up the memory, or did not come to an end."""
        with redis_errors():
            await cast(Any, self._redis.hincrby(_deaths(job_id), f"alone {work}", 1))
            await self._redis.expire(_deaths(job_id), NOTES_SECONDS)

    async def _count(self, job_id: str, work: str, before: str, start: Start) -> None:
        boot, _, message = before.partition(" ")
        if await self._redis.exists(leaving_key(boot)):
            return
        kind = "alone" if message == start.message else "worker"
        await cast(Any, self._redis.hincrby(_deaths(job_id), f"{kind} {work}", 1))
        await self._redis.expire(_deaths(job_id), NOTES_SECONDS)


def leaving_key(boot: str) -> str:
    """Where a worker says, when it is told to stop, that its work does not end because of what it is."""
    return f"lectern:leaving:{boot}"


def _begun(job_id: str) -> str:
    return f"lectern:job:{job_id}:begun"


def _deaths(job_id: str) -> str:
    return f"lectern:job:{job_id}:deaths"
