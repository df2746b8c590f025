"""The API and the worker as processes of their own, on whatever stores the test names: no supervisor above them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from embedded.ports import pick_free
from tests.http_api import ADMIN, ADMIN_KEY
from tests.system import START_SECONDS, TERMINAL, environment, until

#: What a worker says once it takes messages.
WORKER_READY = "ready."


@dataclass(frozen=True, slots=True)
class Api:
    """A running API process and a client of it."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    log: Path

    def ingest(self, **headers: str) -> str:
        """Ask for an ingest of everything; the job's id."""
        response = self.client.post("/ingest", json={}, headers={**ADMIN, **headers})
        assert response.status_code == 202, response.text
        return str(response.json()["task_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """The job as the status route shows it; {} while a store is down."""
        response = self.client.get("/ingest/status", params={"task_id": job_id}, headers=ADMIN)
        assert response.status_code in (200, 503), response.text
        found: dict[str, Any] = response.json() if response.status_code == 200 else {}
        return found

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get("/ingest/status", headers=ADMIN).json()["tasks"]
        return found

    def finished(self, job_id: str, seconds: float) -> dict[str, Any]:
        until(lambda: self.job(job_id).get("status") in TERMINAL, seconds)
        return self.job(job_id)

    def ask(self, question: str, **more: Any) -> list[dict[str, Any]]:
        """Ask and read the whole stream. Returns its events."""
        headers = {"X-Anonymous-Session-ID": more.pop("browser", "")}
        with self.client.stream("POST", "/chat", json={"question": question, **more}, headers=headers) as response:
            assert response.status_code == 200, response.read()
            return [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]

    def remembered(self, browser: str) -> int:
        """Exchanges that are remembered of a browser."""
        return int(self.client.get(f"/auth/anonymous-session/{browser}").json()["message_count"])


@contextmanager
def running_api(folder: Path, variables: Mapping[str, str], application: str = "api.main:app") -> Iterator[Api]:
    """An API process that answers; it is killed at the end if the test has not ended it."""
    (port,) = pick_free(1)
    log = folder / f"api-{port}.log"
    command = [sys.executable, "-m", "uvicorn", application, "--factory", "--no-proxy-headers", "--no-access-log"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--timeout-graceful-shutdown", "5"]
    with (
        _process(command, {"ADMIN_API_KEY": ADMIN_KEY, **variables}, log) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        until(lambda: _answers(client) or process.poll() is not None, START_SECONDS)
        assert process.poll() is None, log.read_text()
        yield Api(process, client, log)


@contextmanager
def running_worker(folder: Path, variables: Mapping[str, str], name: str = "one") -> Iterator[subprocess.Popen[bytes]]:
    """A worker process that takes messages; it is killed at the end if the test has not ended it."""
    log = folder / f"worker-{name}.log"
    command = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "--loglevel=INFO", "-n", f"worker@{name}"]
    command += ["--concurrency", "1", "--without-mingle", "--without-gossip"]
    with _process(command, {"REMAP_SIGTERM": "SIGQUIT", **variables}, log) as process:
        until(lambda: WORKER_READY in log.read_text() or process.poll() is not None, START_SECONDS)
        assert process.poll() is None, log.read_text()
        yield process


@contextmanager
def _process(command: list[str], variables: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        # In the folder of the logs: no .env of the machine's owner is read from there.
        process = subprocess.Popen(
            command, cwd=log.parent, env=environment(variables), stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a worker's children too, which may outlive it
        process.wait()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False
