"""Decides what a job has to do, by comparing the content with the newest release."""

from __future__ import annotations

import asyncio

from shared.chunk_collections import CollectionSpec
from shared.errors import JobFailed
from shared.jobs import Plan
from shared.models import Job, Release
from shared.services import Services
from worker.ingestion.content import Content
from worker.ingestion.plan import changed_pages, cut_shards, removed_pages


async def make_plan(services: Services, job: Job, head: Release | None) -> Plan:
    """Compare the content with the newest release. Raises JobFailed if there is nothing to index."""
    content = Content.of(services.settings)
    found = await asyncio.to_thread(content.find, job.content_path)
    if not found.pages and found.unreadable_folders:
        raise JobFailed(
            f"the folder {found.unreadable_folders[0]!r} of the content cannot be listed, and nothing was changed; "
            "let the worker's user read it, for example with: chmod -R a+rX"
        )
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
