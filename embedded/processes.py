"""One part of the small size as a child process: started, gated on readiness, restarted, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from embedded.console import Console
from embedded.probes import Probe

#: Short beside what a part takes to start, long beside what a probe costs.
PROBE_INTERVAL: Final = 0.05
#: Shown when a part cannot start: a traceback's end fits.
LAST_LINES: Final = 20
#: Longer lines are cut into several, so that a child cannot fill the supervisor's memory.
MAX_LINE_BYTES: Final = 64 * 1024
#: What a child wrote last is in the pipe when it ends; only a grandchild that kept the pipe could add more.
DRAIN_SECONDS: Final = 0.5
#: The kernel removes killed processes within milliseconds.
SWEEP_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """How a part runs. `env` is its whole environment, times are in seconds."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    probe: Probe
    ready_timeout: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace: float = 2.0
    #: The run waits for an essential part, and ends if it cannot start; it goes on without another.
    essential: bool = True
    #: Runs before every start.
    prepare: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Exponential back-off, in seconds. A part that was ready for `healthy_after` is at the start again."""

    first_delay: float = 0.5
    longest_delay: float = 15.0
    healthy_after: float = 60.0
    #: In a row, and only until the part was ready once: after that the set-up is known to be right.
    give_up_after: int = 5

    def delay(self, failures: int) -> float:
        return min(self.longest_delay, self.first_delay * 2.0 ** min(failures - 1, 32))


@dataclass(frozen=True, slots=True)
class CannotStart:
    """A part that was never ready, and what it said last."""

    name: str
    reason: str
    attempts: int
    last_lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ending:
    """How one life of a part ended, and for how long it had been ready."""

    reason: str
    ready_seconds: float = 0.0


def describe_exit(code: int) -> str:
    """`ended with exit code 3`, `was killed by SIGKILL`."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


class SupervisedProcess:
    """Runs one spec. `hurry` is set when nothing may be waited for any more: then stopping is killing."""

    def __init__(self, spec: ProcessSpec, console: Console, hurry: asyncio.Event, policy: RestartPolicy) -> None:
        self.spec = spec
        #: Set once the part has been ready, and never cleared: dependents live through its restarts.
        self.was_ready = asyncio.Event()
        self._console = console
        self._hurry = hurry
        self._policy = policy
        self._process: Process | None = None
        self._pump: asyncio.Task[None] | None = None
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)
        console.register(spec.name)

    async def keep_running(self) -> CannotStart:
        """Start it, and start it again whenever it ends. Returns only if it never becomes ready."""
        failures = 0
        while True:
            ending = await self._live_once()
            failures = 1 if ending.ready_seconds >= self._policy.healthy_after else failures + 1
            if failures >= self._policy.give_up_after and not self.was_ready.is_set():
                return CannotStart(self.spec.name, ending.reason, failures, tuple(self._last_lines))
            delay = self._policy.delay(failures)
            self._console.say(f"{self.spec.name} {ending.reason}; starting it again in {delay:g} s")
            await asyncio.sleep(delay)

    async def stop(self) -> None:
        """End the process and its group: the leader is asked, after the grace all are killed. Idempotent."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            # Only the leader: it ends its own children in order, which a signal to all would cut short.
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self.spec.stop_signal)
            if not await self._ends_within(process, self.spec.stop_grace) and not self._hurry.is_set():
                self._console.say(f"{self.spec.name} did not stop within {self.spec.stop_grace:g} s; killing it")
        await self._clear_away(process)

    async def _live_once(self) -> Ending:
        started = time.monotonic()
        process = await self._spawn()
        exited = asyncio.create_task(process.wait())
        probing = asyncio.create_task(self._until_ready())
        try:
            await asyncio.wait({exited, probing}, timeout=self.spec.ready_timeout, return_when=asyncio.FIRST_COMPLETED)
            if not exited.done() and not probing.done():
                await self.stop()
                return Ending(f"was not ready within {self.spec.ready_timeout:g} s")
            if exited.done():
                await self._clear_away(process)
                return Ending(describe_exit(exited.result()))
            probing.result()
            ready_at = time.monotonic()
            self._console.say(f"{self.spec.name} is ready ({ready_at - started:.1f} s)")
            self.was_ready.set()
            code = await exited
            await self._clear_away(process)
            return Ending(describe_exit(code), time.monotonic() - ready_at)
        finally:
            exited.cancel()
            probing.cancel()

    async def _spawn(self) -> Process:
        if self.spec.prepare is not None:
            await self.spec.prepare()
        # Not asyncio's own pipe: with that, waiting for the exit also waits for grandchildren that hold the pipe.
        output, child_end = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *tethered(self.spec.argv),
                env=self.spec.env,
                stdin=DEVNULL,
                stdout=child_end,
                stderr=child_end,
                start_new_session=True,  # its own group; and a terminal's Ctrl-C reaches the supervisor alone
            )
        except BaseException:
            os.close(output)
            raise
        finally:
            os.close(child_end)
        self._pump = asyncio.create_task(self._forward(output))
        return self._process

    async def _forward(self, output: int) -> None:
        stream = asyncio.StreamReader(limit=MAX_LINE_BYTES)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(output, "rb")
        )
        try:
            while line := await _next_line(stream):
                text = line.decode(errors="replace").rstrip()
                self._last_lines.append(text)
                self._console.line(self.spec.name, text)
        finally:
            transport.close()

    async def _until_ready(self) -> None:
        while not await self.spec.probe():  # noqa: ASYNC110 -- another process's state
            await asyncio.sleep(PROBE_INTERVAL)

    async def _ends_within(self, process: Process, seconds: float) -> bool:
        waiting = {asyncio.create_task(process.wait()), asyncio.create_task(self._hurry.wait())}
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return process.returncode is not None

    async def _clear_away(self, process: Process) -> None:
        """Kill what is left of the group, let the last output through, and forget the process."""
        deadline = time.monotonic() + SWEEP_SECONDS
        while _kill_group(process.pid) and time.monotonic() < deadline:  # noqa: ASYNC110 -- the kernel's state
            await asyncio.sleep(0.01)
        await process.wait()
        if self._pump is not None:
            _, unfinished = await asyncio.wait({self._pump}, timeout=DRAIN_SECONDS)
            for task in unfinished:
                task.cancel()
        self._process = None  # its number may soon be another's


def tethered(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The command that runs `argv` so that it dies with this process. Only Linux has the means: tether.py."""
    if sys.platform != "linux":
        return argv
    tether = str(Path(__file__).with_name("tether.py"))
    return (sys.executable, "-I", "-S", tether, str(os.getpid()), *argv)


async def _next_line(stream: asyncio.StreamReader) -> bytes:
    """The next line with its end, a piece of one that is too long, or nothing at the stream's end."""
    try:
        return await stream.readuntil(b"\n")
    except asyncio.IncompleteReadError as end:
        return end.partial
    except asyncio.LimitOverrunError as overrun:
        return await stream.readexactly(overrun.consumed)


def _kill_group(group: int) -> bool:
    """Whether there was a process to kill. The group's number is its leader's pid."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
        return False
    return True
