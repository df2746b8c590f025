"""Asks for an ingest when the API starts, where the owner wants that: a container has nobody to type the command."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from redis.exceptions import RedisError

from api.routes.ingest import ask
from shared.errors import DependencyDown
from shared.services import Services

log = structlog.get_logger(__name__)

#: The stores start at the same time, and are there within seconds.
RETRY_SECONDS: Final = 2
#: API processes that start together ask for one ingest.
TOGETHER_SECONDS: Final = 10


async def ingest_on_start(services: Services) -> None:
    """Create a job for all of the content, unless one is unfinished already. Waits for the stores."""
    is_ours = False
    while True:
        try:
            is_ours = is_ours or await is_first(services)
            if is_ours and await services.jobs.next() is None:
                asked = await ask(services, ".", force=False)
                log.info("ingest.on_start", job=asked.job.id)
                await services.queue.plan(asked.job.id, asked.job.content_path)
            return  # noqa: TRY300 -- the loop is for the stores that do not answer yet
        except DependencyDown as error:
            log.warning("ingest.on_start_waiting", reason=error.message)
        await asyncio.sleep(RETRY_SECONDS)


async def is_first(services: Services) -> bool:
    """Whether no other API process has asked just before. Without Redis to tell, it is taken for the first."""
    try:
        return bool(await services.redis.set("lectern:ingest-on-start", "1", nx=True, ex=TOGETHER_SECONDS))
    except (RedisError, OSError):
        return True
