"""One ingest run, from a job's record to a published release. Free of Celery; reads as its table of contents.

Every step may be killed at any line and started again: what it writes has ids made from content, what it has done is
recorded by id, and nothing that readers see changes before `publish_job` writes the release.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

import structlog

from shared.archive_import import end_if_abandoned
from shared.claims import holding
from shared.content_mark import mark_of
from shared.deaths import Start
from shared.errors import DependencyDown, JobFailed, LecternError
from shared.models import Job, JobState, PageFault
from shared.plans import shown_pages
from shared.services import Services
from worker.ingestion.estimate import estimate_job
from worker.ingestion.isolate import Work, index_safely
from worker.ingestion.planning import make_plan
from worker.ingestion.publish import finish_published, publish
from worker.ingestion.wishes import LETTING_GO_SECONDS, grant, undo

log = structlog.get_logger(__name__)

PLAN: Final = "plan"
PUBLISH: Final = "publish"
#: Times that a process may die at a step that has no pages among which the cause could be looked for.
MOST_DEATHS: Final = 5
#: The same for whole workers, which die of other things as well.
MOST_WORKER_DEATHS: Final = 20


async def plan_job(services: Services, job_id: str, owner: str, boot: str = "") -> None:
    """Decide what a job has to do and ring for its shards. Does nothing if it is not this job's turn.

    owner: the message's id. boot: tells one start of a worker from every other.
    """
    jobs = services.jobs
    claim = await jobs.claim(job_id, PLAN, owner)
    if claim is None:
        return
    # Looked at under the claim: who says it looks at the claims only then.
    try:
        word, wish = await jobs.stop_word(job_id), await jobs.wish(job_id)
    except LecternError:
        await jobs.release(claim)
        raise
    if word == "failed":
        await jobs.release(claim)
        return  # somebody is taking back what it has written
    if wish:
        async with holding(jobs, claim, heed=False):
            is_granted = await grant(services, await jobs.get(job_id), wish, PLAN)
        if is_granted:
            await ring_next_job(services)
        return
    await jobs.unsay_stop(job_id)
    async with holding(jobs, claim), survived(services, job_id, PLAN, Start(owner, boot)):
        if (asked := await jobs.get(job_id)).dry_run:
            await estimate_job(services, asked)
            return
        job = await _taken_turn(services, job_id, owner)
        if job is None:
            return
        if not await jobs.end_put_off(job_id):
            await _save_plan(services, job)
    await ring_next_step(services, job)


async def _taken_turn(services: Services, job_id: str, owner: str) -> Job | None:
    """The job, which runs now; None if there is nothing to plan, or somebody else's turn."""
    jobs = services.jobs
    await services.schema.migrate()
    job = await jobs.next()
    if job is None or job.id != job_id or job.state is JobState.PAUSED:
        return None
    if job.kind == "import":
        await end_abandoned_import(services, job, owner)
        return None
    head = await services.releases.head()
    if head is not None and head.job_id == job_id:
        await finish_published(services, job, head)
        return None
    mark = await asyncio.to_thread(mark_of, services.settings)
    begun = await jobs.begin(job, content_mark=mark)
    if begun is not None:
        await jobs.give_turn_back(begun)
    return begun


async def _save_plan(services: Services, job: Job) -> None:
    jobs = services.jobs
    await jobs.start_plan(job.id)
    plan = await make_plan(services, job, await services.releases.head())
    await jobs.move(replace(job, profile=plan.profile), JobState.RUNNING)
    await jobs.save_plan(job.id, plan)


async def end_abandoned_import(services: Services, job: Job, owner: str) -> None:
    """An import is its own process's work; a worker has something to do with it only once that process is dead."""
    if await end_if_abandoned(services, job, owner):
        await ring_next_job(services)


async def index_shard(services: Services, job_id: str, shard_id: str, owner: str, boot: str = "") -> None:
    """Read, cut, compare, embed and store the pages of one shard, then ring for what comes next."""
    jobs = services.jobs
    found = await jobs.shard(job_id, shard_id)
    claim = await jobs.claim(job_id, shard_id, owner) if found else None
    if found is None or claim is None:
        return
    plan, shard = found
    async with holding(jobs, claim):
        # Looked at under the claim: another delivery may have done it, and its release may be live, just before.
        is_done = await jobs.is_done(job_id, shard_id)
        job = await jobs.get(job_id)
        if is_done or job.state is not JobState.RUNNING or await jobs.stop_word(job_id):
            return
        work = Work(job_id, plan, shard, claim, Start(owner, boot))
        is_last = await jobs.save_result(job_id, await index_safely(services, work))
    if is_last:
        await services.queue.publish(job_id, job.content_path)


async def publish_job(services: Services, job_id: str, owner: str, boot: str = "") -> None:
    """Make a finished build the live release, if its counts agree. Does nothing while shards are missing."""
    jobs = services.jobs
    claim = await jobs.claim(job_id, PUBLISH, owner)
    if claim is None:
        return
    # From here on it is too late to stop: a release record that is on its way cannot be called back.
    async with holding(jobs, claim, heed=False), survived(services, job_id, PUBLISH, Start(owner, boot)):
        plan, results, job = await jobs.plan(job_id), await jobs.results(job_id), await jobs.get(job_id)
        if plan is None or job.state is not JobState.RUNNING or any(shard.id not in results for shard in plan.shards):
            return
        if await jobs.wish(job_id) or await jobs.stop_word(job_id):
            return
        head = await services.releases.head()
        if head is None or head.job_id != job_id:
            await jobs.stage(job_id, "publishing")
            head = await publish(services, job, plan, list(results.values()), head)
        await finish_published(services, job, head)
    await ring_next_job(services)


@asynccontextmanager
async def survived(services: Services, job_id: str, work: str, start: Start) -> AsyncIterator[None]:
    """Raise JobFailed if one process after the other has died at this work, which nobody can go on without."""
    deaths = await services.jobs.started(job_id, work, start)
    try:
        if deaths.alone >= MOST_DEATHS or deaths.with_worker >= MOST_WORKER_DEATHS:
            raise JobFailed(
                f"a worker died {deaths.all} times at the step {work!r}; give the worker more memory, or ingest one "
                "folder after the other"
            )
        yield
    finally:
        with suppress(DependencyDown):
            await services.jobs.ended(job_id, work)


async def fail_job(services: Services, job_id: str, reason: str) -> None:
    """Undo what an unpublished build has written and record why it ended. Readers saw nothing of it."""
    job = await services.jobs.get(job_id)
    if job.state.terminal:
        return
    if job.kind == "import":
        await end_if_abandoned(services, job, f"{job_id} failed", reason)
        return
    await services.jobs.say_stop(job_id, "failed")
    if not await services.jobs.quiet(job_id, LETTING_GO_SECONDS):
        # What is being published must not be taken back meanwhile. If that fails too, the job is rung for again.
        log.warning("job.still_worked_on", reason=reason)
        return
    head = await services.releases.head()
    if head is not None and head.job_id == job_id:
        # It broke after its release went live, from which visitors are answered now.
        await finish_published(services, job, head)
        return
    await undo(services, job)
    plan = await services.jobs.plan(job_id)
    faults: tuple[PageFault, ...] = (*(plan.faults if plan else ()), *await services.jobs.faults(job_id))
    await services.jobs.finish(job, JobState.FAILED, reason, faults=faults)
    await ring_next_job(services)


async def ring_next_step(services: Services, job: Job) -> None:
    """Send the shards that have no result yet, or the publish message when all have one."""
    plan = await services.jobs.plan(job.id)
    if plan is None:
        return
    done = set(await services.jobs.done(job.id))
    waiting = [shard for shard in plan.shards if shard.id not in done]
    for shard in waiting:
        await services.queue.shard(job.id, shard.id, shown_pages(shard), job.content_path)
    if not waiting:
        await services.queue.publish(job.id, job.content_path)


async def ring_next_job(services: Services) -> None:
    following = await services.jobs.next()
    if following is not None and following.state is JobState.QUEUED:
        await services.queue.plan(following.id, following.content_path)
