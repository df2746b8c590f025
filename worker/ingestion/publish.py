"""Makes a finished build the live release unless the gate holds it back, and drops what no kept release can see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.changes import changes_of
from shared.clock import now
from shared.errors import JobFailed, LeaseLost
from shared.models import Job, JobState, PageFault, Release, ShardResult
from shared.plans import Plan
from shared.retention import vacuum
from shared.services import Services
from worker.ingestion.gate import Verdict, file_faults, judge
from worker.ingestion.sources.source import checkout


async def publish(
    services: Services, job: Job, plan: Plan, results: Sequence[ShardResult], head: Release | None
) -> Release | None:
    """Record the release, live or held back, or return None if there is nothing new to publish.

    Raises LeaseLost, and records nothing, if another process has gone on with the job meanwhile.
    """
    live = await services.releases.live()
    changed = any(r.chunks_written + r.chunks_closed + r.pages_written + r.pages_closed for r in results)
    if not changed and (head is None or head.collection == plan.collection):
        return await _look_again(services, job, plan, head, live)
    release = await _counted(services, job, plan, results)
    hidden = {path for shard in plan.shards for path in shard.pages}
    changes = await changes_of(services.store, release, live, hidden)
    verdict = await _judged(services, plan, release, live)
    record = {**changes.record(), "gate": verdict.record() if verdict else None}
    await _require_turn(services, job, head)
    if verdict is not None and verdict.is_held:
        return await services.releases.hold(release, record)
    return await services.releases.publish(release, record)


async def _require_turn(services: Services, job: Job, head: Release | None) -> None:
    """Raise LeaseLost for a process that has stood still while others went on: a newer release may be live by now.

    head: the newest release when this process began.
    """
    newest, state = await services.releases.head(), (await services.jobs.get(job.id)).state
    if (newest and newest.number) != (head and head.number) or state is not JobState.RUNNING:
        raise LeaseLost(f"{job.id} was gone on with by another process")


async def _counted(services: Services, job: Job, plan: Plan, results: Sequence[ShardResult]) -> Release:
    """The release as it was built. Raises JobFailed if the index does not hold what was written."""
    documents = await services.store.count(plan.collection, "page", plan.release)
    chunks = await services.store.count(plan.collection, "chunk", plan.release)
    expected_pages = plan.base_pages + sum(r.pages_written - r.pages_closed for r in results)
    expected_chunks = plan.base_chunks + sum(r.chunks_written - r.chunks_closed for r in results)
    if (documents, chunks) != (expected_pages, expected_chunks):
        raise JobFailed(
            f"the index holds {documents} pages and {chunks} passages where {expected_pages} and {expected_chunks} "
            "were written; nothing was published. Run the ingest again"
        )
    if not documents:
        raise JobFailed("no page could be indexed, and nothing was changed; the faults say why")
    return Release(plan.release, plan.collection, documents, chunks, job.id, now())


async def _judged(services: Services, plan: Plan, release: Release, live: Release | None) -> Verdict | None:
    root = await checkout(services.settings, plan.source_revision)
    return await judge(services, root, release, live)


async def _look_again(
    services: Services, job: Job, plan: Plan, head: Release | None, live: Release | None
) -> Release | None:
    """The newest release where it is not live and now may be: the gate's questions have changed, or the owner insists.

    A rollback was made against exactly this content, so an ingest that finds it unchanged leaves the rollback alone:
    else the next restart or webhook would undo it.
    """
    if head is None or live is None or head.number == live.number:
        return None
    if head.state != "held":
        return await services.releases.publish(head) if job.force else None
    verdict = await _judged(services, plan, head, live)
    await _require_turn(services, job, head)
    record = {**(await services.releases.changes(head.number) or {}), "gate": verdict.record() if verdict else None}
    if verdict is None or not verdict.is_held:
        return await services.releases.publish(head, record)
    await services.releases.save_changes(head.number, record)
    return None


async def finish_published(services: Services, job: Job, release: Release | None) -> None:
    """Close the books on a job whose release is recorded, or that found nothing new; drop releases over the limit."""
    plan, results = await services.jobs.plan(job.id), (await services.jobs.results(job.id)).values()
    live, head = await services.releases.live(), await services.releases.head()
    shown = release or head
    # Where nothing was built or judged again, what an earlier check has found says nothing of the file as it is now.
    is_judged = shown is not None and (release is not None or shown.state == "held")
    gate = (await services.releases.changes(shown.number) or {}).get("gate") if shown and is_judged else None
    faults = (*(plan.faults if plan else ()), *(fault for result in results for fault in result.faults))
    if plan is not None and not is_judged:
        faults += await file_faults(services, await checkout(services.settings, plan.source_revision))
    current = release or live
    totals = {
        "documents": current.documents if current else 0,
        "chunks": current.chunks if current else 0,
        "pages_found": plan.pages_total if plan else 0,
        "pages_changed": sum(result.pages_written for result in results),
        "chunks_written": sum(result.chunks_written for result in results),
        "texts_embedded": sum(result.texts_embedded for result in results),
        "texts_reused": sum(result.texts_reused for result in results),
        "requests": sum(result.requests for result in results),
        "tokens": sum(result.tokens for result in results),
        **gate_totals(gate, shown),
    }
    if release is not None:
        if release.state == "published":
            await services.store.point_alias(release.collection)
        # Before the job's end, after which the next one may build in a collection that would be dropped.
        await vacuum(services.store, services.releases, release, services.settings.keep_releases)
    await services.jobs.finish(
        job, JobState.SUCCEEDED, outcome(release, live, head, gate), release=release.number if release else None,
        faults=(*faults, *gate_faults(gate)), totals=totals,
    )  # fmt: skip


def outcome(release: Release | None, live: Release | None, head: Release | None, gate: Mapping[str, Any] | None) -> str:
    """What has become of the job, in words for the owner."""
    if release is not None and release.state == "published":
        unchecked = f", and was not checked: {gate['file']} cannot be used" if gate and not gate["asked"] else ""
        return f"release {release.number} is live{unchecked}"
    if release is not None:
        return f"release {release.number} is held back: {_lost(gate)}; {_activate(release)}"
    if head is None or live is None or head.number == live.number:
        return "nothing has changed"
    if head.state == "held":
        return f"nothing has changed since release {head.number}, which is held back: {_lost(gate)}; {_activate(head)}"
    return (
        f"nothing has changed since release {head.number}, and release {live.number} stays live, which was chosen in "
        f"its place; {_activate(head)}"
    )


def gate_totals(gate: Mapping[str, Any] | None, newest: Release | None) -> dict[str, int]:
    """What the gate has counted, for the job's record."""
    if gate is None:
        return {}
    return {
        "questions_asked": gate["asked"],
        "questions_answered": gate["answered"],
        "questions_lost": gate["lost_total"],
        **({"releases_held": 1} if newest is not None and newest.state == "held" else {}),
    }


def gate_faults(gate: Mapping[str, Any] | None) -> tuple[PageFault, ...]:
    """What is wrong with the golden file, and the questions that got worse; of a first release, all without answer."""
    if gate is None:
        return ()
    broken = [PageFault(gate["file"], fault) for fault in gate["faults"]]
    if not gate["asked"]:
        broken.append(PageFault(gate["file"], "no question could be asked, so the release was not checked"))
    is_first = gate["answered_before"] is None
    worse = gate["unanswered"] if is_first else gate["lost"]
    words = "is not answered" if is_first else "is not answered any more"
    return (
        *broken,
        *(
            PageFault(gate["file"], f"line {q['line']}: {q['question']!r} {words} from {_places(q)}")
            for q in worse
        ),
    )  # fmt: skip


def _lost(gate: Mapping[str, Any] | None) -> str:
    if gate is None:
        return "the gate was not passed"
    first = gate["lost"][0]
    more = f", and {gate['lost_total'] - 1} more" if gate["lost_total"] > 1 else ""
    allowed = f" ({gate['allowed']} allowed)" if gate["allowed"] else ""
    questions = "question of" if gate["lost_total"] == 1 else "questions of"
    return (
        f"{gate['lost_total']} {questions} {gate['file']} would no longer be answered{allowed}: "
        f"{first['question']!r} from {_places(first)}{more}"
    )


def _places(question: Mapping[str, Any]) -> str:
    return " or ".join(question["expected"]) or "any page"


def _activate(release: Release) -> str:
    return f"`lectern releases activate {release.number}` makes it live all the same"
