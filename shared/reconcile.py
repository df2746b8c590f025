"""Rings again for jobs whose message was lost or whose worker died, and passes on what their owners want."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from shared.errors import DependencyDown
from shared.jobs import Jobs
from shared.models import Job, JobState
from shared.plans import shown_pages
from shared.queue import FIRST_QUEUE, QUEUE, Queue
from shared.wishes import Wish

log = structlog.get_logger(__name__)

TICK_SECONDS: Final = 2
#: Between two messages for one job, or for one piece of its work: a worker needs this long to take one and claim it.
RING_SECONDS: Final = 4


async def reconcile(jobs: Jobs, queue: Queue) -> bool:
    """Ring for every job that may be worked on and is not. True if any message was sent."""
    rung = False
    for job_id, wish in (await jobs.wishes()).items():
        rung |= await pass_on(jobs, queue, job_id, wish)
    following = await jobs.next()
    dry_runs = [job for job in await jobs.unfinished() if job.dry_run]
    for job in [*([following] if following else []), *dry_runs]:
        if job.state is not JobState.PAUSED:
            rung |= await look_after(jobs, queue, job)
    return rung


async def pass_on(jobs: Jobs, queue: Queue, job_id: str, wish: Wish) -> bool:
    """Tell those who work on a job what its owner wants, and ask for a worker who grants it."""
    if await jobs.stop_word(job_id) != wish:
        await jobs.say_stop(job_id, wish)
    if await jobs.waiting_messages(FIRST_QUEUE) or not await jobs.ring_allowed(job_id, RING_SECONDS, "wish"):
        return False
    return await queue.plan(job_id, first=True)


async def look_after(jobs: Jobs, queue: Queue, job: Job) -> bool:
    """Ring for the shards whose worker died, else for the whole job if nobody works on it and no message waits."""
    if await jobs.put_off_until(job.id):
        return False
    working = await jobs.working(job.id)
    if working.orphaned and not await jobs.waiting_messages(FIRST_QUEUE):
        rung = [await _ring_shard(jobs, queue, job, work) for work in working.orphaned]
        if any(rung):
            return True
    if working.held or await jobs.waiting_messages(QUEUE):
        return False
    if not await jobs.ring_allowed(job.id, RING_SECONDS):
        return False
    return await queue.plan(job.id, job.content_path)


async def _ring_shard(jobs: Jobs, queue: Queue, job: Job, work: str) -> bool:
    """False for work that is no shard: it is found anew when the whole job is rung for."""
    found = await jobs.shard(job.id, work)
    if found is None or not await jobs.ring_allowed(job.id, RING_SECONDS, work):
        return False
    return await queue.shard(job.id, work, shown_pages(found[1]), job.content_path, first=True)


async def keep_reconciling(jobs: Jobs, queue: Queue) -> None:
    """Reconcile for ever. Runs in every API process; doubles do no harm."""
    while True:
        try:
            if await reconcile(jobs, queue):
                log.info("job.rung")
        except DependencyDown as error:
            log.warning("reconcile.waiting", reason=error.message)
        await asyncio.sleep(TICK_SECONDS)
