"""Shows a job while it runs: a bar on a terminal, a line now and then elsewhere. Always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cli.jobs import JobView, Pace
from cli.output import amount, complain, duration

#: Between two lines about the same stage, where every line stays.
LINE_SECONDS: Final = 5.0


class Display(Protocol):
    """Something that shows jobs."""

    def show(self, job: JobView) -> None: ...

    def close(self) -> None: ...


def open_display(*, silent: bool) -> Display:
    """What suits the place that standard error goes to."""
    if silent:
        return Silence()
    return Bar() if sys.stderr.isatty() else Lines(complain)


class Silence:
    """For those who want JSON alone."""

    def show(self, job: JobView) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Lines:
    """A line when the stage changes, and every few seconds within one."""

    def __init__(self, line: Callable[[str], None]) -> None:
        self._line = line
        self._pace = Pace()
        self._stage = ""
        self._shown_at = 0.0

    def show(self, job: JobView) -> None:
        facts = describe(job, self._pace.of(job))
        now = time.monotonic()
        is_old = job.stage == self._stage and now - self._shown_at < LINE_SECONDS
        if job.stage == "done" or is_old:
            return
        self._stage, self._shown_at = job.stage, now
        self._line(f"{job.stage}: {facts}" if facts else job.stage)

    def close(self) -> None:
        """Nothing is open."""


class Bar:
    """A bar that is gone when the job has ended."""

    def __init__(self) -> None:
        self._pace = Pace()
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[facts]}"))
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("waiting", total=100, facts="")
        self._progress.start()

    def show(self, job: JobView) -> None:
        facts = describe(job, self._pace.of(job))
        self._progress.update(self._task, description=job.stage, completed=job.percent, facts=facts)

    def close(self) -> None:
        self._progress.stop()


def describe(job: JobView, pages_a_second: float | None) -> str:
    """`12 of 40 pages, 130 passages, 8.1 pages/s, 4 s left`; "" before anything is known. Why it waits, if it does."""
    waiting = [f"waits: {job.waiting}"] if job.waiting else []
    if not job.pages_total:
        return ", ".join(waiting)
    facts = [f"{job.pages_done:,} of {amount(job.pages_total, 'page')}", amount(job.chunks, "passage")]
    if pages_a_second is not None:
        facts.append(f"{pages_a_second:.1f} pages/s")
    if job.seconds_left is not None:
        facts.append(f"{duration(job.seconds_left)} left")
    return ", ".join([*facts, *waiting])
