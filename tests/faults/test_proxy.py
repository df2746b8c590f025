"""The proxy itself: that it is slow, cut, silent and failing as it says, and well again afterwards."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.faults.proxy import Proxy


class Answering(socketserver.StreamRequestHandler):
    """Answers every request with a word."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            if line == b"\r\n":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answering) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        with Proxy(server.server_address[1]) as between:
            yield between
        server.shutdown()
        thread.join()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[httpx.Client]:
    with closing(httpx.Client(base_url=f"http://127.0.0.1:{proxy.port}", timeout=1, trust_env=False)) as opened:
        yield opened


def test_what_it_does_ends_when_it_is_told_to(proxy: Proxy, client: httpx.Client) -> None:
    assert client.get("/").text == "hello"
    with proxy.behaving("cut"), pytest.raises(httpx.TransportError):
        client.get("/")
    with proxy.behaving("failing"):
        assert client.get("/").status_code == 500
    with proxy.behaving("silent"), pytest.raises(httpx.ReadTimeout):
        client.get("/")
    with proxy.behaving(delay=0.1):
        started = time.monotonic()
        assert client.get("/").text == "hello"
        assert time.monotonic() - started >= 0.2
    assert client.get("/").text == "hello"


def test_a_connection_that_is_open_breaks_when_it_is_cut(proxy: Proxy, client: httpx.Client) -> None:
    with client.stream("GET", "/") as response:
        assert response.status_code == 200
        with proxy.behaving("silent"):
            pass
        assert response.read() == b"hello"
    with proxy.behaving("cut"):
        time.sleep(0.1)
    # The pooled connection is gone; a new one is made.
    assert client.get("/").text == "hello"
