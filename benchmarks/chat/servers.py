"""The servers that the chat benchmark compares, each a process of its own in front of the same model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.chat.visitors import Target, lectern
from benchmarks.scale.corpus import Corpus
from embedded.ports import pick_free
from tests.system import System, environment, until

START_SECONDS = 60
INGEST_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Server:
    """What is measured: where it answers, and the process whose CPU and memory count."""

    name: str
    target: Target
    pid: int
    #: Of other processes that an answer costs CPU: Qdrant, Valkey.
    others: tuple[int, ...] = ()


@contextmanager
def running_model(pace: float, tokens: int) -> Iterator[str]:
    """The model's base address."""
    command = [sys.executable, "-m", "benchmarks.chat.model", "--pace", str(pace), "--tokens", str(tokens)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()


@contextmanager
def running_servers(model_url: str, scratch: Path, docs: Path, corpus: Corpus) -> Iterator[list[Server]]:
    """From the barest to Lectern with everything on."""
    with ExitStack() as stack:
        asked = {"OPENAI_BASE_URL": model_url, "MODEL_URL": model_url}
        floor = stack.enter_context(_uvicorn("benchmarks.chat.pass_through:app", asked))
        peer = stack.enter_context(_uvicorn("benchmarks.chat.peer:app", asked))
        system = stack.enter_context(_lectern(model_url, scratch, docs))
        assert system.state is not None
        others = (*system.pids("embedded.qdrant"), *system.pids("valkey-server"))

        def passed_on(url: str, words: bytes, last: bytes) -> Target:
            return Target(f"{url}/chat", words, last, lambda number: {"question": corpus.question(number)})

        yield [
            Server("bytes passed through", passed_on(floor[0], b'"delta": {"content"', b"[DONE]"), floor[1]),
            Server("FastAPI + the SDK's objects", passed_on(peer[0], b'"type": "chunk"', b'"type": "done"'), peer[1]),
            Server("Lectern", lectern(system.state["api_url"], corpus.question), system.pids("api.main")[0], others),
        ]


@contextmanager
def _uvicorn(application: str, variables: dict[str, str]) -> Iterator[tuple[str, int]]:
    (port,) = pick_free(1)
    command = [sys.executable, "-m", "uvicorn", application, "--port", str(port), "--log-level", "error"]
    with subprocess.Popen([*command, "--backlog", "4096"], env=environment(variables)) as process:
        try:
            until(lambda: _answers(f"http://127.0.0.1:{port}/"), START_SECONDS)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code > 0
    except httpx.HTTPError:
        return False


@contextmanager
def _lectern(model_url: str, scratch: Path, docs: Path) -> Iterator[System]:
    """As it is shipped, with the local embedding model; only the limit on one address's questions is lifted."""
    settings = {
        "OPENAI_BASE_URL": model_url,
        "CHAT_MODEL": "bench",
        "RATE_LIMIT_REQUESTS": "10000000",
        "MIN_SCORE": "-1",  # made-up questions are to be answered too
    }
    with System(scratch / "home", docs.resolve(), **settings) as system:
        task = system.post_ingest()
        until(lambda: system.job(task)["status"] == "completed", INGEST_SECONDS)
        yield system
