"""Decides what a job has to do, by comparing the content with the newest release."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.chunk_collections import CollectionSpec
from shared.errors import JobFailed
from shared.models import Job, Release
from shared.plans import Plan
from shared.services import Services
from worker.ingestion.content import Content, Found
from worker.ingestion.cost import require_affordable
from worker.ingestion.plan import FoundPage, changed_pages, cut_shards, removed_pages
from worker.ingestion.sources.source import fetch


@dataclass(frozen=True, slots=True)
class Difference:
    """What the content differs in from the pages of a release."""

    changed: Sequence[FoundPage]
    removed: Sequence[str]


async def make_plan(services: Services, job: Job, head: Release | None) -> Plan:
    """Compare the content with the newest release. Raises JobFailed if there is nothing to index, or too much."""
    if job.attempts == 1:
        await services.pacer.afresh()
    source = await fetch(services.settings)
    content = Content.of(services.settings, source.root)
    found = await find_pages(content, job.content_path)
    if services.settings.max_embed_tokens_per_job is not None:
        await require_affordable_job(services, job, content, found, head)
    spec = await target_spec(services, head)
    collection = await services.store.ensure_collection(spec)
    require_whole_site(head, collection, found)
    # Another embedding model: its collection is built beside the one that visitors read, upon whatever it still holds
    # of the time when it was in use.
    base = head.number if head is not None else 0
    revisions = await revisions_at(services, collection, base)
    difference = compare(found, revisions, force=job.force)
    release = base + 1
    if job.attempts > 1:
        await take_back_others(services, collection, release, difference)
    elif difference.changed or difference.removed:
        # What a job that failed without being undone has left; later attempts build upon their own.
        await services.store.undo(collection, release)
    return Plan(
        release=release,
        base=base,
        collection=collection,
        dimensions=spec.dimensions,
        pages_total=len(found.pages),
        base_chunks=await chunks_at(services, head, collection),
        base_pages=len(revisions),
        shards=cut_shards(difference.changed, difference.removed, services.embedder.batch),
        faults=(*source.faults, *found.skipped, *found.unreadable),
        profile="; ".join(filter(None, (source.note, found.profile))),
        source_revision=source.revision,
    )


async def find_pages(content: Content, content_path: str) -> Found:
    """The pages below a path. Raises JobFailed where there is none: that is a mistake far more often than a wish."""
    found = await asyncio.to_thread(content.find, content_path)
    if not found.pages and found.unreadable_folders:
        raise JobFailed(
            f"the folder {found.unreadable_folders[0]!r} of the content cannot be listed, and nothing was changed; "
            "let the worker's user read it, for example with: chmod -R a+rX"
        )
    if not found.pages and not found.unreadable:
        raise JobFailed(
            f"no .md or .mdx page was found in {content_path!r} below the content root, and nothing was changed; "
            f"check CONTENT_ROOT, CONTENT_INCLUDE and CONTENT_EXCLUDE. The site was taken for {found.profile}"
            + "".join(f"; {fault.path} {fault.reason}" for fault in found.skipped[:1])
        )
    return found


def require_whole_site(head: Release | None, collection: str, found: Found) -> None:
    """Raise JobFailed for a part of the site where a new collection has to be filled."""
    if head is not None and head.collection != collection and found.scope != ".":
        raise JobFailed("the embedding model has changed since the last ingest; ingest the whole content root once")


async def revisions_at(services: Services, collection: str, release: int) -> dict[str, str]:
    """The revision of each page of a release by its path; nothing for release 0. About 200 bytes a page."""
    if not release:
        return {}
    return {page.path: page.revision async for page in services.store.page_facts(collection, release)}


def compare(found: Found, revisions: Mapping[str, str], *, force: bool) -> Difference:
    """What a walk over the content has found beside a release's pages. A page that cannot be read is not gone."""
    unreadable = [*(fault.path for fault in found.unreadable), *found.unreadable_folders]
    return Difference(
        changed_pages(found.pages, revisions, force=force),
        removed_pages(found.pages, revisions, unreadable, found.scope),
    )


async def take_back_others(services: Services, collection: str, release: int, difference: Difference) -> None:
    """Take back what earlier attempts have written for pages that are not to be changed any more: they have gone, or
    are again as they were."""
    planned = {*(page.path for page in difference.changed), *difference.removed}
    others = sorted(await services.store.touched_paths(collection, release) - planned)
    if others:
        await services.store.undo_pages(collection, release, others)


async def require_affordable_job(
    services: Services, job: Job, content: Content, found: Found, head: Release | None
) -> None:
    """Raise JobFailed for a job over MAX_EMBED_TOKENS_PER_JOB. Asks no model and makes no collection."""
    target = await existing_target(services, head)
    revisions = await revisions_at(services, target, head.number) if head is not None and target else {}
    await require_affordable(services, content, compare(found, revisions, force=job.force).changed, target)


async def existing_target(services: Services, head: Release | None) -> str | None:
    """The collection that an ingest would build in; None if it would make a new one.

    Found without asking the model for the size of its vectors, so that of several sizes the newest release's is taken.
    """
    embedder = services.embedder
    fitting: list[str] = []
    for name in await services.store.collections():
        spec = await services.store.spec_of(name)
        if spec == CollectionSpec(embedder.model, embedder.dimensions or spec.dimensions, embedder.window):
            fitting.append(name)
    return head.collection if head is not None and head.collection in fitting else next(iter(fitting), None)


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
