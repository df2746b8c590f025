"""Makes a finished build the live release, and drops what no kept release can see."""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors import JobFailed
from shared.jobs import Plan, now
from shared.models import Job, JobState, Release, ShardResult
from shared.retention import vacuum
from shared.services import Services


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
        await vacuum(services.store, services.releases, release, services.settings.keep_releases)
