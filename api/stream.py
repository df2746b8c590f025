"""An answer on its way to a visitor: its events are written in a dialect, one event a write, until a terminal one.

A stream ends in exactly one of three ways: with the dialect's last event, with its error event, or because the visitor
has left. In all of them the answer's generator is closed first, which is what cancels the request to the provider;
only an answer that its client means to come back for may go on without it for a while (`Keeper.outlives_its_reader`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

import structlog
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api.dependencies import Timings
from api.dialects import Dialect
from api.errors import Restarting, failure_of
from api.middleware import cut_off
from shared.errors import LecternError
from shared.tasks import cancelled

log = structlog.get_logger(__name__)

#: Proxies that buffer would turn a stream into a long silence.
UNBUFFERED: Final[Mapping[str, str]] = {
    "Cache-Control": "no-cache, no-transform",
    "Connection": "keep-alive",
    "X-Accel-Buffering": "no",
}
RESTARTING: Final = failure_of(Restarting("the server is restarting; ask again in a moment", retry_after=2))
#: For a reader to take the last event of a process that is about to go.
FAREWELL_SECONDS: Final = 1
#: Writes between two pauses in which others run. The server's send seldom waits: without a pause, an answer that is
#: there all at once would keep everybody waiting and not notice that its visitor has left.
WRITES_AT_A_TIME: Final = 8

T = TypeVar("T")
E = TypeVar("E")
Ending = Literal["finished", "left", "draining"]


class Keeper(Protocol):
    """Is shown what an answer says, and may want it said to the end."""

    @property
    def outlives_its_reader(self) -> bool:
        """Whether the answer goes on when its reader has left."""

    def add(self, write: bytes) -> None:
        """Take note of an event."""

    def close(self, *, whole: bool) -> None:
        """There will be no more. `whole`: the last event was the answer's end."""

    def adopt(self, work: asyncio.Task[None]) -> None:
        """Look after an answer whose reader has left."""


class _NotKept:
    outlives_its_reader = False

    def add(self, write: bytes) -> None:
        return

    def close(self, *, whole: bool) -> None:
        return

    def adopt(self, work: asyncio.Task[None]) -> None:
        return


NOT_KEPT: Final = _NotKept()


class AnswerStream(Response, Generic[E]):
    """Writes events while their reader listens and the process lives."""

    def __init__(
        self,
        events: AsyncGenerator[E, None],
        dialect: Dialect[E],
        draining: asyncio.Event,
        timings: Timings,
        keeper: Keeper = NOT_KEPT,
    ) -> None:
        super().__init__(media_type=dialect.media_type, headers=UNBUFFERED)
        del self.headers["content-length"]
        self._events = events
        self._dialect = dialect
        self._draining = draining
        self._timings = timings
        self._keeper = keeper
        #: Set with the last event. Nothing is awaited between sending that and setting this.
        self._ended = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        line = _Line(send)
        writing = asyncio.create_task(self._write(line))
        watching = asyncio.create_task(self._watch(line))
        adopted = False
        try:
            ending = await first_ending(writing, receive, self._draining, watching)
            if ending != "finished" and self._keeper.outlives_its_reader and line.cut():
                adopted = True
                self._keeper.adopt(writing)
            else:
                await cancelled(writing)
            if ending == "left":
                return
            if ending == "draining" and not self._ended:
                await self._farewell(send)
            async with asyncio.timeout(self._timings.send):
                await _Line(send).close()
        except (_SlowReader, TimeoutError):
            log.info("stream.reader_too_slow", seconds=self._timings.send)
            await cut_off(scope)
        finally:
            await cancelled(watching, *(() if adopted else (writing,)))

    async def _write(self, line: _Line) -> None:
        """Every event as it comes, and how it ends if that is not well."""
        try:
            if self._dialect.heartbeat:
                await line.write(self._dialect.heartbeat)  # proxies that wait for a first byte pass the head on
            async with aclosing(self._events) as events:
                try:
                    async for event in events:
                        await self._say(line, event)
                except Exception as error:  # noqa: BLE001 -- the stream's edge: whatever it was, the reader is told
                    note_failure(error)
                    for data in self._dialect.fail(failure_of(error)):
                        self._keeper.add(data)
                        await line.write(data)
                    self._ended = True
        finally:
            self._keeper.close(whole=self._ended)

    async def _say(self, line: _Line, event: E) -> None:
        for data in self._dialect.encode(event):
            self._keeper.add(data)
            await line.write(data)
        self._ended = self._dialect.is_last(event)

    async def _watch(self, line: _Line) -> None:
        """Break silences. Raises _SlowReader once a write takes too long: one watch costs less than a timer a write."""
        patience, beat = self._timings.send, self._timings.heartbeat
        pause = min(beat, patience)
        while True:
            await asyncio.sleep(pause)
            since = time.monotonic() - line.begun
            if line.is_busy:
                if since >= patience:
                    raise _SlowReader
                pause = patience - since
            elif not self._dialect.heartbeat:
                pause = patience
            else:
                if since >= beat:
                    async with asyncio.timeout(patience):
                        await line.write(self._dialect.heartbeat)
                    since = 0
                pause = min(beat - since, patience)

    async def _farewell(self, send: Send) -> None:
        """Tell the reader that the process is about to go."""
        async with asyncio.timeout(min(self._timings.send, FAREWELL_SECONDS)):
            for data in self._dialect.fail(RESTARTING):
                await _Line(send).write(data)


class _SlowReader(Exception):
    """Raised when a visitor does not take an event in time."""


class _Line:
    """The way to the visitor: one write at a time."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = asyncio.Lock()
        self._writes = 0
        #: time.monotonic() when the last write began.
        self.begun = time.monotonic()
        #: Whether that is not over yet.
        self.is_busy = False

    async def write(self, data: bytes) -> None:
        self._writes += 1
        if not self._writes % WRITES_AT_A_TIME:
            await asyncio.sleep(0)
        await self._deliver({"type": "http.response.body", "body": data, "more_body": True})

    async def close(self) -> None:
        await self._deliver({"type": "http.response.body", "body": b"", "more_body": False})

    def cut(self) -> bool:
        """Let further writes go nowhere. False if one is under way that may never end."""
        self._send = _nowhere
        return not self.is_busy

    async def _deliver(self, message: Message) -> None:
        async with self._lock:
            self.begun = time.monotonic()
            self.is_busy = True
            await self._send(message)
            self.is_busy = False


async def _nowhere(_: Message) -> None:
    return


async def first_ending(
    work: asyncio.Task[Any], receive: Receive, draining: asyncio.Event, *watching: asyncio.Task[None]
) -> Ending:
    """What comes first: `work` is finished, its visitor has left, or the process is to stop. Stops nothing by itself.

    Raises what finished work, or one who watches, has raised.
    """
    leaving = asyncio.create_task(_disconnected(receive))
    stopping = asyncio.create_task(draining.wait())
    try:
        done, _ = await asyncio.wait({work, leaving, stopping, *watching}, return_when=asyncio.FIRST_COMPLETED)
        for task in (work, *watching):
            if task in done:
                task.result()
        if work in done:
            return "finished"
        return "left" if leaving in done else "draining"
    finally:
        await cancelled(leaving, stopping)


async def run_until_left(work: asyncio.Task[T], receive: Receive, draining: asyncio.Event) -> Ending:
    """Let `work` run until it is finished, its visitor has left, or the process is to stop; then it is cancelled.

    Raises what finished work has raised.
    """
    try:
        return await first_ending(work, receive, draining)
    finally:
        await cancelled(work)


def note_failure(error: Exception) -> None:
    """Log a failure that its visitor is told of: one line for the expected, a traceback for the others."""
    if isinstance(error, LecternError):
        log.warning("answer.failed", code=error.code, reason=error.message)
    else:
        log.error("answer.crashed", exc_info=error)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
