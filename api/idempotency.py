"""A request that is sent twice, because its first reply got lost, does its work once: `Idempotency-Key`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.errors import InvalidInput, LecternError

log = structlog.get_logger(__name__)

KEY_PREFIX: Final = "lectern:idempotent:"
#: Who lost a reply asks again within minutes; a day is for scripts that run once a day.
KEPT_SECONDS: Final = 24 * 3600
#: A first request that has not said what it made by then has died.
PENDING_SECONDS: Final = 10
#: For the first request of a key to say what it has made.
PATIENCE_SECONDS: Final = 5
POLL_SECONDS: Final = 0.05
#: For one answer of Redis.
REDIS_SECONDS: Final = 0.5

#: Free a key, unless another request has it by now.
FREE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


#: Let a key expire in so many seconds, unless another request has it by now.
EXPIRE: Final = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('EXPIRE', KEYS[1], ARGV[2]) end return 0"
)


class StillRunning(LecternError):
    """Raised for a second request while the first one of its key has not come to an end."""

    code = "CONFLICT"
    status = 409
    retryable = True


class Idempotency:
    """Remembers in Redis what was made for which key. Without Redis every request counts as the first."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def once(
        self, key: str, request: str, create: Callable[[], Awaitable[str]], is_void: Callable[[str], Awaitable[bool]]
    ) -> str:
        """The id that `create` returned for this key, now or earlier. `request` tells one key's requests apart.

        is_void: whether what was made has come to nothing; then the key is free again.

        Raises InvalidInput if the key stands for another request, StillRunning if its first one takes too long.
        """
        name = KEY_PREFIX + hashlib.sha256(key.encode()).hexdigest()
        pending = f"{hashlib.sha256(request.encode()).hexdigest()}:"
        for _ in range(round(PATIENCE_SECONDS / POLL_SECONDS)):
            known = await self._ask(self._redis.set(name, pending, nx=True, get=True, ex=PENDING_SECONDS))
            if known is None:
                return await self._make(name, pending, create)
            if not str(known).startswith(pending):
                raise InvalidInput("Idempotency-Key: was used for another request; send a new one")
            if made := str(known).removeprefix(pending):
                if not await is_void(made):
                    return made
                await self._ask(self._redis.eval(FREE, 1, name, pending + made))
                continue
            await asyncio.sleep(POLL_SECONDS)
        raise StillRunning("an earlier request with this Idempotency-Key is still at work", retry_after=1)

    async def _make(self, name: str, pending: str, create: Callable[[], Awaitable[str]]) -> str:
        try:
            made = await create()
        except BaseException:
            await self._ask(self._redis.delete(name))
            raise
        await self._ask(self._redis.set(name, pending + made, ex=KEPT_SECONDS))
        return made

    async def _ask(self, command: Awaitable[Any]) -> Any:
        """What Redis says; None, as for a key that nobody has used, if it says nothing."""
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                return await command
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("idempotency.not_kept", reason=type(error).__name__)
            return None
