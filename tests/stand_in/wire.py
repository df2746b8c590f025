"""HTTP/1.1 over bare asyncio streams: enough of it for the stand-in, with every byte and every close in our hands."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

REASONS = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        decoded = json.loads(self.body or b"{}")
        assert isinstance(decoded, dict)
        return decoded


class ClientGone(Exception):
    """Raised when the client has closed its end before it had the whole answer."""


@dataclass
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    #: Set by whoever has ended the connection on purpose.
    closed: bool = field(default=False)

    async def read_request(self) -> Request | None:
        """The next request; None when the client has no more."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        first, *lines = head.split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Request(method, path.partition("?")[0], headers, body)

    async def send(
        self,
        status: int,
        body: bytes | str | object,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """A whole answer. `body` that is neither bytes nor text is sent as JSON."""
        content = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self.writer.write(
            f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(content)}\r\n{extra}\r\n".encode()
            + content
        )
        await self._drain()

    async def start_stream(self, content_type: str = "text/event-stream") -> None:
        """The head of an answer that `write` and `end_stream` continue. The connection closes after it."""
        self.writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        await self._drain()

    async def write(self, data: str) -> None:
        content = data.encode()
        self.writer.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        await self._drain()

    async def write_raw(self, data: bytes) -> None:
        """Bytes that are no HTTP, and the end."""
        self.writer.write(data)
        await self._drain()
        await self.close()

    async def end_stream(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self._drain()
        await self.close()

    async def sleep(self, seconds: float | None) -> None:
        """Wait, for ever with None; raises ClientGone as soon as the client leaves."""
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(seconds):
                # A client that waits for an answer sends nothing, so what can be read is the end.
                await self._read_end()
            raise ClientGone

    async def _read_end(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self.reader.read(1)

    async def _drain(self) -> None:
        try:
            await self.writer.drain()
        except ConnectionError as error:
            raise ClientGone from error

    async def close(self) -> None:
        """End the connection properly: the client reads end of file."""
        self.closed = True
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """End the connection with RST: the client gets "connection reset by peer"."""
        self.closed = True
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
