"""Everything in one container, as Hugging Face Spaces runs it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx
import pytest

from embedded.ports import pick_free
from tests.docker.compose import Compose, docker, until

QUESTION: Final = {"question": "How do I change the port?", "stream": False}
QDRANT: Final = "lectern-test-one-qdrant"
NETWORK: Final = "lectern-test-one"
VOLUME: Final = "lectern-test-one"
KEY: Final = "0123456789abcdef-qdrant"


@contextmanager
def container(name: str, *options: str, image: str, command: tuple[str, ...] = ()) -> Iterator[str]:
    """A running container; stopped, and removed with what it has written, at the end."""
    docker("run", "--detach", "--name", name, *options, image, *command)
    try:
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)


@contextmanager
def space(*options: str) -> Iterator[httpx.Client]:
    """The container as a Space has it, when it is healthy; a client for it."""
    [port] = pick_free(1)
    locked = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    published = ("--publish", f"127.0.0.1:{port}:7860")
    with container("lectern-test-space", *locked, *published, *options, image="lectern") as name:
        until(
            lambda: docker("inspect", "--format", "{{.State.Health.Status}}", name).strip(),
            lambda health: health == "healthy",
            seconds=60,
        )
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client:
            yield client


def release(client: httpx.Client) -> Any:
    return until(lambda: client.get("/health").json()["release"], lambda number: number is not None, seconds=60)


def answer(client: httpx.Client) -> str:
    return client.post("/chat", json=QUESTION).raise_for_status().text


@pytest.fixture
def volume() -> Iterator[str]:
    docker("volume", "create", VOLUME)
    yield VOLUME
    docker("volume", "rm", VOLUME)


def test_it_indexes_answers_stops_in_order_and_keeps_its_index(images: Compose, volume: str) -> None:
    data = ("--mount", f"type=volume,source={volume},target=/data")
    with space(*data) as client:
        assert release(client) == 1
        assert "#change-the-port" in answer(client)
        assert docker("exec", "lectern-test-space", "id", "-u").strip() == "1000"
        started = time.monotonic()
        docker("stop", "--time", "20", "lectern-test-space")
        assert time.monotonic() - started < 12
        assert docker("inspect", "--format", "{{.State.ExitCode}}", "lectern-test-space").strip() == "0"
    with space(*data) as client:
        assert release(client) == 1
        assert "#change-the-port" in answer(client)


@pytest.fixture
def qdrant() -> Iterator[str]:
    """A Qdrant elsewhere: in a container of its own."""
    docker("network", "create", NETWORK)
    command = ("-c", f"echo '  api_key: \"{KEY}\"' > /tmp/c.yaml; exec /qdrant/qdrant --config-path /tmp/c.yaml")
    options = ("--network", NETWORK, "--entrypoint", "bash")
    try:
        with container(QDRANT, *options, image="lectern-test-qdrant", command=command):
            yield f"http://{QDRANT}:6333"
    finally:
        docker("network", "rm", NETWORK)


def test_with_a_qdrant_elsewhere_it_starts_none_and_forgets_nothing(images: Compose, qdrant: str) -> None:
    options = ("--network", NETWORK, "--env", f"QDRANT_URL={qdrant}", "--env", f"QDRANT_API_KEY={KEY}")
    with space(*options, "--tmpfs", "/data:uid=1000") as client:
        assert release(client) == 1
        assert "#change-the-port" in answer(client)
        log = docker("logs", "lectern-test-space")
        assert f"the index is kept in the Qdrant at {qdrant}" in log
        assert "qdrant is ready" not in log
        assert KEY not in log
    with space(*options, "--tmpfs", "/data:uid=1000") as client:
        until(lambda: docker("logs", "lectern-test-space"), lambda log: "nothing has changed" in log, seconds=30)
        assert release(client) == 1
