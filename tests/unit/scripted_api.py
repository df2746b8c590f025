"""A real HTTP server in a thread that answers as it is told to: the API as a command sees it."""

from __future__ import annotations

import json
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Reply:
    """One answer; `writes` are sent one by one, and `cut` ends the connection without an end."""

    writes: Sequence[bytes]
    status: int = 200
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


def as_json(body: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply([json.dumps(body, ensure_ascii=False).encode()], status, headers=named)


def as_events(
    *events: Mapping[str, Any], bytes_a_write: int = 10_000, cut: bool = False, answer: str = "a", first: int = 1
) -> Reply:
    """A stream of server-sent events, cut into writes of this size wherever that falls.

    `answer`, `first`: what the events' ids are made of; without an answer they have none. Those that say of a failure
    have none either.
    """
    failed = bool(events) and events[-1]["type"] == "error"
    named = len(events) - 2 * failed if answer else 0
    ids = [f"id: {answer}-{first + place}\n" if place < named else "" for place in range(len(events))]
    frames = (f"data: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events)
    text = "".join(id_ + frame for id_, frame in zip(ids, frames, strict=True)).encode()
    writes = [text[start : start + bytes_a_write] for start in range(0, len(text), bytes_a_write)]
    return Reply(writes, kind="text/event-stream", cut=cut)


class ScriptedApi:
    """Replies are given in order; the last one of a route stays."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.received: list[Received] = []
        self._replies: defaultdict[tuple[str, str], deque[Reply]] = defaultdict(deque)

    def on(self, method: str, path: str, *replies: Reply) -> None:
        self._replies[method, path] = deque(replies)

    def reply(self, received: Received) -> Reply:
        self.received.append(received)
        replies = self._replies[received.method, received.path]
        if not replies:
            return as_json({"message": f"no reply is scripted for {received.path}", "code": "NOT_FOUND"}, 404)
        return replies.popleft() if len(replies) > 1 else replies[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A command that has read enough and leaves is no error; the usual report would land in its output."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def running_api() -> Iterator[ScriptedApi]:
    """The server on a free port, gone at the end."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            received = Received(self.command, parts.path, query, headers, json.loads(body) if body else None)
            self.send(api.reply(received))

        do_GET = do_POST = do_DELETE = answer

        def send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            self.send_header("content-type", reply.kind)
            self.send_header("transfer-encoding", "chunked")
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            for part in reply.writes:
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                self.wfile.flush()
            if reply.cut:
                self.close_connection = True
            else:
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    api = ScriptedApi(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
