"""An answer on its way to a visitor: events become bytes of a dialect, one event a write, until a terminal one.

A stream ends in exactly one of three ways: with the dialect's last event, with its error event, or because the visitor
has left. In all of them the answer's generator is closed first, which is what cancels the request to the provider.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

import structlog
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api.chat.events import Cited, Delta, Event, Finished, Started
from api.dependencies import Timings
from api.errors import Failure, Restarting, failure_of
from api.schemas import CitationOut, FinalAnswer, PlainSource, citation_out
from shared.errors import LecternError

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
_MARKDOWN_LINK: Final = re.compile(r"\[(?P<text>(?:\\.|[^\\])*)\]\((?P<url>\S+)\)")
_ESCAPED: Final = re.compile(r"\\([^\w\s])")

T = TypeVar("T")
E = TypeVar("E")
E_contra = TypeVar("E_contra", contravariant=True)
Ending = Literal["finished", "left", "draining"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer's frame repeats of its question."""

    query: str
    session_id: str
    request_id: str
    #: time.perf_counter() when the question came in.
    since: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return round(time.perf_counter() - self.since, 3)


class Dialect(Protocol[E_contra]):
    """How one family of front ends wants its events."""

    media_type: str
    #: Sent while there is nothing to say; empty where clients would not understand it.
    heartbeat: bytes

    def encode(self, event: E_contra) -> Iterator[bytes]:
        """The writes that an event makes: each is read whole or not at all."""
        ...

    def is_last(self, event: E_contra) -> bool:
        """Whether nothing comes after this event."""
        ...

    def fail(self, failure: Failure) -> Iterator[bytes]:
        """The writes that end a stream which cannot go on."""
        ...


class ServerSentEvents:
    """Unnamed events, `data: {json}`: start, chunk*, citation*, final, done; or error as the last."""

    media_type = "text/event-stream"
    heartbeat = b": ping\n\n"

    def __init__(self, asked: Asked, *, send_final: bool) -> None:
        self._asked = asked
        self._send_final = send_final
        self._has_text = False

    def encode(self, event: Event) -> Iterator[bytes]:
        match event:
            case Started():
                started = {"session_id": self._asked.session_id, "sources": event.sources}
                yield _sse("start", **started, retrieved_docs=event.retrieved)
            case Delta():
                self._has_text = True
                yield _sse("chunk", content=event.text)
            case Cited():
                yield _sse("citation", citation=citation_out(event.citation))
            case Finished():
                whole = final_answer(event, self._asked).model_dump()
                if self._send_final:
                    yield event_data(whole)
                names = ("session_id", "response_time", "tokens_used", "sources", "no_results", "finish_reason")
                yield event_data({"type": "done", **{name: whole[name] for name in names}})

    def is_last(self, event: Event) -> bool:
        return isinstance(event, Finished)

    def fail(self, failure: Failure) -> Iterator[bytes]:
        # Front ends that know no `error` event show this sentence; without it they would show nothing at all.
        yield _sse("chunk", content=("\n\n" if self._has_text else "") + apology(failure))
        facts = {"error": failure.message, "code": failure.code, "message": failure.message}
        retry = {} if failure.retry_after is None else {"retry_after": failure.retry_after}
        yield _sse("error", **facts, retryable=failure.retryable, **retry, request_id=self._asked.request_id)


class JsonLines:
    """One JSON object a line: sources, chunk*; or error as the last. For clients that send `query`."""

    media_type = "application/x-ndjson"
    heartbeat = b""  # these clients parse every line

    def encode(self, event: Event) -> Iterator[bytes]:
        match event:
            case Started():
                yield _line({"type": "sources", "content": linked_pages(event.sources)})
            case Delta():
                yield _line({"type": "chunk", "content": event.text})
            case Cited() | Finished():
                return

    def is_last(self, event: Event) -> bool:
        return isinstance(event, Finished)

    def fail(self, failure: Failure) -> Iterator[bytes]:
        yield _line({"type": "error", "content": apology(failure)})


def final_answer(event: Finished, asked: Asked) -> FinalAnswer:
    """A whole answer with what the frame knows of its question."""
    return FinalAnswer(
        answer=event.answer,
        sources=[citation_out(citation) for citation in event.sources],
        session_id=asked.session_id,
        query=asked.query,
        response_time=asked.seconds,
        tokens_used=event.tokens_used,
        context_used=event.context_used,
        model=event.model,
        no_results=event.no_results,
        finish_reason=event.finish_reason,
    )


def plain_sources(sources: list[CitationOut]) -> list[PlainSource]:
    """One entry an address."""
    return list({source.url: PlainSource(url=source.url, page_title=source.page_title) for source in sources}.values())


def linked_pages(links: tuple[str, ...]) -> list[dict[str, str]]:
    """Markdown links as {url, page_title}, one entry an address."""
    matches = filter(None, map(_MARKDOWN_LINK.fullmatch, links))
    titles = {match["url"]: _ESCAPED.sub(r"\1", match["text"]) for match in matches}
    return [{"url": url, "page_title": title} for url, title in titles.items()]


def apology(failure: Failure) -> str:
    """What a visitor reads in place of the answer's end."""
    if failure.retryable:
        return "Sorry, I cannot answer just now. Please try again in a moment."
    return "Sorry, something went wrong while I was answering."


class AnswerStream(Response, Generic[E]):
    """Writes events while their reader listens and the process lives."""

    def __init__(
        self, events: AsyncGenerator[E, None], dialect: Dialect[E], draining: asyncio.Event, timings: Timings
    ) -> None:
        super().__init__(media_type=dialect.media_type, headers=UNBUFFERED)
        del self.headers["content-length"]
        self._events = events
        self._dialect = dialect
        self._draining = draining
        self._timings = timings
        #: Set with the last event. Nothing is awaited between sending that and setting this.
        self._ended = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        line = _Line(send, self._timings.send)
        writing = asyncio.create_task(self._write(line))
        beating = asyncio.create_task(self._beat(line))
        try:
            ending = await run_until_left(writing, receive, self._draining)
            if ending == "left":
                return
            if ending == "draining" and not self._ended:
                line.patience = min(line.patience, FAREWELL_SECONDS)
                await self._say(line, self._dialect.fail(RESTARTING))
            await line.close()
        except _SlowReader:
            log.info("stream.reader_too_slow", seconds=self._timings.send)
        finally:
            await cancelled(beating)

    async def _write(self, line: _Line) -> None:
        async with aclosing(self._events) as events:
            try:
                async for event in events:
                    await self._say(line, self._dialect.encode(event))
                    self._ended = self._dialect.is_last(event)
            except _SlowReader:
                raise
            except Exception as error:  # noqa: BLE001 -- the stream's edge: whatever it was, the reader is told
                note_failure(error)
                await self._say(line, self._dialect.fail(failure_of(error)))
                self._ended = True

    async def _say(self, line: _Line, writes: Iterator[bytes]) -> None:
        for data in writes:
            await line.write(data)

    async def _beat(self, line: _Line) -> None:
        while self._dialect.heartbeat:
            await asyncio.sleep(max(0.0, line.last + self._timings.heartbeat - time.monotonic()))
            if time.monotonic() >= line.last + self._timings.heartbeat:
                await line.write(self._dialect.heartbeat)


class _SlowReader(Exception):
    """Raised when a visitor does not take an event in time."""


class _Line:
    """The way to the visitor: one write at a time, none of them for ever."""

    def __init__(self, send: Send, patience: float) -> None:
        self._send = send
        #: Seconds a write may take.
        self.patience = patience
        self._lock = asyncio.Lock()
        #: time.monotonic() of the last write.
        self.last = time.monotonic()

    async def write(self, data: bytes) -> None:
        # The server's send seldom waits; without a pause a quick answer would not notice that its visitor left.
        await asyncio.sleep(0)
        await self._deliver({"type": "http.response.body", "body": data, "more_body": True})

    async def close(self) -> None:
        await self._deliver({"type": "http.response.body", "body": b"", "more_body": False})

    async def _deliver(self, message: Message) -> None:
        async with self._lock:
            try:
                async with asyncio.timeout(self.patience):
                    await self._send(message)
            except TimeoutError:
                raise _SlowReader from None
            self.last = time.monotonic()


async def run_until_left(work: asyncio.Task[T], receive: Receive, draining: asyncio.Event) -> Ending:
    """Let `work` run until it is finished, its visitor has left, or the process is to stop; then it is cancelled.

    Raises what finished work has raised.
    """
    leaving = asyncio.create_task(_disconnected(receive))
    stopping = asyncio.create_task(draining.wait())
    try:
        await asyncio.wait({work, leaving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
            return "finished"
        return "left" if leaving.done() else "draining"
    finally:
        await cancelled(work, leaving, stopping)


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel what still runs and wait until it has cleaned up."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def note_failure(error: Exception) -> None:
    """Log a failure that its visitor is told of: one line for the expected, a traceback for the others."""
    if isinstance(error, LecternError):
        log.warning("answer.failed", code=error.code, reason=error.message)
    else:
        log.error("answer.crashed", exc_info=error)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _sse(kind: str, **fields: Any) -> bytes:
    return event_data({"type": kind, **fields})


def event_data(fields: dict[str, Any]) -> bytes:
    # JSON holds no raw line end, so nothing that is said can pass for an event of its own.
    return b"data: " + _json(fields) + b"\n\n"


def _line(fields: dict[str, Any]) -> bytes:
    return _json(fields) + b"\n"


def _json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return text.encode("utf-8", "replace")


def _plain(value: BaseModel) -> dict[str, Any]:
    return value.model_dump()
