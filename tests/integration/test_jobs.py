"""Jobs on a real Redis protocol server and a real Qdrant engine: claims, progress, and what survives a flush."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import asdict, replace

import pytest

from shared.claims import CLAIM_SECONDS, holding
from shared.errors import DependencyDown, LeaseLost, NotFound
from shared.job_records import JOBS_KEPT
from shared.models import Job, JobState, PageFault, ShardResult
from shared.plans import Plan, PlannedShard
from shared.qdrant_reads import READ_SECONDS
from shared.queue import QUEUE
from shared.reconcile import reconcile
from shared.services import Services
from tests.by_hand import HandQueue, by_hand
from tests.conftest import OpenServices

PLAN = Plan(
    release=1, base=0, collection="c", dimensions=3, pages_total=3, base_chunks=0, base_pages=0,
    shards=(PlannedShard("one", ("a.md", "b.md"), ()), PlannedShard("two", ("c.md",), ())),
    faults=(PageFault("d.md", "is empty"),),
)  # fmt: skip


def result(shard: str, pages: int) -> ShardResult:
    return ShardResult(shard, pages, pages, 0, 4, 0, 0, 4, 0, 1, 100)


@pytest.fixture
async def services(opened: OpenServices) -> AsyncIterator[Services]:
    async with opened() as services:
        yield by_hand(services)[0]


async def test_a_job_is_there_with_redis_flushed(services: Services) -> None:
    job = await services.jobs.create("guide", force=True)
    await services.redis.flushall()
    assert await services.jobs.get(job.id) == job


async def test_an_unknown_job_is_not_found(services: Services) -> None:
    with pytest.raises(NotFound, match="job_nope"):
        await services.jobs.get("job_nope")


async def test_the_oldest_unfinished_job_is_next(services: Services) -> None:
    first = await services.jobs.create(".", force=False)
    second = await services.jobs.create(".", force=False)
    assert (await services.jobs.next()) == first
    await services.jobs.finish(first, JobState.FAILED, "because")
    assert (await services.jobs.next()) == second
    assert [job.id for job in await services.jobs.list()] == [second.id, first.id]


async def test_a_job_that_runs_is_not_overtaken_by_an_older_one_that_was_written_later(services: Services) -> None:
    first = await services.jobs.create(".", force=False)
    begun = await services.jobs.begin(first)
    assert begun is not None
    assert (begun.state, begun.attempts) == (JobState.RUNNING, 1)
    older = await services.jobs.save(replace(first, id="job_0", created_at="2020-01-01T00:00:00.000+00:00"))
    assert await services.jobs.next() == begun
    assert await services.jobs.begin(older) is None
    assert (await services.jobs.get(older.id)).state is JobState.QUEUED
    await services.jobs.finish(begun, JobState.SUCCEEDED, "done")
    assert await services.jobs.begin(older) is not None


async def test_of_jobs_that_begin_at_once_one_runs_at_most(services: Services) -> None:
    jobs = [await services.jobs.create(".", force=False) for _ in range(4)]
    begun = await asyncio.gather(*(services.jobs.begin(job) for job in jobs))
    assert sum(job is not None for job in begun) <= 1
    running = [job for job in await services.jobs.unfinished() if job.state is JobState.RUNNING]
    assert len(running) == sum(job is not None for job in begun)


async def test_after_many_jobs_the_next_one_is_found_and_the_oldest_are_forgotten(services: Services) -> None:
    done = Job("", JobState.SUCCEEDED, ".", force=False, created_at="")
    old = [replace(done, id=f"job_{n}", created_at=f"2026-01-01T00:00:{n:05}") for n in range(3 * JOBS_KEPT)]
    await services.jobs._records.put(*(("job", job.id, asdict(job)) for job in old))
    job = await services.jobs.create(".", force=False)
    assert await services.jobs.next() == job
    ended = await services.jobs.finish(job, JobState.SUCCEEDED, "release 1 is live")
    assert await services.jobs.list() == [ended, *reversed(old[-JOBS_KEPT + 1 :])]


async def test_a_claim_is_held_by_one_message_at_a_time(services: Services) -> None:
    jobs = services.jobs
    claim = await jobs.claim("j", "shard", "message-1")
    assert claim is not None
    assert await jobs.claim("j", "shard", "message-2") is None
    assert await jobs.claim("j", "other", "message-2") is not None
    await jobs.release(claim)
    assert await jobs.claim("j", "shard", "message-2") is not None


async def test_a_message_delivered_again_takes_up_its_own_claim(services: Services) -> None:
    assert await services.jobs.claim("j", "shard", "message-1") is not None
    assert await services.jobs.claim("j", "shard", "message-1") is not None


async def test_a_claim_runs_out_by_itself(services: Services) -> None:
    claim = await services.jobs.claim("j", "shard", "message-1")
    assert claim is not None
    assert 0 < await services.redis.ttl(claim.key) <= CLAIM_SECONDS


async def test_work_whose_claim_has_passed_on_is_stopped(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.claims.RENEW_SECONDS", 0.05)
    claim = await services.jobs.claim("j", "shard", "message-1")
    assert claim is not None

    async def work() -> None:
        async with holding(services.jobs, claim):
            await services.redis.set(claim.key, "message-2")
            await asyncio.sleep(5)

    with pytest.raises(LeaseLost):
        await work()
    assert await services.redis.get(claim.key) == "message-2"


async def test_a_claim_that_redis_has_forgotten_is_taken_anew_by_a_process_that_was_never_still(
    services: Services,
) -> None:
    claim = await services.jobs.claim("j", "shard", "message-1")
    assert claim is not None
    await services.redis.flushdb()
    await services.jobs.renew(claim)
    assert await services.redis.get(claim.key) == "message-1"


async def test_a_process_that_stood_still_does_not_take_up_what_another_one_may_have_done(services: Services) -> None:
    claim = await services.jobs.claim("j", "shard", "message-1")
    assert claim is not None
    claim.renewal.at -= CLAIM_SECONDS + 1
    await services.redis.delete(claim.key)  # taken by another one, and let go of
    with pytest.raises(LeaseLost):
        await services.jobs.renew(claim)
    assert await services.redis.get(claim.key) is None


async def test_progress_is_the_sum_of_shard_results_however_often_they_arrive(services: Services) -> None:
    jobs = services.jobs
    await jobs.start_plan("j")
    await jobs.save_plan("j", PLAN)
    for _ in range(3):
        await jobs.save_result("j", result("one", 2))
    progress = await jobs.progress("j")
    assert progress is not None
    assert (progress.pages_done, progress.pages_total, progress.shards_done) == (2, 3, 1)
    assert progress.percent == pytest.approx(66.7)
    assert progress.chunks_done == 4
    assert await jobs.plan("j") == PLAN
    assert await jobs.results("j") == {"one": result("one", 2)}


async def test_a_new_plan_forgets_results_of_shards_it_no_longer_has(services: Services) -> None:
    jobs = services.jobs
    await jobs.save_plan("j", PLAN)
    await jobs.save_result("j", result("one", 2))
    await jobs.save_result("j", result("old", 1))
    await jobs.save_plan("j", PLAN)
    assert set(await jobs.results("j")) == {"one"}


async def test_a_job_that_nobody_works_on_is_rung_again(services: Services) -> None:
    job = await services.jobs.create(".", force=False)
    queue = services.queue
    assert isinstance(queue, HandQueue)
    assert await reconcile(services.jobs, queue)
    assert [payload["job"] for _, payload in queue.messages] == [job.id]


async def test_a_job_is_left_alone_while_somebody_works_on_it(services: Services) -> None:
    job = await services.jobs.create(".", force=False)
    await services.jobs.claim(job.id, "shard", "message-1")
    assert not await reconcile(services.jobs, services.queue)


async def test_a_job_is_left_alone_while_its_message_waits_for_a_worker(services: Services) -> None:
    await services.jobs.create(".", force=False)
    await services.redis.lpush(f"lectern:{QUEUE}", "a message")
    assert not await reconcile(services.jobs, services.queue)


async def test_two_processes_that_look_after_a_job_ring_once(services: Services) -> None:
    await services.jobs.create(".", force=False)
    assert sorted(await asyncio.gather(*(reconcile(services.jobs, services.queue) for _ in range(2)))) == [False, True]


async def test_a_finished_job_is_not_rung(services: Services) -> None:
    job = await services.jobs.create(".", force=False)
    await services.jobs.finish(job, JobState.SUCCEEDED, "done")
    assert not await reconcile(services.jobs, services.queue)


async def test_redis_that_does_not_answer_is_said_so_and_soon(opened: OpenServices) -> None:
    async with opened(redis_url="redis://127.0.0.1:1/0") as services:
        async with asyncio.timeout(5):
            with pytest.raises(DependencyDown, match="Redis"):
                await services.jobs.progress("j")


async def test_qdrant_that_does_not_answer_is_said_so_and_soon(opened: OpenServices) -> None:
    async with opened(qdrant_url="http://127.0.0.1:1") as services:
        async with asyncio.timeout(5):
            with pytest.raises(DependencyDown, match="Qdrant"):
                await services.releases.live()


async def test_qdrant_that_hangs_is_said_so_and_soon(opened: OpenServices) -> None:
    async def never_answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        writer.close()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with opened(qdrant_url=f"http://127.0.0.1:{port}") as services:
        async with asyncio.timeout(READ_SECONDS + 2):
            with pytest.raises(DependencyDown, match="Qdrant"):
                await services.releases.live()
    server.close()


async def test_a_wrong_key_for_qdrant_is_said_to_be_that(opened: OpenServices) -> None:
    async with opened(qdrant_api_key="wrong") as services:
        with pytest.raises(DependencyDown, match="QDRANT_API_KEY"):
            await services.releases.live()
