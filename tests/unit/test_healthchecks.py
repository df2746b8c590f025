"""What containers ask of themselves."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from api import healthcheck as of_api
from worker import healthcheck as of_worker


@pytest.fixture
def alive(tmp_path: Path) -> Path:
    return tmp_path / "alive"


def test_a_worker_that_beats_is_well(alive: Path) -> None:
    alive.touch()
    assert of_worker.main([str(alive)]) == 0


def test_a_worker_that_has_not_beaten_yet_is_not_well(alive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert of_worker.main([str(alive)]) == 1
    assert "has not reached Redis" in capsys.readouterr().err


def test_a_worker_that_has_stopped_beating_is_not_well(alive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alive.touch()
    os.utime(alive, (0, time.time() - 21))
    assert of_worker.main([str(alive)]) == 1
    assert "21 seconds ago" in capsys.readouterr().err


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """A server in the API's place; its status can be changed."""
    reply = {"status": 200}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(reply["status"] if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        monkeypatch.setattr(of_api, "PORT", server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield reply
        server.shutdown()
        thread.join()


def test_an_api_that_answers_is_well_whatever_proxy_is_set(
    answering: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert of_api.main() == 0


def test_an_api_that_answers_with_an_error_is_not_well(
    answering: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    answering["status"] = 500
    assert of_api.main() == 1
    assert "status 500" in capsys.readouterr().err


def test_an_api_that_does_not_answer_is_not_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setattr(of_api, "PORT", free.getsockname()[1])
    assert of_api.main() == 1
    assert "does not answer" in capsys.readouterr().err
