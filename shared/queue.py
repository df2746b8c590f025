"""How processes talk: a task's name and its payload. The only module of `shared` that knows Celery.

The queue is a doorbell, not the truth: a message may be lost, delivered twice or arrive late. What a job is and how
far it has come stands in `shared.jobs`; `shared.reconcile` rings again when nobody answered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import kombu
import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from shared.redis_address import RedisAddress, broker_tls, broker_url
from shared.redis_clients import blocking_sentinel_options
from shared.settings import Settings

log = structlog.get_logger(__name__)

QUEUE: Final = "ingest"
#: Taken before all others: what a worker was killed at, and what an owner has asked for.
FIRST_QUEUE: Final = "ingest.first"
QUEUES: Final = (FIRST_QUEUE, QUEUE)
KEY_PREFIX: Final = "lectern:"
#: Names as Flower shows them.
PLAN_TASK: Final = "ingest.plan"
SHARD_TASK: Final = "ingest.shard"
PUBLISH_TASK: Final = "ingest.publish"

#: A shard is seconds of work; ten minutes is for a provider that makes every request wait for its rate limit.
TASK_SECONDS: Final = 600
#: Twice a task's limit, else a task that still runs is delivered again, beside itself, for ever.
VISIBILITY_SECONDS: Final = 2 * TASK_SECONDS + 60
#: The header with a message's time, in seconds since the epoch: Celery's own messages do not have it.
SENT_AT: Final = "sent_at"
#: Paths that a task's arguments show to whoever watches Flower; the full list stands in the job's plan.
SHOWN_PAGES: Final = 5
#: The end of a path that is shown. With five of them the arguments are whole: Celery cuts what it shows at 1024.
SHOWN_CHARACTERS: Final = 100


def make_celery(settings: Settings) -> Celery:
    """The Celery application, configured alike for who sends and who works."""
    address = settings.redis_address
    app = Celery("lectern", broker=broker_url(address))
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_default_queue=QUEUE,
        task_queues=[kombu.Queue(name, routing_key=name) for name in QUEUES],
        # Results and progress stand in shared.jobs; a result backend would only add ways to block.
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        # A message that is held in advance would be done before one that is put first.
        worker_disable_prefetch=True,
        # The task's own time-out (worker/tasks.py) ends it in order; this one is for a process that hangs.
        task_time_limit=TASK_SECONDS + 30,
        task_publish_retry=False,
        broker_transport_options=_transport_options(address),
        broker_use_ssl=broker_tls(address),
        visibility_timeout=VISIBILITY_SECONDS,
        broker_connection_retry_on_startup=True,
        worker_concurrency=settings.worker_concurrency,
        # SIGTERM (as SIGQUIT, see REMAP_SIGTERM) lets a task finish for this long, then puts it back.
        worker_soft_shutdown_timeout=4,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_hijack_root_logger=False,
        worker_send_task_events=True,
        task_send_sent_event=True,
        task_track_started=True,
    )
    return app


def _transport_options(address: RedisAddress) -> dict[str, Any]:
    timeouts = {"socket_timeout": 5, "socket_connect_timeout": 2}
    options = {
        "visibility_timeout": VISIBILITY_SECONDS,
        "global_keyprefix": KEY_PREFIX,
        # As they stand in `task_queues`, not in turns.
        "queue_order_strategy": "priority",
        # Unacknowledged messages are looked at every five seconds (the default is every hundred).
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        **timeouts,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }
    if address.primary is None:
        return options
    sentinels = blocking_sentinel_options(address, **timeouts)
    return {**options, "master_name": address.primary, "sentinel_kwargs": sentinels}


class Queue:
    """Rings workers. Sending never blocks the event loop and never raises: a lost message is rung again."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery

    # What is beside `job` and `shard` is for the eyes of an admin: the job's record and its plan hold what to do.

    async def plan(self, job: str, source: str | None = None, *, first: bool = False) -> bool:
        """Ask a worker to plan a job of the content path `source`. False if the queue did not take it."""
        return await self._send(PLAN_TASK, {"job": job, **_shown_source(source)}, first=first)

    async def shard(
        self, job: str, shard: str, pages: Sequence[str], source: str | None = None, *, first: bool = False
    ) -> bool:
        """Ask a worker to index one shard. Of `pages`, the first few are shown and all are counted."""
        shown = [_shown_path(path) for path in pages[:SHOWN_PAGES]]
        payload = {"job": job, **_shown_source(source), "shard": shard, "pages": shown, "pages_total": len(pages)}
        return await self._send(SHARD_TASK, payload, first=first)

    async def publish(self, job: str, source: str | None = None) -> bool:
        """Ask a worker to publish a job whose shards are all done."""
        return await self._send(PUBLISH_TASK, {"job": job, **_shown_source(source)})

    async def _send(self, task: str, payload: dict[str, Any], *, first: bool = False) -> bool:
        """Send a message; `first`, ahead of those that wait."""
        message: dict[str, Any] = {
            "kwargs": payload, "queue": FIRST_QUEUE if first else QUEUE, "headers": {SENT_AT: time.time()},
            "ignore_result": True, "retry": False,
        }  # fmt: skip
        try:
            # In a thread: kombu is synchronous, and with Redis gone it waits for seconds.
            await asyncio.to_thread(self._celery.send_task, task, **message)
        except (OperationalError, OSError) as error:
            log.warning("queue.unreachable", task=task, job=payload["job"], error=type(error).__name__)
            return False
        return True

    def close(self) -> None:
        self._celery.close()


def _shown_source(source: str | None) -> dict[str, str]:
    return {} if source is None else {"source": _shown_path(source)}


def _shown_path(path: str) -> str:
    """The end of a long path, which tells more than its beginning."""
    return path if len(path) <= SHOWN_CHARACTERS else f"…{path[1 - SHOWN_CHARACTERS :]}"
