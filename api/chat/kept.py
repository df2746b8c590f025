"""Answers that were given before, in Redis: read, written, capped, and one maker at a time for each of them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from uuid import uuid4

import structlog
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.chat.events import Citation, Cited, Delta, Event, Finished, Started
from shared.tasks import cancelled

log = structlog.get_logger(__name__)

KEY_PREFIX: Final = "lectern:answers:"
#: The names of all kept answers by the time they were written: Redis evicts nothing here, so that we have to.
INDEX: Final = "lectern:answers"
#: Of 2 to 4 kB each, compressed.
MOST_ANSWERS: Final = 1000
#: An answer that is larger than this, compressed, is made anew each time.
MOST_CHARACTERS: Final = 32_000
#: Longest that a visitor waits for one answer of Redis.
PATIENCE_SECONDS: Final = 0.5
#: After Redis did not answer, nobody waits for it for this long.
PAUSE_SECONDS: Final = 1.0
#: A maker that has died is missed after this time; one that lives says so twice in it.
CLAIM_SECONDS: Final = 6.0
#: Not 2, so that claims are not renewed in the very moment at which a Qdrant that hangs is given up.
RENEWALS: Final = 2.5
#: Stands in a claim's place when its answer was not fit to be kept: waiting for it is of no use.
NOT_KEPT: Final = "not kept"
#: Characters of a replayed event, at least: a visitor reads them at once, and each event costs both sides something.
PIECE: Final = 200

#: Take a claim back, or put something in its place, unless it has passed to somebody else.
_DROP: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_RESET: Final = """\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1"""

#: Whether we are to make the answer, or somebody else does, or each for himself.
Claimed = Literal["ours", "theirs", "nobodys"]


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer, and what it was made from."""

    #: The release that it is known to be true of.
    stamp: str
    #: The passages that it was made from. A chunk whose text, place or address changes gets another id.
    chunk_ids: tuple[str, ...]
    started: Started
    #: Deltas and citations in their order.
    said: tuple[str | Citation, ...]
    finished: Finished

    def events(self) -> Iterator[Event]:
        """As they were, in fewer pieces."""
        yield self.started
        for part in self.said:
            yield Delta(part) if isinstance(part, str) else Cited(part)
        yield replace(self.finished, cached=True)


def in_pieces(events: Sequence[Event]) -> tuple[str | Citation, ...]:
    """What was said, in pieces that are cut only where deltas were: links stay whole."""
    said: list[str | Citation] = []
    open_ = False
    for event in events:
        if isinstance(event, Delta):
            last = said[-1] if open_ else ""
            if open_ and isinstance(last, str) and len(last) < PIECE:
                said[-1] = last + event.text
            else:
                said.append(event.text)
            open_ = True
        elif isinstance(event, Cited):
            said.append(event.citation)
            open_ = False
    return tuple(said)


_ADAPTER: Final = TypeAdapter(KeptAnswer)


def packed(kept: KeptAnswer) -> str:
    """As text, because the client of Redis reads text."""
    return base64.b64encode(zlib.compress(_ADAPTER.dump_json(kept))).decode()


def unpacked(text: str) -> KeptAnswer | None:
    """None for what is no answer, such as one that another version of this program has kept."""
    try:
        return _ADAPTER.validate_json(zlib.decompress(base64.b64decode(text)))
    except (ValidationError, zlib.error, binascii.Error, ValueError):
        return None


class NoShelf(Exception):
    """Raised when Redis does not answer, or did not a moment ago."""


class Shelf:
    """The kept answers of all API processes."""

    def __init__(self, redis: Redis, seconds: int) -> None:
        self._redis = redis
        self._seconds = seconds
        self._paused_until = 0.0

    async def read(self, key: str) -> str | None:
        """A packed answer. Raises NoShelf, as all others here do that do not say otherwise."""
        found = await self._ask(self._redis.get, KEY_PREFIX + key)
        return None if found is None else str(found)

    async def write(self, key: str, kept: KeptAnswer) -> bool:
        """Keep an answer for its time, and drop the oldest where there are too many. False if it is too large."""
        text = packed(kept)
        if len(text) > MOST_CHARACTERS:
            return False
        now = time.time()
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(KEY_PREFIX + key, text, ex=self._seconds)
            pipe.zadd(INDEX, {key: now})
            pipe.zremrangebyscore(INDEX, "-inf", now - self._seconds)
            pipe.expire(INDEX, self._seconds)
            pipe.zrange(INDEX, 0, -(MOST_ANSWERS + 1))
            *_, surplus = await self._ask(pipe.execute)
        if surplus:
            await self._ask(self._redis.delete, *(KEY_PREFIX + name for name in surplus))
            await self._ask(self._redis.zrem, INDEX, *surplus)
        return True

    async def restamp(self, key: str, kept: KeptAnswer) -> None:
        """Note the release that an answer is now known to be true of. It does not get older than before."""
        await self._ask(self._redis.set, KEY_PREFIX + key, packed(kept), xx=True, keepttl=True)

    async def claim(self, key: str, token: str) -> tuple[Claimed, str | None]:
        """Try to become the one who makes the answer; and the packed answer, if it has come in the meantime."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(_claim_of(key), token, nx=True, get=True, px=round(CLAIM_SECONDS * 1000))
            pipe.get(KEY_PREFIX + key)
            holder, text = await self._ask(pipe.execute)
        claimed: Claimed = "ours" if holder is None else "nobodys" if holder == NOT_KEPT else "theirs"
        return claimed, text

    @asynccontextmanager
    async def held(self, key: str, token: str) -> AsyncIterator[Claim]:
        """Keep a claim alive, and let go of it in the end. Raises nothing of its own."""
        renewing = asyncio.create_task(self._renew(key, token))
        claim = Claim()
        try:
            yield claim
        finally:
            await cancelled(renewing)
            with suppress(NoShelf):
                if claim.not_kept:
                    await self._reset(key, token, NOT_KEPT)
                else:
                    await self._ask(self._redis.eval, _DROP, 1, _claim_of(key), token)

    async def _renew(self, key: str, token: str) -> None:
        while True:
            await asyncio.sleep(CLAIM_SECONDS / RENEWALS)
            with suppress(NoShelf):
                await self._reset(key, token, token)

    async def _reset(self, key: str, token: str, value: str) -> None:
        milliseconds = round(CLAIM_SECONDS * 1000)
        await self._ask(self._redis.eval, _RESET, 1, _claim_of(key), token, value, milliseconds)

    async def _ask(self, command: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        if time.monotonic() < self._paused_until:
            raise NoShelf
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await command(*args, **options)
        except (RedisError, OSError, TimeoutError) as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            log.warning("answers.not_kept", reason=type(error).__name__)
            raise NoShelf from error


@dataclass(slots=True)
class Claim:
    """The right to make an answer that others wait for."""

    #: They had better make their own.
    not_kept: bool = False


def new_token() -> str:
    return uuid4().hex


def _claim_of(key: str) -> str:
    return f"{KEY_PREFIX}{key}:maker"
