"""What the Qdrant contract runs on.

`client` is each of: the embedded server as a real process, qdrant-client's local mode, and a real Qdrant server where
the environment variable LECTERN_TEST_QDRANT_URL names one (LECTERN_TEST_QDRANT_API_KEY, if it wants a key).
`rest_client` leaves local mode out: for what only a server has, such as HTTP statuses.
"""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient

from tests.qdrant_server import API_KEY, quick_folder, running

_SERVER_URL = os.environ.get("LECTERN_TEST_QDRANT_URL")
SERVERS = ["embedded", *(["server"] if _SERVER_URL else [])]


@pytest.fixture(scope="session")
def embedded_url() -> Iterator[str]:
    with quick_folder() as folder:
        key = folder / "key"
        key.write_text(f"{API_KEY}\n")
        with running(folder / "data", "--api-key-file", str(key)) as server:
            yield server.url


@pytest.fixture(scope="session")
def arguments(embedded_url: str) -> dict[str, dict[str, Any]]:
    """What a client is opened with, by kind."""
    server_key = os.environ.get("LECTERN_TEST_QDRANT_API_KEY")
    return {
        "embedded": {"url": embedded_url, "api_key": API_KEY, "check_compatibility": False},
        "server": {"url": _SERVER_URL, "api_key": server_key, "check_compatibility": False},
        "local": {"location": ":memory:"},
    }


@pytest.fixture(scope="session")
def connect(arguments: dict[str, dict[str, Any]]) -> Iterator[Callable[[str], QdrantClient]]:
    """Gives the one client of a kind: opening one takes longer than a test."""
    opened: dict[str, QdrantClient] = {}

    def get(kind: str) -> QdrantClient:
        if kind not in opened:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
                opened[kind] = QdrantClient(**arguments[kind])
        return opened[kind]

    yield get
    for client in opened.values():
        client.close()


@pytest.fixture(params=[*SERVERS, "local"])
def client(request: pytest.FixtureRequest, connect: Callable[[str], QdrantClient]) -> QdrantClient:
    return connect(request.param)


@pytest.fixture(params=SERVERS)
def rest_client(request: pytest.FixtureRequest, connect: Callable[[str], QdrantClient]) -> QdrantClient:
    return connect(request.param)


@pytest.fixture(params=[*SERVERS, "local"])
def async_client(request: pytest.FixtureRequest, arguments: dict[str, dict[str, Any]]) -> AsyncQdrantClient:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
        return AsyncQdrantClient(**arguments[request.param])


@pytest.fixture
def new_name(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Names that nobody else uses; what was made under them is deleted in the end."""
    given: list[str] = []

    def make() -> str:
        given.append(f"contract-{uuid.uuid4().hex[:12]}")
        return given[-1]

    yield make
    for fixture in ("client", "rest_client"):
        if fixture in request.fixturenames:
            opened = request.getfixturevalue(fixture)
            for name in given:
                opened.delete_collection(name)
