"""The whole small size as real processes, for tests that go in from outside: `lectern up` and its HTTP API."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
from qdrant_client import QdrantClient
from qdrant_client import models as q

from shared.settings import Settings, variables_of

#: Long enough for a machine that runs other tests beside; a healthy start takes a few seconds.
START_SECONDS = 90
JOB_SECONDS = 120
NO_CACHE = {"ANSWER_CACHE_MINUTES": "0"}
TERMINAL = ("completed", "failed", "cancelled")


class System:
    """`lectern up` in a home and on docs of its own. Use as a context manager: nothing is left running."""

    def __init__(self, home: Path, docs: Path, **environment: str) -> None:
        self.home = home
        self.docs = docs
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.log = home.parent / f"{home.name}.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until it answers. Does not ingest."""
        command = [sys.executable, "-m", "cli.main", "up", "--docs", str(self.docs), "--home", str(self.home)]
        command += ["--port", "0", "--flower-port", "0", "--no-ingest"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.home.parent, env=environment(self._environment), stdout=log, stderr=log
            )
        until(lambda: self._is_ready() or self._process_ended(), START_SECONDS)
        assert self.state is not None, self.log.read_text()
        self.api = httpx.Client(base_url=self.state["api_url"], timeout=30)
        self.admin = {"X-API-Key": (self.home / "secrets" / "admin.key").read_text().strip()}

    def stop(self) -> int:
        """End it as Ctrl-C does. Returns the exit code."""
        if self._process is None:
            return 0
        self.api.close()
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(timeout=20)
        self._process = None
        return code

    def kill(self) -> None:
        """Take the supervisor away without a word."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def state(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads((self.home / "state.json").read_text())
        except (OSError, ValueError):
            return None
        return found

    def _is_ready(self) -> bool:
        # An instance that was killed leaves its state behind until the next one takes over.
        return self.state is not None and self.state["pid"] == self.pid

    def _process_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def pids(self, *words: str) -> list[int]:
        """The running processes below this instance whose command line holds all these words."""
        return [pid for pid in descendants(self.pid) if all(word in command_line(pid) for word in words)]

    # The API

    def post_ingest(self, **body: Any) -> str:
        response = self.api.post("/ingest", json=body, headers=self.admin)
        assert response.status_code == 202, response.text
        return str(response.json()["task_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        response = self.api.get("/ingest/status", params={"task_id": job_id}, headers=self.admin)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    def ingest(self, **body: Any) -> dict[str, Any]:
        """Run an ingest to its end. Returns the job as the status API shows it."""
        return self.finished(self.post_ingest(**body))

    def finished(self, job_id: str) -> dict[str, Any]:
        until(lambda: self._has_ended(job_id), JOB_SECONDS)
        return self.job(job_id)

    def _has_ended(self, job_id: str) -> bool:
        response = self.api.get("/ingest/status", params={"task_id": job_id}, headers=self.admin)
        # 503 while a store is down: the job goes on when it is back.
        return response.status_code == 200 and response.json()["status"] in TERMINAL

    def ask(self, question: str, **body: Any) -> list[dict[str, Any]]:
        """Ask and read the whole stream. Returns its events."""
        with self.api.stream("POST", "/chat", json={"question": question, **body}) as response:
            assert response.status_code == 200, response.read()
            return [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]

    def points(self) -> dict[str, dict[str, Any]]:
        """Every chunk and page that a reader of the live release sees, by id, asked of Qdrant itself."""
        assert self.state is not None
        key = (self.home / "secrets" / "qdrant.key").read_text().strip()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
            opened = QdrantClient(url=self.state["qdrant_url"], api_key=key, check_compatibility=False)
        with closing(opened) as client:
            found = client.scroll("lectern__records", q.Filter(must=[_is("record", "live")]), limit=1)[0]
            if not found or found[0].payload is None:
                return {}
            release, collection = found[0].payload["number"], found[0].payload["collection"]
            visible = q.Filter(
                must=[
                    q.FieldCondition(key="since", range=q.Range(lte=release)),
                    q.FieldCondition(key="until", range=q.Range(gt=release)),
                ]
            )
            records = client.scroll(collection, visible, limit=10_000)[0]
        return {str(record.id): dict(record.payload or {}) for record in records}


def _is(key: str, value: str) -> q.FieldCondition:
    return q.FieldCondition(key=key, match=q.MatchValue(value=value))


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without any setting of the machine's owner, and with `extra`.

    Answers are made anew, unless `extra` says otherwise.
    """
    ours = {variable for name in Settings.model_fields for variable in variables_of(name)}
    return {**{name: value for name, value in os.environ.items() if name not in ours}, **NO_CACHE, **extra}


def until(condition: Any, seconds: float, every: float = 0.1) -> None:
    """Wait for a condition; fail with its source line if it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not true after {seconds} seconds")
        time.sleep(every)


def descendants(pid: int) -> list[int]:
    """Every living process below `pid`, from /proc."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def command_line(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


@contextmanager
def docs_folder(path: Path, **pages: str) -> Iterator[Path]:
    """A content folder with these pages (`guide__install` is guide/install.md)."""
    for name, text in pages.items():
        file = path / f"{name.replace('__', '/')}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    yield path
