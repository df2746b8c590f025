"""Runs the ingestion pipeline in this process, message by message, on real stores: no Celery, no waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from celery import Celery

from shared.errors import LecternError, MustWait
from shared.models import Job, StoredPage
from shared.points import ChunkPoint
from shared.queue import PLAN_TASK, PUBLISH_TASK, SHARD_TASK, Queue
from shared.services import Services
from shared.vector_store import VectorStore
from worker.ingestion.pipeline import fail_job, index_shard, plan_job, publish_job


class HandQueue(Queue):
    """Keeps messages for the test to deliver: in order, twice, or not at all."""

    def __init__(self) -> None:
        super().__init__(Celery())
        self.messages: deque[tuple[str, dict[str, Any]]] = deque()

    async def _send(self, task: str, payload: dict[str, Any], *, first: bool = False) -> bool:
        self.messages.append((task, payload))
        return True


class CountingStore(VectorStore):
    """The real store, counting what is written through it."""

    writes = 0

    async def write(self, collection: str, chunks: Sequence[ChunkPoint], pages: Sequence[StoredPage]) -> None:
        self.writes += len(chunks) + len(pages)
        await super().write(collection, chunks, pages)

    async def delete(self, collection: str, ids: Sequence[str]) -> None:
        self.writes += len(ids)
        await super().delete(collection, ids)

    async def undo(self, collection: str, release: int) -> None:
        self.writes += 1
        await super().undo(collection, release)

    async def vacuum(self, collection: str, kept: Sequence[int]) -> None:
        self.writes += 1
        await super().vacuum(collection, kept)

    async def _set_until(self, collection: str, ids: Sequence[str], until: int) -> None:
        self.writes += len(ids)
        await super()._set_until(collection, ids, until)


def by_hand(services: Services) -> tuple[Services, HandQueue, CountingStore]:
    """The same services with a queue that the test delivers and a store that counts."""
    queue, store = HandQueue(), CountingStore(services.store._client, services.store._reads, services.store.alias)
    return replace(services, queue=queue, store=store), queue, store


async def deliver(services: Services, task: str, payload: dict[str, Any], message: str) -> None:
    """Do what a worker does with one message, its error policy included."""
    job = payload["job"]
    try:
        if task == PLAN_TASK:
            await plan_job(services, job, message)
        elif task == SHARD_TASK:
            await index_shard(services, job, payload["shard"], message)
        elif task == PUBLISH_TASK:
            await publish_job(services, job, message)
    except MustWait as error:
        await services.jobs.put_off(job, error.until, error.message)
    except LecternError as error:
        await fail_job(services, job, error.message)


async def ingest(services: Services, content_path: str = ".", *, force: bool = False) -> Job:
    """Run one job to its end. `services` come from `by_hand`."""
    job = await services.jobs.create(content_path, force=force)
    await services.queue.plan(job.id)
    await deliver_all(services)
    return await services.jobs.get(job.id)


async def deliver_all(services: Services) -> None:
    queue = services.queue
    assert isinstance(queue, HandQueue)
    number = 0
    while queue.messages:
        task, payload = queue.messages.popleft()
        number += 1
        await deliver(services, task, payload, f"message-{number}")


async def pages_at(store: VectorStore, collection: str, release: int) -> dict[str, StoredPage]:
    """Every page of a release by its path."""
    paths = [page.path async for page in store.page_facts(collection, release)]
    return await store.pages_of(collection, release, paths)
