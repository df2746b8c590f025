"""The pipeline on real stores and a real provider over HTTP, message by message: what it costs and what it leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import pytest

from shared.claims import Claim
from shared.jobs import Jobs
from shared.models import Chunk, JobState, Page
from shared.queue import PUBLISH_TASK, SHARD_TASK
from tests.by_hand import CountingStore, by_hand, deliver, deliver_all, ingest, pages_at
from tests.conftest import OpenServices
from tests.privileges import as_nobody
from tests.sites import PAGES, Docs
from tests.stand_in.control import Provider
from worker.ingestion.pipeline import fail_job, publish_job


@dataclass(frozen=True, slots=True)
class Site(Docs):
    async def live(self) -> dict[str, Page | Chunk]:
        """What readers see: every page and chunk by id."""
        release = await self.services.releases.live()
        if release is None:
            return {}
        pages = await pages_at(self.store, release.collection, release.number)
        chunks = await self.store.chunks_of(release.collection, release.number, list(pages))
        return {page.id: page.page for page in pages.values()} | {stored.id: stored.chunk for stored in chunks}


@pytest.fixture
async def site(opened: OpenServices, provider: Provider, tmp_path: Path) -> AsyncIterator[Site]:
    async with opened(
        openai_base_url=provider.base_url, openai_embedding_model="stand-in", site_url="https://site.example/"
    ) as real:
        services, queue, store = by_hand(real)
        site = Site(tmp_path / "docs", services, queue, store, provider)
        for path, text in PAGES.items():
            site.write(path, text)
        yield site


async def test_a_first_ingest_publishes_release_one_with_true_counts(site: Site) -> None:
    job = await ingest(site.services)
    assert (job.state, job.release, job.reason) == (JobState.SUCCEEDED, 1, "release 1 is live")
    release = await site.services.releases.live()
    assert release is not None
    assert release.documents == 3
    points = await site.live()
    assert len(points) == release.documents + release.chunks


async def test_unchanged_docs_make_no_embedding_call_and_no_write(site: Site) -> None:
    await ingest(site.services)
    before, writes, texts = await site.live(), site.store.writes, site.provider.stats().embedding_requests
    operations = await operations_on(site)
    job = await ingest(site.services)
    assert (job.state, job.release, job.reason) == (JobState.SUCCEEDED, None, "nothing has changed")
    assert site.store.writes == writes
    assert await operations_on(site) == operations + 1  # the one that asks
    assert site.provider.stats().embedding_requests == texts
    assert await site.live() == before


async def operations_on(site: Site) -> int:
    """How many operations have changed the live collection, by the number that Qdrant gives to one more."""
    collection, _ = await _live(site)
    done = await site.store._client.delete(collection, points_selector=[str(uuid4())])
    assert done.operation_id is not None
    return done.operation_id


async def test_an_edit_embeds_and_writes_its_own_passage_only(site: Site) -> None:
    long = "".join(f"## Part {n}\n\nThis is part number {n}. {'Words follow. ' * 40}\n\n" for n in range(8))
    site.write("long.md", f"# Long\n\n{long}")
    await ingest(site.services)
    before, texts = await site.live(), embedded(site)
    site.write("long.md", f"# Long\n\n{long.replace('part number 5', 'PART NUMBER FIVE')}")
    job = await ingest(site.services)
    assert job.totals["texts_embedded"] == 1
    assert embedded(site) - texts == 1
    after = await site.live()
    assert len(after.keys() - before.keys()) == 2  # the passage and the page's record
    assert len(before.keys() - after.keys()) == 2


async def test_a_moved_page_is_not_embedded_again(site: Site) -> None:
    await ingest(site.services)
    texts = embedded(site)
    (site.root / "guide" / "stop.md").rename(site.root / "stop.md")
    job = await ingest(site.services)
    assert job.release == 2
    assert embedded(site) == texts
    assert {stored.page.path for stored in (await pages_at(site.store, *await _live(site))).values()} == {
        "intro.md",
        "guide/run.md",
        "stop.md",
    }


async def test_a_vanished_page_leaves_the_next_release_and_stays_in_the_old_one(site: Site) -> None:
    await ingest(site.services)
    (site.root / "guide" / "stop.md").unlink()
    job = await ingest(site.services)
    assert job.release == 2
    collection, _ = await _live(site)
    assert "guide/stop.md" in await pages_at(site.store, collection, 1)
    assert "guide/stop.md" not in await pages_at(site.store, collection, 2)


async def test_a_job_about_one_folder_leaves_the_rest_alone(site: Site) -> None:
    await ingest(site.services)
    site.write("guide/new.md", "# New\n\nA new page in the guide.\n")
    (site.root / "intro.md").unlink()
    await ingest(site.services, "guide")
    pages = await pages_at(site.store, *await _live(site))
    assert set(pages) == {"intro.md", "guide/run.md", "guide/stop.md", "guide/new.md"}


async def test_readers_see_nothing_of_a_build_before_it_is_published(site: Site) -> None:
    await ingest(site.services)
    before = await site.live()
    site.write("intro.md", PAGES["intro.md"].replace("a moment", "two moments"))
    site.write("extra.md", "# Extra\n\nMore text than before.\n")
    job = await site.services.jobs.create(".", force=False)
    await site.services.queue.plan(job.id)
    while site.queue.messages[0][0] != "ingest.publish":
        task, payload = site.queue.messages.popleft()
        await deliver(site.services, task, payload, "m")
        assert await site.live() == before
    await deliver_all(site.services)
    assert await site.live() != before


async def test_a_message_delivered_twice_changes_nothing(site: Site) -> None:
    job = await site.services.jobs.create(".", force=False)
    await site.services.queue.plan(job.id)
    for number in range(30):  # what the second delivery rings is delivered too: the end comes all the same
        if not site.queue.messages:
            break
        task, payload = site.queue.messages.popleft()
        await deliver(site.services, task, payload, f"{number}")
        await deliver(site.services, task, payload, f"{number} again")
    assert not site.queue.messages
    once = await site.live()
    release = await site.services.releases.live()
    assert release is not None
    assert (release.number, len(once)) == (1, release.documents + release.chunks)
    assert (await site.services.jobs.get(job.id)).state is JobState.SUCCEEDED


async def test_a_second_delivery_that_comes_late_does_not_touch_the_published_release(site: Site) -> None:
    job = await site.services.jobs.create(".", force=False)
    await site.services.queue.plan(job.id)
    task, payload = site.queue.messages.popleft()
    await deliver(site.services, task, payload, "m")
    shard = next(message for message in site.queue.messages if message[0] == SHARD_TASK)

    async def meanwhile() -> None:
        await deliver_all(site.services)
        site.write("intro.md", "# Intro\n\nEdited after the release was published.\n")

    services = replace(site.services, jobs=JobsOfALateWorker(site.services.jobs, meanwhile))
    await deliver(services, *shard, message="late")
    texts = [point.text for point in (await site.live()).values() if isinstance(point, Chunk)]
    assert any("Run make up" in text for text in texts)
    assert not any("Edited after" in text for text in texts)


class JobsOfALateWorker(Jobs):
    """Lets others do something right before the first claim."""

    def __init__(self, jobs: Jobs, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__(jobs._records, jobs._redis)
        self._meanwhile: Callable[[], Awaitable[None]] | None = meanwhile

    async def claim(self, job_id: str, work: str, owner: str) -> Claim | None:
        if self._meanwhile is not None:
            await self._meanwhile()
            self._meanwhile = None
        return await super().claim(job_id, work, owner)


async def test_work_that_a_dead_worker_left_half_done_ends_like_a_clean_run(site: Site) -> None:
    """A shard stored its first points, nothing else was recorded, and Redis was flushed."""
    job = await site.services.jobs.create(".", force=False)
    await site.services.queue.plan(job.id)
    task, payload = site.queue.messages.popleft()
    await deliver(site.services, task, payload, "m1")
    shard = next(message for message in site.queue.messages if message[0] == SHARD_TASK)
    await deliver(site.services, *shard, message="m2")
    site.write("intro.md", "# Intro\n\nThe page was edited while the worker lay dead.\n")
    await site.services.redis.flushall()
    site.queue.messages.clear()
    await site.services.queue.plan(job.id)
    await deliver_all(site.services)
    recovered = await site.live()
    release = await site.services.releases.live()
    assert release is not None
    assert len(recovered) == release.documents + release.chunks
    texts = [point.text for point in recovered.values() if isinstance(point, Chunk)]
    assert sum("worker lay dead" in text for text in texts) == 1
    assert not any("Run make up" in text for text in texts)


async def test_a_failed_job_is_undone_and_the_next_one_starts_clean(site: Site) -> None:
    await ingest(site.services)
    before = await site.live()
    site.write("guide/run.md", "# Running\n\nEdited text that the provider will refuse.\n")
    site.provider.fault("embeddings", "unauthorized")
    job = await ingest(site.services)
    assert job.state is JobState.FAILED
    assert job.reason is not None
    assert "OPENAI_API_KEY" in job.reason
    assert await site.live() == before
    site.provider.reset()
    job = await ingest(site.services)
    assert (job.state, job.release) == (JobState.SUCCEEDED, 2)


@pytest.mark.parametrize(
    ("behaviour", "options", "says"),
    [
        ("unauthorized", {}, "OPENAI_API_KEY"),
        ("unknown_model", {}, "stand-in"),
        ("quota", {}, "quota"),
        ("html", {}, "provider"),
        ("wrong_size", {}, "EMBEDDING_DIMENSIONS"),
        ("missing_one", {}, "provider"),
        ("nan", {}, "provider"),
    ],
)
async def test_an_embedding_fault_that_stays_fails_the_job_with_its_reason_and_stores_nothing(
    site: Site, behaviour: str, options: dict[str, int], says: str
) -> None:
    await ingest(site.services)
    before = await site.live()
    site.write("new.md", "# New\n\nA page whose text is not known yet.\n\n## More\n\nWith a second section.\n")
    site.provider.fault("embeddings", behaviour, **options)
    job = await ingest(site.services)
    assert job.state is JobState.FAILED
    assert job.reason is not None
    assert says in job.reason
    assert await site.live() == before


async def test_a_rate_limit_that_passes_delays_the_job_and_does_not_fail_it(site: Site) -> None:
    site.provider.fault("embeddings", "rate_limited", times=2, retry_after=0.2)
    job = await ingest(site.services)
    assert (job.state, job.release) == (JobState.SUCCEEDED, 1)


async def test_a_page_whose_text_is_refused_is_named_and_the_rest_is_indexed(site: Site) -> None:
    site.write("huge.md", "# Huge\n\nThis text is TOO LONG for the model.\n")
    site.provider.fault("embeddings", "too_long")
    job = await ingest(site.services)
    assert job.state is JobState.SUCCEEDED
    assert [fault.path for fault in job.faults] == ["huge.md"]
    assert set(await pages_at(site.store, *await _live(site))) == set(PAGES)


async def test_a_second_job_waits_for_the_first(site: Site) -> None:
    first = await site.services.jobs.create(".", force=False)
    second = await site.services.jobs.create(".", force=False)
    await site.services.queue.plan(second.id)
    await deliver_all(site.services)
    assert (await site.services.jobs.get(second.id)).state is JobState.QUEUED
    await site.services.queue.plan(first.id)
    await deliver_all(site.services)
    assert (await site.services.jobs.get(first.id)).state is JobState.SUCCEEDED
    assert (await site.services.jobs.get(second.id)).state is JobState.SUCCEEDED


async def test_another_embedding_model_is_built_beside_the_old_one(site: Site, opened: OpenServices) -> None:
    await ingest(site.services)
    old = await site.services.releases.live()
    async with opened(
        openai_base_url=site.provider.base_url,
        openai_embedding_model="stand-in-large",
        site_url="https://site.example/",
    ) as real:
        job = await ingest(by_hand(real)[0])
    assert (job.state, job.release) == (JobState.SUCCEEDED, 2)
    new = await site.services.releases.live()
    assert old is not None
    assert new is not None
    assert new.collection != old.collection
    assert new.documents == old.documents


async def test_going_back_to_an_earlier_embedding_model_takes_up_its_collection(
    site: Site, opened: OpenServices
) -> None:
    await ingest(site.services)
    collection, _ = await _live(site)
    await ingest_with_another_model(site, opened)
    site.write("intro.md", PAGES["intro.md"].replace("a moment", "two moments"))
    (site.root / "guide" / "stop.md").unlink()
    texts = embedded(site)
    job = await ingest(site.services)
    assert (job.state, job.release) == (JobState.SUCCEEDED, 3)
    assert embedded(site) - texts == 1  # the edited passage: the others have kept their vectors
    assert await _live(site) == (collection, 3)
    assert set(await pages_at(site.store, collection, 3)) == {"intro.md", "guide/run.md"}
    assert set(await pages_at(site.store, collection, 1)) == set(PAGES)


async def test_going_back_to_an_earlier_embedding_model_with_the_same_docs_is_a_release(
    site: Site, opened: OpenServices
) -> None:
    await ingest(site.services)
    collection, _ = await _live(site)
    before = await site.live()
    await ingest_with_another_model(site, opened)
    texts = embedded(site)
    await ingest(site.services)
    assert await _live(site) == (collection, 3)
    assert await site.live() == before
    assert embedded(site) == texts


async def test_a_collection_that_no_kept_release_is_in_is_dropped(site: Site, opened: OpenServices) -> None:
    await ingest(site.services)
    old, _ = await _live(site)
    await ingest_with_another_model(site, opened, keep_releases=1)
    new, _ = await _live(site)
    assert not await site.store._client.collection_exists(old)
    assert await site.store.count(new, "page", 2) == 3


async def ingest_with_another_model(site: Site, opened: OpenServices, **settings: int) -> None:
    async with opened(
        openai_base_url=site.provider.base_url, openai_embedding_model="stand-in-large",
        site_url="https://site.example/", **settings,
    ) as real:  # fmt: skip
        assert (await ingest(by_hand(real)[0])).state is JobState.SUCCEEDED


async def test_a_crash_after_publishing_leaves_the_release_live_and_whole(site: Site) -> None:
    await ingest(site.services)
    site.write("new.md", "# New\n\nA page of the second release.\n")
    job = await site.services.jobs.create(".", force=False)
    await site.services.queue.plan(job.id)
    while site.queue.messages[0][0] != PUBLISH_TASK:
        task, payload = site.queue.messages.popleft()
        await deliver(site.services, task, payload, "m")
    site.queue.messages.clear()
    stopped = replace(site.services, store=NoAlias(site.store._client, site.store._reads, site.store.alias))
    with pytest.raises(RuntimeError):
        await publish_job(stopped, job.id, "m")
    await fail_job(site.services, job.id, "an internal error")
    assert (await site.services.jobs.get(job.id)).state is JobState.SUCCEEDED
    release = await site.services.releases.live()
    assert release is not None
    assert (release.number, len(await site.live())) == (2, release.documents + release.chunks)


class NoAlias(CountingStore):
    """A store that breaks right after a release was published."""

    async def point_alias(self, name: str) -> None:
        raise RuntimeError(name)


async def test_releases_beyond_the_number_to_keep_are_vacuumed(site: Site) -> None:
    for number in range(5):
        site.write("intro.md", f"# Intro\n\nEdition number {number} of this page.\n")
        await ingest(site.services)
    assert [release.number for release in await site.services.releases.all()] == [3, 4, 5]
    collection, _ = await _live(site)
    assert await site.store.count(collection, "page", 3) == 3
    assert "intro.md" not in await pages_at(site.store, collection, 1)


@pytest.mark.parametrize(("path", "text"), [("", ""), ("empty.md", "   \n")])
async def test_a_folder_without_a_page_to_index_fails_and_changes_nothing(site: Site, path: str, text: str) -> None:
    await ingest(site.services)
    before = await site.live()
    for page in PAGES:
        (site.root / page).unlink()
    if path:
        site.write(path, text)
    job = await ingest(site.services)
    assert job.state is JobState.FAILED
    assert await site.live() == before


async def test_a_page_that_cannot_be_read_is_named_and_keeps_its_last_good_version(site: Site) -> None:
    await ingest(site.services)
    (site.root / "guide" / "run.md").write_bytes("# Running\n\ncaf\xe9".encode("latin-1"))
    site.write("new.md", "# New\n\nThis page is fine.\n")
    job = await ingest(site.services)
    assert (job.state, job.release) == (JobState.SUCCEEDED, 2)
    assert [fault.path for fault in job.faults] == ["guide/run.md"]
    assert "UTF-8" in job.faults[0].reason
    pages = await pages_at(site.store, *await _live(site))
    assert {"guide/run.md", "new.md"} <= set(pages)


async def test_a_page_that_vanishes_during_the_job_is_named_and_the_rest_is_indexed(site: Site) -> None:
    job = await site.services.jobs.create(".", force=False)
    await site.services.queue.plan(job.id)
    task, payload = site.queue.messages.popleft()
    await deliver(site.services, task, payload, "m")
    (site.root / "guide" / "stop.md").unlink()
    await deliver_all(site.services)
    job = await site.services.jobs.get(job.id)
    assert job.state is JobState.SUCCEEDED
    assert [fault.path for fault in job.faults] == ["guide/stop.md"]
    assert set(await pages_at(site.store, *await _live(site))) == {"intro.md", "guide/run.md"}


def embedded(site: Site) -> int:
    """Texts that were sent to the provider so far."""
    return site.provider.stats().embedded_texts


async def test_a_page_that_loses_its_permission_during_the_job_is_named_and_the_rest_is_indexed(site: Site) -> None:
    with as_nobody() as folder:
        services = replace(site.services, settings=site.services.settings.model_copy(update={"content_root": folder}))
        for path, text in PAGES.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        job = await services.jobs.create(".", force=False)
        await services.queue.plan(job.id)
        task, payload = site.queue.messages.popleft()
        await deliver(services, task, payload, "m")
        (folder / "guide" / "stop.md").chmod(0)
        await deliver_all(services)
    job = await services.jobs.get(job.id)
    assert job.state is JobState.SUCCEEDED
    assert [fault.path for fault in job.faults] == ["guide/stop.md"]
    assert "permission" in job.faults[0].reason
    assert set(await pages_at(site.store, *await _live(site))) == {"intro.md", "guide/run.md"}


async def _live(site: Site) -> tuple[str, int]:
    release = await site.services.releases.live()
    assert release is not None
    return release.collection, release.number
