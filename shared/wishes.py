"""What a job's owner wants of it while it runs: to cancel it, or to pause it.

The wish is a record in Qdrant, so that it outlives Redis. A word in Redis tells those who work on the job, who look for
it every second (`shared.claims.holding`); without Redis, nobody can hold a claim for long either.
"""

from __future__ import annotations

from typing import Any, Final, Literal, cast

from redis.asyncio import Redis

from shared.clock import now
from shared.redis_errors import redis_errors
from shared.releases import Records

Wish = Literal["cancel", "pause"]
#: What those who work on a job are told: its owner's wish, or that it has failed while they did.
StopWord = Literal["cancel", "pause", "failed"]
#: A wish's word outlives whatever may still be at work; it is passed on anew as long as the wish stands.
WISH_SECONDS: Final = 24 * 3600
#: A failing job is undone by then, or who was undoing it has died: then it is taken up again.
FAILED_SECONDS: Final = 60


class Wishes:
    """Keeps the owner's wishes and passes them on."""

    _records: Records
    _redis: Redis

    async def wish(self, job_id: str) -> Wish | None:
        record = await self._records.get("wish", job_id)
        return None if record is None else cast(Wish, record["wish"])

    async def wishes(self) -> dict[str, Wish]:
        """Every wish that has not been granted yet, by job."""
        return {record["key"]: record["wish"] for record in await self._records.all("wish")}

    async def save_wish(self, job_id: str, wish: Wish) -> None:
        await self._records.put(("wish", job_id, {"wish": wish, "at": now()}), strong=True)

    async def forget_wish(self, job_id: str, wish: Wish) -> None:
        """The wish is granted, or the owner has changed his mind. A newer, other one stays."""
        await self._records.delete_if("wish", job_id, wish=wish)

    async def stop_word(self, job_id: str) -> str | None:
        with redis_errors():
            return cast("str | None", await cast(Any, self._redis.get(_key(job_id))))

    async def say_stop(self, job_id: str, word: StopWord) -> None:
        """Tell everybody who works on the job to let go of it."""
        with redis_errors():
            await self._redis.set(_key(job_id), word, ex=FAILED_SECONDS if word == "failed" else WISH_SECONDS)

    async def unsay_stop(self, job_id: str) -> None:
        """The owner has changed his mind, and whoever works on the job may go on."""
        with redis_errors():
            await self._redis.delete(_key(job_id))


def _key(job_id: str) -> str:
    return f"lectern:job:{job_id}:stop"
