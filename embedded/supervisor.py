"""Runs the parts of the small size: in stages, each gated on readiness, and stops them in reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final

from embedded.console import Console
from embedded.processes import CannotStart, ProcessSpec, RestartPolicy, SupervisedProcess

#: What has not stopped by itself after so many seconds is killed; with that, the whole stays under 10 s.
STOP_SECONDS: Final = 8.5
#: For what runs inside the supervisor itself, such as following the first ingest.
CANCEL_SECONDS: Final = 0.5

OK: Final = 0
GAVE_UP: Final = 1

Stage = tuple[ProcessSpec, ...]


class Supervisor:
    """`stages` start one after the other; the parts of one stage start together."""

    def __init__(self, stages: tuple[Stage, ...], console: Console, policy: RestartPolicy | None = None) -> None:
        self._console = console
        self._hurry = asyncio.Event()
        self._asked_to_stop = asyncio.Event()
        self._failed: asyncio.Future[CannotStart] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stages = tuple(
            tuple(SupervisedProcess(spec, console, self._hurry, policy or RestartPolicy()) for spec in stage)
            for stage in stages
        )

    async def run(self, on_ready: Callable[[], Awaitable[None]]) -> int:
        """Run until a signal asks to stop (returns 0) or an essential part cannot start (returns 1).

        `on_ready` runs once, beside the parts, when all essential ones are ready. What it raises ends the run
        and is raised here after all parts have stopped.
        """
        with self._signals():
            asked: asyncio.Future[Any] = asyncio.create_task(self._asked_to_stop.wait())
            self._in_background(self._start(on_ready))
            try:
                await asyncio.wait([asked, self._failed], return_when=asyncio.FIRST_COMPLETED)
            finally:
                asked.cancel()
                await self._stop()
        if not self._failed.done():
            return OK
        self._report(self._failed.result())
        return GAVE_UP

    async def _start(self, on_ready: Callable[[], Awaitable[None]]) -> None:
        for stage in self._stages:
            for part in stage:
                self._in_background(self._keep(part))
            for part in stage:
                if part.spec.essential:
                    await part.was_ready.wait()
        await on_ready()

    async def _keep(self, part: SupervisedProcess) -> None:
        failure = await part.keep_running()
        if not part.spec.essential:
            self._console.say(f"{failure.name} {failure.reason} {failure.attempts} times; going on without it")
        elif not self._failed.done():
            self._failed.set_result(failure)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CANCEL_SECONDS)
        deadline = asyncio.get_running_loop().call_later(STOP_SECONDS, self._hurry.set)
        parts = [part for stage in self._stages for part in stage]
        # Nothing needs what is not essential, so it takes none of the others' time.
        beside = asyncio.gather(*(part.stop() for part in parts if not part.spec.essential))
        for stage in reversed(self._stages):
            await asyncio.gather(*(part.stop() for part in stage if part.spec.essential))
        await beside
        deadline.cancel()

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._background_ended)

    def _background_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # Once all is being stopped, what fails because of that changes nothing.
        if task.cancelled() or not (error := task.exception()) or self._asked_to_stop.is_set():
            return
        if not self._failed.done():
            self._failed.set_exception(error)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in handled:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: signal.Signals) -> None:
        if not self._asked_to_stop.is_set():
            self._asked_to_stop.set()
            self._console.say("stopping" + (" (Ctrl-C again kills at once)" if number == signal.SIGINT else ""))
        elif number == signal.SIGINT and not self._hurry.is_set():
            # Not for a second SIGTERM or SIGHUP: a closing terminal and a service manager send both.
            self._hurry.set()
            self._console.say("killing what still runs")

    def _report(self, failure: CannotStart) -> None:
        self._console.say(f"{failure.name} {failure.reason}, {failure.attempts} times in a row; its last lines:")
        for line in failure.last_lines:
            self._console.line(failure.name, line)
        self._console.say("gave up")
