"""Asks for an ingest every so often, where the docs are fetched from a place that cannot call: a built site, say."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from redis.exceptions import RedisError

from api.routes.ingest import ask
from shared.errors import DependencyDown
from shared.services import Services

log = structlog.get_logger(__name__)

#: Between two looks at the clock that all API processes share.
LOOK_SECONDS: Final = 15.0
CLOCK: Final = "lectern:source-poll"


async def poll_source(services: Services, minutes: float, look_seconds: float = LOOK_SECONDS) -> None:
    """Ask for an ingest of everything whenever so many minutes have passed, once for all API processes together.

    Never returns. Without Redis nobody knows who has asked, and nobody asks. Who cannot ask tries again a look later.
    """
    seconds = round(60 * minutes)
    is_first_look, is_owed = True, False
    while True:
        try:
            is_due = bool(await services.redis.set(CLOCK, "1", nx=True, ex=seconds))
            # The clock of a system that has just been started begins to run; it is not due.
            is_owed = is_owed or (is_due and not is_first_look)
            is_first_look = False
            if is_owed:
                await _ask(services)
                is_owed = False
        except (DependencyDown, RedisError, OSError) as error:
            log.warning("source.not_polled", reason=str(error))
        except Exception:  # the task's edge: whatever it was, the next look may go better
            log.exception("source.poll_crashed")
        await asyncio.sleep(look_seconds)


async def _ask(services: Services) -> None:
    asked = await ask(services, ".", force=False)
    log.info("source.polled", job=asked.job.id, joined=asked.joined)
    if not asked.joined:
        await services.queue.plan(asked.job.id, asked.job.content_path)
