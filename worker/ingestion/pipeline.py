"""One ingest run, from a job's record to a published release. Free of Celery; reads as its table of contents.

Every step may be killed at any line and started again: what it writes has ids made from content, what it has done is
recorded by id, and nothing that readers see changes before `publish_job` writes the release.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

import structlog

from shared.errors import DependencyDown, JobFailed, LeaseLost
from shared.jobs import CLAIM_SECONDS, MOST_STARTS, RENEW_SECONDS, Claim, Jobs, Plan, PlannedShard, now
from shared.models import Job, JobState, PageFault, Release, ShardResult, StoredChunk
from shared.services import Services
from shared.vector_store import CollectionSpec
from worker.ingestion.content import Content
from worker.ingestion.diff import PageDiff, diff_page, remove_page
from worker.ingestion.embed import Embedded, PassageRejected, embed_chunks
from worker.ingestion.pages import ParsedPage
from worker.ingestion.plan import changed_pages, cut_shards, removed_pages

log = structlog.get_logger(__name__)

PLAN: Final = "plan"
PUBLISH: Final = "publish"


# Plan


async def plan_job(services: Services, job_id: str, owner: str) -> None:
    """Decide what a job has to do and ring for its shards. Does nothing if it is not this job's turn."""
    jobs = services.jobs
    claim = await jobs.claim(job_id, PLAN, owner)
    if claim is None:
        return
    async with holding(jobs, claim):
        job = await jobs.next()
        if job is None or job.id != job_id:
            return
        await jobs.start_plan(job_id)
        head = await services.releases.head()
        if head is not None and head.job_id == job_id:
            await finish_published(services, job, head)
            return
        started = job.started_at or now()
        job = await jobs.save(replace(job, state=JobState.RUNNING, started_at=started, attempts=job.attempts + 1))
        plan = await make_plan(services, job, head)
        await jobs.save_plan(job_id, plan)
    await ring_next_step(services, job_id)


async def make_plan(services: Services, job: Job, head: Release | None) -> Plan:
    """Compare the content with the newest release. Raises JobFailed if there is nothing to index."""
    content = Content.of(services.settings)
    found = await asyncio.to_thread(content.find, job.content_path)
    if not found.pages and not found.unreadable:
        raise JobFailed(
            f"no .md or .mdx page was found in {job.content_path!r} below the content root, and nothing was changed; "
            "check CONTENT_ROOT, CONTENT_INCLUDE and CONTENT_EXCLUDE"
        )
    spec = await target_spec(services, head)
    collection = await services.store.ensure_collection(spec)
    if head is not None and head.collection != collection and found.scope != ".":
        raise JobFailed("the embedding model has changed since the last ingest; ingest the whole content root once")
    # Another embedding model: its collection is built beside the one that visitors read, upon whatever it still holds
    # of the time when it was in use.
    base = head.number if head is not None else 0
    live = await services.store.pages_at(collection, base) if base else {}
    changed = changed_pages(found.pages, live, force=job.force)
    unreadable = [*(fault.path for fault in found.unreadable), *found.unreadable_folders]
    removed = removed_pages(found.pages, live, unreadable, found.scope)
    shards = cut_shards(changed, removed)
    release = base + 1
    if shards and job.attempts == 1:
        # What a job that failed without being undone has left; later attempts build upon their own.
        await services.store.undo(collection, release)
    return Plan(
        release=release,
        base=base,
        collection=collection,
        dimensions=spec.dimensions,
        pages_total=len(found.pages),
        base_chunks=await chunks_at(services, head, collection),
        base_pages=len(live),
        shards=shards,
        faults=(*found.skipped, *found.unreadable),
    )


async def chunks_at(services: Services, head: Release | None, collection: str) -> int:
    """How many chunks the build starts from: as the head's record has it, so that a loss since then is noticed."""
    if head is None:
        return 0
    if head.collection == collection:
        return head.chunks
    return await services.store.count(collection, "chunk", head.number)


async def target_spec(services: Services, head: Release | None) -> CollectionSpec:
    """The collection to build in. The model is only asked for its vectors' size where the head cannot tell it."""
    embedder = services.embedder
    if head is not None:
        spec = await services.store.spec_of(head.collection)
        dimensions = embedder.dimensions or spec.dimensions
        if spec == CollectionSpec(embedder.model, dimensions, embedder.window):
            return spec
    await embedder.open()
    return CollectionSpec(embedder.model, embedder.dimensions, embedder.window)


async def ring_next_step(services: Services, job_id: str) -> None:
    """Send the shards that have no result yet, or the publish message when all have one."""
    plan = await services.jobs.plan(job_id)
    if plan is None:
        return
    done = await services.jobs.results(job_id)
    waiting = [shard for shard in plan.shards if shard.id not in done]
    for shard in waiting:
        await services.queue.shard(job_id, shard.id, [*shard.pages, *(f"{path} (gone)" for path in shard.removed)])
    if not waiting:
        await services.queue.publish(job_id)


# Shard


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
        if shard_id in await jobs.results(job_id) or (await jobs.get(job_id)).state.terminal:
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
        await services.queue.publish(job_id)


async def build_shard(services: Services, plan: Plan, shard: PlannedShard, claim: Claim) -> ShardResult:
    """Write what is new, end what is gone. Repeating it, or finishing what a killed worker began, ends the same."""
    await services.jobs.renew(claim)
    content = Content.of(services.settings)
    read, faults = await asyncio.to_thread(content.read, shard.pages)
    diffs = await compare(services, plan, shard, read, [fault.path for fault in faults])
    diffs, embedded, refused = await embed(services, plan, diffs)
    if embedded.texts_embedded and services.embedder.dimensions != plan.dimensions:
        raise JobFailed(
            f"{services.embedder.model} now makes vectors of {services.embedder.dimensions} numbers, and the index "
            f"holds {plan.dimensions}; set EMBEDDING_DIMENSIONS={plan.dimensions}, or name another collection with "
            "QDRANT_COLLECTION_NAME"
        )
    await services.jobs.renew(claim)
    await store(services, plan, shard, diffs, embedded)
    warnings = [fault for page in read for fault in page.faults]
    return _result(shard, diffs, embedded, (*faults, *warnings, *refused))


async def embed(
    services: Services, plan: Plan, diffs: list[PageDiff]
) -> tuple[list[PageDiff], Embedded, list[PageFault]]:
    """Vectors for the diffs' new passages. A page whose text the model refuses stays as it was, and is named."""
    refused: list[PageFault] = []
    while True:
        chunks = [chunk for diff in diffs for chunk in diff.new]
        try:
            embedded = await embed_chunks(chunks, plan.collection, services.store, services.embedder, services.bm25)
        except PassageRejected as error:
            refused.append(PageFault(error.path, error.message))
            diffs = [diff for diff in diffs if diff.path != error.path]
        else:
            return diffs, embedded, refused


async def compare(
    services: Services, plan: Plan, shard: PlannedShard, read: Sequence[ParsedPage], unreadable: Sequence[str]
) -> list[PageDiff]:
    """What changes on each page of the shard. A page without a passage is gone; an unreadable one stays as it was."""
    paths = [path for path in (*shard.pages, *shard.removed) if path not in unreadable]
    old_chunks: dict[str, list[StoredChunk]] = {path: [] for path in paths}
    old_pages = {}
    if plan.base and paths:
        old_pages = await services.store.pages_of(plan.collection, plan.base, paths)
        for chunk in await services.store.chunks_of(plan.collection, plan.base, paths):
            old_chunks[chunk.chunk.path].append(chunk)
    diffs = [
        diff_page(page.page, page.chunks, old_pages.get(page.page.path), old_chunks[page.page.path], plan.release)
        for page in read
        if page.chunks
    ]
    gone = [*shard.removed, *(page.page.path for page in read if not page.chunks)]
    diffs += [remove_page(old_pages[path], old_chunks[path]) for path in gone if path in old_pages]
    return diffs


async def store(
    services: Services, plan: Plan, shard: PlannedShard, diffs: Sequence[PageDiff], embedded: Embedded
) -> None:
    """Bring the index to exactly these diffs: also take back what an earlier attempt with other content has left."""
    pages = [diff.page for diff in diffs if diff.page is not None]
    closing = {
        id_ for diff in diffs for id_ in (*diff.closed_chunks, *([diff.closed_page] if diff.closed_page else []))
    }
    wanted = {point.stored.id for point in embedded.points} | {page.id for page in pages}
    index = services.store
    written, closed = await index.touched(plan.collection, plan.release, [*shard.pages, *shard.removed])
    await index.write(plan.collection, embedded.points, pages)
    await index.close(plan.collection, sorted(closing - closed), plan.release)
    await index.delete(plan.collection, sorted(written - wanted))
    await index.reopen(plan.collection, sorted(closed - closing))


# Publish


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


async def publish(
    services: Services, job: Job, plan: Plan, results: Sequence[ShardResult], head: Release | None
) -> Release | None:
    """Write the release record, or return None if there is nothing new to publish."""
    changed = any(r.chunks_written + r.chunks_closed + r.pages_written + r.pages_closed for r in results)
    if not changed and (head is None or head.collection == plan.collection):
        return None
    store = services.store
    documents = await store.count(plan.collection, "page", plan.release)
    chunks = await store.count(plan.collection, "chunk", plan.release)
    expected_pages = plan.base_pages + sum(r.pages_written - r.pages_closed for r in results)
    expected_chunks = plan.base_chunks + sum(r.chunks_written - r.chunks_closed for r in results)
    if (documents, chunks) != (expected_pages, expected_chunks):
        raise JobFailed(
            f"the index holds {documents} pages and {chunks} passages where {expected_pages} and {expected_chunks} "
            "were written; nothing was published. Run the ingest again"
        )
    if not documents:
        raise JobFailed("no page could be indexed, and nothing was changed; the faults say why")
    release = Release(plan.release, plan.collection, documents, chunks, job.id, now())
    await services.releases.publish(release)
    await store.point_alias(plan.collection)
    return release


async def finish_published(services: Services, job: Job, release: Release | None) -> None:
    """Close the books on a job whose release is live, or that found nothing new; drop releases over the limit."""
    plan, results = await services.jobs.plan(job.id), (await services.jobs.results(job.id)).values()
    faults = (*(plan.faults if plan else ()), *(fault for result in results for fault in result.faults))
    live = release or await services.releases.live()
    reason = f"release {release.number} is live" if release else "nothing has changed"
    totals = {
        "documents": live.documents if live else 0,
        "chunks": live.chunks if live else 0,
        "pages_found": plan.pages_total if plan else 0,
        "pages_changed": sum(result.pages_written for result in results),
        "chunks_written": sum(result.chunks_written for result in results),
        "texts_embedded": sum(result.texts_embedded for result in results),
        "texts_reused": sum(result.texts_reused for result in results),
        "requests": sum(result.requests for result in results),
    }
    number = release.number if release else None
    await services.jobs.finish(job, JobState.SUCCEEDED, reason, release=number, faults=faults, totals=totals)
    if release is not None:
        await vacuum(services, release)


async def vacuum(services: Services, newest: Release) -> None:
    """Forget releases beyond the number to keep, and delete what none of the kept ones can see."""
    releases = [release for release in await services.releases.all() if release.number <= newest.number]
    kept = releases[-services.settings.keep_releases :]
    old = releases[: -len(kept)]
    # Before their records, which are what names them.
    for collection in {release.collection for release in old} - {release.collection for release in kept}:
        await services.store.drop_collection(collection)
    await services.releases.forget(old)
    await services.store.vacuum(newest.collection, min(release.number for release in kept))


async def ring_next_job(services: Services) -> None:
    following = await services.jobs.next()
    if following is not None:
        await services.queue.plan(following.id)


# Failure


async def fail_job(services: Services, job_id: str, reason: str) -> None:
    """Undo what an unpublished build has written and record why it ended. Readers saw nothing of it."""
    job = await services.jobs.get(job_id)
    if job.state.terminal:
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


@asynccontextmanager
async def holding(jobs: Jobs, claim: Claim) -> AsyncIterator[None]:
    """Keep a claim alive while its work runs; raise LeaseLost inside the work once another process has it."""
    worker = asyncio.current_task()
    lost: list[LeaseLost] = []

    async def keep() -> None:
        silent = 0.0
        while silent < CLAIM_SECONDS:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await jobs.renew(claim)
                silent = 0.0
            except DependencyDown:
                silent += RENEW_SECONDS
            except LeaseLost as error:
                lost.append(error)
                break
        if not lost:
            lost.append(LeaseLost(f"{claim.key} could not be renewed for {CLAIM_SECONDS} seconds"))
        if worker is not None:
            worker.cancel()

    keeper = asyncio.create_task(keep())
    try:
        yield
    except asyncio.CancelledError:
        if lost and worker is not None:
            worker.uncancel()
            raise lost[0] from None
        raise
    finally:
        keeper.cancel()
        with suppress(DependencyDown):  # it runs out by itself
            await jobs.release(claim)


def _result(
    shard: PlannedShard, diffs: Sequence[PageDiff], embedded: Embedded, faults: tuple[PageFault, ...]
) -> ShardResult:
    return ShardResult(
        shard_id=shard.id,
        pages=len(shard.pages) + len(shard.removed),
        pages_written=sum(diff.page is not None for diff in diffs),
        pages_closed=sum(diff.closed_page is not None for diff in diffs),
        chunks_written=sum(len(diff.new) for diff in diffs),
        chunks_kept=sum(len(diff.kept) for diff in diffs),
        chunks_closed=sum(len(diff.closed_chunks) for diff in diffs),
        texts_embedded=embedded.texts_embedded,
        texts_reused=embedded.texts_reused,
        requests=embedded.requests,
        tokens=embedded.tokens,
        faults=faults,
    )
