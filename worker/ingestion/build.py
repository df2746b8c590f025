"""Builds one shard: read, cut, compare, embed, store. Repeating it, or finishing another's, ends the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.diff import PageDiff, diff_page, remove_page
from shared.errors import JobFailed
from shared.jobs import Claim, Plan, PlannedShard
from shared.models import PageFault, ShardResult, StoredChunk
from shared.services import Services
from worker.ingestion.content import Content
from worker.ingestion.embed import Embedded, PassageRejected, embed_chunks
from worker.ingestion.pages import ParsedPage


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
