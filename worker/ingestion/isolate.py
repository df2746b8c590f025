"""Finds the page that kills its worker: tries the pages of a suspected shard one by one, and gives up the one that
went on killing by itself. Its last good version stays, as with a page that cannot be read; the others are indexed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import structlog

from shared.claims import Claim
from shared.deaths import Deaths, Start
from shared.errors import DependencyDown
from shared.models import PageFault, ShardResult
from shared.plans import Plan, PlannedShard
from shared.services import Services
from worker.ingestion.build import build_shard

log = structlog.get_logger(__name__)

#: For a shard as a whole: what is left of a task's time is for its pages one by one.
SHARD_SECONDS: Final = 300
#: For one page by itself, which had more than this within its shard before.
PAGE_SECONDS: Final = 120
#: Times that a page alone may kill the process that indexes it. Two may have been somebody else's doing.
MOST_DEATHS: Final = 3
#: Times that the whole worker may die with a page alone in work. That is a sign of the page only if it goes on and on:
#: machines are also switched off. A container whose processes are killed together for their memory gets here as well.
MOST_WORKER_DEATHS: Final = 10
#: Of a shard as a whole: the page is looked for once a process died at it alone, or twice with its worker.
SUSPECT_DEATHS: Final = 1
SUSPECT_WORKER_DEATHS: Final = 2
#: Before a page that did not find the memory is tried again: another process may have had it.
BREATH_SECONDS: Final = 1.0
MEND: Final = "leave it out with CONTENT_EXCLUDE, shorten it, or give the worker more memory"


@dataclass(frozen=True, slots=True)
class Work:
    """A shard in the hands of a process."""

    job_id: str
    plan: Plan
    shard: PlannedShard
    claim: Claim
    start: Start

    def alone(self, path: str) -> Work:
        """The same with one page, or one page that is gone, by itself."""
        pages, removed = ((path,), ()) if path in self.shard.pages else ((), (path,))
        return replace(self, shard=PlannedShard(self.shard.id, pages, removed))


async def index_safely(services: Services, work: Work) -> ShardResult:
    """What a shard did. A page that it cannot survive is named among the faults."""
    deaths = await services.jobs.started(work.job_id, work.shard.id, work.start)
    try:
        if not is_suspect(deaths):
            with suppress(MemoryError, TimeoutError):
                async with asyncio.timeout(SHARD_SECONDS):
                    return await build_shard(services, work.plan, work.shard, work.claim)
            await services.jobs.count_death(work.job_id, work.shard.id)
        return await index_one_by_one(services, work)
    finally:
        with suppress(DependencyDown):  # then it counts as weak evidence
            await services.jobs.ended(work.job_id, work.shard.id)


def is_suspect(deaths: Deaths) -> bool:
    """Whether a page of the shard may have killed its process."""
    return deaths.alone >= SUSPECT_DEATHS or deaths.with_worker >= SUSPECT_WORKER_DEATHS


async def index_one_by_one(services: Services, work: Work) -> ShardResult:
    """The sum of what the pages did by themselves. What was done before a process died is not done again."""
    parts = await services.jobs.parts(work.job_id, work.shard.id)
    for path in (*work.shard.pages, *work.shard.removed):
        if path not in parts:
            parts[path] = await _index_page(services, work.alone(path), path)
            await services.jobs.save_part(work.job_id, path, parts[path])
    return sum_of(work.shard.id, list(parts.values()))


async def _index_page(services: Services, work: Work, path: str) -> ShardResult:
    unit = f"{work.shard.id}:{path}"
    deaths = await services.jobs.started(work.job_id, unit, work.start)
    try:
        if deaths.alone >= MOST_DEATHS:
            return await give_up(services, work, path, f"a worker died {deaths.alone} times while indexing it; {MEND}")
        if deaths.with_worker >= MOST_WORKER_DEATHS:
            reason = f"the whole worker died {deaths.with_worker} times while indexing it; {MEND}"
            return await give_up(services, work, path, reason)
        return await _try_page(services, work, path)
    finally:
        with suppress(DependencyDown):
            await services.jobs.ended(work.job_id, unit)


async def _try_page(services: Services, work: Work, path: str) -> ShardResult:
    try:
        for _ in range(MOST_DEATHS):
            try:
                async with asyncio.timeout(PAGE_SECONDS):
                    return await build_shard(services, work.plan, work.shard, work.claim)
            except MemoryError:
                await asyncio.sleep(BREATH_SECONDS)
    except TimeoutError:
        return await give_up(services, work, path, f"indexing it took longer than {PAGE_SECONDS} seconds; {MEND}")
    return await give_up(services, work, path, f"indexing it used up the worker's memory; {MEND}")


async def give_up(services: Services, work: Work, path: str, reason: str) -> ShardResult:
    """Take back what was written of a page, so that its last good version stays, and name it."""
    log.warning("page.given_up", path=path, reason=reason)
    await services.store.undo_pages(work.plan.collection, work.plan.release, [path])
    return replace(sum_of(work.shard.id, []), pages=1, faults=(PageFault(path, reason),))


def sum_of(shard_id: str, parts: Sequence[ShardResult]) -> ShardResult:
    """The results of a shard's parts as that of the whole."""
    counts: dict[str, Any] = {
        field.name: sum(getattr(part, field.name) for part in parts)
        for field in fields(ShardResult)
        if field.name not in ("shard_id", "faults")
    }
    return ShardResult(shard_id=shard_id, faults=tuple(fault for part in parts for fault in part.faults), **counts)
