"""A small HTTP server on a thread, for tests that need one of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

State = TypeVar("State")
#: What is done to the server before it serves: TLS, for one.
Prepare = Callable[[ThreadingHTTPServer], None]


@contextmanager
def serving(
    handler: type[BaseHTTPRequestHandler], state_of: Callable[[int], State], prepare: Prepare | None = None
) -> Iterator[State]:
    """Serve on a free port. The handler finds what `state_of` makes of the port as `self.server.state`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if prepare is not None:
        prepare(server)
    state = server.state = state_of(server.server_port)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
