"""Jobs, all that is known and done of them, behind one name.

| what | where | module |
|---|---|---|
| the record and its states, whose turn it is | Qdrant | `shared.job_records`, `shared.turns` |
| what the owner wants of a running job | Qdrant, and a word in Redis | `shared.wishes` |
| plan, results, progress, events | Redis | `shared.live_jobs` |
| who works on what | Redis | `shared.claims` |
| how often a process died at a piece of work | Redis | `shared.deaths` |

Everything in Redis can be made anew from the record and the content; losing it costs time, never a page.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from redis.asyncio import Redis

from shared.claims import Claims
from shared.clock import now
from shared.deaths import Starts
from shared.errors import DependencyDown
from shared.job_records import UNFINISHED
from shared.live_jobs import LiveJobs
from shared.models import Job, JobState
from shared.releases import Records
from shared.turns import Turns
from shared.wishes import Wishes


class Jobs(Turns, Wishes, LiveJobs, Claims, Starts):
    """Creates, reads and moves jobs along."""

    def __init__(self, records: Records, redis: Redis) -> None:
        """`redis` decodes what it reads (`shared.services.open_redis`)."""
        self._records = records
        self._redis = redis

    async def finish(self, job: Job, state: JobState, reason: str | None, **changes: Any) -> Job:
        """Put a job into a terminal state, with a reason that a person can act on. One that has ended stays as it is.

        Returns the job as it is recorded.
        """
        ended = replace(job, state=state, reason=reason, finished_at=now(), **changes)
        if not await self.move(ended, *UNFINISHED):
            return await self.get(job.id)
        await self._after_end(ended)
        return ended

    async def has_lost(self, job_id: str) -> bool:
        """Whether the job has ended without doing what it was for, so that who asks again wants another one."""
        job = await self.find(job_id)
        return job is not None and job.state in (JobState.FAILED, JobState.CANCELLED)

    async def cancel_queued(self, job: Job, reason: str) -> Job | None:
        """Cancel a job that nobody works on: that has not begun. None if it has begun meanwhile."""
        ended = replace(job, state=JobState.CANCELLED, reason=reason, finished_at=now())
        if not await self.move(ended, job.state):
            return None
        await self._after_end(ended)
        return ended

    async def _after_end(self, ended: Job) -> None:
        with suppress(DependencyDown):  # the record says it
            await self.stage(ended.id, "done")
            await self.event(ended.id, ended.state.value, reason=ended.reason or "")
        await self.give_turn_back(ended)
        await self.forget_wish(ended.id, "cancel")
        await self.forget_wish(ended.id, "pause")
        await self.forget_oldest()
