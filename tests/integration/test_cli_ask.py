"""`lectern ask` over a connection that breaks: the answer goes on, once said and once paid for."""

from __future__ import annotations

import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Self
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner, Result

from cli.answer_events import answer_events
from cli.main import app
from embedded.ports import LOOPBACK
from tests.stand_in.fixtures import Provider, running_provider
from tests.system import NO_CACHE, System, docs_folder, until

QUESTION: Final = "Where do I drop the anchor?"
#: About two seconds of words: a process that is told to stop lets it go on for four. With a letter of two bytes for
#: connections to be cut in.
ANSWER: Final = " ".join(
    f"Drop the anchor number {number} over the bow in shallow w\u00e4ter [1]." for number in range(12)
)


class CuttingProxy(socketserver.ThreadingTCPServer):
    """Passes bytes on, and cuts each connection after so many of the reply; the last number stays."""

    daemon_threads = True

    def __init__(self, target: int, *most_bytes: int | None) -> None:
        super().__init__((LOOPBACK, 0), _CutConnection)
        self.target = target
        self.left = list(most_bytes)
        self.connections = 0
        self.url = f"http://{LOOPBACK}:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _CutConnection(socketserver.BaseRequestHandler):
    server: CuttingProxy

    def handle(self) -> None:
        self.server.connections += 1
        most = self.server.left.pop(0) if len(self.server.left) > 1 else self.server.left[0]
        with socket.create_connection((LOOPBACK, self.server.target)) as onward:
            asking = threading.Thread(target=_pass, args=(self.request, onward, None))
            asking.start()
            _pass(onward, self.request, most)
            for end in (onward, self.request):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            asking.join()


def _pass(source: socket.socket, sink: socket.socket, most: int | None) -> None:
    with suppress(OSError):
        while (most is None or most > 0) and (data := source.recv(most or 65536)):
            sink.sendall(data)
            most = None if most is None else most - len(data)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, slow_provider: Provider) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("ask")
    environment = {"OPENAI_BASE_URL": slow_provider.base_url, "CHAT_MODEL": "stand-in", **NO_CACHE}
    with (
        docs_folder(folder / "docs", index="# Anchor\n\nDrop the anchor over the bow in shallow water.\n") as docs,
        System(folder / "home", docs, **environment) as running,
    ):
        assert running.ingest()["status"] == "completed"
        yield running


@pytest.fixture(scope="module")
def slow_provider() -> Iterator[Provider]:
    with running_provider() as provider:
        provider.fault("chat", "slow_tokens", seconds=0.015, text=ANSWER)
        yield provider


@pytest.fixture
def port(system: System) -> int:
    assert system.state is not None
    return urlsplit(system.state["api_url"]).port or 0


@pytest.fixture(scope="module")
def whole(system: System) -> Result:
    """What is said where nothing breaks."""
    assert system.state is not None
    result = ask(system.state["api_url"])
    assert result.exit_code == 0
    assert "number 11 over" in result.stdout
    return result


def ask(url: str) -> Result:
    return CliRunner().invoke(app, ["ask", QUESTION, "--api", url])


# In the reply's head, in its first event, in the middle of words, and again and again.
@pytest.mark.parametrize("bytes_a_connection", [(100, None), (700, None), (2500, None), (900, 900, 60, 1500, None)])
def test_a_connection_that_breaks_costs_no_word_and_no_second_answer(
    port: int, slow_provider: Provider, whole: Result, bytes_a_connection: tuple[int | None, ...]
) -> None:
    asked_before = slow_provider.stats().chat_requests
    with CuttingProxy(port, *bytes_a_connection) as proxy:
        result = ask(proxy.url)
    said = result.stdout.replace(proxy.url, f"http://{LOOPBACK}:{port}")
    assert (said, result.stderr, result.exit_code) == (whole.stdout, "", 0)
    assert proxy.connections == len(bytes_a_connection)
    assert slow_provider.stats().chat_requests == asked_before + 1


def test_ctrl_c_stops_the_answer_and_not_only_the_command(port: int, slow_provider: Provider) -> None:
    left_before = slow_provider.stats().streams_closed_early
    command = [sys.executable, "-m", "cli.main", "ask", QUESTION, "--api", f"http://{LOOPBACK}:{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        pressed_at = time.monotonic()
        _, complaint = process.communicate(timeout=5)
    assert (process.returncode, complaint) == (130, b"")
    until(lambda: slow_provider.stats().streams_closed_early == left_before + 1, 5)
    assert slow_provider.stats().chat.left_early[-1] - pressed_at < 1.5


def test_an_answer_outlives_the_process_that_gave_it(
    system: System, port: int, slow_provider: Provider, whole: Result
) -> None:
    asked_before = slow_provider.stats().chat_requests
    (api,) = system.pids("uvicorn", "api.main:app")
    said: list[Result] = []
    asking = threading.Thread(target=lambda: said.append(ask(f"http://{LOOPBACK}:{port}")))
    asking.start()
    until(lambda: slow_provider.stats().chat_requests == asked_before + 1, 10)
    os.kill(api, signal.SIGTERM)
    asking.join(60)
    assert (said[0].stdout, said[0].stderr, said[0].exit_code) == (whole.stdout, "", 0)
    assert slow_provider.stats().chat_requests == asked_before + 1


def test_a_connection_that_stays_broken_is_told_plainly(
    port: int, monkeypatch: pytest.MonkeyPatch, whole: Result
) -> None:
    monkeypatch.setattr(answer_events, "__defaults__", ((0.01,) * 3,))
    with CuttingProxy(port, 2500, 60) as proxy:
        result = ask(proxy.url)
    assert whole.stdout.startswith(result.stdout.rstrip("\n"))
    assert result.stdout.strip()
    assert "the answer was interrupted, and 3 more tries brought no more of it" in result.stderr
    assert (result.stderr.count("\n"), result.exit_code, proxy.connections) == (1, 1, 4)
