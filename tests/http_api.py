"""The HTTP side of the API on a real socket, with answers that the test makes up."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, MutableMapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import uvicorn
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from api.chat.cache import Answerer
from api.chat.events import Citation, Cited, Delta, Event, Finished, Question, Started
from api.chat.model import ChatModel, Ending
from api.chat.prompt import Message, Prompt
from api.dependencies import Timings
from api.main import OpenModel, OpenServices, create_app
from shared.embedding_batches import BatchLimits
from shared.embeddings import EmbeddedPart, EmbeddingBatch
from shared.models import Vector
from shared.services import Services, open_services
from shared.settings import Settings, load_settings
from tests.stores import Stores

ADMIN_KEY = "test-admin-key-0123456789"
ADMIN = {"X-API-Key": ADMIN_KEY}

CITATION = Citation(
    number=1, id="8d7a2f0e-0001-5000-8000-000000000001", chunk_id="8d7a2f0e-0001-5000-8000-000000000001",
    text="Run make up.", chapter="Install", section="Linux", heading="Linux", page_title="Install",
    path="guide/install.md", url="https://docs.example/guide/install#linux", score=0.82,
)  # fmt: skip
LINK = "[Install - Linux](https://docs.example/guide/install#linux)"


class ScriptedAnswer:
    """An answer made of `script`: events to send, seconds to wait, exceptions to raise. Notes what happened to it."""

    def __init__(self, *script: Event | float | Exception) -> None:
        self.script = script
        self.questions: list[Question] = []
        #: time.monotonic() when the generator was left, in whatever way.
        self.closed_at: float | None = None
        self.closed = threading.Event()

    async def __call__(self, question: Question, services: Services, model: ChatModel) -> AsyncGenerator[Event, None]:
        self.questions.append(question)
        try:
            for step in self.script:
                if isinstance(step, float | int):
                    await asyncio.sleep(step)
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step
        finally:
            self.closed_at = time.monotonic()
            self.closed.set()


def finished(answer: str = "Run make up.", **changes: Any) -> Finished:
    facts = {
        "sources": (CITATION,), "model": "test-model", "tokens_used": 321, "context_used": 300,
        "no_results": False, "finish_reason": "stop",
    }  # fmt: skip
    return Finished(answer=answer, **{**facts, **changes})


def good_answer() -> ScriptedAnswer:
    """An answer in two pieces with one citation."""
    return ScriptedAnswer(
        Started(sources=(LINK,), retrieved=4), Delta("Run `make up`. "), Delta(LINK), Cited(CITATION),
        finished(f"Run `make up`. {LINK}"),
    )  # fmt: skip


class NoModel:
    """Stands where the real application has its chat model."""

    name = "none"

    def stream(self, prompt: Prompt, services: Services) -> AsyncGenerator[str | Ending, None]:
        raise AssertionError("a scripted answer asks no model")

    async def complete(self, messages: Sequence[Message], most_tokens: int, seconds: float) -> str | None:
        return None

    async def close(self) -> None:
        return None


class NoEmbedder:
    """Stands where the real application loads its embedding model. Every text means the same to it."""

    model = "none"
    dimensions = 2
    window: int | None = None
    batch = room = BatchLimits(items=10, tokens=1000)

    async def open(self) -> None:
        return None

    async def embed(self, texts: Sequence[str]) -> EmbeddingBatch:
        raise AssertionError("the API embeds no passages")

    def embed_parts(self, texts: Sequence[str]) -> AsyncGenerator[EmbeddedPart]:
        raise AssertionError("the API embeds no passages")

    async def embed_query(self, text: str) -> Vector:
        return [1.0, 0.0]

    async def close(self) -> None:
        return None


@asynccontextmanager
async def open_services_without_model(settings: Settings) -> AsyncIterator[Services]:
    async with open_services(settings) as services:
        yield replace(services, embedder=NoEmbedder())


def settings_on(stores: Stores, **overrides: Any) -> Settings:
    """Settings for a server that several tests share; `make_settings` makes them for one test."""
    ours = {
        "redis_url": stores.redis_url,
        "qdrant_url": stores.qdrant_url,
        "qdrant_api_key": stores.qdrant_api_key,
        "collection": f"test-{uuid4().hex[:8]}",
        "admin_api_key": ADMIN_KEY,
    }
    return load_settings(None, **{**ours, **overrides})


class Client(httpx.Client):
    """A client of the served application, which also sees what that logs."""

    logs: Sequence[MutableMapping[str, Any]]


@contextmanager
def serving(
    settings: Settings,
    answer: Answerer | None = None,
    timings: Timings | None = None,
    *,
    open_model: OpenModel = lambda _: NoModel(),
    open_services: OpenServices = open_services_without_model,
) -> Iterator[Client]:
    """Run the application on a free port. Yields a client for it."""
    app = create_app(
        settings,
        answer=answer or good_answer(),
        open_model=open_model,
        open_services=open_services,
        timings=timings,
    )
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, lifespan="on", proxy_headers=False, access_log=False, log_config=None,
        timeout_graceful_shutdown=3,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        with (
            capture_logs([merge_contextvars]) as logs,
            Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client,
        ):
            client.logs = logs
            yield client
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()


def ask(client: Client, body: Any = None, **headers: str) -> httpx.Response:
    return client.post("/chat", json={"question": "How?"} if body is None else body, headers=headers)


def events_of(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a whole stream, by the rules for SSE."""
    return [event for _, event in events_with_ids(response)]


def events_with_ids(response: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    """The events of a whole stream, each with its id; "" where it has none."""
    assert response.headers["content-type"].startswith("text/event-stream"), response.text
    blocks = [block.split("\n") for block in response.text.split("\n\n") if block and not block.startswith(":")]
    assert all(block[-1].startswith("data: ") for block in blocks)
    assert all(line.startswith("id: ") for block in blocks for line in block[:-1])
    return [("".join(block[:-1]).removeprefix("id: "), json.loads(block[-1][6:])) for block in blocks]


def types_of(response: httpx.Response) -> list[str]:
    return [event["type"] for event in events_of(response)]


@contextmanager
def raw_connection(client: Client) -> Iterator[socket.socket]:
    """A socket to the same server, for what a well-behaved client does not do."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=10) as connection:
        yield connection


def raw_chat(body: bytes = b'{"question":"How?"}', *headers: str, length: int | None = None) -> bytes:
    """The bytes of a POST /chat."""
    lines = [
        "POST /chat HTTP/1.1", "Host: localhost", "Content-Type: application/json",
        f"Content-Length: {len(body) if length is None else length}", *headers,
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def wait_for(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Wait until something is true; fail if it does not become so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)
