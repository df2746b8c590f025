"""Data of an older schema goes on working and is brought up to date; data of a newer one is refused."""

from __future__ import annotations

import asyncio
import io
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid5

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient
from qdrant_client import models as q

from shared.archive_export import export_archive
from shared.archive_format import ArchiveReader
from shared.archive_import import Request, import_archive
from shared.bm25 import Bm25Encoder
from shared.chunk_collections import CollectionSpec
from shared.clock import now
from shared.errors import SchemaTooNew
from shared.models import FOREVER, Chunk, JobState
from shared.points import NAMESPACE, chunk_id, digest_of, page_id, text_hash_of
from shared.queue import PLAN_TASK
from shared.schema import MIGRATIONS, SCHEMA
from shared.services import Services, open_services
from shared.settings import Settings
from tests.by_hand import by_hand, deliver_all, ingest, pages_at
from tests.conftest import OpenServices
from tests.http_api import serving
from tests.stand_in.control import Provider
from worker.ingestion.pipeline import plan_job

SPEC = CollectionSpec("old-model", 3, None)
CHUNK = Chunk("old.md", "Old", "https://s.example/old", None, ("Old",), "Data from long ago.", "prose", 4)


@dataclass(frozen=True, slots=True)
class OldData:
    """What a Lectern of schema 1 has left behind: release 1 with a page, and a job that waits."""

    client: AsyncQdrantClient
    alias: str
    chunks: str
    records: str
    job: str = "job_1700000000_0badcafe"

    async def schemas(self) -> dict[str, Any]:
        found = {}
        for name in (self.chunks, self.records):
            found[name] = ((await self.client.get_collection(name)).config.metadata or {}).get("schema")
        return found

    async def record_indexes(self) -> set[str]:
        return set((await self.client.get_collection(self.records)).payload_schema)

    async def mark(self, schema: int) -> None:
        for name in (self.chunks, self.records):
            await self.client.update_collection(name, metadata={"schema": schema})


def nobody_is_told(_pages: int, _chunks: int) -> None:
    """For progress."""


def id_of(kind: str, key: str) -> str:
    return str(uuid5(NAMESPACE, f"{kind}\0{key}"))


async def write_schema_1(client: AsyncQdrantClient, alias: str) -> OldData:
    """With the requests that were sent then, so that no later code decides what old data is."""
    data = OldData(client, alias, f"{alias}__old-model-3", f"{alias}__records")
    await client.create_collection(
        data.chunks,
        vectors_config={"dense": q.VectorParams(size=3, distance=q.Distance.COSINE)},
        sparse_vectors_config={"bm25": q.SparseVectorParams(modifier=q.Modifier.IDF)},
        metadata={"model": "old-model", "dimensions": 3, "window": None},
    )
    for field in ("record", "path", "text_hash"):
        await client.create_payload_index(data.chunks, field, field_schema=q.PayloadSchemaType.KEYWORD)
    for field in ("since", "until"):
        await client.create_payload_index(data.chunks, field, field_schema=q.PayloadSchemaType.INTEGER)
    span = {"since": 1, "until": FOREVER}
    digest = digest_of(CHUNK)
    chunk = {
        "record": "chunk", **asdict(CHUNK), "trail": ["Old"], "parts": [], "digest": digest,
        "text_hash": text_hash_of(CHUNK), **span,
    }  # fmt: skip
    id_ = chunk_id("old.md", digest, 0, 1)
    page = {
        "record": "page", "path": "old.md", "title": "Old", "url": "https://s.example/old", "revision": "r",
        "chunk_ids": [id_], **span,
    }  # fmt: skip
    words = Bm25Encoder().encode_document(CHUNK.embedded_text)
    vector: Any = {"dense": [1.0, 0.0, 0.0], "bm25": q.SparseVector(indices=words.indices, values=words.values)}
    points = [q.PointStruct(id=id_, vector=vector, payload=chunk)]
    points.append(q.PointStruct(id=page_id("old.md", 1), vector={}, payload=page))
    await client.upsert(data.chunks, points=points)
    await client.create_collection(
        data.records, vectors_config={}, sparse_vectors_config={"none": q.SparseVectorParams()}
    )
    await client.create_payload_index(data.records, "record", q.PayloadSchemaType.KEYWORD)
    release = {
        "number": 1, "collection": data.chunks, "documents": 1, "chunks": 1, "job_id": "job_first",
        "created_at": now(),
    }  # fmt: skip
    job = {
        "id": data.job, "state": "queued", "content_path": ".", "force": False, "created_at": now(),
        "started_at": None, "finished_at": None, "release": None, "reason": None, "attempts": 0, "faults": [],
        "totals": {},
    }  # fmt: skip
    done = {**job, "id": "job_first", "state": "succeeded", "release": 1}
    records = [("release", "1", release), ("live", "live", release), ("job", data.job, job), ("job", "job_first", done)]
    points = [
        q.PointStruct(id=id_of(kind, key), vector={}, payload={**payload, "record": kind, "key": key})
        for kind, key, payload in records
    ]
    await client.upsert(data.records, points=points)
    return data


@pytest.fixture
async def old(opened: OpenServices) -> AsyncIterator[OldData]:
    async with opened() as services:
        yield await write_schema_1(services.store._client, services.store.alias)


@pytest.fixture
async def services(old: OldData, opened: OpenServices, provider: Provider, tmp_path: Path) -> AsyncIterator[Services]:
    """A process of this version that has seen nothing of the data yet."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "new.md").write_text("# New\n\nA page of today.\n", encoding="utf-8")
    async with opened(openai_base_url=provider.base_url, openai_embedding_model="stand-in") as services:
        yield by_hand(services)[0]


def test_the_migrations_are_numbered_in_order() -> None:
    assert [migration.schema for migration in MIGRATIONS] == list(range(2, SCHEMA + 1))


async def test_a_visitor_is_answered_from_old_data_before_it_is_migrated(services: Services, old: OldData) -> None:
    release = await services.releases.live()
    assert release is not None
    words = services.bm25.encode_query("long ago")
    found = await services.store.search(release.collection, release.number, [1.0, 0.0, 0.0], words, 5)
    assert [passage.chunk.chunk for passage in found] == [CHUNK]
    assert await old.schemas() == {old.chunks: None, old.records: None}


async def test_old_data_is_migrated_and_marked_at_its_first_use(services: Services, old: OldData) -> None:
    job = await services.jobs.next()
    assert job is not None
    assert (job.id, job.kind, job.state) == (old.job, "ingest", JobState.QUEUED)
    assert await old.schemas() == {old.chunks: SCHEMA, old.records: SCHEMA}
    assert await old.record_indexes() == {"record", "state"}
    assert [each.id for each in await services.jobs.unfinished()] == [old.job]
    assert await services.store.spec_of(old.chunks) == SPEC


async def test_an_ingest_goes_on_from_old_data(services: Services, old: OldData) -> None:
    await services.queue.plan(old.job)
    await deliver_all(services)
    job = await services.jobs.get(old.job)
    assert (job.state, job.release) == (JobState.SUCCEEDED, 2)
    assert await pages_at(services.store, old.chunks, 1)  # release 1 is kept as it was
    release = await services.releases.live()
    assert release is not None
    assert set(await pages_at(services.store, release.collection, 2)) == {"new.md"}


async def test_a_worker_migrates_what_was_put_under_it_while_it_ran(services: Services, old: OldData) -> None:
    """As a snapshot does that is restored beside running processes."""
    await ingest(services)
    for name in (old.chunks, old.records):
        await old.client.update_collection(name, metadata={"schema": None})
    await old.client.delete_payload_index(old.records, "state")
    await ingest(services)
    assert await old.schemas() == {old.chunks: SCHEMA, old.records: SCHEMA}
    assert await old.record_indexes() == {"record", "state"}


async def test_several_processes_may_migrate_at_once(old: OldData, opened: OpenServices) -> None:
    async with opened() as one, opened() as two, opened() as three:
        jobs = await asyncio.gather(*(each.jobs.next() for each in (one, two, three)))
    assert [job and job.id for job in jobs] == [old.job] * 3
    assert await old.schemas() == {old.chunks: SCHEMA, old.records: SCHEMA}


async def test_a_migration_that_was_killed_before_its_mark_is_done_again(services: Services, old: OldData) -> None:
    await old.client.create_payload_index(old.records, "state", field_schema=q.PayloadSchemaType.KEYWORD)
    await old.client.update_collection(old.chunks, metadata={"schema": SCHEMA})
    await services.schema.migrate()
    assert await old.schemas() == {old.chunks: SCHEMA, old.records: SCHEMA}


async def test_data_that_is_up_to_date_is_not_written(services: Services, old: OldData) -> None:
    await services.schema.migrate()
    await old.client.delete_payload_index(old.records, "state")
    await services.schema.migrate()
    assert await old.record_indexes() == {"record"}


async def test_new_data_is_of_this_schema_from_the_start(opened: OpenServices) -> None:
    async with opened() as services:
        await services.jobs.create(".", force=False)
        name = await services.store.ensure_collection(SPEC)
        for each in (f"{services.store.alias}__records", name):
            assert ((await services.store._client.get_collection(each)).config.metadata or {})["schema"] == SCHEMA
        assert await services.store.spec_of(name) == SPEC
        assert await services.store.collections() == [name]


async def test_the_data_of_another_lectern_with_a_longer_name_is_left_alone(services: Services, old: OldData) -> None:
    neighbour = await write_schema_1(old.client, f"{old.alias}__b")
    await neighbour.mark(SCHEMA + 1)
    await services.jobs.next()
    assert await neighbour.schemas() == {neighbour.chunks: SCHEMA + 1, neighbour.records: SCHEMA + 1}
    assert await old.schemas() == {old.chunks: SCHEMA, old.records: SCHEMA}


async def test_old_data_is_exported_as_it_is_and_imported(services: Services, old: OldData) -> None:
    stream = io.BytesIO()
    await export_archive(services, stream, None, nobody_is_told)
    assert set((await old.schemas()).values()) <= {SCHEMA, None}
    (job,) = await services.jobs.unfinished()
    await services.jobs.finish(job, JobState.CANCELLED, "for the test")
    reader = ArchiveReader(io.BytesIO(stream.getvalue()))
    assert (
        await import_archive(services, reader, Request("f", None, 0), print, nobody_is_told)
    ).reason == "nothing has changed"


# Newer data


USES: dict[str, Callable[[Services, str], Any]] = {
    "a question": lambda services, _: services.releases.live(),
    "a new job": lambda services, _: services.jobs.create(".", force=False),
    "the reconciler": lambda services, _: services.jobs.next(),
    "a worker's plan": lambda services, job: plan_job(services, job, "message"),
    "an export": lambda services, _: export_archive(services, io.BytesIO(), None, nobody_is_told),
}


@pytest.mark.parametrize("use", USES)
async def test_newer_data_is_refused_by_name(services: Services, old: OldData, use: str) -> None:
    await old.mark(SCHEMA + 1)
    with pytest.raises(SchemaTooNew, match=f"is of schema {SCHEMA + 1}, and this version of Lectern knows schemas up"):
        await USES[use](services, old.job)
    assert await old.record_indexes() == {"record"}
    assert await old.schemas() == {old.chunks: SCHEMA + 1, old.records: SCHEMA + 1}


async def test_an_import_into_newer_data_writes_nothing(services: Services, old: OldData) -> None:
    stream = io.BytesIO()
    await export_archive(services, stream, None, nobody_is_told)
    await old.mark(SCHEMA + 1)
    reader = ArchiveReader(io.BytesIO(stream.getvalue()))
    before = (await old.client.count(old.records)).count
    async with open_services(services.settings) as fresh:
        with pytest.raises(SchemaTooNew):
            await import_archive(fresh, reader, Request("f", None, 0), print, nobody_is_told)
    assert (await old.client.count(old.records)).count == before


def test_newer_data_makes_an_api_not_ready_and_is_named(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    with closing(qdrant_of(settings)) as client:
        client.create_collection(
            f"{settings.collection}__records",
            vectors_config={},
            sparse_vectors_config={"none": q.SparseVectorParams()},
            metadata={"schema": SCHEMA + 1},
        )
    with serving(settings) as api:
        ready, search, health = api.get("/readyz"), api.get("/search", params={"q": "Anything?"}), api.get("/health")
    assert (ready.status_code, ready.json()["status"]) == (503, "not_ready")
    assert f"is of schema {SCHEMA + 1}" in ready.json()["reason"]
    assert search.status_code == 503
    assert f"is of schema {SCHEMA + 1}" in search.text
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")


def qdrant_of(settings: Settings) -> QdrantClient:
    assert settings.qdrant_api_key is not None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
        return QdrantClient(
            url=settings.qdrant_url, api_key=settings.qdrant_api_key.get_secret_value(), check_compatibility=False
        )


async def test_a_process_that_runs_goes_on_reading_while_a_newer_one_takes_over(
    services: Services, old: OldData
) -> None:
    assert await services.releases.live() is not None
    await old.mark(SCHEMA + 1)
    assert await services.releases.live() is not None
    with pytest.raises(SchemaTooNew):  # but it builds nothing more
        await plan_job(services, old.job, "message")
    assert (await services.jobs.get(old.job)).state is JobState.QUEUED


async def test_a_job_that_an_old_worker_left_is_done_by_a_newer_one(services: Services, old: OldData) -> None:
    await old.mark(SCHEMA + 1)
    with pytest.raises(SchemaTooNew):
        await plan_job(services, old.job, "message")
    await old.mark(SCHEMA)  # stands for the newer worker, which knows it
    await services.queue._send(PLAN_TASK, {"job": old.job})
    await deliver_all(services)
    assert (await services.jobs.get(old.job)).state is JobState.SUCCEEDED
