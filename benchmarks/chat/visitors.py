"""Visitors who cost next to nothing: each sends a question over a connection of its own and counts what comes back."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

#: Longest that an answer may take, in seconds.
PATIENCE = 180.0


@dataclass(slots=True)
class Visit:
    """One visitor's answer as it arrived. Times are time.perf_counter()."""

    began: float = 0.0
    #: When the first words came; 0 as long as none have.
    first_at: float = 0.0
    ended_at: float = 0.0
    #: Events that brought words.
    events: int = 0
    #: Bytes of the reply.
    size: int = 0
    #: Whether the reply's last event was there.
    whole: bool = False
    tail: bytes = field(default=b"", repr=False)

    @property
    def first(self) -> float:
        """Seconds to the first words."""
        return self.first_at - self.began

    @property
    def total(self) -> float:
        """Seconds to the end."""
        return self.ended_at - self.began


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and how its replies are read."""

    url: str
    #: Stands once in each event that brings words.
    words: bytes
    #: Stands in the last event.
    last: bytes
    body: Callable[[int], Mapping[str, object]]


def lectern(url: str, question: Callable[[int], str]) -> Target:
    """Lectern's API, asked in its own way."""
    return Target(f"{url}/chat", b'"type":"chunk"', b'"type":"done"', lambda number: {"question": question(number)})


class _Visitor(asyncio.Protocol):
    def __init__(self, visit: Visit, target: Target, request: bytes, done: asyncio.Future[Visit]) -> None:
        self._visit, self._target, self._request, self._done = visit, target, request, done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        visit, target = self._visit, self._target
        visit.size += len(data)
        data = visit.tail + data
        count = data.count(target.words)
        if count and not visit.first_at:
            visit.first_at = time.perf_counter()
        visit.events += count
        if target.last in data:
            visit.whole, visit.ended_at = True, time.perf_counter()
            self._transport.close()
        # What may be the first half of a sign is looked at again, and never counted twice.
        keep = max(len(target.words), len(target.last)) - 1
        after = data.rfind(target.words) + len(target.words) if count else 0
        visit.tail = data[max(after, len(data) - keep) :]

    def connection_lost(self, exc: Exception | None) -> None:
        self._visit.ended_at = self._visit.ended_at or time.perf_counter()
        if not self._done.done():
            self._done.set_result(self._visit)


async def visit(target: Target, number: int, record: Visit | None = None) -> Visit:
    """Ask one question, read its answer to the end. `record`: what is filled in meanwhile. Leaving hangs up."""
    parts = urlsplit(target.url)
    assert parts.hostname
    assert parts.port
    body = json.dumps(target.body(number)).encode()
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    loop = asyncio.get_running_loop()
    record = record or Visit()
    record.began = time.perf_counter()
    done: asyncio.Future[Visit] = loop.create_future()
    async with asyncio.timeout(PATIENCE):
        transport, _ = await loop.create_connection(
            lambda: _Visitor(record, target, request, done), parts.hostname, parts.port
        )
        try:
            return await done
        finally:
            transport.abort()


async def arrive(
    target: Target, rate: float, seconds: float, first_number: int, visits: list[Visit]
) -> list[asyncio.Task[Visit]]:
    """Visitors who come in evenly, `rate` a second, for so many seconds; each is added to `visits` and goes on by
    itself."""
    began = time.perf_counter()
    tasks: list[asyncio.Task[Visit]] = []
    for place in range(max(1, round(rate * seconds))):
        await asyncio.sleep(max(0.0, began + place / rate - time.perf_counter()))
        visits.append(Visit())
        tasks.append(asyncio.create_task(visit(target, first_number + place, visits[-1])))
    return tasks
