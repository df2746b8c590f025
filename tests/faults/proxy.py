"""A TCP proxy with faults: the way from a process to a store can be slow, cut, silent, or answer with errors."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Literal, Self

from embedded.ports import LOOPBACK

Mode = Literal["open", "cut", "silent", "failing"]
#: What a gateway in front of a store says while the store is ill.
SERVER_ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Proxy:
    """Passes bytes on to a port of this machine, from a thread of its own. Use as a context manager."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._mode: Mode = "open"
        self._delay = 0.0
        self._connections: set[asyncio.Task[None]] = set()
        #: Clear while bytes are held back.
        self._flowing = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @contextlib.contextmanager
    def behaving(self, mode: Mode = "open", *, delay: float = 0.0) -> Iterator[None]:
        """Behave so, then well again.

        cut: connections break and none is accepted. silent: bytes are held back, and arrive when it is over.
        failing: whatever is sent is answered with a 500 of HTTP. `delay`: seconds that each piece takes each way.
        """
        self._set(mode, delay)
        try:
            yield
        finally:
            self._set("open", 0.0)

    def _set(self, mode: Mode, delay: float) -> None:
        asyncio.run_coroutine_threadsafe(self._change(mode, delay), self._loop).result(5)

    async def _change(self, mode: Mode, delay: float) -> None:
        self._mode, self._delay = mode, delay
        if mode == "silent":
            self._flowing.clear()
        else:
            self._flowing.set()
        if mode == "cut":
            for connection in self._connections:
                connection.cancel()

    async def _start(self) -> int:
        self._flowing.set()
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _stop(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        onward: asyncio.StreamWriter | None = None
        try:
            if self._mode == "cut":
                return
            back, onward = await asyncio.open_connection(LOOPBACK, self._target)
            async with asyncio.TaskGroup() as both:
                there = both.create_task(self._pass(reader, onward, asked_by=writer))
                here = both.create_task(self._pass(back, writer))
                await asyncio.wait({there, here}, return_when=asyncio.FIRST_COMPLETED)
                there.cancel()
                here.cancel()
        except (OSError, asyncio.CancelledError):
            pass  # `cut` and `_stop` cancel; asyncio reports a task that it finds cancelled as an error
        except ExceptionGroup as group:
            if not all(isinstance(error, OSError) for error in group.exceptions):
                raise
        finally:
            self._connections.discard(task)
            for end in filter(None, (writer, onward)):
                end.transport.abort()

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, asked_by: asyncio.StreamWriter | None = None
    ) -> None:
        while data := await source.read(65536):
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._flowing.wait()
            if self._mode == "failing" and asked_by is not None:
                asked_by.write(SERVER_ERROR)
                await asked_by.drain()
                return
            sink.write(data)
            await sink.drain()
