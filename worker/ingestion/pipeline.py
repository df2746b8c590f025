"""One ingest run, from a job's record to a published release. Free of Celery; reads as its table of contents.

Every step may be killed at any line and started again: what it writes has ids made from content, what it has done is
recorded by id, and nothing that readers see changes before `publish_job` writes the release.
"""

from __future__ import annotations

from typing import Final

from shared.archive_import import end_if_abandoned
from shared.claims import holding
from shared.errors import JobFailed
from shared.jobs import MOST_STARTS
from shared.models import Job, JobState, PageFault
from shared.services import Services
from worker.ingestion.build import build_shard
from worker.ingestion.planning import make_plan
from worker.ingestion.publish import finish_published, publish

PLAN: Final = "plan"
PUBLISH: Final = "publish"


async def plan_job(services: Services, job_id: str, owner: str) -> None:
    """Decide what a job has to do and ring for its shards. Does nothing if it is not this job's turn."""
    jobs = services.jobs
    claim = await jobs.claim(job_id, PLAN, owner)
    if claim is None:
        return
    async with holding(jobs, claim):
        await services.schema.migrate()
        job = await jobs.next()
        if job is None or job.id != job_id:
            return
        if job.kind == "import":
            await end_abandoned_import(services, job, owner)
            return
        await jobs.start_plan(job_id)
        head = await services.releases.head()
        if head is not None and head.job_id == job_id:
            await finish_published(services, job, head)
            return
        job = await jobs.begin(job)
        if job is None:
            return
        plan = await make_plan(services, job, head)
        await jobs.save_plan(job_id, plan)
    await ring_next_step(services, job)


async def end_abandoned_import(services: Services, job: Job, owner: str) -> None:
    """An import is its own process's work; a worker has something to do with it only once that process is dead."""
    if await end_if_abandoned(services, job, owner):
        await ring_next_job(services)


async def index_shard(services: Services, job_id: str, shard_id: str, owner: str) -> None:
    """Read, cut, compare, embed and store the pages of one shard, then ring for what comes next."""
    jobs = services.jobs
    plan = await jobs.plan(job_id)
    shard = next((s for s in plan.shards if s.id == shard_id), None) if plan else None
    claim = await jobs.claim(job_id, shard_id, owner) if shard else None
    if plan is None or shard is None or claim is None:
        return
    async with holding(jobs, claim):
        # Looked at under the claim: another delivery may have done it, and its release may be live, just before.
        is_done = shard_id in await jobs.results(job_id)
        job = await jobs.get(job_id)
        if is_done or job.state.terminal:
            return
        if await jobs.count_start(job_id, shard_id) > MOST_STARTS:
            raise JobFailed(
                f"a worker died {MOST_STARTS} times while indexing {', '.join((*shard.pages, *shard.removed))}; "
                "exclude the page that causes it with CONTENT_EXCLUDE, or give the worker more memory"
            )
        try:
            result = await build_shard(services, plan, shard, claim)
        finally:
            await jobs.count_start(job_id, shard_id, by=-1)
        await jobs.save_result(job_id, result)
    if len(await jobs.results(job_id)) == len(plan.shards):
        await services.queue.publish(job_id, job.content_path)


async def publish_job(services: Services, job_id: str, owner: str) -> None:
    """Make a finished build the live release, if its counts agree. Does nothing while shards are missing."""
    jobs = services.jobs
    claim = await jobs.claim(job_id, PUBLISH, owner)
    if claim is None:
        return
    async with holding(jobs, claim):
        plan, results, job = await jobs.plan(job_id), await jobs.results(job_id), await jobs.get(job_id)
        if plan is None or job.state.terminal or any(shard.id not in results for shard in plan.shards):
            return
        head = await services.releases.head()
        if head is None or head.job_id != job_id:
            await jobs.stage(job_id, "publishing")
            head = await publish(services, job, plan, list(results.values()), head)
        await finish_published(services, job, head)
    await ring_next_job(services)


async def fail_job(services: Services, job_id: str, reason: str) -> None:
    """Undo what an unpublished build has written and record why it ended. Readers saw nothing of it."""
    job = await services.jobs.get(job_id)
    if job.state.terminal:
        return
    if job.kind == "import":
        await end_if_abandoned(services, job, f"{job_id} failed", reason)
        return
    head = await services.releases.head()
    if head is not None and head.job_id == job_id:
        # It broke after its release went live, from which visitors are answered now.
        await finish_published(services, job, head)
        return
    plan = await services.jobs.plan(job_id)
    if plan is not None and plan.shards:
        await services.store.undo(plan.collection, plan.release)
    results = (await services.jobs.results(job_id)).values()
    faults: tuple[PageFault, ...] = (*(plan.faults if plan else ()), *(f for r in results for f in r.faults))
    await services.jobs.finish(job, JobState.FAILED, reason, faults=faults)
    await ring_next_job(services)


async def ring_next_step(services: Services, job: Job) -> None:
    """Send the shards that have no result yet, or the publish message when all have one."""
    plan = await services.jobs.plan(job.id)
    if plan is None:
        return
    done = await services.jobs.results(job.id)
    waiting = [shard for shard in plan.shards if shard.id not in done]
    for shard in waiting:
        pages = [*shard.pages, *(f"{path} (gone)" for path in shard.removed)]
        await services.queue.shard(job.id, shard.id, pages, job.content_path)
    if not waiting:
        await services.queue.publish(job.id, job.content_path)


async def ring_next_job(services: Services) -> None:
    following = await services.jobs.next()
    if following is not None:
        await services.queue.plan(following.id, following.content_path)
