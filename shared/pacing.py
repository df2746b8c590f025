"""One pace towards a provider for all processes: its state stands in Redis, its rules in `shared.pacing_rules`.

Without Redis each process goes on with what it knows and learns itself, so that pacing never stops anybody.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared import pacing_rules as rules
from shared.errors import MustWait, ProviderError, ProviderUnavailable
from shared.pacing_rules import Pace, PaceLimits, Size

log = structlog.get_logger(__name__)

T = TypeVar("T")

#: The state, and the time on the one clock that all processes share.
_LOAD: Final = "local t = redis.call('TIME'); return {t[1], t[2], redis.call('GET', KEYS[1]) or ''}"
#: Put a new state in place of the one that it was made from; 0 if another process was faster.
_STORE: Final = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
#: A state that nobody has looked at for a day says nothing any more.
KEPT_SECONDS: Final = 24 * 3600
#: Longest wait for Redis, in seconds, of a job and of a visitor; then, and for some time after, this process goes by
#: itself.
REDIS_SECONDS: Final = 3.0
VISITORS_SECONDS: Final = 0.3
REDIS_REST: Final = 5.0
#: Longest wait for a turn, in seconds. What takes longer is given back, so that a worker is free for other work.
LONGEST_WAIT: Final = 60.0
#: Random delay on top of a wait, at most: else all who wait come at once.
SPREAD: Final = 0.5
#: A hold-up that is over sooner is not worth a word to anybody, in seconds.
WORTH_A_WORD: Final = 1.0


@dataclass(frozen=True, slots=True)
class Limited:
    """The provider is not asked before `until` (seconds since the epoch), because of `reason`."""

    until: float
    reason: str


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to send one request."""

    #: When it was given, in seconds since the epoch.
    at: float
    #: The provider was down before: one failure more is enough to know that it still is.
    only_try: bool


class Pacer:
    """Says when a request may be sent, and hears how it went. Safe to use from many coroutines."""

    def __init__(
        self,
        redis: Redis | None = None,
        *,
        name: str = "",
        limits: PaceLimits | None = None,
        patience_seconds: float = 3600,
    ) -> None:
        """`name` tells providers apart (`name_of`). After `patience_seconds` of failures alone a job is not put off
        any more but fails. `redis` decodes what it reads; without one the process paces itself."""
        self.limits = limits or PaceLimits()
        self._redis = redis
        self._key = f"lectern:pace:{name}"
        self._patience = patience_seconds
        self._known = Pace()
        self._alone_until = 0.0

    async def turn(self, size: Size, asker: str, *, seconds: float = LONGEST_WAIT) -> Turn:
        """Wait until a request of this size may be sent. `asker` is the same for a request that is sent again.

        Raises MustWait, with the time, if that is in more than `seconds`; ProviderUnavailable if the provider has
        failed for too long; ProviderError, without a request, if it has refused for good.
        """
        until = time.monotonic() + seconds
        while True:
            answer, now = await self._change(lambda pace, now: rules.ask(pace, now, asker, size, self.limits))
            pace = self._known
            if pace.refused:
                raise ProviderError(pace.refused)
            if not answer.wait:
                return Turn(now, only_try=pace.rest > 0)
            if not answer.for_probe and time.monotonic() + answer.wait > until:
                raise self._put_off(pace, now)
            spread = 0.0 if answer.for_probe else random.uniform(0, min(answer.wait, SPREAD))
            await asyncio.sleep(answer.wait + spread)

    async def visitor_turn(self, size: Size) -> tuple[float, float]:
        """Count a request that waits for no limit of the owner's. Now, and the seconds for which the provider wants to
        be left alone."""
        try:
            async with asyncio.timeout(VISITORS_SECONDS):
                quiet, now = await self._change(self._counted(size))
        except TimeoutError as error:
            self._go_alone(error)
            quiet, now = await self._change(self._counted(size))
        return now, quiet

    async def answered(self) -> None:
        """A request was answered as it should."""
        await self._change(lambda pace, now: (rules.answered(pace, now), None))

    async def limited(self, sent_at: float, seconds: float | None, reason: str) -> None:
        """The provider limits the rate. All processes leave it alone for `seconds`, or what is found by trying."""
        await self._change(lambda pace, now: (rules.limited(pace, now, sent_at, seconds, reason), None))

    async def refused(self, reason: str) -> None:
        """The provider refuses for good: nobody asks it again before `afresh`, or a good reply."""
        await self._change(lambda pace, _: (rules.refused(pace, reason), None))

    async def gave_up(self, reason: str, *, is_limit: bool) -> MustWait | ProviderUnavailable:
        """A request has failed as often as it may. What to raise: later again, or no more."""
        if not is_limit:
            await self._change(lambda pace, now: (rules.down(pace, now, reason), None))
        return self._put_off(self._known, await self._now())

    async def afresh(self) -> None:
        """Forget refusals and failures: a new job may try again, once."""
        await self._change(lambda pace, _: (rules.afresh(pace), None))

    async def limited_until(self) -> Limited | None:
        """Until when nothing is sent to the provider, and why; None if nothing holds requests up."""
        pace, now, _ = await self._load()
        until = rules.held_until(pace)
        if until - now < WORTH_A_WORD:
            return None
        return Limited(until, pace.reason if until == pace.quiet_until else self._own_limit())

    def _counted(self, size: Size) -> Callable[[Pace, float], tuple[Pace, float]]:
        def count(pace: Pace, now: float) -> tuple[Pace, float]:
            quiet = max(0.0, pace.quiet_until - now)
            return (pace if quiet else rules.count(pace, now, size, self.limits)), quiet

        return count

    def _put_off(self, pace: Pace, now: float) -> MustWait | ProviderUnavailable:
        until = max(rules.held_until(pace), pace.gap_from)
        reason = pace.reason if pace.failing_since and pace.reason else self._own_limit()
        if pace.failing_since and until - pace.failing_since > self._patience:
            minutes = round((now - pace.failing_since) / rules.MINUTE)
            return ProviderUnavailable(
                f"{reason}; it has given no good reply for {minutes} minutes, and would be asked again in "
                f"{max(0.0, until - now):.0f} seconds, which is longer than EMBED_PATIENCE_MINUTES allows"
            )
        return MustWait(reason, until=until)

    def _own_limit(self) -> str:
        limits = self.limits
        named = {
            "EMBED_REQUESTS_PER_MINUTE": limits.requests,
            "EMBED_TOKENS_PER_MINUTE": limits.tokens,
            "EMBED_ITEMS_PER_MINUTE": limits.items,
        }
        return "requests are held back by " + " and ".join(f"{name}={value}" for name, value in named.items() if value)

    async def _change(self, change: Callable[[Pace, float], tuple[Pace, T]]) -> tuple[T, float]:
        """Apply a change to the shared state, again where another process was faster. Its result, and the time."""
        while True:
            pace, now, stored = await self._load()
            changed, result = change(pace, now)
            if changed == pace or await self._store(stored, changed):
                self._known = changed
                return result, now

    async def _now(self) -> float:
        _, now, _ = await self._load()
        return now

    async def _load(self) -> tuple[Pace, float, str]:
        """What is known, the time, and the state as Redis holds it."""
        if self._redis is None or time.monotonic() < self._alone_until:
            return self._known, time.time(), ""
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                seconds, microseconds, text = await cast(Any, self._redis.eval(_LOAD, 1, self._key))
        except (RedisError, OSError, TimeoutError) as error:
            self._go_alone(error)
            return self._known, time.time(), ""
        return _parse(text), int(seconds) + int(microseconds) / 1e6, text

    async def _store(self, stored: str, new: Pace) -> bool:
        """False if Redis holds something else than `stored` by now."""
        if self._redis is None or time.monotonic() < self._alone_until:
            return True
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                done = await cast(Any, self._redis.eval(_STORE, 1, self._key, stored, _text(new), str(KEPT_SECONDS)))
        except (RedisError, OSError, TimeoutError) as error:
            self._go_alone(error)
            return True
        return bool(done)

    def _go_alone(self, error: Exception) -> None:
        self._alone_until = time.monotonic() + REDIS_REST
        log.warning("pacing.alone", reason=type(error).__name__)


def name_of(base_url: str, model: str, key: str) -> str:
    """The same in all processes with these settings, and another one as soon as one of them changes."""
    return hashlib.sha256("\0".join((base_url, model, key)).encode()).hexdigest()[:16]


def _text(pace: Pace) -> str:
    """As it stands in Redis; nothing for what is known of a provider that was never asked."""
    return "" if pace == Pace() else json.dumps({name: value for name, value in asdict(pace).items() if value})


def _parse(text: str) -> Pace:
    """Of a newer version's state, what this one knows."""
    if not text:
        return Pace()
    raw = json.loads(text)
    return Pace(**{name: value for name, value in raw.items() if name in Pace.__dataclass_fields__})
