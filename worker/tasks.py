"""The Celery tasks: thin. Each crosses into async once and leaves its job in a known state."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from celery import Celery, Task
from celery.worker.request import Request
from kombu.exceptions import OperationalError

from shared.errors import DependencyDown, JobStopped, LeaseLost, LecternError, MustWait, NotFound
from shared.queue import FIRST_QUEUE, PLAN_TASK, PUBLISH_TASK, SHARD_TASK, TASK_SECONDS
from shared.services import Services, open_services
from shared.settings import Settings
from worker.ingestion.pipeline import fail_job, index_shard, plan_job, publish_job

log = structlog.get_logger(__name__)

Work = Callable[[Services], Awaitable[None]]


@dataclass(slots=True)
class _Process:
    """What one worker process keeps between tasks: its event loop and the services opened inside it."""

    settings: Settings
    #: Tells this start of the worker from every other; the pool's processes have it from their parent.
    boot: str
    runner: asyncio.Runner | None = None
    stack: AsyncExitStack | None = None
    services: Services | None = None


_process: _Process | None = None


class FirstAgain(Request):
    """A message as the worker's main process holds it. If the process that works on it dies, it is put before all that
    wait, under its old id: Celery would put it behind them, where a claim of the dead runs out and what it was is lost.
    """

    def reject(self, requeue: bool = False) -> None:
        if requeue and not self.acknowledged:
            requeue = not self._sent_again()
        super().reject(requeue=requeue)

    def _sent_again(self) -> bool:
        again = {"kwargs": self.kwargs, "task_id": self.id, "queue": FIRST_QUEUE, "retry": False, "ignore_result": True}
        try:
            self.task.app.send_task(self.name, **again)
        except (OperationalError, OSError):
            return False
        return True


def register(app: Celery, settings: Settings, boot: str) -> None:
    """Give the application its tasks. Nothing is opened here: clients must not cross a fork."""
    global _process  # noqa: PLW0603  # a worker process has one event loop, and Celery no place to keep it
    _process = _Process(settings, boot)
    for name, work in ((PLAN_TASK, plan), (SHARD_TASK, shard), (PUBLISH_TASK, publish)):
        app.task(name=name, bind=True, Request=FirstAgain)(work)


def close() -> None:
    """Close the services and the loop of this process."""
    if _process is None or _process.runner is None:
        return
    if _process.stack is not None:
        _process.runner.run(_process.stack.aclose())
    _process.runner.close()
    _process.runner = _process.stack = _process.services = None


# While a new version is rolled out, old and new processes send each other messages: whatever else a message holds is
# ignored, and only what the work needs has to be there.


def plan(task: Task[Any, Any], /, job: str, **_: object) -> None:
    """Decide what a job has to do."""
    _run(job, lambda services: plan_job(services, job, _message_id(task), _boot()))


def shard(task: Task[Any, Any], /, job: str, shard: str, **_: object) -> None:
    """Index the pages of one shard."""
    _run(job, lambda services: index_shard(services, job, shard, _message_id(task), _boot()), shard=shard)


def publish(task: Task[Any, Any], /, job: str, **_: object) -> None:
    """Make the job's release the live one."""
    _run(job, lambda services: publish_job(services, job, _message_id(task), _boot()))


def _message_id(task: Task[Any, Any]) -> str:
    """The same when a message is delivered again, so that it may take up its own claim."""
    return str(task.request.id)


def _boot() -> str:
    return "" if _process is None else _process.boot


def _run(job: str, work: Work, **context: object) -> None:
    if _process is None:
        raise RuntimeError("register() was not called")
    if _process.runner is None:
        _process.runner = asyncio.Runner()
    try:
        _process.runner.run(_guarded(_process, job, work, context))
    except MemoryError:
        # Celery ends the whole worker on one that reaches it, and the message would end the next one.
        log.exception("task.out_of_memory", job=job)


async def _guarded(process: _Process, job: str, work: Work, context: dict[str, object]) -> None:
    """Run one piece of work. What can pass by itself is left to be rung again; the rest fails the job by name."""
    structlog.contextvars.bind_contextvars(job=job, **context)
    try:
        services = await _services(process)
        try:
            async with asyncio.timeout(TASK_SECONDS):
                await work(services)
        except MustWait as error:
            log.info("task.put_off", reason=error.message, until=error.until)
            with suppress(DependencyDown):
                await services.jobs.put_off(job, error.until, error.message)
        except JobStopped as error:
            log.info("task.stopped", reason=error.message)
            await services.queue.plan(job, first=True)  # for its owner's wish to be granted
        except (DependencyDown, LeaseLost) as error:
            log.warning("task.left", reason=error.message)
        except TimeoutError:
            if "shard" in context:  # what its pages have done by themselves is kept, so the next turn gets further
                log.warning("task.left", reason=f"took longer than {TASK_SECONDS} seconds")
                return
            await _fail(services, job, f"one step took longer than {TASK_SECONDS} seconds")
        except MemoryError:
            await _fail(services, job, "one step used up the worker's memory; give the worker more")
        except LecternError as error:
            log.warning("job.failed", reason=error.message)
            await _fail(services, job, error.message)
        except Exception:  # the task's edge: a bug must still end the job
            log.exception("job.crashed")
            await _fail(services, job, "an internal error; the worker's log has the details")
    finally:
        structlog.contextvars.clear_contextvars()


async def _fail(services: Services, job: str, reason: str) -> None:
    with suppress(DependencyDown, NotFound):  # it is not over then, and is rung again; or there is none
        await fail_job(services, job, reason)


async def _services(process: _Process) -> Services:
    if process.services is None:
        process.stack = AsyncExitStack()
        process.services = await process.stack.enter_async_context(open_services(process.settings))
    return process.services
