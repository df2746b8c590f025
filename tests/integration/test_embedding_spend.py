"""What embedding costs: each text is paid for once, whatever happens in between. Real stores, a provider over HTTP that
counts every text, and two worker processes' services where it takes two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shared import pacing_rules
from shared.embeddings import PROBE
from shared.models import Job, JobState
from shared.queue import PLAN_TASK, SHARD_TASK
from shared.services import Services
from tests.by_hand import CountingStore, HandQueue, by_hand, deliver, deliver_all, ingest
from tests.conftest import OpenServices
from tests.stand_in.control import Provider
from tests.stand_in.plan import step
from worker.ingestion import embed

#: Texts a request, so that a few pages are several requests, and some more are several shards.
ITEMS = 4
#: Pages a shard, of about 1,400 bytes each.
PAGES = 4

OpenWorker = Callable[[], AbstractAsyncContextManager[Services]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "docs"


@pytest.fixture
def open_worker(opened: OpenServices, provider: Provider) -> OpenWorker:
    """The services of one worker process, each with its own embedder; what they share stands in Redis and Qdrant."""

    @asynccontextmanager
    async def open_() -> AsyncIterator[Services]:
        async with opened(
            openai_base_url=provider.base_url, openai_embedding_model="stand-in", embed_batch_size=ITEMS,
            max_concurrent_requests=1,
        ) as real:  # fmt: skip
            yield by_hand(real)[0]

    return open_


@pytest.fixture
async def worker(open_worker: OpenWorker) -> AsyncIterator[Services]:
    async with open_worker() as services:
        yield services


@pytest.fixture
async def other(open_worker: OpenWorker) -> AsyncIterator[Services]:
    async with open_worker() as services:
        yield services


def write_pages(root: Path, folder: str, count: int, *, words: str = "sails") -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        text = f"# Page {number}\n\n" + f"Sentence of page {number} about {words} and masts. " * 32
        (root / folder / f"{number:02}.md").write_text(text, encoding="utf-8")


def sent(provider: Provider) -> dict[str, int]:
    """How often each passage was sent to the provider."""
    return {text: count for text, count in provider.stats().embeddings.texts.items() if text != PROBE}


async def planned(services: Services) -> tuple[Job, list[tuple[str, dict[str, Any]]]]:
    """A job whose shards wait to be delivered, and their messages."""
    job = await services.jobs.create(".", force=False)
    await services.queue.plan(job.id)
    queue = services.queue
    assert isinstance(queue, HandQueue)
    await deliver(services, *queue.messages.popleft(), message="plan")
    shards = [message for message in queue.messages if message[0] == SHARD_TASK]
    queue.messages.clear()
    return await services.jobs.get(job.id), shards


async def delivered_again(services: Services, job: Job) -> Job:
    """What happens to a job that was left: it is rung for, and runs to its end."""
    await deliver(services, PLAN_TASK, {"job": job.id}, "again")
    await deliver_all(services)
    return await services.jobs.get(job.id)


async def test_a_clean_run_sends_each_text_once_and_no_request_half_empty(
    worker: Services, provider: Provider, root: Path
) -> None:
    write_pages(root, ".", 3 * PAGES)
    job = await ingest(worker)
    assert job.state is JobState.SUCCEEDED
    assert set(sent(provider).values()) == {1}
    assert len(sent(provider)) == job.totals["texts_embedded"] == job.totals["chunks"]
    assert provider.stats().embedding_requests == 1 + len(sent(provider)) / ITEMS  # the first learns the vectors' size


async def test_a_text_that_stands_in_two_shards_is_sent_once_while_two_processes_index_them(
    worker: Services, other: Services, provider: Provider, root: Path
) -> None:
    write_pages(root, "v1", PAGES)
    write_pages(root, "v2", PAGES)
    job, shards = await planned(worker)
    assert len(shards) == 2
    provider.fault("embeddings", "slow", seconds=0.2)
    await asyncio.gather(deliver(worker, *shards[0], message="a"), deliver(other, *shards[1], message="b"))
    assert set(sent(provider).values()) == {1}
    results = await worker.jobs.results(job.id)
    assert sum(result.texts_embedded for result in results.values()) == PAGES
    assert sum(result.texts_reused for result in results.values()) == PAGES
    assert sum(result.chunks_written for result in results.values()) == 2 * PAGES
    assert (await delivered_again(worker, job)).state is JobState.SUCCEEDED


async def test_a_text_that_stands_on_two_pages_of_a_shard_is_sent_once(
    worker: Services, provider: Provider, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.ingestion.build.PAGES_AT_ONCE", 1)
    for folder in ("v1", "v2", "v3"):
        write_small_pages(root / folder, ITEMS)
    job, shards = await planned(worker)
    assert len(shards) == 1
    await deliver(worker, *shards[0], message="a")
    assert list(sent(provider).values()) == [1] * ITEMS
    ended = await delivered_again(worker, job)
    assert (ended.totals["chunks"], ended.totals["texts_embedded"]) == (3 * ITEMS, ITEMS)


async def test_a_text_whose_holder_has_died_is_embedded_by_the_next(
    worker: Services, other: Services, provider: Provider, root: Path
) -> None:
    write_pages(root, "v1", PAGES)
    write_pages(root, "v2", PAGES)
    job, shards = await planned(worker)
    provider.fault("embeddings", "hang", times=1)
    dying = asyncio.create_task(deliver(worker, *shards[0], message="a"))
    await asyncio.to_thread(provider.wait_until, lambda stats: stats.embeddings.in_flight == 1)
    waiting = asyncio.create_task(deliver(other, *shards[1], message="b"))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    await waiting
    assert len(await worker.jobs.results(job.id)) == 1
    assert (await delivered_again(worker, job)).state is JobState.SUCCEEDED


async def test_what_a_killed_process_has_embedded_is_not_sent_again(
    worker: Services, provider: Provider, root: Path
) -> None:
    write_small_pages(root, 3 * ITEMS)
    job, (shard,) = await planned(worker)
    provider.plan("embeddings", step("ok"), step("hang", times=None))
    store = worker.store
    assert isinstance(store, CountingStore)
    task = asyncio.create_task(deliver(worker, *shard, message="killed"))
    while store.writes < ITEMS:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(provider.wait_until, lambda stats: stats.embeddings.in_flight == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    provider.reset()
    ended = await delivered_again(worker, job)
    assert ended.state is JobState.SUCCEEDED
    assert ended.totals["texts_reused"] == ITEMS
    assert list(sent(provider).values()) == [1] * 2 * ITEMS


async def test_an_outage_puts_the_job_off_and_keeps_what_was_embedded(
    worker: Services, provider: Provider, root: Path, short_rests: None
) -> None:
    write_pages(root, ".", PAGES)
    job, shards = await planned(worker)
    provider.plan("embeddings", step("server_error", times=None))
    await deliver(worker, *shards[0], message="a")
    left = await worker.jobs.get(job.id)
    assert left.state is JobState.RUNNING
    assert provider.stats().embedding_requests == 1 + 4
    for _ in range(2):
        await asyncio.sleep(0.15)
        await deliver(worker, *shards[0], message="b")
    assert provider.stats().embedding_requests == 1 + 4 + 2  # one a rest while it is down
    provider.plan("embeddings")
    await asyncio.sleep(0.15)
    assert (await delivered_again(worker, job)).state is JobState.SUCCEEDED


async def test_an_outage_in_the_middle_of_a_shard_costs_no_text_twice(
    worker: Services, provider: Provider, root: Path, short_rests: None
) -> None:
    write_small_pages(root, 3 * ITEMS)
    job, shards = await planned(worker)
    assert len(shards) == 1
    provider.plan("embeddings", step("ok"), step("unavailable", times=None))
    await deliver(worker, *shards[0], message="a")
    before = sent(provider)
    provider.reset()
    await asyncio.sleep(0.15)
    ended = await delivered_again(worker, job)
    assert ended.state is JobState.SUCCEEDED
    assert ended.totals["texts_reused"] == ITEMS
    assert len(sent(provider)) == 2 * ITEMS
    assert len(set(before) - set(sent(provider))) == ITEMS


def write_small_pages(root: Path, count: int) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        text = f"# Leaf {number}\n\n" + f"Leaf {number} is about anchors. " * 4
        (root / f"leaf-{number:02}.md").write_text(text, encoding="utf-8")


async def test_a_provider_that_stays_down_fails_the_job_with_its_words_once_the_patience_is_over(
    worker: Services, provider: Provider, root: Path, short_rests: None
) -> None:
    write_small_pages(root, 1)
    job, shards = await planned(worker)
    worker.pacer._patience = 0.3
    provider.fault("embeddings", "server_error")
    for _ in range(8):
        await deliver(worker, *shards[0], message="a")
        await asyncio.sleep(0.12)
    failed = await worker.jobs.get(job.id)
    assert failed.state is JobState.FAILED
    assert "500: The server had an error" in str(failed.reason)
    assert "EMBED_PATIENCE_MINUTES" in str(failed.reason)


async def test_a_refused_text_costs_its_neighbours_nothing_and_names_its_page_and_heading(
    worker: Services, provider: Provider, root: Path
) -> None:
    write_small_pages(root, 7)
    (root / "leaf-03.md").write_text("# Long\n\n## Tables\n\nThis one is TOO LONG for the model.\n", encoding="utf-8")
    provider.fault("embeddings", "too_long")
    job = await ingest(worker)
    assert job.state is JobState.SUCCEEDED
    assert job.totals["documents"] == 6
    ((path, reason),) = [(fault.path, fault.reason) for fault in job.faults]
    assert path == "leaf-03.md"
    assert "the passage under 'Tables' cannot be embedded" in reason
    before = sent(provider)
    job = await ingest(worker)
    again = {text for text, count in sent(provider).items() if count > before.get(text, 0)}
    assert all("TOO LONG" in text for text in again)


@pytest.mark.parametrize("behaviour", ["quota", "unauthorized", "forbidden", "unknown_model"])
async def test_a_lasting_refusal_costs_one_request_of_all_processes_and_stops_the_job(
    worker: Services, other: Services, provider: Provider, root: Path, behaviour: str
) -> None:
    write_pages(root, ".", 1)
    await ingest(worker)
    write_pages(root, "v1", PAGES)
    write_pages(root, "v2", PAGES, words="keels")
    job, shards = await planned(worker)
    provider.reset()
    provider.fault("embeddings", behaviour)
    await asyncio.gather(deliver(worker, *shards[0], message="a"), deliver(other, *shards[1], message="b"))
    assert provider.stats().embedding_requests == 1
    failed = await worker.jobs.get(job.id)
    assert failed.state is JobState.FAILED
    assert "the model provider at" in str(failed.reason)
    # Somebody has mended it: the next job may ask.
    provider.reset()
    assert (await ingest(other)).state is JobState.SUCCEEDED


async def test_a_long_rate_limit_puts_the_job_off_for_all_processes_at_once(
    worker: Services, other: Services, provider: Provider, root: Path
) -> None:
    write_pages(root, "v1", PAGES)
    write_pages(root, "v2", PAGES, words="keels")
    job, shards = await planned(worker)
    provider.reset()
    provider.fault("embeddings", "rate_limited", retry_after=100)
    await deliver(worker, *shards[0], message="a")
    await deliver(other, *shards[1], message="b")
    assert provider.stats().embedding_requests == 1
    assert (await worker.jobs.get(job.id)).state is JobState.RUNNING
    until = await other.jobs.put_off_until(job.id)
    limited = await other.pacer.limited_until()
    assert until is not None
    assert limited is not None
    assert abs(until - limited.until) < 1
    assert "limits the rate of requests" in limited.reason


async def test_a_shard_that_takes_long_gives_its_task_back_and_goes_on_where_it_was(
    worker: Services, provider: Provider, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "HOLD_SECONDS", 0.0)
    write_small_pages(root, 3 * ITEMS)
    job, shards = await planned(worker)
    for turn in range(1, 3):
        await deliver(worker, *shards[0], message=f"{turn}")
        assert len(sent(provider)) == turn * ITEMS
    await deliver(worker, *shards[0], message="last")
    assert set(sent(provider).values()) == {1}
    assert (await delivered_again(worker, job)).state is JobState.SUCCEEDED


async def test_vectors_of_another_size_than_the_index_holds_are_never_written(
    worker: Services, provider: Provider, root: Path
) -> None:
    write_pages(root, ".", 1)
    await ingest(worker)
    write_pages(root, ".", 3)
    provider.set_dimensions(48)
    worker.embedder.dimensions = 0  # as in a process that has not asked yet
    store = worker.store
    assert isinstance(store, CountingStore)
    job, (shard,) = await planned(worker)
    writes = store.writes
    await deliver(worker, *shard, message="a")
    failed = await worker.jobs.get(job.id)
    assert failed.state is JobState.FAILED
    assert "set EMBEDDING_DIMENSIONS=64" in str(failed.reason)
    assert store.writes == writes + 1  # the undoing


@pytest.fixture
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that is down is looked at again soon."""
    monkeypatch.setattr(pacing_rules, "FIRST_REST", 0.1)
    monkeypatch.setattr(pacing_rules, "LONGEST_REST", 0.1)
    monkeypatch.setattr("shared.embeddings.random.uniform", lambda least, _most: least)
