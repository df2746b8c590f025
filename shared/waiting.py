"""Why a job that has not ended is not being worked on, in words for its owner."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from shared.backlog import Backlog, backlog
from shared.claims import Working
from shared.errors import DependencyDown
from shared.models import Job, JobState
from shared.services import Services

#: What a job can wait for: its owner, another job, the model provider, a worker, Redis, or its next message.
What = Literal["resume", "job", "provider", "worker", "queue", "redis", "message"]
#: A silence that is shorter is the time that messages take.
SILENCE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a job waits for, and since when."""

    what: What
    reason: str
    #: ISO 8601, UTC: the last sign of life.
    since: str
    seconds: float
    #: The job that is waited for.
    job: str | None = None
    #: ISO 8601, UTC: when it goes on, where that is known.
    until: str | None = None


async def waiting_for(services: Services, job: Job) -> Waiting | None:
    """What the job waits for; None for one that is worked on or has ended."""
    if job.state.terminal:
        return None
    try:
        since = await services.jobs.last_event_at(job.id) or job.started_at or job.created_at
        return await _named(services, job, since) or idle(
            since, await services.jobs.working(job.id), await backlog(services.redis)
        )
    except DependencyDown:
        return without_redis(job)


def without_redis(job: Job) -> Waiting | None:
    """What the job waits for where Redis is known not to answer."""
    if job.state.terminal:
        return None
    since = job.started_at or job.created_at
    return _waiting("redis", "Redis does not answer; the job goes on when it is back", since)


async def _named(services: Services, job: Job, since: str) -> Waiting | None:
    """What the job waits for although somebody could work on it."""
    if job.state is JobState.PAUSED:
        return _waiting("resume", "the job is paused; resume or cancel it", since)
    if ahead := await _ahead(services, job):
        return _waiting("job", _behind(ahead), job.created_at, job=ahead.id)
    limited = None if job.dry_run else await services.pacer.limited_until()
    return _waiting("provider", limited.reason, since, until=_iso(limited.until)) if limited else None


async def _ahead(services: Services, job: Job) -> Job | None:
    first = None if job.dry_run else await services.jobs.next()
    return first if first is not None and first.id != job.id else None


def _behind(ahead: Job) -> str:
    if ahead.state is JobState.PAUSED:
        return f"{ahead.id} is paused and keeps its turn; resume or cancel it"
    return f"{ahead.id} has its turn"


def idle(since: str, working: Working, queues: Backlog) -> Waiting | None:
    """What a job waits for that has its turn, by who works on it and what is in the queues."""
    if working.held and not working.orphaned:
        return None
    if not queues.workers:
        return _waiting("worker", "no worker has been heard of in the last 15 seconds; start one", since)
    if working.orphaned:
        names = "a worker that was at it has died; its work is begun anew within seconds"
        return None if working.held else _waiting("message", names, since)
    if queues.messages:
        return _waiting("queue", f"{queues.messages} messages wait for a worker that is free", since)
    if _age(since) < SILENCE_SECONDS:
        return None
    return _waiting("message", "its message is lost; another one is sent within seconds", since)


def _waiting(what: What, reason: str, since: str, *, job: str | None = None, until: str | None = None) -> Waiting:
    return Waiting(what, reason, since, _age(since), job, until)


def _age(since: str) -> float:
    return round(max(0.0, time.time() - datetime.fromisoformat(since).timestamp()), 1)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
