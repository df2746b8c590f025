"""The ingest that a starting API asks for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from unittest.mock import patch

from api import first_ingest
from api.first_ingest import ingest_on_start
from shared.errors import DependencyDown
from shared.jobs import Jobs
from shared.models import Job, JobState
from tests.by_hand import by_hand
from tests.conftest import OpenServices


async def test_all_content_is_asked_for_and_a_worker_is_rung(opened: OpenServices) -> None:
    async with opened() as real:
        services, queue, _ = by_hand(real)
        await ingest_on_start(services)
        [job] = await services.jobs.list()
        assert (job.content_path, job.state) == (".", JobState.QUEUED)
        assert [payload["job"] for _, payload in queue.messages] == [job.id]


async def test_an_unfinished_job_is_enough(opened: OpenServices) -> None:
    async with opened() as real:
        services, _, _ = by_hand(real)
        await services.jobs.create("guide", force=False)
        await ingest_on_start(services)
        assert [job.content_path for job in await services.jobs.list()] == ["guide"]


async def test_processes_that_start_together_ask_once(opened: OpenServices) -> None:
    async with opened() as real, opened() as other:
        await asyncio.gather(ingest_on_start(by_hand(real)[0]), ingest_on_start(by_hand(other)[0]))
        assert len(await real.jobs.list()) == 1


class LateJobs(Jobs):
    """Jobs whose store does not answer the first time."""

    answers = False

    async def next(self) -> Job | None:
        if not self.answers:
            self.answers = True
            raise DependencyDown("Qdrant does not answer")
        return await super().next()


async def test_stores_that_are_not_there_yet_are_waited_for(opened: OpenServices) -> None:
    async with opened() as real:
        services, _, _ = by_hand(real)
        late = LateJobs(services.jobs._records, services.redis)
        with patch.object(first_ingest, "RETRY_SECONDS", 0.01):
            async with asyncio.timeout(5):
                await ingest_on_start(replace(services, jobs=late))
        assert len(await services.jobs.list()) == 1
