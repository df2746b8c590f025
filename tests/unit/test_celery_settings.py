"""What the Celery settings must be to each other, and what must never leave a task."""

from __future__ import annotations

import pytest
from celery import Celery

from shared.errors import DependencyDown, JobFailed
from shared.queue import FIRST_QUEUE, QUEUE, TASK_SECONDS, make_celery
from shared.services import Services
from shared.settings import load_settings
from worker import tasks
from worker.ingestion.isolate import PAGE_SECONDS, SHARD_SECONDS


@pytest.fixture
def app() -> Celery:
    return make_celery(load_settings(None))


def test_no_task_is_delivered_again_while_it_may_still_run(app: Celery) -> None:
    for timeout in (app.conf.visibility_timeout, app.conf.broker_transport_options["visibility_timeout"]):
        assert timeout >= 2 * app.conf.task_time_limit


def test_a_task_s_own_time_out_comes_before_the_one_that_kills(app: Celery) -> None:
    assert SHARD_SECONDS + PAGE_SECONDS < TASK_SECONDS < app.conf.task_time_limit


def test_a_dead_worker_s_messages_are_not_lost(app: Celery) -> None:
    assert app.conf.task_acks_late
    assert app.conf.task_reject_on_worker_lost
    assert app.conf.worker_prefetch_multiplier == 1


def test_no_message_is_held_in_advance(app: Celery) -> None:
    assert app.conf.worker_disable_prefetch


def test_the_queue_for_what_comes_first_is_looked_at_first(app: Celery) -> None:
    assert [queue.name for queue in app.conf.task_queues] == [FIRST_QUEUE, QUEUE]
    assert app.conf.broker_transport_options["queue_order_strategy"] == "priority"


def test_nothing_waits_for_redis(app: Celery) -> None:
    assert app.conf.task_ignore_result
    assert not app.conf.result_backend
    assert not app.conf.task_publish_retry
    assert app.conf.broker_transport_options["socket_timeout"] <= 5


@pytest.mark.parametrize("error", [MemoryError(), DependencyDown("away"), JobFailed("no page"), ValueError("a bug")])
def test_nothing_that_goes_wrong_leaves_a_task(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Celery ends the whole worker on a MemoryError, and hands its message to the next one."""
    failed: list[str] = []

    async def fail(_: object, job: str, reason: str) -> None:
        failed.append(f"{job}: {reason}")
        if isinstance(error, MemoryError):
            raise error

    async def work(_: Services) -> None:
        raise error

    async def no_services(_: object) -> None:
        return None

    monkeypatch.setattr(tasks, "_process", None)  # put back at the end
    monkeypatch.setattr(tasks, "fail_job", fail)
    monkeypatch.setattr(tasks, "_services", no_services)
    tasks.register(Celery(), load_settings(None), "boot")
    try:
        tasks._run("job_1", work)
    finally:
        tasks.close()
    assert len(failed) == (not isinstance(error, DependencyDown))
