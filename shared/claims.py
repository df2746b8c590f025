"""Who works on what: claims in Redis that run out by themselves, and the keeper that renews one while its work runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

from redis.asyncio import Redis

from shared.errors import DependencyDown, JobStopped, LeaseLost, LecternError
from shared.redis_errors import redis_errors

#: A claim that is not renewed for this long is anybody's: what a killed worker was doing goes on after it.
CLAIM_SECONDS: Final = 8
RENEW_SECONDS: Final = 2
#: Between two looks at whether the owner wants the job stopped.
HEED_SECONDS: Final = 1.0
#: The list of a job's claims goes when nobody has touched it for a day.
LIST_SECONDS: Final = 24 * 3600

#: Take a claim that is free, or was ours before this message was delivered again, and put it on the job's list.
_CLAIM: Final = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('HSET', KEYS[2], ARGV[3], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 1
"""
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[2], ARGV[2])
return redis.call('DEL', KEYS[1])
"""
#: Each piece of work on the list, and whether its claim still stands.
_LIST: Final = """
local works, found = redis.call('HKEYS', KEYS[1]), {}
for _, work in ipairs(works) do
  found[#found + 1] = work
  found[#found + 1] = redis.call('EXISTS', ARGV[1] .. work)
end
return found
"""


@dataclass(slots=True)
class Renewal:
    """When a claim was last known to be ours, by the clock of this process."""

    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do one piece of a job's work, held by one process at a time."""

    job: str
    work: str
    owner: str
    renewal: Renewal = field(default_factory=Renewal, compare=False)

    @property
    def key(self) -> str:
        return f"{_prefix(self.job)}{self.work}"


@dataclass(frozen=True, slots=True)
class Working:
    """The pieces of a job's work that were begun and have not ended in order."""

    #: Somebody holds the claim.
    held: frozenset[str]
    #: Nobody does any more: its process has died.
    orphaned: frozenset[str]


def _prefix(job_id: str) -> str:
    return f"lectern:job:{job_id}:claim:"


def _list_key(job_id: str) -> str:
    return f"lectern:job:{job_id}:claims"


class Claims:
    """Takes, renews and lets go of claims."""

    _redis: Redis

    async def claim(self, job_id: str, work: str, owner: str) -> Claim | None:
        """Take a piece of work, or None while another process is at it. `owner` is the message's id."""
        claim = Claim(job_id, work, owner)
        return claim if await self._take(claim) else None

    async def renew(self, claim: Claim) -> None:
        """Keep a claim. Raises LeaseLost if it has passed to another process: stop writing then.

        One that Redis does not know any more, as after it was emptied, is taken anew; but not by a process that has
        stood still for so long that another one may have had it, and have let go of it, meanwhile.
        """
        begun = time.monotonic()
        if begun > claim.renewal.at + CLAIM_SECONDS:
            raise LeaseLost(f"{claim.key} was not renewed for {CLAIM_SECONDS} seconds")
        if not await self._take(claim):
            raise LeaseLost(f"{claim.key} is now held by another process")
        claim.renewal.at = begun

    async def _take(self, claim: Claim) -> bool:
        arguments = (claim.owner, str(CLAIM_SECONDS), claim.work, str(LIST_SECONDS))
        with redis_errors():
            return bool(await self._redis.eval(_CLAIM, 2, claim.key, _list_key(claim.job), *arguments))

    async def release(self, claim: Claim) -> None:
        with redis_errors():
            await self._redis.eval(_RELEASE, 2, claim.key, _list_key(claim.job), claim.owner, claim.work)

    async def working(self, job_id: str) -> Working:
        """What of this job is being worked on, and what was left in the middle."""
        with redis_errors():
            found = await cast(Any, self._redis.eval(_LIST, 1, _list_key(job_id), _prefix(job_id)))
        pairs = list(zip(found[::2], found[1::2], strict=True))
        return Working(
            held=frozenset(work for work, stands in pairs if stands),
            orphaned=frozenset(work for work, stands in pairs if not stands),
        )

    async def alive(self, job_id: str) -> bool:
        """Whether any process is at work on this job."""
        return bool((await self.working(job_id)).held)

    async def quiet(self, job_id: str, seconds: float, *, but: str = "") -> bool:
        """Wait until nobody works on the job, except on the piece `but`. False if somebody still does by then."""
        until = time.monotonic() + seconds
        while (await self.working(job_id)).held - {but}:
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(HEED_SECONDS / 4)
        return True


class Keeper(Protocol):
    """What `holding` asks: the claims, and whether the job's owner wants it stopped."""

    async def renew(self, claim: Claim) -> None: ...

    async def release(self, claim: Claim) -> None: ...

    async def stop_word(self, job_id: str) -> str | None: ...


@asynccontextmanager
async def holding(jobs: Keeper, claim: Claim, *, heed: bool = True) -> AsyncIterator[None]:
    """Keep a claim alive while its work runs.

    Raises LeaseLost inside the work once another process has the claim, and JobStopped once the job is to stop. Work
    that must not be left half done does not `heed` the latter.
    """
    worker = asyncio.current_task()
    ending: list[LecternError] = []

    async def keep() -> None:
        ending.append(await _end_of(jobs, claim, heed=heed))
        if worker is not None:
            worker.cancel()

    keeper = asyncio.create_task(keep())
    try:
        yield
    except asyncio.CancelledError:
        if ending and worker is not None:
            worker.uncancel()
            raise ending[0] from None
        raise
    finally:
        worker = None  # a keeper that has not heard its cancellation ends later, and must not end other work then
        keeper.cancel()
        with suppress(DependencyDown):  # it runs out by itself
            await jobs.release(claim)


async def _end_of(jobs: Keeper, claim: Claim, *, heed: bool) -> LecternError:
    """Renew the claim until it is lost, or the job is to stop. Returns why it ends."""
    renewed = time.monotonic()
    while time.monotonic() < renewed + CLAIM_SECONDS:
        await asyncio.sleep(min(RENEW_SECONDS, HEED_SECONDS) if heed else RENEW_SECONDS)
        try:
            if heed and (word := await jobs.stop_word(claim.job)):
                return JobStopped(f"{claim.job} is to stop: {word}")
            if time.monotonic() >= renewed + RENEW_SECONDS:
                await jobs.renew(claim)
                renewed = time.monotonic()
        except DependencyDown:
            continue
        except LeaseLost as error:
            return error
    return LeaseLost(f"{claim.key} could not be renewed for {CLAIM_SECONDS} seconds")
