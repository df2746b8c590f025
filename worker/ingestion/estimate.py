"""A dry run: what an ingest of the content as it is now would do, take and cost. Reads, and writes nothing."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from statistics import median
from typing import Any, Final

from shared.changes import Changes, PageChange, describe, pair_similar, pair_up, sketches_at
from shared.clock import now
from shared.models import Job, JobState, PageFacts, Release
from shared.prices import Price, price_of
from shared.services import Services
from worker.ingestion.content import Content, Found
from worker.ingestion.cost import Cost, cost_of
from worker.ingestion.planning import (
    Difference,
    compare,
    existing_target,
    find_pages,
    require_whole_site,
    revisions_at,
)
from worker.ingestion.sources.source import fetch

#: Pages that each list of an estimate names; the totals count all. Every job's record is read to list them.
NAMES_SHOWN: Final = 100
#: Jobs whose pace is looked at, and passages below which a job says nothing of it.
JOBS_MEASURED: Final = 5
ENOUGH_PASSAGES: Final = 20
#: Passages a second where nothing was measured yet: one core with the local model, and one worker with a provider that
#: answers in 150 ms.
LOCAL_PACE: Final = 29.0
PROVIDER_PACE: Final = 300.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Passages a second, and where that is known from."""

    passages: float
    basis: str


@dataclass(frozen=True, slots=True)
class Duration:
    """How long an ingest would take, and by what it was reckoned."""

    seconds: float
    basis: str


async def estimate_job(services: Services, job: Job) -> None:
    """Find out what the job would do, and end it. Raises JobFailed for content that could not be ingested either."""
    await services.jobs.start_plan(job.id)
    job = replace(job, state=JobState.RUNNING, started_at=job.started_at or now(), attempts=job.attempts + 1)
    if not await services.jobs.move(job, JobState.QUEUED, JobState.RUNNING):
        return
    started = time.monotonic()
    head = await services.releases.head()
    source = await fetch(services.settings)
    content = Content.of(services.settings, source.root)
    found = await find_pages(content, job.content_path)
    collection = await existing_target(services, head)
    require_whole_site(head, collection or "", found)
    cost, changes = await weigh(services, job, content, found, collection)
    pace = await measured_pace(services, collection)
    duration = Duration(time.monotonic() - started + cost.to_embed / pace.passages, pace.basis)
    estimate = written(found, cost, changes, price_of(services.settings), duration)
    await services.jobs.finish(
        job, JobState.SUCCEEDED, in_words(estimate), estimate=estimate,
        faults=(*source.faults, *found.skipped, *found.unreadable, *cost.faults),
        totals={"pages_found": len(found.pages)},
    )  # fmt: skip


async def weigh(
    services: Services, job: Job, content: Content, found: Found, collection: str | None
) -> tuple[Cost, Changes]:
    """What would have to be embedded, and which pages a visitor would find changed."""
    head = await services.releases.head()
    number = head.number if head else 0
    shown = await revisions_at(services, head.collection, number) if head else {}
    for_visitors = compare(found, shown, force=False)
    in_target = shown
    if head is None or collection != head.collection:
        in_target = await revisions_at(services, collection, number) if collection else {}
    to_read = compare(found, in_target, force=job.force).changed
    new = [page.path for page in for_visitors.changed if page.path not in shown]

    async def report(read: int, passages: int) -> None:
        await services.jobs.report(job.id, len(to_read), read, passages)

    cost = await cost_of(
        services, content, to_read, collection,
        sketched=new if for_visitors.removed else (), report=report,
    )  # fmt: skip
    return cost, await page_changes(services, for_visitors, shown, head, cost)


async def page_changes(
    services: Services, difference: Difference, shown: dict[str, str], head: Release | None, cost: Cost
) -> Changes:
    """The pages that would be added, changed, moved and removed, each with its reason. What cannot be read stays."""
    changed = [page for page in difference.changed if page.path not in cost.unreadable]
    gained = [_facts(page.path, page.revision) for page in changed if page.path not in cost.hidden]
    gone = [*difference.removed, *(page.path for page in changed if page.path in shown)]
    pairing = pair_up(gained, [_facts(path, shown[path]) for path in gone])
    if head is not None and pairing.unsettled:
        pair_similar(pairing, cost.sketches, await sketches_at(services.store, head, sorted(pairing.removed)))
    return describe(pairing, head.number if head else None, cost.hidden)


async def measured_pace(services: Services, collection: str | None) -> Pace:
    """Passages a second, by the newest jobs that have embedded enough with this model."""
    numbers = {release.number for release in await services.releases.all() if release.collection == collection}
    paces = [
        job.totals["texts_embedded"] / _seconds(job)
        for job in await services.jobs.list()
        if job.state is JobState.SUCCEEDED
        and job.release in numbers
        and job.totals.get("texts_embedded", 0) >= ENOUGH_PASSAGES
        and _seconds(job) > 0
    ][:JOBS_MEASURED]
    if paces:
        return Pace(median(paces), f"the last {len(paces)} ingests" if len(paces) > 1 else "the last ingest")
    if services.settings.embedding_provider == "local":
        return Pace(LOCAL_PACE, f"an assumed {LOCAL_PACE:.0f} passages a second on one core")
    return Pace(PROVIDER_PACE, f"an assumed {PROVIDER_PACE:.0f} passages a second, with a provider without a limit")


def written(found: Found, cost: Cost, changes: Changes, price: Price, duration: Duration) -> dict[str, Any]:
    """The estimate, ready for JSON."""
    touched = changes.totals["added"] + changes.totals["changed"] + changes.totals["moved"]
    dollars = price.of(cost.tokens)
    return {
        "base": changes.base,
        "pages": {"found": len(found.pages), **changes.totals, "hidden": len(cost.hidden)}
        | {"unchanged": len(found.pages) - touched - len(cost.hidden | cost.unreadable)},
        **{name: [asdict(page) for page in pages[:NAMES_SHOWN]] for name, pages in _lists(changes).items()},
        "passages": {"read": cost.passages, "to_embed": cost.to_embed, "to_reuse": cost.to_reuse},
        "tokens": cost.tokens,
        "price": {
            "model": price.model,
            "dollars": None if dollars is None else round(dollars, 6),
            "dollars_per_million_tokens": price.per_million,
        },
        "seconds": round(duration.seconds, 1),
        "seconds_by": duration.basis,
    }


def in_words(estimate: dict[str, Any]) -> str:
    """The estimate in a sentence."""
    pages, passages = estimate["pages"], estimate["passages"]
    changed = ", ".join(f"{pages[name]:,} {name}" for name in ("added", "changed", "moved", "removed"))
    if not passages["read"] and not pages["removed"]:
        return f"nothing has changed in {pages['found']:,} pages, and an ingest would change nothing"
    return (
        f"an ingest would make a release with these pages: {changed}; {passages['to_embed']:,} passages to embed "
        f"({estimate['tokens']:,} tokens, {price_in_words(estimate['price'])}), {passages['to_reuse']:,} to reuse; "
        f"about {estimate['seconds']:,.0f} seconds by {estimate['seconds_by']}. Nothing was written"
    )


def price_in_words(price: dict[str, Any]) -> str:
    if price["dollars_per_million_tokens"] is None:
        return f"price unknown: set EMBEDDING_PRICE to what a million tokens of {price['model']} cost in dollars"
    if not price["dollars_per_million_tokens"]:
        return "at no cost"
    return f"about ${price['dollars']:,.4f}"


def _lists(changes: Changes) -> dict[str, tuple[PageChange, ...]]:
    return {
        "added": changes.added, "changed": changes.changed, "moved": changes.moved, "removed": changes.removed,
    }  # fmt: skip


def _facts(path: str, revision: str) -> PageFacts:
    """Title and address of a page that is on disk only are not looked at."""
    return PageFacts(path, "", "", revision)


def _seconds(job: Job) -> float:
    if job.started_at is None or job.finished_at is None:
        return 0.0
    return (datetime.fromisoformat(job.finished_at) - datetime.fromisoformat(job.started_at)).total_seconds()
