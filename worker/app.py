"""The worker process: `celery -A worker.app worker`. Configures, imports the tasks, keeps a heartbeat."""

from __future__ import annotations

import sys
import threading
from typing import Any
from uuid import uuid4

import redis
import structlog
from celery.signals import setup_logging, worker_process_shutdown, worker_ready, worker_shutting_down

from shared.deaths import LEAVING_SECONDS, leaving_key
from shared.embeddings import preload
from shared.errors import ConfigurationError
from shared.logging import configure_logging
from shared.queue import make_celery
from shared.redis_clients import blocking_redis
from shared.settings import Settings, load_settings
from worker import tasks
from worker.ingestion.formats import require_libraries

log = structlog.get_logger(__name__)

#: How often a worker says that it is there, and for how long that is believed.
HEARTBEAT_SECONDS = 5
HEARTBEAT_BELIEVED = 15

#: As the API leaves with when a setting is wrong.
BAD_CONFIGURATION = 2


def _settings() -> Settings:
    """As the environment has them. A wrong one ends the process with one line for each."""
    try:
        settings = load_settings()
        if settings.content_formats or settings.source_sitemap_url:
            require_libraries()
    except ConfigurationError as error:
        sys.stderr.write(f"{error.message}\n")
        sys.exit(BAD_CONFIGURATION)
    return settings


settings = _settings()
if settings.embedding_provider != "local":
    preload()
#: Tells this start of the worker from every other, also from the next one of the same name.
boot = uuid4().hex
app = make_celery(settings)
tasks.register(app, settings, boot)
_stopping = threading.Event()


@setup_logging.connect
def _logging(**_: Any) -> None:
    configure_logging(settings)


@worker_ready.connect
def _ready(sender: Any, **_: Any) -> None:
    threading.Thread(target=_beat, args=(sender.hostname,), daemon=True, name="heartbeat").start()


@worker_shutting_down.connect
def _stop(**_: Any) -> None:
    _stopping.set()


@worker_process_shutdown.connect
def _close(**_: Any) -> None:
    tasks.close()


def _beat(hostname: str) -> None:
    """Say in Redis that this worker takes work, until it stops."""
    client = blocking_redis(settings.redis_address, socket_timeout=2, socket_connect_timeout=2)
    key = f"lectern:worker:{hostname}"
    while not _stopping.is_set():
        try:
            client.set(key, "ready", ex=HEARTBEAT_BELIEVED)
            if settings.worker_alive_file:
                settings.worker_alive_file.touch()
        except (redis.RedisError, OSError) as error:
            log.warning("worker.heartbeat_failed", error=type(error).__name__)
        _stopping.wait(HEARTBEAT_SECONDS)
    try:
        client.delete(key)
        # What it is at ends now, and not because of what it is.
        client.set(leaving_key(boot), "1", ex=LEAVING_SECONDS)
    except (redis.RedisError, OSError) as error:
        log.warning("worker.leave_not_said", error=type(error).__name__)
