"""Releases on real stores: what each has changed, going back and forward, and what is kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from shared.errors import NotFound, ReleaseGone
from shared.models import JobState, Release
from shared.queue import PUBLISH_TASK
from shared.releases import PIN_SECONDS, Releases
from shared.retention import vacuum
from shared.rollback import activate
from tests.by_hand import deliver, deliver_all
from tests.conftest import OpenServices
from tests.sites import PAGES, Site, open_site
from tests.stand_in.control import Provider
from tests.stand_in.embeddings import vector_of

LONG = "".join(f"## Part {n}\n\nThis is part number {n}. {'Many words follow here. ' * 20}\n\n" for n in range(6))


@pytest.fixture
async def site(opened: OpenServices, provider: Provider, tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(opened, provider, tmp_path / "docs") as site:
        for path, text in PAGES.items():
            site.write(path, text)
        yield site


async def editions(site: Site, count: int) -> None:
    """Publish releases 1 to `count`, each with its number in the introduction."""
    for number in range(1, count + 1):
        site.write("intro.md", f"# Intro\n\nEdition number {number} of this page.\n")
        assert (await site.ingest()).release == number


# What a release has changed


async def test_a_first_release_adds_every_page(site: Site) -> None:
    await site.ingest()
    assert await site.changes(1) == {"added": [(path, "new page") for path in sorted(PAGES)]}
    record = await site.services.releases.changes(1)
    assert record is not None
    assert (record["base"], record["totals"]) == (None, {"added": 3, "changed": 0, "moved": 0, "removed": 0})


async def test_each_page_that_differs_is_named_with_its_reason(site: Site) -> None:
    site.write("old/name.md", f"# A long page\n\n{LONG}")
    site.write("drafty.md", "# Draft\n\nSoon to be hidden.\n")
    await site.ingest()
    site.write("intro.md", PAGES["intro.md"].replace("a moment", "two moments"))
    site.write("fresh.md", "# Fresh\n\nNever seen before, nothing like it.\n")
    site.write("drafty.md", "---\ndraft: true\n---\n\n# Draft\n\nSoon to be hidden.\n")
    site.remove("guide/run.md")
    site.move("guide/stop.md", "stop.md")
    site.move("old/name.md", "new/name.md")
    site.write("new/name.md", f"# A long page\n\n{LONG.replace('part number 3', '[part](../x.md) THREE')}")
    await site.ingest()
    assert await site.changes(2) == {
        "added": [("fresh.md", "new page")],
        "changed": [("intro.md", "the text changed")],
        "moved": [
            ("new/name.md", "moved from old/name.md; the text changed"),
            ("stop.md", "moved from guide/stop.md"),
        ],
        "removed": [
            ("drafty.md", "the page is hidden (draft or unlisted), or has no text any more"),
            ("guide/run.md", "the file is gone"),
        ],
    }


async def test_a_setting_that_shapes_passages_is_named_as_the_reason(
    site: Site, opened: OpenServices, provider: Provider
) -> None:
    await site.ingest()
    async with open_site(opened, provider, site.root, chunk_size=300) as other:
        await other.ingest()
    reasons = {reason for _, reason in (await site.changes(2))["changed"]}
    assert len(reasons) == 1
    assert "CHUNK_SIZE" in reasons.pop()


async def test_what_a_release_changed_outlives_the_release_before_it(site: Site) -> None:
    site = site.having(keep_releases=1)
    await editions(site, 3)
    assert await site.numbers() == [3]
    assert await site.changes(3) == {"changed": [("intro.md", "the text changed")]}
    assert await site.services.releases.changes(2) is None


async def test_what_changed_is_told_beside_what_visitors_had_also_after_a_rollback(site: Site) -> None:
    await editions(site, 2)
    site.write("guide/more.md", "# More\n\nAnother page altogether, with other words.\n")
    await site.ingest()
    await site.activate(1)
    site.remove("guide/more.md")
    await site.ingest()
    record = await site.services.releases.changes(4)
    assert record is not None
    assert record["base"] == 1
    assert await site.changes(4) == {"changed": [("intro.md", "the text changed")]}


# What is embedded


async def test_a_moved_page_whose_links_change_embeds_the_passages_with_the_links_alone(site: Site) -> None:
    site.write("deep/page.md", f"# A long page\n\n{LONG}## Links\n\nSee [intro](../intro.md) for {'more ' * 60}.\n")
    await site.ingest()
    texts = site.embedded()
    site.move("deep/page.md", "page.md")
    site.write("page.md", f"# A long page\n\n{LONG}## Links\n\nSee [intro](intro.md) for {'more ' * 60}.\n")
    job = await site.ingest()
    assert job.release == 2
    assert site.embedded() - texts == 1
    assert [path for path, _ in (await site.changes(2))["moved"]] == ["page.md"]


async def test_content_that_comes_back_while_a_kept_release_holds_it_is_not_embedded_again(site: Site) -> None:
    await site.ingest()
    site.remove("guide/stop.md")
    await site.ingest()
    texts = site.embedded()
    site.write("guide/stop.md", PAGES["guide/stop.md"])
    assert (await site.ingest()).release == 3
    assert site.embedded() == texts


async def test_content_that_no_kept_release_holds_is_embedded_again(site: Site) -> None:
    site = site.having(keep_releases=1)
    await site.ingest()
    site.remove("guide/stop.md")
    await site.ingest()
    texts = site.embedded()
    site.write("guide/stop.md", PAGES["guide/stop.md"])
    await site.ingest()
    assert site.embedded() - texts == 1


# Back and forward


async def test_a_release_is_activated_back_and_forward_in_one_write_and_under_a_second(site: Site) -> None:
    await editions(site, 3)
    wanted = {number: await site.texts(await site.services.releases.get(number)) for number in (1, 2, 3)}
    for number in (1, 3, 2):
        before, writes, started = (await site.live()).number, site.store.writes, time.monotonic()
        activated = await site.activate(number)
        assert time.monotonic() - started < 1
        assert (activated.release.number, activated.before and activated.before.number) == (number, before)
        assert activated.is_change
        assert (await site.live()).number == number
        assert await site.texts() == wanted[number]
        assert site.store.writes == writes
    assert await site.numbers() == [1, 2, 3]


async def test_activating_what_is_live_changes_nothing(site: Site) -> None:
    await editions(site, 2)
    activated = await site.activate(2)
    assert not activated.is_change
    assert (await site.live()).number == 2


@pytest.mark.parametrize("number", [9, 0, -1, 2**53])
async def test_an_unknown_release_is_refused_with_those_there_are(site: Site, number: int) -> None:
    await editions(site, 2)
    with pytest.raises(NotFound, match="kept: 1, 2"):
        await site.activate(number)
    assert (await site.live()).number == 2


async def test_a_release_whose_collection_is_gone_is_refused(site: Site, opened: OpenServices) -> None:
    await site.ingest()
    old = await site.live()
    async with open_site(opened, site.provider, site.root, openai_embedding_model="stand-in-large") as other:
        await other.ingest()
    await site.store.drop_collection(old.collection)
    with pytest.raises(ReleaseGone, match="not in Qdrant any more"):
        await site.activate(1)
    assert (await site.live()).number == 2


async def test_after_a_rollback_the_next_ingest_publishes_the_content_as_it_is_on_disk(site: Site) -> None:
    await editions(site, 2)
    await site.activate(1)
    site.write("guide/new.md", "# New\n\nWritten after the rollback.\n")
    job = await site.ingest()
    assert (job.state, job.release, job.reason) == (JobState.SUCCEEDED, 3, "release 3 is live")
    texts = "\n".join(await site.texts())
    assert "Edition number 2" in texts
    assert "after the rollback" in texts


async def test_a_rollback_stays_while_the_content_does_not_change(site: Site) -> None:
    await editions(site, 2)
    await site.activate(1)
    job = await site.ingest()
    assert (job.state, job.release) == (JobState.SUCCEEDED, None)
    assert job.reason is not None
    assert "release 1 stays live" in job.reason
    assert "lectern releases activate 2" in job.reason
    assert (await site.live()).number == 1


async def test_a_forced_ingest_ends_a_rollback(site: Site) -> None:
    await editions(site, 2)
    await site.activate(1)
    job = await site.ingest(force=True)
    assert (job.release, job.reason) == (2, "release 2 is live")
    assert (await site.live()).number == 2


async def test_a_release_is_activated_while_a_job_builds_and_the_job_then_goes_live(site: Site) -> None:
    await editions(site, 2)
    site.write("guide/new.md", "# New\n\nBuilt meanwhile.\n")
    job = await site.services.jobs.create(".", force=False)
    await site.services.queue.plan(job.id)
    while site.queue.messages[0][0] != PUBLISH_TASK:
        task, payload = site.queue.messages.popleft()
        await deliver(site.services, task, payload, "m")
    old = await site.texts(await site.services.releases.get(1))
    await site.activate(1)
    assert await site.texts() == old
    await deliver_all(site.services)
    assert (await site.live()).number == 3
    release = await site.live()
    assert await site.store.count(release.collection, "chunk", 3) == release.chunks


async def test_of_many_activations_at_once_one_counts_and_readers_see_whole_releases_only(site: Site) -> None:
    await editions(site, 3)
    wanted = {number: await site.texts(await site.services.releases.get(number)) for number in (1, 2, 3)}
    seen: list[int] = []

    async def read() -> None:
        while len(seen) < 30:
            release = await site.live()
            assert await site.texts(release) == wanted[release.number]
            seen.append(release.number)

    reading = asyncio.create_task(read())
    for _ in range(5):
        await asyncio.gather(*(site.activate(number) for number in (1, 2, 3, 2, 1)))
    await reading
    assert (await site.live()).number in wanted
    assert await site.services.releases.pins() == set()


# What is kept


async def test_the_release_that_a_new_one_took_the_place_of_is_kept_however_old(site: Site) -> None:
    await editions(site, 3)
    await site.activate(1)
    site.write("intro.md", "# Intro\n\nEdition number 4 of this page.\n")
    await site.ingest()
    assert await site.numbers() == [1, 2, 3, 4]
    site.write("intro.md", "# Intro\n\nEdition number 5 of this page.\n")
    await site.ingest()
    assert await site.numbers() == [3, 4, 5]


async def test_the_live_release_is_kept_however_old_and_what_lies_between_is_vacuumed(site: Site) -> None:
    await editions(site, 3)
    first = await site.texts(await site.services.releases.get(1))
    await site.activate(1)
    for number in range(4, 8):
        site.write("intro.md", f"# Intro\n\nEdition number {number} of this page.\n")
        await site.ingest()
        await site.activate(1)
    assert await site.numbers() == [1, 5, 6, 7]
    assert await site.texts() == first
    release = await site.live()
    for number in (5, 6, 7):
        kept = await site.services.releases.get(number)
        assert await site.store.count(release.collection, "page", number) == kept.documents
    found = await site.store._client.scroll(release.collection, limit=1000, with_payload=["text", "record", "since"])
    texts = [(point.payload or {}).get("text", "") for point in found[0]]
    assert not any("number 3" in text or "number 4" in text for text in texts)  # only releases 2 to 4 had them


async def test_a_rollback_to_a_release_that_is_just_being_dropped_is_refused(site: Site) -> None:
    await editions(site, 3)
    releases, newest = site.services.releases, await site.live()
    interrupted = Interrupted(releases, lambda: activate(site.store, releases, 1))
    with pytest.raises(ReleaseGone, match="being dropped"):
        await vacuum(site.store, interrupted, newest, keep=1)
    await vacuum(site.store, releases, newest, keep=1)
    assert await site.numbers() == [3]


async def test_a_release_that_is_being_made_live_is_not_dropped(site: Site) -> None:
    await editions(site, 3)
    releases, newest = site.services.releases, await site.live()
    first = await site.texts(await releases.get(1))
    async with releases.pinned(1):
        await vacuum(site.store, releases, newest, keep=1)
    assert await site.numbers() == [1, 3]
    assert (await releases.get(1)).state == "published"
    await site.activate(1)
    assert await site.texts() == first


async def test_a_release_that_went_live_while_a_vacuum_began_is_kept(site: Site) -> None:
    await editions(site, 3)
    releases, newest = site.services.releases, await site.live()
    first = await releases.get(1)
    texts = await site.texts(first)
    # As an activation does that had looked at the release's state just before it was marked.
    await vacuum(site.store, Interrupted(releases, lambda: releases.publish(first)), newest, keep=1)
    assert await site.live() == first
    assert await site.texts() == texts
    assert await site.numbers() == [1, 3]


async def test_a_pin_that_a_dead_process_left_keeps_nothing_for_ever(site: Site) -> None:
    await editions(site, 3)
    releases = site.services.releases
    old = {"number": 1, "at": time.time() - PIN_SECONDS - 1}
    await releases._records.put(("pin", "1 left", old))
    await vacuum(site.store, releases, await site.live(), keep=1)
    assert await site.numbers() == [3]
    assert await releases._records.all("pin") == []


async def test_a_vacuum_that_was_interrupted_is_finished_by_the_next(site: Site) -> None:
    await editions(site, 3)
    releases = site.services.releases
    await releases.mark_leaving([await releases.get(1)])
    assert await site.numbers() == [2, 3]
    await vacuum(site.store, releases, await site.live(), keep=2)
    assert [release.number for release in await releases.all(leaving=True)] == [2, 3]


async def test_many_rollbacks_against_vacuums_never_leave_a_live_release_without_its_passages(site: Site) -> None:
    await editions(site.having(keep_releases=9), 4)
    releases, newest = site.services.releases, await site.live()
    wanted = {number: await site.texts(await releases.get(number)) for number in (1, 2, 3, 4)}
    for number in (1, 2, 3):
        results = await asyncio.gather(
            activate(site.store, releases, number),
            vacuum(site.store, releases, newest, keep=1),
            return_exceptions=True,
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        assert all(isinstance(failure, ReleaseGone | NotFound) for failure in failures)
        live = await site.live()
        assert await site.texts(live) == wanted[live.number]


class Interrupted(Releases):
    """Lets something happen right after releases were marked as leaving."""

    def __init__(self, releases: Releases, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__(releases._records)
        self._meanwhile = meanwhile

    async def mark_leaving(self, releases: Sequence[Release]) -> None:
        await super().mark_leaving(releases)
        await self._meanwhile()


# Another embedding model


async def test_readers_are_served_from_the_old_collection_until_the_new_one_is_whole(
    site: Site, opened: OpenServices
) -> None:
    for number in range(60):
        site.write(f"many/{number:02}.md", f"# Page {number}\n\nText of page number {number} that is read.\n")
    await site.ingest()
    old = await site.live()
    done = asyncio.Event()
    seen: set[tuple[str, int, int]] = set()

    async def poll() -> None:
        while not done.is_set():
            release = await site.live()
            counted = await site.store.count(release.collection, "chunk", release.number)
            dense = vector_of("page number 7", (await site.store.spec_of(release.collection)).dimensions)
            sparse = site.services.bm25.encode_query("page number 7")
            found = await site.store.search(release.collection, release.number, dense, sparse, 5)
            assert counted == release.chunks
            assert found
            seen.add((release.collection, release.number, counted))

    polling = asyncio.create_task(poll())
    site.provider.set_dimensions(24)
    async with open_site(opened, site.provider, site.root, openai_embedding_model="stand-in-large") as other:
        job = await other.ingest()
    await asyncio.sleep(0.2)
    done.set()
    await polling
    new = await site.live()
    assert (job.release, new.documents) == (2, old.documents)
    assert {number for _, number, _ in seen} == {1, 2}
    assert {collection for collection, _, _ in seen} == {old.collection, new.collection}
    aliases = (await site.store._client.get_aliases()).aliases
    assert [a.collection_name for a in aliases if a.alias_name == site.store.alias] == [new.collection]


async def test_a_rollback_across_collections_and_forward_again_moves_pointer_and_alias(
    site: Site, opened: OpenServices
) -> None:
    await site.ingest()
    old_texts = await site.texts()
    site.provider.set_dimensions(24)
    site.write("intro.md", PAGES["intro.md"].replace("a moment", "two moments"))
    async with open_site(opened, site.provider, site.root, openai_embedding_model="stand-in-large") as other:
        await other.ingest()
        new_texts = await other.texts()
        assert new_texts != old_texts
        record = await other.services.releases.changes(2)
        assert record is not None
        assert record["note"] == "every page was embedded with another model: stand-in-large"
        assert await other.changes(2) == {"changed": [("intro.md", "the text changed")]}
        for number, texts in ((1, old_texts), (2, new_texts), (1, old_texts)):
            await other.activate(number)
            release = await other.live()
            assert await other.texts() == texts
            aliases = (await site.store._client.get_aliases()).aliases
            assert [a.collection_name for a in aliases if a.alias_name == site.store.alias] == [release.collection]
        # The next ingest builds upon the newest release, in the configured model's collection.
        other.write("guide/new.md", "# New\n\nA page after the rollback.\n")
        sent = other.embedded()
        job = await other.ingest()
        assert (job.release, (await other.live()).collection) == (3, (await other.services.releases.get(2)).collection)
        assert other.embedded() - sent == 1


async def test_the_live_release_of_another_collection_survives_vacuums(site: Site, opened: OpenServices) -> None:
    await site.ingest()
    old_texts = await site.texts()
    site.provider.set_dimensions(24)
    large = {"openai_embedding_model": "stand-in-large", "keep_releases": 2}
    async with open_site(opened, site.provider, site.root, **large) as other:
        await other.ingest()
        for number in range(3, 6):
            await other.activate(1)
            other.write("intro.md", f"# Intro\n\nEdition {number}.\n")
            await other.ingest()
            assert await other.texts(await other.services.releases.get(1)) == old_texts
        assert await other.numbers() == [1, 4, 5]
        other.write("intro.md", "# Intro\n\nThe last edition.\n")
        await other.ingest()
        assert await other.numbers() == [5, 6]
        assert await other.store.collections() == [(await other.live()).collection]
