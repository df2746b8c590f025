"""Grants what a running job's owner wants: to cancel it, or to pause it. Also takes back what a job has written."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import structlog

from shared.clock import now
from shared.errors import DependencyDown
from shared.models import Job, JobState
from shared.retention import undo_unpublished
from shared.services import Services
from shared.wishes import Wish
from worker.ingestion.publish import finish_published

log = structlog.get_logger(__name__)

#: For those who work on the job to let go of it. They look every second; who is dead is done with by then as well.
LETTING_GO_SECONDS: Final = 15
CANCELLED: Final = "cancelled; nothing was published, and what it had written is taken back"
PAUSED: Final = "paused; it keeps what is done and its turn: the jobs behind it wait until it is resumed or cancelled"


async def grant(services: Services, job: Job, wish: Wish, work: str) -> bool:
    """Cancel or pause the job, once nobody works on it except on the piece of `work` that the caller has claimed.

    False if somebody still does: then it has to be tried again. A job whose release is live by now has succeeded.
    """
    jobs = services.jobs
    if job.state.terminal:
        await jobs.forget_wish(job.id, wish)
        return True
    await jobs.say_stop(job.id, wish)
    if not await jobs.quiet(job.id, LETTING_GO_SECONDS, but=work):
        return False
    head = await services.releases.head()
    if head is not None and head.job_id == job.id:
        await finish_published(services, job, head)
    elif wish == "cancel":
        await undo(services, job)
        await jobs.finish(job, JobState.CANCELLED, CANCELLED)
    else:
        await pause(services, job)
    return True


async def pause(services: Services, job: Job) -> None:
    paused = replace(job, state=JobState.PAUSED, reason=PAUSED)
    if await services.jobs.move(paused, JobState.RUNNING, JobState.QUEUED):
        log.info("job.paused", at=now())
        await services.jobs.event(job.id, "paused")
    await services.jobs.forget_wish(job.id, "pause")


async def undo(services: Services, job: Job) -> None:
    """Take back what an unpublished build has written. Readers saw nothing of it."""
    if job.started_at is None or job.dry_run:
        return
    try:
        plan = await services.jobs.plan(job.id)
    except DependencyDown:
        plan = None
    if plan is None:
        await undo_unpublished(services.store, services.releases)
    elif plan.shards:
        await services.store.undo(plan.collection, plan.release)
