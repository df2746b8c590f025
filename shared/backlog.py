"""What waits for a worker, and which workers there are."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Final, cast

from redis.asyncio import Redis

from shared.queue import KEY_PREFIX, QUEUES, SENT_AT
from shared.redis_errors import redis_errors

#: Each worker keeps one key of this pattern alive while it takes work.
WORKER_HEARTBEATS: Final = "lectern:worker:*"


@dataclass(frozen=True, slots=True)
class Backlog:
    """The queues at one moment."""

    messages: int
    #: Of the message that has waited longest; 0 if none waits.
    oldest_seconds: float
    workers: int


async def backlog(redis: Redis) -> Backlog:
    """What the queues hold. Raises DependencyDown if Redis does not answer."""
    with redis_errors():
        lengths = [int(await cast(Any, redis.llen(KEY_PREFIX + name))) for name in QUEUES]
        # Messages come in at the left.
        oldest = [await cast(Any, redis.lindex(KEY_PREFIX + name, -1)) for name in QUEUES]
        workers = await count_workers(redis)
    return Backlog(sum(lengths), max(map(_age, filter(None, oldest)), default=0.0), workers)


async def count_workers(redis: Redis) -> int:
    with redis_errors():
        return len({key async for key in redis.scan_iter(match=WORKER_HEARTBEATS, count=1000)})


def _age(message: str) -> float:
    """Seconds since a message was sent; 0 for one that does not say so, as those of older versions."""
    try:
        sent = json.loads(message)["headers"].get(SENT_AT)
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0.0
    return round(max(0.0, time.time() - sent), 1) if isinstance(sent, int | float) else 0.0
