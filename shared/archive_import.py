"""Builds a release from an archive, as an ingest builds one from the content: beside the live one, published at last.

It is a job like any other: its record says how it ended, and it waits for the jobs before it. The process that reads
the file does the work, under a claim. If that process dies, a worker is rung, finds the claim free, and takes back what
was written (`end_if_abandoned`): nobody but the dead process had the file.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from shared.archive_format import DAMAGED, ArchiveReader, PageGroup
from shared.changes import changes_of
from shared.chunk_collections import CollectionSpec
from shared.claims import Claim, holding
from shared.clock import now
from shared.diff import PageDiff, diff_page, remove_page
from shared.errors import BadArchive, DependencyDown, JobFailed, LeaseLost, LecternError
from shared.job_records import new_job_id
from shared.models import Job, JobState, Release, StoredChunk
from shared.points import ChunkPoint, text_hash_of
from shared.retention import undo_unpublished, vacuum
from shared.services import Services

#: The only piece of work that an import has.
IMPORT: Final = "import"
#: Between two looks at the job that an import waits for.
WAIT_SECONDS: Final = 1.0
#: A batch is full with this many pages or chunks: a request's worth, and some megabytes here.
BATCH_PAGES: Final = 50
BATCH_CHUNKS: Final = 100
STOPPED: Final = "the import was stopped, and nothing was changed"
INTERRUPTED: Final = "the import was interrupted, and nothing was changed; run it again"

T = TypeVar("T")
#: Told what a person may want to read.
Say = Callable[[str], None]
#: Told how many pages and chunks are done.
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What to import, and how long to wait for the jobs before it."""

    #: Name of the file, for people.
    name: str
    #: The file's release; None for the one that was live.
    release: int | None
    wait_seconds: float


@dataclass(frozen=True, slots=True)
class _Held:
    """A running import, and the claim that this process has on it."""

    job: Job
    claim: Claim


@dataclass(frozen=True, slots=True)
class _Build:
    """Where the release goes that an import builds."""

    source: Release
    head: Release | None
    collection: str

    @property
    def base(self) -> int:
        return self.head.number if self.head else 0

    @property
    def number(self) -> int:
        return self.base + 1


@dataclass(slots=True)
class _Tally:
    """What an import has done so far."""

    paths: set[str] = field(default_factory=set)
    chunks: int = 0
    pages_changed: int = 0
    chunks_written: int = 0
    chunks_closed: int = 0

    def add(self, diff: PageDiff) -> None:
        self.chunks += len(diff.new) + len(diff.kept)
        self.pages_changed += diff.page is not None or diff.closed_page is not None
        self.chunks_written += len(diff.new)
        self.chunks_closed += len(diff.closed_chunks)


async def import_archive(services: Services, reader: ArchiveReader, request: Request, say: Say, report: Report) -> Job:
    """Make a release of the archive the live one. Returns the job, which has succeeded.

    Raises BadArchive for a file that is not whole, JobFailed for what else keeps it from being published, LeaseLost if
    another process has taken the job over. Whatever was written by then is taken back.
    """
    source = reader.header.release(request.release)
    job_id = new_job_id()
    # Claimed before it is there, so that no worker finds it abandoned.
    claim = await services.jobs.claim(job_id, IMPORT, job_id)
    if claim is None:
        raise LeaseLost(f"{job_id} is held by another process")
    async with holding(services.jobs, claim):
        job = await services.jobs.create(request.name, force=False, kind="import", job_id=job_id)
        try:
            job = await _begin(services, job, request.wait_seconds, say)
            build = await _whole(_prepare(services, job, source, reader.header.collections[source.collection], say))
            held = _Held(job, claim)
            tally = await _write(services, held, reader, build, report)
            release = await _whole(_publish(services, held, build, tally))
            return await _whole(_finish(services, job, release, tally))
        except asyncio.CancelledError:
            with suppress(LeaseLost):
                await _give_up(services, _Held(job, claim), JobState.CANCELLED, STOPPED)
            raise
        except LecternError as error:
            await _give_up(services, _Held(job, claim), JobState.FAILED, error.message)
            raise
        except Exception:  # the job's edge: a bug must still end it
            await _give_up(services, _Held(job, claim), JobState.FAILED, "an internal error ended the import")
            raise


async def end_if_abandoned(services: Services, job: Job, owner: str, reason: str = INTERRUPTED) -> bool:
    """End an import whose process has died. False, with nothing done, while that process is at it."""
    claim = await services.jobs.claim(job.id, IMPORT, owner)
    if claim is None:
        return False
    async with holding(services.jobs, claim):
        current = await services.jobs.get(job.id)
        if not current.state.terminal:
            await _end(services, current, JobState.FAILED, reason)
    return True


async def _end(services: Services, job: Job, state: JobState, reason: str) -> None:
    """Take back what an import has written, unless its release is live already, and close its record."""
    head = await services.releases.head()
    if head is not None and head.job_id == job.id:
        await _finish(services, job, head, None)
        return
    if job.state is JobState.RUNNING:  # before, it waited for its turn: what is unpublished belongs to another job
        await undo_unpublished(services.store, services.releases)
    await services.jobs.finish(job, state, reason)


async def _give_up(services: Services, held: _Held, state: JobState, reason: str) -> None:
    """End the job, if it is still ours: raises LeaseLost if it is not, for then whatever went wrong came of that."""
    try:
        await _require_ours(services, held)
        await _end(services, held.job, state, reason)
    except DependencyDown:
        return  # a worker does it, as soon as the stores answer


async def _begin(services: Services, job: Job, seconds: float, say: Say) -> Job:
    """Wait until every older job has ended, because releases are numbered, and take the turn."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    waiting_for = ""
    while True:
        first = await services.jobs.next() or job
        if first.id == job.id:
            if begun := await _whole(services.jobs.begin(job)):
                return begun
        elif first.kind == "import":
            await end_if_abandoned(services, first, job.id)
        if loop.time() >= deadline:
            raise JobFailed(
                f"{first.id} has not ended after {seconds:.0f} seconds, and nothing was imported; wait for its end "
                "(`lectern status`), or for longer with --wait"
            )
        if first.id not in (job.id, waiting_for):
            waiting_for = first.id
            say(f"waiting for {first.id} to end")
        await asyncio.sleep(WAIT_SECONDS)


async def _prepare(services: Services, job: Job, source: Release, spec: CollectionSpec, say: Say) -> _Build:
    """Find out what is there, make the collection, and take back what a job that was not undone has left."""
    await services.schema.migrate()
    await services.jobs.start_plan(job.id)
    embedder = services.embedder
    if (embedder.model, embedder.window) != (spec.model, spec.window):
        say(
            f"the file's vectors are of {spec.model}, and questions are embedded with {embedder.model} here: until "
            "everything is ingested once, or EMBEDDING_MODEL is set, questions are searched for by their words alone"
        )
    head = await services.releases.head()
    await undo_unpublished(services.store, services.releases)
    return _Build(source, head, await services.store.ensure_collection(spec))


async def _write(services: Services, held: _Held, reader: ArchiveReader, build: _Build, report: Report) -> _Tally:
    """Write what is new and end what is gone, for every page of the file and every page that the file has not."""
    tally = _Tally()
    await services.jobs.stage(held.job.id, "indexing")
    batches = _batches(_pages_at(reader, build.source))
    while batch := await read_aside(lambda: next(batches, None)):
        await _require_ours(services, held)
        await _whole(_write_batch(services, build, batch, tally))
        await services.jobs.report(held.job.id, build.source.documents, len(tally.paths), tally.chunks)
        report(len(tally.paths), tally.chunks)
    async for pages in services.store.page_batches(build.collection, build.base, build.base):
        await _require_ours(services, held)
        gone = {page.page.path: page for page in pages if page.page.path not in tally.paths}
        chunks = await services.store.chunks_of(build.collection, build.base, list(gone))
        diffs = [
            remove_page(page, [chunk for chunk in chunks if chunk.chunk.path == path]) for path, page in gone.items()
        ]
        await _whole(_apply(services, build, diffs, {}, tally))
    return tally


async def read_aside(read: Callable[[], T]) -> T:
    """The result of a read that may take its time, as one from a pipe does, while claims are renewed.

    Not in the loop's own threads: those would have to end before the process can, and a pipe may stay silent for ever.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(settle_: Callable[[Any], None], value: object) -> None:
        if not result.done():
            settle_(value)

    def work() -> None:
        try:
            answer: tuple[Callable[[Any], None], object] = (result.set_result, read())
        except Exception as error:  # noqa: BLE001 -- whatever it is, the one who waits gets it
            answer = (result.set_exception, error)
        with suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(settle, *answer)

    threading.Thread(target=work, daemon=True).start()
    return await result


async def _whole(step: Coroutine[Any, Any, T]) -> T:
    """The step, to its end even if the import is stopped meanwhile: a request that is let go of is done all the same,
    and perhaps after what was written has been taken back."""
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def _require_ours(services: Services, held: _Held) -> None:
    """Raise LeaseLost once a worker has taken the job over, or has even ended it and let the claim go."""
    await services.jobs.renew(held.claim)
    if (await services.jobs.get(held.job.id)).state.terminal:
        raise LeaseLost(f"{held.job.id} was ended by a worker, which took this process for dead; run the import again")


async def _write_batch(services: Services, build: _Build, batch: Sequence[PageGroup], tally: _Tally) -> None:
    paths = [group.pages[0].page.path for group in batch]
    store = services.store
    old_pages = await store.pages_of(build.collection, build.base, paths)
    old_chunks: dict[str, list[StoredChunk]] = {path: [] for path in paths}
    for chunk in await store.chunks_of(build.collection, build.base, list(old_pages)):
        old_chunks[chunk.chunk.path].append(chunk)
    diffs = [
        diff_page(
            group.pages[0].page, [point.stored.chunk for point in group.chunks], old_pages.get(path), old_chunks[path],
            build.number,
        )
        for path, group in zip(paths, batch, strict=True)
    ]  # fmt: skip
    # A text's vectors depend on nothing but the text.
    by_text = {text_hash_of(point.stored.chunk): point for group in batch for point in group.chunks}
    await _apply(services, build, diffs, by_text, tally)
    tally.paths.update(paths)


async def _apply(
    services: Services, build: _Build, diffs: Sequence[PageDiff], by_text: dict[str, ChunkPoint], tally: _Tally
) -> None:
    points = [replace(by_text[chunk.text_hash], stored=chunk) for diff in diffs for chunk in diff.new]
    closed = [id_ for diff in diffs for id_ in diff.closed_chunks]
    closed += [diff.closed_page for diff in diffs if diff.closed_page]
    await services.store.write(build.collection, points, [diff.page for diff in diffs if diff.page])
    await services.store.close(build.collection, closed, build.number)
    for diff in diffs:
        tally.add(diff)


async def _publish(services: Services, held: _Held, build: _Build, tally: _Tally) -> Release | None:
    """Make the release live, or return None if it is what is live already."""
    head = await services.releases.head()
    if head != build.head:
        raise JobFailed("another release was published meanwhile, and nothing was imported; run the import again")
    live = await services.releases.live()
    if head is not None and head.collection == build.collection and not tally.pages_changed:
        return None if live and live.number == head.number else await services.releases.publish(head)
    store, source = services.store, build.source
    documents = await store.count(build.collection, "page", build.number)
    chunks = await store.count(build.collection, "chunk", build.number)
    if (documents, chunks) != (source.documents, source.chunks):
        raise JobFailed(
            f"the index holds {documents} pages and {chunks} passages where the file has {source.documents} and "
            f"{source.chunks}; nothing was published. Run the import again"
        )
    release = Release(build.number, build.collection, documents, chunks, held.job.id, now())
    changes = await changes_of(store, release, live)
    await _require_ours(services, held)
    return await services.releases.publish(release, changes.record())


async def _finish(services: Services, job: Job, release: Release | None, tally: _Tally | None) -> Job:
    """Close the books on an import whose release is live, or that was live before. Safe to repeat."""
    live = release or await services.releases.live()
    totals = {"documents": live.documents, "chunks": live.chunks, "pages_found": live.documents} if live else {}
    if tally is not None:
        totals |= {"pages_changed": tally.pages_changed, "chunks_written": tally.chunks_written}
    reason = f"release {release.number} is live, from {job.content_path}" if release else "nothing has changed"
    number = release.number if release else None
    if release is not None:
        await services.store.point_alias(release.collection)
        # Before the job's end, after which the next one may build in a collection that would be dropped.
        await vacuum(services.store, services.releases, release, services.settings.keep_releases)
    return await services.jobs.finish(job, JobState.SUCCEEDED, reason, release=number, totals=totals)


def _pages_at(reader: ArchiveReader, release: Release) -> Iterator[PageGroup]:
    """The pages that a reader of the release sees, each with its own passages in reading order."""
    for group in reader.groups():
        if group.collection != release.collection:
            continue
        pages = [page for page in group.pages if page.since <= release.number < page.until]
        if not pages:
            continue
        points = {point.stored.id: point for point in group.chunks}
        if len(pages) > 1 or not points.keys() >= set(pages[0].chunk_ids):
            raise BadArchive(DAMAGED)
        yield PageGroup(group.collection, tuple(pages), tuple(points[id_] for id_ in pages[0].chunk_ids))


def _batches(groups: Iterator[PageGroup]) -> Iterator[list[PageGroup]]:
    batch: list[PageGroup] = []
    chunks = 0
    for group in groups:
        batch.append(group)
        chunks += len(group.chunks)
        if len(batch) == BATCH_PAGES or chunks >= BATCH_CHUNKS:
            yield batch
            batch, chunks = [], 0
    if batch:
        yield batch
