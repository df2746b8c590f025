"""Jobs that are cancelled, paused, put off, taken in turns, and left by dying workers, message by message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from api import job_control
from shared.claims import Claim
from shared.content_mark import mark_of
from shared.deaths import Deaths, Start, leaving_key
from shared.errors import DependencyDown, JobFailed, JobStopped, LeaseLost, MustWait
from shared.job_records import turn_of
from shared.models import Job, JobState, ShardResult
from shared.plans import Plan, PlannedShard
from shared.queue import FIRST_QUEUE, PLAN_TASK, PUBLISH_TASK, QUEUE, SHARD_TASK
from shared.reconcile import reconcile
from shared.services import Services
from tests.by_hand import by_hand, deliver, deliver_all, ingest, pages_at
from tests.conftest import OpenServices
from tests.sites import Docs
from tests.stand_in.control import Provider
from worker.ingestion import isolate, pipeline, publish
from worker.ingestion.build import build_shard
from worker.ingestion.pipeline import PUBLISH, fail_job, index_shard, plan_job, publish_job

SHARD_PAGES = 3


@dataclass(frozen=True, slots=True)
class Site(Docs):
    async def begun(self) -> Job:
        """A job that is planned, its shards rung for."""
        job = await self.services.jobs.create(".", force=False)
        await plan_job(self.services, job.id, "plan-1")
        return await self.services.jobs.get(job.id)

    def shard(self) -> str:
        """The next shard that is rung for."""
        task, payload = self.queue.messages.popleft()
        assert task == SHARD_TASK
        return str(payload["shard"])

    async def live(self) -> dict[str, str]:
        """The text of each page that readers see."""
        release = await self.services.releases.live()
        if release is None:
            return {}
        pages = await pages_at(self.store, release.collection, release.number)
        chunks = await self.store.chunks_of(release.collection, release.number, list(pages))
        return {chunk.chunk.path: chunk.chunk.text for chunk in chunks}

    async def left_over(self) -> int:
        """Points that no reader sees and none will."""
        release = await self.services.releases.live()
        number = release.number if release else 0
        total = 0
        for collection in await self.store.collections():
            for kind in ("chunk", "page"):
                total += await self.store.count(collection, kind, number + 1)
                total -= await self.store.count(collection, kind, number) if number else 0
        return total


@pytest.fixture
async def site(opened: OpenServices, provider: Provider, tmp_path: Path) -> AsyncIterator[Site]:
    async with opened(openai_base_url=provider.base_url, openai_embedding_model="stand-in") as real:
        services, queue, store = by_hand(real)
        site = Site(tmp_path / "docs", services, queue, store, provider)
        for number in range(SHARD_PAGES):
            site.write(f"page-{number}.md", f"# Page {number}\n\nThe first edition of page {number}.\n")
        yield site


# Cancel and pause


async def test_a_cancelled_job_is_undone_and_the_next_one_starts_clean(site: Site) -> None:
    await ingest(site.services)
    before = await site.live()
    for number in range(SHARD_PAGES):
        site.write(f"page-{number}.md", f"# Page {number}\n\nThe second edition of page {number}.\n")
    job = await site.begun()
    await index_shard(site.services, job.id, site.shard(), "m")
    await site.services.jobs.save_wish(job.id, "cancel")
    await plan_job(site.services, job.id, "plan-2")
    ended = await site.services.jobs.get(job.id)
    assert (ended.state, ended.release) == (JobState.CANCELLED, None)
    assert ended.reason is not None
    assert "taken back" in ended.reason
    assert await site.services.jobs.wish(job.id) is None
    assert (await site.live(), await site.left_over()) == (before, 0)
    site.queue.messages.clear()
    again = await ingest(site.services)
    assert (again.state, again.release) == (JobState.SUCCEEDED, 2)


async def test_work_on_a_cancelled_job_is_let_go_of_within_seconds(site: Site) -> None:
    job = await site.begun()
    site.provider.fault("embeddings", "slow", seconds=20)
    work = asyncio.create_task(index_shard(site.services, job.id, site.shard(), "m"))
    await asyncio.sleep(0.5)
    await site.services.jobs.save_wish(job.id, "cancel")
    began = time.monotonic()
    granted = asyncio.create_task(plan_job(site.services, job.id, "plan-2"))
    with pytest.raises(JobStopped):
        await work
    await granted
    assert time.monotonic() - began < 3
    assert (await site.services.jobs.get(job.id)).state is JobState.CANCELLED


async def test_a_paused_job_keeps_what_is_done_and_its_turn_until_it_is_resumed(site: Site) -> None:
    job = await site.begun()
    site.queue.messages.clear()
    behind = await site.services.jobs.create("page-1.md", force=False)
    await site.services.jobs.save_wish(job.id, "pause")
    await plan_job(site.services, job.id, "plan-2")
    paused = await site.services.jobs.get(job.id)
    assert paused.state is JobState.PAUSED
    assert await site.services.jobs.next() == paused
    await plan_job(site.services, behind.id, "plan-3")
    assert (await site.services.jobs.get(behind.id)).state is JobState.QUEUED
    assert not await reconcile(site.services.jobs, site.queue)
    assert await site.services.jobs.move(replace(paused, state=JobState.RUNNING, reason=None), JobState.PAUSED)
    await site.services.jobs.unsay_stop(job.id)
    await site.queue.plan(job.id)
    await deliver_all(site.services)
    assert (await site.services.jobs.get(job.id)).state is JobState.SUCCEEDED
    assert (await site.services.jobs.get(behind.id)).state is JobState.SUCCEEDED


async def test_a_cancel_that_comes_too_late_leaves_the_release_live(site: Site) -> None:
    job = await site.begun()
    await index_shard(site.services, job.id, site.shard(), "m")
    await publish_job(site.services, job.id, "p")
    await site.services.jobs.save_wish(job.id, "cancel")
    await plan_job(site.services, job.id, "plan-2")
    assert (await site.services.jobs.get(job.id)).state is JobState.SUCCEEDED
    assert await site.services.jobs.wish(job.id) is None
    assert len(await site.live()) == SHARD_PAGES


async def test_a_job_that_is_to_be_cancelled_is_not_published(site: Site) -> None:
    job = await site.begun()
    await index_shard(site.services, job.id, site.shard(), "m")
    await site.services.jobs.save_wish(job.id, "cancel")
    await publish_job(site.services, job.id, "p")
    assert await site.services.releases.live() is None


async def test_who_asks_while_a_job_is_being_cancelled_gets_another_one(site: Site) -> None:
    job = await site.begun()

    async def mark() -> str:
        return mark_of(site.services.settings)

    assert (await site.services.jobs.ask(".", force=False, mark=mark)).job.id == job.id
    await site.services.jobs.save_wish(job.id, "cancel")
    asked = await site.services.jobs.ask(".", force=False, mark=mark)
    assert (asked.joined, asked.job.id != job.id) == (False, True)


@pytest.mark.parametrize("edition", ["first", "third"])
async def test_pages_that_went_or_came_back_while_a_job_was_paused_are_taken_back(site: Site, edition: str) -> None:
    await ingest(site.services)
    for name in ("page-0", "page-1"):
        site.write(f"{name}.md", f"# Page\n\nThe second edition of {name}.\n")
    site.write("new.md", "# New\n\nA page that is not to stay.\n")
    job = await site.begun()
    while site.queue.messages:
        await index_shard(site.services, job.id, site.shard(), "m")
        while site.queue.messages and site.queue.messages[0][0] != SHARD_TASK:
            site.queue.messages.popleft()
    await site.services.jobs.save_wish(job.id, "pause")
    await plan_job(site.services, job.id, "plan-2")
    (site.root / "new.md").unlink()
    site.write("page-0.md", "# Page 0\n\nThe first edition of page 0.\n")
    site.write("page-1.md", f"# Page 1\n\nThe {edition} edition of page 1.\n")
    await job_control.resume(site.services, job.id)
    site.queue.messages.clear()
    await site.services.queue.plan(job.id)
    await deliver_all(site.services)
    ended = await site.services.jobs.get(job.id)
    assert ended.state is JobState.SUCCEEDED, ended.reason
    assert await site.live() == {
        **{f"page-{number}.md": f"The first edition of page {number}." for number in range(SHARD_PAGES)},
        "page-1.md": f"The {edition} edition of page 1.",
    }
    release = await site.services.releases.live()
    assert release is not None
    assert await site.store.touched_paths(release.collection, release.number + 1) == set()


# Work that goes on beside what ends it


async def built(site: Site) -> Job:
    """A job that has one page to publish, as the second release."""
    await ingest(site.services)
    site.write("page-1.md", "# Page 1\n\nThe second edition of page 1.\n")
    job = await site.begun()
    await index_shard(site.services, job.id, site.shard(), "m")
    site.queue.messages.clear()
    return job


async def test_what_is_being_published_is_not_taken_back_by_a_failure_elsewhere(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await built(site)
    is_judging = asyncio.Event()

    async def judge(*_: object) -> None:
        is_judging.set()
        await asyncio.sleep(1)

    monkeypatch.setattr(publish, "judge", judge)
    publishing = asyncio.create_task(publish_job(site.services, job.id, "p"))
    await is_judging.wait()
    await fail_job(site.services, job.id, "a shard that had long been done by another process has failed")
    await publishing
    assert (await site.services.jobs.get(job.id)).state is JobState.SUCCEEDED
    assert (await site.live())["page-1.md"] == "The second edition of page 1."


async def test_a_job_that_is_still_published_after_a_while_is_not_failed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "LETTING_GO_SECONDS", 0.1)
    job = await built(site)
    held = await site.services.jobs.claim(job.id, PUBLISH, "p")
    await fail_job(site.services, job.id, "another one's fault")
    assert held is not None
    assert (await site.services.jobs.get(job.id)).state is JobState.RUNNING
    assert await site.left_over() == 0
    release = await site.services.releases.head()
    assert release is not None
    assert await site.store.touched_paths(release.collection, release.number + 1) == {"page-1.md"}


async def test_a_job_that_is_just_failing_is_neither_planned_nor_published(site: Site) -> None:
    job = await built(site)
    await site.services.jobs.say_stop(job.id, "failed")
    await publish_job(site.services, job.id, "p")
    await plan_job(site.services, job.id, "plan-2")
    assert not site.queue.messages
    assert not (await site.services.jobs.working(job.id)).held
    head = await site.services.releases.head()
    assert head is not None
    assert head.number == 1


async def test_a_process_that_stood_still_while_publishing_does_not_bring_an_old_release_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await built(site)

    async def stand_still(*_: object) -> None:
        monkeypatch.setattr(publish, "judge", no_gate)
        await site.services.redis.delete(Claim(job.id, PUBLISH, "p").key)  # it has run out
        await publish_job(site.services, job.id, "q")
        site.write("page-1.md", "# Page 1\n\nThe third edition of page 1.\n")
        assert (await ingest(site.services)).release == 3

    monkeypatch.setattr(publish, "judge", stand_still)
    with pytest.raises(LeaseLost):
        await publish_job(site.services, job.id, "p")
    live = await site.services.releases.live()
    assert live is not None
    assert live.number == 3
    assert (await site.live())["page-1.md"] == "The third edition of page 1."


async def no_gate(*_: object) -> None:
    return None


# Turns


def queued(path: str, created: str, kind: str = "ingest") -> Job:
    return Job(f"job_{path}_{created}", JobState.QUEUED, path, force=False, created_at=created, kind=kind)  # type: ignore[arg-type]


def test_the_content_path_that_has_waited_longest_since_its_last_job_is_next() -> None:
    busy, quiet = queued("busy", "1"), queued("quiet", "2")
    assert turn_of([busy, quiet], {"busy": "0.9", "quiet": "0.1"}) == quiet
    assert turn_of([busy, quiet], {"busy": "0.9"}) == quiet
    assert turn_of([busy, quiet], {}) == busy
    assert turn_of([], {}) is None


def test_an_import_waits_for_the_jobs_before_it_and_for_no_later_one() -> None:
    first, import_, last = queued("a", "1"), queued("site.lectern", "2", "import"), queued("b", "3")
    assert turn_of([first, import_, last], {"a": "0.9"}) == last
    assert turn_of([import_, last], {}) == import_


async def test_one_path_s_backlog_does_not_starve_another(site: Site) -> None:
    jobs = site.services.jobs
    await ingest(site.services, "page-0.md")
    for force in (False, True):
        await jobs.create("page-0.md", force=force)
    other = await jobs.create("page-1.md", force=False)
    assert await jobs.next() == other


# Given back


async def test_a_job_that_is_put_off_is_rung_when_it_is_time_and_goes_on_with_its_plan(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await site.begun()
    site.queue.messages.clear()
    await site.services.jobs.put_off(job.id, time.time() + 1, "the provider's limit of 60 requests a minute")
    assert not await reconcile(site.services.jobs, site.queue)
    await asyncio.sleep(1.1)
    assert await reconcile(site.services.jobs, site.queue)

    async def no_plan(*_: object) -> Plan:
        raise AssertionError("it was planned anew")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "make_plan", no_plan)
        await deliver_all(site.services)
    assert (await site.services.jobs.get(job.id)).state is JobState.SUCCEEDED


async def test_a_shard_whose_worker_died_is_rung_before_all_others_while_some_are_worked_on(site: Site) -> None:
    job = await site.begun()
    shard = site.shard()
    jobs = site.services.jobs
    dead = await jobs.claim(job.id, shard, "dead")
    assert dead is not None
    assert await jobs.claim(job.id, "another", "alive") is not None
    assert not await reconcile(jobs, site.queue)
    await site.services.redis.delete(dead.key)
    await site.services.redis.lpush(f"lectern:{QUEUE}", "a message")
    assert await reconcile(jobs, site.queue)
    assert [(task, payload["shard"]) for task, payload in site.queue.messages] == [(SHARD_TASK, shard)]
    assert not await reconcile(jobs, site.queue)


async def test_no_second_message_is_put_first_while_one_waits(site: Site) -> None:
    job = await site.begun()
    dead = await site.services.jobs.claim(job.id, site.shard(), "dead")
    assert dead is not None
    await site.services.redis.delete(dead.key)
    assert await site.services.jobs.claim(job.id, "another", "alive") is not None
    await site.services.jobs.save_wish(job.id, "cancel")
    await site.services.redis.lpush(f"lectern:{FIRST_QUEUE}", "a message")
    assert not await reconcile(site.services.jobs, site.queue)


# Deaths


async def test_deaths_are_counted_by_how_the_work_comes_back(site: Site) -> None:
    jobs, work = site.services.jobs, "shard"
    assert await jobs.started("j", work, Start("m1", "boot-1")) == Deaths()
    assert await jobs.started("j", work, Start("m1", "boot-1")) == Deaths(alone=1)
    assert await jobs.started("j", work, Start("m2", "boot-2")) == Deaths(alone=1, with_worker=1)
    await jobs.ended("j", work)
    assert await jobs.started("j", work, Start("m2", "boot-2")) == Deaths(alone=1, with_worker=1)
    await site.services.redis.set(leaving_key("boot-2"), "1")
    assert await jobs.started("j", work, Start("m3", "boot-3")) == Deaths(alone=1, with_worker=1)


class Killer:
    """Stands in for `build_shard`: at one page it does what `how` says, at the others what is really done."""

    def __init__(self, path: str, how: BaseException | float) -> None:
        self.path = path
        self.how = how
        self.tried: list[tuple[str, ...]] = []
        self._build = build_shard

    async def __call__(self, services: Services, plan: Plan, shard: PlannedShard, claim: Claim) -> ShardResult:
        self.tried.append(shard.pages)
        if self.path in shard.pages:
            if isinstance(self.how, BaseException):
                raise self.how
            await asyncio.sleep(self.how)
        return await self._build(services, plan, shard, claim)


class Died(BaseException):
    """Ends a process where nobody can catch it."""


async def die_at(site: Site, job_id: str, shard: str, message: str = "m") -> None:
    """Work at a shard until the process is dead: nothing that it would do at its end is done."""
    starts = site.services.jobs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(starts), "ended", _nothing)
        with pytest.raises(Died):
            await index_shard(site.services, job_id, shard, message, "boot")


async def _nothing(*_: object) -> None:
    return None


async def test_a_page_that_kills_is_found_given_up_and_named_and_the_others_are_indexed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingest(site.services)
    for number in range(SHARD_PAGES):
        site.write(f"page-{number}.md", f"# Page {number}\n\nThe second edition of page {number}.\n")
    job = await site.begun()
    shard = site.shard()
    killer = Killer("page-1.md", Died())
    monkeypatch.setattr(isolate, "build_shard", killer)
    for _ in range(isolate.SUSPECT_DEATHS + isolate.MOST_DEATHS):
        await die_at(site, job.id, shard)
    await index_shard(site.services, job.id, shard, "m", "boot")
    await deliver_all(site.services)
    job = await site.services.jobs.get(job.id)
    assert (job.state, job.release) == (JobState.SUCCEEDED, 2)
    assert [(fault.path, "died 3 times" in fault.reason) for fault in job.faults] == [("page-1.md", True)]
    texts = await site.live()
    assert "first edition" in texts["page-1.md"]
    assert all("second edition" in texts[f"page-{number}.md"] for number in (0, 2))
    # The page before it was done by itself, once.
    assert killer.tried.count(("page-0.md",)) == 1


async def test_whole_workers_that_die_do_not_condemn_a_page_soon(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await site.begun()
    shard = site.shard()
    with monkeypatch.context() as patch:
        patch.setattr(isolate, "build_shard", Killer("page-0.md", Died()))
        for number in range(isolate.MOST_WORKER_DEATHS):
            await die_at(site, job.id, shard, f"message-{number}")
            await site.services.redis.delete(f"lectern:job:{job.id}:claim:{shard}")
    await index_shard(site.services, job.id, shard, "last", "boot")
    await deliver_all(site.services)
    assert (await site.services.jobs.get(job.id)).faults == ()
    assert len(await site.live()) == SHARD_PAGES


@pytest.mark.parametrize(
    ("how", "reason"), [(MemoryError(), "used up the worker's memory"), (60.0, "took longer than")], ids=str
)
async def test_a_page_that_uses_up_memory_or_time_is_given_up_and_the_others_are_indexed(
    site: Site, monkeypatch: pytest.MonkeyPatch, how: BaseException | float, reason: str
) -> None:
    for name, seconds in (("SHARD_SECONDS", 2), ("PAGE_SECONDS", 1), ("BREATH_SECONDS", 0)):
        monkeypatch.setattr(isolate, name, seconds)
    monkeypatch.setattr(isolate, "build_shard", Killer("page-1.md", how))
    job = await ingest(site.services)
    assert job.state is JobState.SUCCEEDED
    assert [(fault.path, reason in fault.reason) for fault in job.faults] == [("page-1.md", True)]
    assert set(await site.live()) == {"page-0.md", "page-2.md"}


async def test_a_store_that_is_away_is_no_death(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await site.begun()
    shard = site.shard()
    for error in (DependencyDown("Qdrant does not answer"), MustWait("limited", until=time.time() + 9)):
        monkeypatch.setattr(isolate, "build_shard", Killer("page-1.md", error))
        for _ in range(5):
            with pytest.raises(DependencyDown):
                await index_shard(site.services, job.id, shard, "m", "boot")
    assert await site.services.jobs.started(job.id, shard, Start("m", "boot")) == Deaths()


async def test_a_step_at_which_one_process_after_the_other_dies_fails_the_job_by_name(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await site.services.jobs.create(".", force=False)

    async def die(*_: object) -> Plan:
        raise Died

    monkeypatch.setattr(pipeline, "make_plan", die)
    with monkeypatch.context() as patch:
        patch.setattr(type(site.services.jobs), "ended", _nothing)
        for _ in range(pipeline.MOST_DEATHS):
            with pytest.raises(Died):
                await plan_job(site.services, job.id, "m", "boot")
    with pytest.raises(JobFailed, match="died 5 times at the step 'plan'"):
        await plan_job(site.services, job.id, "m", "boot")


async def test_five_editions_that_are_asked_for_in_a_row_end_with_the_newest(site: Site) -> None:
    async def mark() -> str:
        return "changes with each edition"

    asked: Sequence[str] = []
    for edition in range(5):
        site.write("page-0.md", f"# Page 0\n\nEdition {edition}.\n")
        job = (await site.services.jobs.ask(".", force=False, mark=mark)).job
        asked = [*asked, job.id]
        await site.queue.plan(job.id)
        if edition == 0:
            task, payload = site.queue.messages.popleft()
            assert task == PLAN_TASK
            await deliver(site.services, task, payload, "m")
    await deliver_all(site.services)
    assert len(set(asked)) == 2
    assert "Edition 4" in (await site.live())["page-0.md"]
    assert not [task for task, _ in site.queue.messages if task == PUBLISH_TASK]
