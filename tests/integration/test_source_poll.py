"""Docs that are fetched from elsewhere are looked after without anyone calling."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from api.source_poll import CLOCK, poll_source
from shared.errors import DependencyDown
from shared.jobs import Jobs
from shared.services import Services
from shared.tasks import cancelled
from shared.turns import Asked
from tests.conftest import OpenServices

SECOND = 1 / 60


async def polled(services: Services, seconds: float, processes: int = 1) -> int:
    """How many jobs there are after so many processes have polled for a while."""
    tasks = [asyncio.create_task(poll_source(services, SECOND, 0.05)) for _ in range(processes)]
    await asyncio.sleep(seconds)
    await cancelled(*tasks)
    return len(await services.jobs.list())


async def test_an_ingest_is_asked_for_once_the_time_has_passed(opened: OpenServices) -> None:
    async with opened(source_git_url="https://git.example.org/docs") as services:
        assert await polled(services, 0.5) == 0, "a start is no reason"
        assert await polled(services, 1.4, processes=3) == 1


class NotYet(Jobs):
    """The real jobs, which cannot be asked for at first."""

    def __init__(self, jobs: Jobs, *errors: Exception) -> None:
        self.__dict__.update(jobs.__dict__)
        self.errors = list(errors)

    async def ask(self, *arguments: Any, **named: Any) -> Asked:
        if self.errors:
            raise self.errors.pop(0)
        return await super().ask(*arguments, **named)


async def test_an_ingest_that_could_not_be_asked_for_is_asked_for_at_the_next_look(opened: OpenServices) -> None:
    async with opened(source_git_url="https://git.example.org/docs") as services:
        jobs = NotYet(services.jobs, DependencyDown("Qdrant does not answer"), RuntimeError("nobody has foreseen this"))
        polling = asyncio.create_task(poll_source(replace(services, jobs=jobs), 4 * SECOND, 0.05))
        async with asyncio.timeout(7.5):  # due after four seconds, and then not before eight
            while not await services.jobs.list():
                await asyncio.sleep(0.05)
        await cancelled(polling)


async def test_an_ingest_that_waits_already_is_enough(opened: OpenServices) -> None:
    async with opened(source_git_url="https://git.example.org/docs") as services:
        assert await polled(services, 3.3) == 1
        assert await services.redis.exists(CLOCK)
