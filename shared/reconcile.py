"""Rings again for jobs whose message was lost or whose worker died."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from shared.errors import DependencyDown
from shared.jobs import Jobs
from shared.queue import QUEUE, Queue

log = structlog.get_logger(__name__)

TICK_SECONDS: Final = 2
#: Between two messages for one job: a worker needs this long to take one and claim the work.
RING_SECONDS: Final = 4


async def reconcile(jobs: Jobs, queue: Queue) -> bool:
    """Send a plan message for the oldest unfinished job if nobody works on it and none is waiting. True if sent."""
    job = await jobs.next()
    if job is None or await jobs.alive(job.id) or await jobs.waiting_messages(QUEUE):
        return False
    if not await jobs.ring_allowed(job.id, RING_SECONDS):
        return False
    return await queue.plan(job.id, job.content_path)


async def keep_reconciling(jobs: Jobs, queue: Queue) -> None:
    """Reconcile for ever. Runs in every API process; doubles do no harm."""
    while True:
        try:
            if await reconcile(jobs, queue):
                log.info("job.rung")
        except DependencyDown as error:
            log.warning("reconcile.waiting", reason=error.message)
        await asyncio.sleep(TICK_SECONDS)
