"""The API as a process: how it stops while it is answering, and how it refuses to start."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from embedded.ports import pick_free
from tests.stores import Stores
from tests.system import environment

START_SECONDS = 60


def command(application: str, port: int, *more: str) -> list[str]:
    uvicorn = [sys.executable, "-m", "uvicorn", application, "--factory", "--no-proxy-headers", "--no-access-log"]
    return [*uvicorn, "--host", "127.0.0.1", "--port", str(port), *more]


@contextmanager
def running(stores: Stores, folder: Path, *more: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A process of the application whose answers never end, and its address."""
    (port,) = pick_free(1)
    address = f"http://127.0.0.1:{port}"
    with (folder / "api.log").open("wb") as log:
        process = subprocess.Popen(
            command("tests.integration.streaming_app:app", port, *more),
            env=environment(stores.environment), stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(f"{address}/healthz"):
            assert process.poll() is None, (folder / "api.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process, address
    finally:
        process.kill()
        process.wait()


def answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_told_to_stop_ends_its_streams_in_order_and_goes(
    stores: Stores, tmp_path: Path, number: signal.Signals
) -> None:
    with running(stores, tmp_path) as (process, address), httpx.Client(timeout=20) as client:
        with client.stream("POST", f"{address}/chat", json={"question": "x"}) as response:
            events: list[dict[str, Any]] = []
            told_at = 0.0
            for line in response.iter_lines():
                if not line.startswith("data: "):
                    continue
                events.append(json.loads(line[6:]))
                if len(events) == 5:
                    process.send_signal(number)
                    told_at = time.monotonic()
        assert [event["type"] for event in events[-2:]] == ["chunk", "error"]
        assert events[-1]["code"] == "RESTARTING"
        assert events[-1]["retryable"] is True
        process.wait(timeout=10)
        assert time.monotonic() - told_at < 5
    assert "Traceback" not in (tmp_path / "api.log").read_text()


def test_an_answer_in_one_piece_is_refused_when_the_process_stops(stores: Stores, tmp_path: Path) -> None:
    with running(stores, tmp_path) as (process, address):
        body = json.dumps({"question": "x", "stream": False})
        curl = [
            sys.executable, "-c",
            "import httpx, sys; r = httpx.post(sys.argv[1], content=sys.argv[2], timeout=20,"
            " headers={'Content-Type': 'application/json'}); print(r.status_code, r.json()['code'])",
            f"{address}/chat", body,
        ]  # fmt: skip
        asking = subprocess.Popen(curl, stdout=subprocess.PIPE)
        deadline = time.monotonic() + START_SECONDS
        while "active_connections 2.0" not in httpx.get(f"{address}/metrics").text:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said, _ = asking.communicate(timeout=20)
        process.wait(timeout=10)
    assert said.decode().strip() == "503 RESTARTING"


# Refusing to start


@pytest.mark.parametrize(
    ("application", "variables", "line"),
    [
        ("api.main:app", {"CHUNK_SIZE": "many"}, "CHUNK_SIZE: should be a valid integer"),
        ("api.main:app", {"REDIS_URL": "http://x", "ADMIN_API_KEY": "short"}, "ADMIN_API_KEY: "),
        ("tests.integration.streaming_app:misconfigured_app", {}, "CHAT_MODEL: is not one of the provider's"),
    ],
)
def test_a_wrong_setting_ends_the_process_with_its_line_and_status_two(
    stores: Stores, application: str, variables: dict[str, str], line: str
) -> None:
    (port,) = pick_free(1)
    ended = subprocess.run(
        command(application, port), env=environment({**stores.environment, **variables}),
        capture_output=True, text=True, timeout=START_SECONDS, check=False,
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert any(said.startswith(line) for said in ended.stderr.splitlines()), ended.stderr
    assert "Traceback" not in ended.stderr
    assert "short" not in ended.stderr.replace("shorter", "")


def test_a_wrong_setting_ends_a_worker_too_with_its_line_and_status_two(stores: Stores) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker.app", "worker"],
        env=environment({**stores.environment, "CHUNK_SIZE": "many"}),
        capture_output=True, text=True, timeout=START_SECONDS, check=False,
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("CHUNK_SIZE: should be a valid integer")
    assert "Traceback" not in ended.stderr
