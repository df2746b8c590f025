"""Dry runs and the limit on tokens: what an ingest would cost, found out without paying for it."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from shared.models import Job, JobState
from shared.reconcile import reconcile
from tests.by_hand import deliver, deliver_all
from tests.conftest import OpenServices
from tests.sites import PAGES, Site, open_site
from tests.stand_in.control import Provider

PASSAGES = 5


@pytest.fixture
async def site(opened: OpenServices, provider: Provider, tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(opened, provider, tmp_path / "docs") as site:
        for path, text in PAGES.items():
            site.write(path, text)
        yield site


def estimate_of(job: Job) -> dict[str, Any]:
    assert job.state is JobState.SUCCEEDED, job.reason
    assert job.estimate is not None
    return dict(job.estimate)


def named(estimate: dict[str, Any], kind: str) -> list[tuple[str, str]]:
    return [(page["path"], page["reason"]) for page in estimate[kind]]


async def operations_on(site: Site, collection: str) -> int:
    """How many operations have changed a collection, by the number that Qdrant gives to one more."""
    done = await site.store._client.delete(collection, points_selector=[str(uuid4())])
    assert done.operation_id is not None
    return done.operation_id


async def test_a_dry_run_before_the_first_ingest_asks_no_model_and_makes_nothing(site: Site) -> None:
    job = await site.plan()
    estimate = estimate_of(job)
    assert estimate["pages"] == {
        "found": 3, "added": 3, "changed": 0, "moved": 0, "removed": 0, "hidden": 0, "unchanged": 0,
    }  # fmt: skip
    assert named(estimate, "added") == [(path, "new page") for path in sorted(PAGES)]
    assert site.provider.stats().embedding_requests == 0
    assert await site.store.collections() == []
    assert await site.services.releases.all() == []
    assert (job.release, job.dry_run) == (None, True)
    ingested = await site.ingest()
    assert estimate["passages"] == {
        "read": ingested.totals["chunks_written"], "to_embed": ingested.totals["texts_embedded"], "to_reuse": 0,
    }  # fmt: skip


async def test_a_dry_run_says_what_the_ingest_after_it_then_does(site: Site) -> None:
    site.write("long.md", "# Long\n\n" + "".join(f"## Part {n}\n\n{f'Words of part {n}. ' * 40}\n\n" for n in range(5)))
    await site.ingest()
    release = await site.live()
    site.write("long.md", (site.root / "long.md").read_text().replace("Words of part 3. Words", "Changed", 1))
    site.write("fresh.md", "# Fresh\n\nNothing like it was here before.\n")
    site.write("draft.md", "---\ndraft: true\n---\n\n# Draft\n\nNot yet.\n")
    site.move("guide/stop.md", "stop.md")
    site.remove("guide/run.md")
    operations, writes, texts = await operations_on(site, release.collection), site.store.writes, site.embedded()
    estimate = estimate_of(await site.plan())
    assert await operations_on(site, release.collection) == operations + 1
    assert (site.store.writes, site.embedded()) == (writes, texts)
    assert await site.numbers() == [1]
    assert (await site.live()) == release
    job = await site.ingest()
    assert estimate["base"] == 1
    assert await site.changes(2) == {kind: named(estimate, kind) for kind in ("added", "changed", "moved", "removed")}
    assert estimate["passages"]["to_embed"] == job.totals["texts_embedded"] == 2
    assert estimate["pages"]["hidden"] == 1


async def test_a_page_that_moved_and_was_edited_is_seen_as_moved(site: Site) -> None:
    long = "".join(f"Sentence number {n} of the page stands here. " for n in range(60))
    site.write("old.md", f"# A page\n\n{long}\n")
    await site.ingest()
    site.move("old.md", "new.md")
    site.write("new.md", f"# A page\n\n{long} And one more.\n")
    estimate = estimate_of(await site.plan())
    assert named(estimate, "moved") == [("new.md", "moved from old.md; the text changed")]


async def test_an_unchanged_content_costs_nothing(site: Site) -> None:
    await site.ingest()
    job = await site.plan()
    estimate = estimate_of(job)
    assert (estimate["tokens"], estimate["passages"]) == (0, {"read": 0, "to_embed": 0, "to_reuse": 0})
    assert job.reason == "nothing has changed in 3 pages, and an ingest would change nothing"


async def test_a_forced_ingest_is_seen_to_embed_nothing_again(site: Site) -> None:
    await site.ingest()
    estimate = estimate_of(await site.plan(force=True))
    assert estimate["passages"]["to_embed"] == 0
    assert estimate["passages"]["to_reuse"] == estimate["passages"]["read"] > 0
    assert estimate["pages"]["changed"] == 0


async def test_another_embedding_model_would_embed_everything_again(
    site: Site, opened: OpenServices, provider: Provider
) -> None:
    job = await site.ingest()
    async with open_site(opened, provider, site.root, openai_embedding_model="stand-in-large") as other:
        requests = provider.stats().embedding_requests
        estimate = estimate_of(await other.plan())
        assert provider.stats().embedding_requests == requests
        assert len(await other.store.collections()) == 1
    assert estimate["passages"]["to_embed"] == job.totals["texts_embedded"]
    assert estimate["pages"]["unchanged"] == 3


async def test_going_back_to_an_earlier_model_is_seen_to_cost_nothing(
    site: Site, opened: OpenServices, provider: Provider
) -> None:
    await site.ingest()
    async with open_site(opened, provider, site.root, openai_embedding_model="stand-in-large") as other:
        await other.ingest()
        requests = provider.stats().embedding_requests
        estimate = estimate_of(await site.plan())
        assert (estimate["passages"]["to_embed"], estimate["base"]) == (0, 2)
        assert provider.stats().embedding_requests == requests


async def test_a_part_of_the_site_is_weighed_alone(site: Site) -> None:
    await site.ingest()
    site.write("guide/run.md", "# Running\n\nOther words.\n")
    site.write("intro.md", "# Intro\n\nOther words too.\n")
    estimate = estimate_of(await site.plan("guide"))
    assert named(estimate, "changed") == [("guide/run.md", "the text changed")]
    assert estimate["pages"]["found"] == 2


@pytest.mark.parametrize(
    ("settings", "dollars", "says"),
    [
        ({"embedding_price": 1000.0}, True, "about $"),
        ({"embedding_price": 0.0}, True, "at no cost"),
        ({}, False, "set EMBEDDING_PRICE to what a million tokens of stand-in cost"),
    ],
)
async def test_the_price_is_reckoned_where_it_is_known(
    site: Site, settings: dict[str, float], dollars: bool, says: str
) -> None:
    job = await site.having(**settings).plan()
    estimate = estimate_of(job)
    assert (estimate["price"]["dollars"] is not None) == dollars
    if settings.get("embedding_price"):
        assert estimate["price"]["dollars"] == pytest.approx(estimate["tokens"] / 1000)
    assert job.reason is not None
    assert says in job.reason


async def test_the_time_is_reckoned_by_the_pace_of_the_last_ingests(site: Site) -> None:
    assumed = estimate_of(await site.plan())
    assert "assumed" in assumed["seconds_by"]
    for number in range(30):
        site.write(f"many/{number}.md", f"# Page {number}\n\nText of page {number}.\n")
    await site.ingest()
    site.write("one.md", "# One\n\nMore.\n")
    measured = estimate_of(await site.plan())
    assert measured["seconds_by"] == "the last ingest"
    assert 0 <= measured["seconds"] < 60


async def test_a_dry_run_does_not_wait_for_a_running_ingest_and_does_not_disturb_it(site: Site) -> None:
    await site.ingest()
    site.write("fresh.md", "# Fresh\n\nNothing like it was here before.\n")
    running = await site.services.jobs.create(".", force=False)
    await site.services.queue.plan(running.id)
    task, payload = site.queue.messages.popleft()
    await deliver(site.services, task, payload, "m")
    waiting = list(site.queue.messages)
    site.queue.messages.clear()
    assert (await site.services.jobs.get(running.id)).state is JobState.RUNNING
    estimate = estimate_of(await site.plan())
    assert named(estimate, "added") == [("fresh.md", "new page")]
    assert (await site.services.jobs.get(running.id)).state is JobState.RUNNING
    site.queue.messages.extend(waiting)
    await deliver_all(site.services)
    assert (await site.services.jobs.get(running.id)).reason == "release 2 is live"


async def test_an_ingest_does_not_wait_for_a_dry_run(site: Site) -> None:
    await site.services.jobs.create(".", force=False, dry_run=True)
    assert (await site.ingest()).state is JobState.SUCCEEDED


async def test_a_dry_run_whose_message_was_lost_is_rung_for_again(site: Site) -> None:
    job = await site.services.jobs.create(".", force=False, dry_run=True)
    assert await reconcile(site.services.jobs, site.queue)
    await deliver_all(site.services)
    assert (await site.services.jobs.get(job.id)).state is JobState.SUCCEEDED


async def test_a_dry_run_that_is_delivered_twice_ends_once(site: Site) -> None:
    job = await site.services.jobs.create(".", force=False, dry_run=True)
    await site.services.queue.plan(job.id)
    message = site.queue.messages[0]
    await asyncio.gather(deliver(site.services, *message, "a"), deliver(site.services, *message, "b"))
    first = await site.services.jobs.get(job.id)
    await deliver(site.services, *message, "c")
    assert (await site.services.jobs.get(job.id)) == first
    assert first.state is JobState.SUCCEEDED


@pytest.mark.parametrize(("path", "says"), [("", "no .md or .mdx page"), ("nowhere", "nowhere")])
async def test_a_dry_run_of_nothing_fails_and_says_why(site: Site, path: str, says: str) -> None:
    await site.ingest()
    if not path:
        for page in PAGES:
            site.remove(page)
    job = await site.plan(path or ".")
    assert job.state is JobState.FAILED
    assert job.reason is not None
    assert says in job.reason
    assert (await site.live()).number == 1


async def test_a_page_that_cannot_be_read_is_named_by_a_dry_run_too(site: Site) -> None:
    await site.ingest()
    (site.root / "bad.md").write_bytes("# Caf\xe9\n".encode("latin-1"))
    (site.root / "intro.md").write_bytes("# Intro\n\nCaf\xe9s\n".encode("latin-1"))
    job = await site.plan()
    assert [fault.path for fault in job.faults] == ["bad.md", "intro.md"]
    pages = estimate_of(job)["pages"]
    assert (pages["added"], pages["changed"], pages["removed"], pages["unchanged"]) == (0, 0, 0, 2)


# The limit on tokens


async def test_a_job_over_the_limit_of_tokens_fails_before_its_first_call(site: Site) -> None:
    job = await site.having(max_embed_tokens_per_job=10).ingest()
    assert job.state is JobState.FAILED
    assert job.reason is not None
    assert "MAX_EMBED_TOKENS_PER_JOB=10" in job.reason
    assert "3 changed pages" in job.reason
    assert "nothing was sent" in job.reason
    assert site.embedded() == 0  # not even the word that tells the size of the model's vectors
    assert (await site.services.releases.all(), await site.services.store.collections()) == ([], [])


async def test_a_job_at_the_limit_runs_and_what_was_embedded_before_does_not_count(site: Site) -> None:
    tokens = estimate_of(await site.plan())["tokens"]
    assert (await site.having(max_embed_tokens_per_job=tokens - 1).ingest()).state is JobState.FAILED
    limited = site.having(max_embed_tokens_per_job=tokens)
    assert (await limited.ingest()).release == 1
    site.write("fresh.md", "# Fresh\n\nA few words.\n")
    assert (await limited.ingest()).release == 2


async def test_a_large_site_is_weighed_without_holding_its_texts(site: Site) -> None:
    text = "Words that stand in a page of some length. " * 400
    for number in range(300):
        site.write(f"many/{number:03}.md", f"# Page {number}\n\n{number} {text}\n")
    size = sum(file.stat().st_size for file in site.root.rglob("*.md"))
    tracemalloc.start()
    try:
        estimate_of(await site.plan())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size, f"{peak} bytes for {size} bytes of text"
