"""Export and import on real stores: what moves, what is refused, what an import leaves that does not end well."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from shared.archive_export import Exported, export_archive
from shared.archive_format import ArchiveReader
from shared.archive_import import IMPORT, Request, import_archive
from shared.errors import BadArchive, DependencyDown, JobFailed, LeaseLost, NotFound
from shared.models import FOREVER, Job, JobState, Release
from shared.points import ChunkPoint
from shared.queue import PLAN_TASK
from shared.reconcile import reconcile
from shared.releases import Releases
from shared.rollback import activate
from shared.schema import SCHEMA
from shared.services import Services
from tests.by_hand import CountingStore, HandQueue, by_hand, deliver, deliver_all, ingest, pages_at
from tests.conftest import OpenServices
from tests.stand_in.control import Provider

PAGES = {
    "intro.md": "# Intro\n\nLectern answers questions about a book.\n\n## Install\n\nRun make up and wait a moment.\n",
    "guide/run.md": "# Running\n\nStart it with one command.\n\n## Ports\n\nThe port is 7860 unless you change it.\n",
    "guide/stop.md": "# Stopping\n\nPress Ctrl-C and every process ends in order.\n",
}
TWICE = "# Twice\n\n" + "".join(f"## Same\n\n{'The same words again. ' * 40}\n\n" for _ in range(2))


def nobody_is_told(_pages: int, _chunks: int) -> None:
    """For progress."""


@dataclass(frozen=True, slots=True)
class Lectern:
    """One Lectern: services of its own on stores that it may share."""

    services: Services
    queue: HandQueue
    store: CountingStore
    #: What imports have said.
    said: list[str] = field(default_factory=list)

    async def at(self, number: int | None = None) -> dict[str, list[str]]:
        """What readers of a release see: the digests of each page's passages in order. None is the live one."""
        release = await self.services.releases.live()
        if release is None:
            return {}
        number = number or release.number
        pages = await pages_at(self.store, release.collection, number)
        chunks = {c.id: c for c in await self.store.chunks_of(release.collection, number, list(pages))}
        assert sum(len(page.chunk_ids) for page in pages.values()) == len(chunks)
        return {path: [chunks[id_].digest for id_ in page.chunk_ids] for path, page in sorted(pages.items())}

    async def everything(self) -> dict[str, tuple[int, int]]:
        """Every point there is, whoever may see it, with its `since` and `until`."""
        found: dict[str, tuple[int, int]] = {}
        for collection in await self.store.collections():
            records, _ = await self.store._client.scroll(collection, limit=10_000, with_payload=["since", "until"])
            found |= {str(r.id): (r.payload["since"], r.payload["until"]) for r in records if r.payload}
        return found

    async def export(self, number: int | None = None) -> bytes:
        return (await self.export_with_counts(number))[0]

    async def export_with_counts(self, number: int | None = None) -> tuple[bytes, Exported]:
        stream = io.BytesIO()
        exported = await export_archive(self.services, stream, number, nobody_is_told)
        return stream.getvalue(), exported

    async def import_(self, archive: bytes, number: int | None = None, *, wait: float = 0.0) -> Job:
        reader = ArchiveReader(io.BytesIO(archive))
        return await self.import_from(reader, Request("site.lectern", number, wait))

    async def import_from(self, reader: ArchiveReader, request: Request | None = None) -> Job:
        request = request or Request("f", None, 0)
        return await import_archive(self.services, reader, request, self.said.append, nobody_is_told)


@dataclass(frozen=True, slots=True)
class Site:
    """A content folder that is indexed in one Lectern, and an empty second one."""

    root: Path
    provider: Provider
    first: Lectern
    second: Lectern

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


@pytest.fixture
async def site(opened: OpenServices, provider: Provider, tmp_path: Path) -> AsyncIterator[Site]:
    model = {
        "openai_base_url": provider.base_url,
        "openai_embedding_model": "stand-in",
        "site_url": "https://s.example",
    }
    async with opened(**model) as first, opened(**model, collection=f"{first.settings.collection}-second") as second:
        site = Site(tmp_path / "docs", provider, Lectern(*by_hand(first)), Lectern(*by_hand(second)))
        for path, text in PAGES.items():
            site.write(path, text)
        await ingest(site.first.services)
        yield site


async def points_of(lectern: Lectern) -> dict[str, ChunkPoint]:
    release = await lectern.services.releases.live()
    assert release is not None
    pages = await pages_at(lectern.store, release.collection, release.number)
    found = lectern.store.chunks_between(release.collection, release.number, release.number, list(pages))
    return {point.stored.id: point async for point in found}


# What moves


async def test_an_empty_lectern_gets_the_same_pages_passages_and_vectors(site: Site) -> None:
    job = await site.second.import_(await site.first.export())
    assert (job.state, job.release, job.kind) == (JobState.SUCCEEDED, 1, "import")
    assert job.reason == "release 1 is live, from site.lectern"
    ours, theirs = await points_of(site.first), await points_of(site.second)
    assert ours.keys() == theirs.keys()
    for id_, point in ours.items():
        assert theirs[id_].stored == point.stored
        assert theirs[id_].sparse == point.sparse
        for mine, other in zip(point.vectors, theirs[id_].vectors, strict=True):
            assert other == pytest.approx(mine, abs=1e-6)
    release = await site.second.services.releases.live()
    assert release is not None
    assert (release.documents, release.chunks) == (3, len(theirs))


async def test_an_ingest_after_an_import_finds_nothing_to_do(site: Site) -> None:
    await site.second.import_(await site.first.export())
    requests = site.provider.stats().embedding_requests
    job = await ingest(site.second.services)
    assert (job.reason, job.release) == ("nothing has changed", None)
    assert site.provider.stats().embedding_requests == requests


async def test_what_is_there_already_is_not_written_again(site: Site) -> None:
    before, writes = await site.first.everything(), site.first.store.writes
    job = await site.first.import_(await site.first.export())
    assert (job.state, job.reason, job.release) == (JobState.SUCCEEDED, "nothing has changed", None)
    assert site.first.store.writes == writes + 1  # the undo of whatever an earlier job may have left
    assert await site.first.everything() == before
    assert len(await site.first.services.releases.all()) == 1


async def test_an_older_release_is_restored_and_its_unchanged_passages_are_kept(site: Site) -> None:
    old = await site.first.at()
    site.write("guide/run.md", PAGES["guide/run.md"].replace("7860", "8080"))
    site.write("new.md", "# New\n\nThis page is new.\n")
    (site.root / "guide" / "stop.md").unlink()
    await ingest(site.first.services)
    new = await site.first.at()
    archive, writes = await site.first.export(), site.first.store.writes
    job = await site.first.import_(archive, 1)
    assert job.release == 3
    assert await site.first.at() == old
    assert await site.first.at(2) == new
    assert job.totals["chunks_written"] == 2  # of guide/run.md and guide/stop.md; intro.md is as it was
    assert site.first.store.writes - writes < len(await site.first.everything())


async def test_each_page_and_passage_stands_once_in_a_file_of_several_releases(site: Site) -> None:
    site.write("twice.md", TWICE)
    await ingest(site.first.services)
    site.write("intro.md", PAGES["intro.md"].replace("a moment", "a minute"))
    (site.root / "guide" / "stop.md").unlink()
    await ingest(site.first.services)
    archive, exported = await site.first.export_with_counts()
    assert [release.number for release in exported.releases] == [1, 2, 3]
    assert exported.pages + exported.chunks == len(await site.first.everything())
    for number in (1, 2, 3):
        await site.second.import_(archive, number)
        assert await site.second.at() == await site.first.at(number)


async def test_one_release_alone_can_be_exported(site: Site) -> None:
    old = await site.first.at()
    site.write("intro.md", "# Intro\n\nAnother text.\n")
    await ingest(site.first.services)
    archive = await site.first.export(1)
    assert [release.number for release in ArchiveReader(io.BytesIO(archive)).header.releases] == [1]
    await site.second.import_(archive)
    assert await site.second.at() == old


async def test_what_an_unfinished_ingest_has_written_is_not_exported(site: Site) -> None:
    published = await site.first.at()
    site.write("intro.md", "# Intro\n\nAnother text.\n")
    (site.root / "guide" / "stop.md").unlink()
    job = await site.first.services.jobs.create(".", force=False)
    await site.first.services.queue.plan(job.id)
    for number in range(2):  # the plan and the first shard
        task, payload = site.first.queue.messages.popleft()
        await deliver(site.first.services, task, payload, f"message-{number}")
    assert {since for since, _ in (await site.first.everything()).values()} == {1, 2}
    await site.second.import_(await site.first.export())
    assert await site.second.at() == published
    assert {until for _, until in (await site.second.everything()).values()} == {FOREVER}


async def test_a_file_of_another_model_is_imported_beside_and_said_to_be_that(site: Site, opened: OpenServices) -> None:
    other = {"openai_base_url": site.provider.base_url, "openai_embedding_model": "another", "collection": "other"}
    async with opened(**other, site_url="https://s.example", keep_releases=1) as services:
        third = Lectern(*by_hand(services))
        await ingest(third.services)
        (old,) = await third.store.collections()
        await third.import_(await site.first.export())
        assert await third.at() == await site.first.at()
        assert any("questions are embedded with another here" in line for line in third.said)
        (new,) = await third.store.collections()  # with its last kept release the old one is gone
        assert new != old
        await third.store.drop_collection(new)


async def test_releases_beyond_the_number_to_keep_are_vacuumed_by_an_import_too(site: Site) -> None:
    for number in range(4):
        site.write("intro.md", f"# Intro\n\nEdition {number}.\n")
        await ingest(site.first.services)
    archive = await site.first.export()
    await site.first.import_(archive, 3)
    assert [release.number for release in await site.first.services.releases.all()] == [4, 5, 6]
    assert all(until > 4 for _, until in (await site.first.everything()).values())


async def test_a_release_that_is_held_back_is_exported_only_where_it_is_named(site: Site) -> None:
    first = site.first
    site.write("intro.md", "# Intro\n\nThe text of the second release.\n")
    await ingest(first.services)
    release = await first.services.releases.get(2)
    await first.services.releases.publish(await first.services.releases.get(1))
    await first.services.releases.hold(release, {})
    exported = (await first.export_with_counts())[1]
    assert [each.number for each in exported.releases] == [1]
    job = await site.second.import_(await first.export(2))
    assert job.state is JobState.SUCCEEDED
    live = await site.second.services.releases.live()
    assert live is not None
    assert live.state == "published"


async def test_an_import_of_what_is_the_newest_release_ends_a_rollback(site: Site) -> None:
    first = site.first
    site.write("intro.md", "# Intro\n\nThe text of the second release.\n")
    await ingest(first.services)
    archive = await first.export(2)
    await activate(first.store, first.services.releases, 1)
    job = await first.import_(archive)
    assert (job.reason, job.release) == ("release 2 is live, from site.lectern", 2)
    live = await first.services.releases.live()
    assert live is not None
    assert live.number == 2


async def test_an_import_records_what_it_has_changed(site: Site) -> None:
    archive = await site.first.export()
    site.write("intro.md", "# Intro\n\nThe text of the second release.\n")
    await ingest(site.first.services)
    await site.first.import_(archive)
    changes = await site.first.services.releases.changes(3)
    assert changes is not None
    assert changes["base"] == 2
    assert [page["path"] for page in changes["changed"]] == ["intro.md"]


async def test_a_file_says_nothing_of_how_its_releases_stand(site: Site) -> None:
    header = json.loads(lines_of(await site.first.export())[0])
    assert set(header["releases"][0]) == {"number", "collection", "documents", "chunks", "job_id", "created_at"}


async def test_an_export_of_nothing_is_refused(site: Site) -> None:
    with pytest.raises(NotFound, match="nothing is indexed"):
        await site.second.export()
    with pytest.raises(NotFound, match=r"no release 7; 1 are kept"):
        await site.first.export(7)


async def test_an_index_that_has_lost_a_passage_is_not_exported_as_if_it_were_whole(site: Site) -> None:
    release = await site.first.services.releases.live()
    assert release is not None
    await site.first.store.delete(release.collection, [next(iter(await points_of(site.first)))])
    with pytest.raises(JobFailed, match="were found"):
        await site.first.export()


# What is refused


def lines_of(archive: bytes) -> list[bytes]:
    return gzip.decompress(archive).splitlines(keepends=True)


def with_line(archive: bytes, number: int, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The archive with one line changed, and an end that fits again."""
    lines = lines_of(archive)
    line = json.loads(lines[number])
    change(line)
    lines[number] = json.dumps(line).encode() + b"\n"
    end = json.loads(lines[-1])
    end["end"]["sha256"] = hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    return gzip.compress(b"".join(lines[:-1]) + json.dumps(end).encode() + b"\n")


def changed(text: bytes, old: bytes, new: bytes) -> bytes:
    assert old in text
    return text.replace(old, new, 1)


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "not a Lectern archive"),
    "text": (lambda _: b"# Some page\n", "not a Lectern archive"),
    "another gzip": (lambda _: gzip.compress(b"# Some page\n" * 1000), "not a Lectern archive"),
    "another JSON": (lambda _: gzip.compress(b'{"format": "other"}\n'), "not a Lectern archive"),
    "cut at the start": (lambda a: a[:40], "cut off"),
    "cut in the middle": (lambda a: a[: len(a) // 2], "cut off"),
    "cut before the end": (lambda a: a[:-9], "cut off"),
    "without its end": (lambda a: gzip.compress(b"".join(lines_of(a)[:-1])), "cut off"),
    "one line short": (lambda a: gzip.compress(b"".join([*lines_of(a)[:-2], lines_of(a)[-1]])), "damaged"),
    "a bit flipped": (lambda a: a[: len(a) // 2] + bytes([a[len(a) // 2] ^ 1]) + a[len(a) // 2 + 1 :], "damaged"),
    "a word changed": (lambda a: gzip.compress(changed(gzip.decompress(a), b"Ctrl-C", b"Ctrl-D")), "damaged"),
    "something behind the end": (lambda a: a + gzip.compress(b"{}\n"), "damaged"),
    "newer format": (lambda a: with_line(a, 0, lambda line: line.update(version=99)), "update Lectern"),
    "newer schema": (lambda a: with_line(a, 0, lambda line: line.update(schema=SCHEMA + 1)), "update Lectern"),
    "a passage without text": (lambda a: with_line(a, -2, lambda line: line["payload"].pop("text")), "damaged"),
    "a page with a passage too many": (
        lambda a: with_line(a, 1, lambda line: line["page"][0]["chunk_ids"].append("gone")), "damaged",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_file_that_is_not_whole_or_not_ours_is_refused_and_leaves_nothing(site: Site, fault: str) -> None:
    breaking, said = BROKEN[fault]
    site.write("intro.md", "# Intro\n\nAnother text.\n")
    archive = await site.first.export()
    await ingest(site.first.services)
    before, live = await site.first.everything(), await site.first.services.releases.live()
    with pytest.raises(BadArchive, match=said):
        await site.first.import_(breaking(archive))
    with pytest.raises(BadArchive, match=said):
        await site.second.import_(breaking(archive))
    assert (await site.first.everything(), await site.first.services.releases.live()) == (before, live)
    assert await site.second.store.collections() == []
    jobs = [*await site.first.services.jobs.list(), *await site.second.services.jobs.list()]
    assert all(job.state.terminal for job in jobs)


async def test_a_release_that_the_file_does_not_hold_is_named_with_those_that_it_does(site: Site) -> None:
    with pytest.raises(BadArchive, match="holds no release 7; it holds 1, of which 1 was live"):
        await site.second.import_(await site.first.export(), 7)


async def test_a_file_with_fewer_pages_than_its_release_has_is_not_published(site: Site) -> None:
    archive = with_line(await site.first.export(), 0, lambda line: line["releases"][0].update(documents=4))
    with pytest.raises(JobFailed, match="nothing was published"):
        await site.second.import_(archive)
    assert await site.second.everything() == {}
    (job,) = await site.second.services.jobs.list()
    assert job.state is JobState.FAILED


# Beside other jobs


async def test_an_import_waits_for_the_ingest_before_it(site: Site) -> None:
    archive = await site.first.export()
    site.write("intro.md", "# Intro\n\nAnother text.\n")
    running = await site.first.services.jobs.create(".", force=False)
    importing = asyncio.create_task(site.first.import_(archive, wait=20))
    await asyncio.sleep(0.2)
    assert site.first.said == [f"waiting for {running.id} to end"]
    await site.first.services.queue.plan(running.id)
    await deliver_all(site.first.services)
    job = await importing
    assert (await site.first.services.jobs.get(running.id)).release == 2
    assert job.release == 3
    assert await site.first.at(3) == await site.first.at(1)


async def test_an_import_does_not_wait_for_ever_and_leaves_the_job_before_it_alone(site: Site) -> None:
    archive = await site.first.export()
    site.write("intro.md", "# Intro\n\nAnother text.\n")
    running = await site.first.services.jobs.create(".", force=False)
    await site.first.services.queue.plan(running.id)
    for number in range(2):
        task, payload = site.first.queue.messages.popleft()
        await deliver(site.first.services, task, payload, f"message-{number}")
    before = await site.first.everything()
    with pytest.raises(JobFailed, match="has not ended after 0 seconds"):
        await site.first.import_(archive)
    assert await site.first.everything() == before
    await deliver_all(site.first.services)
    assert (await site.first.services.jobs.get(running.id)).state is JobState.SUCCEEDED


async def test_two_imports_at_once_run_one_after_the_other(site: Site) -> None:
    archive = await site.first.export()
    jobs = await asyncio.gather(*(site.second.import_(archive, wait=20) for _ in range(2)))
    assert sorted(job.reason or "" for job in jobs) == ["nothing has changed", "release 1 is live, from site.lectern"]
    assert await site.second.at() == await site.first.at()


async def test_an_ingest_waits_for_the_import_before_it(site: Site) -> None:
    """A message for the import, and one for the ingest behind it, change nothing while the import is at work."""
    archive = await site.first.export()
    site.write("intro.md", "# Intro\n\nAnother text.\n")
    await ingest(site.first.services)
    gate = Gate(archive)
    importing = asyncio.create_task(site.first.import_from(ArchiveReader(gate)))
    await gate.reached(site.first)
    ours = await site.first.services.jobs.next()
    assert ours is not None
    behind = await site.first.services.jobs.create(".", force=False)
    for job in (ours, behind):
        await deliver(site.first.services, PLAN_TASK, {"job": job.id}, "message")
    assert [each.id for each in await site.first.services.jobs.unfinished()] == [ours.id, behind.id]
    assert not site.first.queue.messages
    gate.open.set()
    assert (await importing).release == 3
    await site.first.services.queue.plan(behind.id)
    await deliver_all(site.first.services)
    assert (await site.first.services.jobs.get(behind.id)).release == 4


class Gate(io.BytesIO):
    """A file whose second half comes when it is let through."""

    def __init__(self, archive: bytes) -> None:
        super().__init__(archive)
        self._half = len(archive) // 2
        self.loop = asyncio.get_running_loop()
        self.open = asyncio.Event()

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= self._half:
            asyncio.run_coroutine_threadsafe(self.open.wait(), self.loop).result(20)
        return super().read(min(size or 0, self._half) if size and size > 0 else self._half)

    async def reached(self, lectern: Lectern) -> None:
        """Until the import is at work."""
        for _ in range(200):
            job = await lectern.services.jobs.next()
            if job is not None and job.state is JobState.RUNNING:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the import did not begin")


# Imports that do not end well


class Killed(BaseException):
    """Ends an import as a signal does that cannot be caught: nothing of ours runs after it but what gives up claims."""


async def abandoned(site: Site) -> Job:
    """An import that was killed: its record runs, points of it are there, and its claim has run out."""
    archive = await site.first.export()
    site.write("intro.md", "# Intro\n\nAnother text.\n")
    (site.root / "guide" / "stop.md").unlink()
    await ingest(site.first.services)
    services = replace(site.first.services, releases=Unpublishable(site.first.services.releases._records))
    lectern = replace(site.first, services=services)
    with pytest.raises(Killed):
        await lectern.import_(archive)
    for key in await services.redis.keys("lectern:job:*:claim:*"):
        await services.redis.delete(key)
    (job,) = await services.jobs.unfinished()
    assert {since for since, _ in (await site.first.everything()).values()} == {1, 2, 3}
    return job


class Unpublishable(Releases):
    """Releases that cannot be published: the process ends there, as if it were killed."""

    async def publish(self, release: Release, changes: Mapping[str, Any] | None = None) -> Release:
        raise Killed(release)


async def test_what_a_killed_import_has_written_is_taken_back_by_a_worker_that_is_rung(site: Site) -> None:
    job = await abandoned(site)
    live = await site.first.at()
    assert await reconcile(site.first.services.jobs, site.first.queue)
    await deliver_all(site.first.services)
    ended = await site.first.services.jobs.get(job.id)
    assert (ended.state, ended.reason) == (
        JobState.FAILED, "the import was interrupted, and nothing was changed; run it again",
    )  # fmt: skip
    assert {since for since, _ in (await site.first.everything()).values()} == {1, 2}
    assert 3 not in {until for _, until in (await site.first.everything()).values()}
    assert await site.first.at() == live


async def test_what_a_killed_import_has_written_is_taken_back_by_the_next_one(site: Site) -> None:
    job = await abandoned(site)
    restored = await site.first.import_(await site.first.export(), 1, wait=5)
    assert (await site.first.services.jobs.get(job.id)).state is JobState.FAILED
    assert restored.release == 3
    assert await site.first.at() == await site.first.at(1)


async def test_an_import_that_was_killed_after_publishing_has_succeeded(site: Site) -> None:
    archive = await site.first.export()
    store = KilledAfterPublishing(site.second.store._client, site.second.store._reads, site.second.store.alias)
    with pytest.raises(Killed):
        await replace(site.second, services=replace(site.second.services, store=store)).import_(archive)
    for key in await site.second.services.redis.keys("lectern:job:*:claim:*"):
        await site.second.services.redis.delete(key)
    (job,) = await site.second.services.jobs.unfinished()
    await deliver(site.second.services, PLAN_TASK, {"job": job.id}, "message")
    assert (await site.second.services.jobs.get(job.id)).state is JobState.SUCCEEDED
    assert await site.second.at() == await site.first.at()


class KilledAfterPublishing(CountingStore):
    async def point_alias(self, name: str) -> None:
        raise Killed(name)


async def test_an_import_that_is_stopped_is_undone_and_says_so(site: Site) -> None:
    gate = Gate(await site.first.export())
    reader = ArchiveReader(gate)
    importing = asyncio.create_task(site.second.import_from(reader))
    await gate.reached(site.second)
    importing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await importing
    gate.open.set()
    (job,) = await site.second.services.jobs.list()
    assert (job.state, job.reason) == (JobState.CANCELLED, "the import was stopped, and nothing was changed")
    assert await site.second.store.collections() == []


async def test_an_import_that_was_taken_for_dead_publishes_nothing(site: Site) -> None:
    gate = Gate(await site.first.export())
    reader = ArchiveReader(gate)
    importing = asyncio.create_task(site.second.import_from(reader))
    await gate.reached(site.second)
    await site.second.services.redis.flushall()  # its claim with it
    (job,) = await site.second.services.jobs.unfinished()
    await deliver(site.second.services, PLAN_TASK, {"job": job.id}, "message")
    gate.open.set()
    with pytest.raises(LeaseLost, match="run the import again"):
        await importing
    assert (await site.second.services.jobs.get(job.id)).state is JobState.FAILED
    assert await site.second.services.releases.live() is None
    assert await site.second.everything() == {}


async def test_a_claim_that_a_worker_has_stops_the_import_at_once(site: Site) -> None:
    gate = Gate(await site.first.export())
    reader = ArchiveReader(gate)
    importing = asyncio.create_task(site.second.import_from(reader))
    await gate.reached(site.second)
    (job,) = await site.second.services.jobs.unfinished()
    await site.second.services.redis.set(f"lectern:job:{job.id}:claim:{IMPORT}", "a worker")
    gate.open.set()
    with pytest.raises(LeaseLost):
        await importing
    assert (await site.second.services.jobs.get(job.id)).state is JobState.RUNNING


async def test_an_import_without_redis_is_refused_before_anything_is_written(site: Site, opened: OpenServices) -> None:
    archive = await site.first.export()
    async with opened(redis_url="redis://127.0.0.1:1/0", collection=site.second.store.alias) as services:
        with pytest.raises(DependencyDown, match="Redis"):
            await replace(site.second, services=services).import_(archive)
    assert await site.second.services.jobs.list() == []
