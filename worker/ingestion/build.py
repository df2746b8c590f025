"""Builds one shard: read, cut, compare, embed, store. Repeating it, or finishing another's, ends the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from shared.claims import Claim
from shared.diff import PageDiff, diff_page, remove_page
from shared.models import PageFault, ShardResult, StoredChunk
from shared.plans import Plan, PlannedShard
from shared.services import Services
from worker.ingestion.content import Content
from worker.ingestion.embed import Embedding, Spent
from worker.ingestion.pages import ParsedPage
from worker.ingestion.sources.source import checkout

#: Pages that are read, compared and handed on together: as many as one answer of the index can be about.
PAGES_AT_ONCE: Final = 64


async def build_shard(services: Services, plan: Plan, shard: PlannedShard, claim: Claim) -> ShardResult:
    """Write what is new, end what is gone. Repeating it, or finishing what a killed worker began, ends the same.

    Pages are read while the passages of those before are embedded and written. What readers see of the base release is
    touched last, once all that is new is there.
    """
    await services.jobs.renew(claim)
    content = Content.of(services.settings, await checkout(services.settings, plan.source_revision))
    diffs: list[PageDiff] = []
    faults: list[PageFault] = []
    async with Embedding(services, plan, claim) as embedding:
        for paths in groups(shard.pages):
            read, unreadable = await asyncio.to_thread(content.read, paths)
            found = await compare(services, plan, paths, read, unreadable)
            await embedding.add([chunk for diff in found for chunk in diff.new])
            diffs += found
            faults += [*unreadable, *(fault for page in read for fault in page.faults)]
        for paths in groups(shard.removed):
            diffs += await compare(services, plan, paths, (), ())
        await embedding.finish()
        diffs, refused = without_refused(diffs, embedding.refused)
        await services.jobs.renew(claim)
        await settle(services, plan, shard, diffs)
    return _result(shard, diffs, embedding.spent, (*faults, *refused))


def groups(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    return (paths[start : start + PAGES_AT_ONCE] for start in range(0, len(paths), PAGES_AT_ONCE))


def without_refused(diffs: Sequence[PageDiff], refused: Mapping[str, str]) -> tuple[list[PageDiff], list[PageFault]]:
    """The pages that can be changed, and those that stay as they were because the model refuses one of their texts.

    refused: the model's reason, by the text's hash.
    """
    kept: list[PageDiff] = []
    faults: list[PageFault] = []
    for diff in diffs:
        first = next((stored for stored in diff.new if stored.text_hash in refused), None)
        if first is None:
            kept.append(diff)
        else:
            reason = refused[first.text_hash]
            heading = first.chunk.heading
            faults.append(PageFault(diff.path, f"the passage under {heading!r} cannot be embedded: {reason}"))
    return kept, faults


async def compare(
    services: Services, plan: Plan, listed: Sequence[str], read: Sequence[ParsedPage], unreadable: Sequence[PageFault]
) -> list[PageDiff]:
    """What changes on the listed pages. One that was not read, or has no passage, is gone; an unreadable one stays."""
    kept = {fault.path for fault in unreadable}
    paths = [path for path in listed if path not in kept]
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
    changed = {diff.path for diff in diffs}
    gone = [path for path in paths if path not in changed]
    diffs += [remove_page(old_pages[path], old_chunks[path]) for path in gone if path in old_pages]
    return diffs


async def settle(services: Services, plan: Plan, shard: PlannedShard, diffs: Sequence[PageDiff]) -> None:
    """Bring the index to exactly these diffs, whose passages are written: also take back what an earlier attempt with
    other content, or a page that was refused halfway, has left."""
    pages = [diff.page for diff in diffs if diff.page is not None]
    closing = {
        id_ for diff in diffs for id_ in (*diff.closed_chunks, *([diff.closed_page] if diff.closed_page else []))
    }
    wanted = {stored.id for diff in diffs for stored in diff.new} | {page.id for page in pages}
    index = services.store
    written, closed = await index.touched(plan.collection, plan.release, [*shard.pages, *shard.removed])
    await index.write(plan.collection, [], pages)
    await index.close(plan.collection, sorted(closing - closed), plan.release)
    await index.delete(plan.collection, sorted(written - wanted))
    await index.reopen(plan.collection, sorted(closed - closing))


def _result(shard: PlannedShard, diffs: Sequence[PageDiff], spent: Spent, faults: tuple[PageFault, ...]) -> ShardResult:
    return ShardResult(
        shard_id=shard.id,
        pages=len(shard.pages) + len(shard.removed),
        pages_written=sum(diff.page is not None for diff in diffs),
        pages_closed=sum(diff.closed_page is not None for diff in diffs),
        chunks_written=sum(len(diff.new) for diff in diffs),
        chunks_kept=sum(len(diff.kept) for diff in diffs),
        chunks_closed=sum(len(diff.closed_chunks) for diff in diffs),
        texts_embedded=spent.texts_embedded,
        texts_reused=spent.texts_reused,
        requests=spent.requests,
        tokens=spent.tokens,
        faults=faults,
    )
