"""Streams of a real API process, asked by real sockets, with a provider that tells when its own readers leave."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from shared.services import open_services
from shared.settings import Settings
from tests import by_hand
from tests.http_api import raw_chat, settings_on
from tests.processes import Api, running_api
from tests.stand_in.control import Stats
from tests.stand_in.fixtures import Provider
from tests.stand_in.plan import step
from tests.stores import Stores
from tests.system import until

QUESTION = {"question": "Where do I drop the anchor?"}
#: How long a write may take, as the API has it.
PATIENCE = 15
#: Of those who have left, the provider hears within this time; generous once, for a machine that does other things.
SOON = 0.1


@dataclass(frozen=True, slots=True)
class Served:
    """An API process on indexed docs, and how to start another one on the same."""

    api: Api
    variables: dict[str, str]


@pytest.fixture(scope="module")
def served(stores: Stores, provider_server: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("streams")
    docs = folder / "docs"
    docs.mkdir()
    (docs / "anchor.md").write_text("# Anchor\n\nDrop the anchor over the bow in shallow water.\n", encoding="utf-8")
    variables = {
        **stores.environment, "REDIS_URL": stores.redis_url.removesuffix("/0") + "/6",
        "QDRANT_COLLECTION_NAME": f"test-{uuid4().hex[:8]}", "CONTENT_ROOT": str(docs),
        "OPENAI_BASE_URL": provider_server.base_url, "OPENAI_EMBEDDING_MODEL": "stand-in", "CHAT_MODEL": "stand-in",
        "RATE_LIMIT_REQUESTS": "100000", "MODEL_TIMEOUT": "60",
    }  # fmt: skip
    settings = settings_on(
        stores, redis_url=variables["REDIS_URL"], collection=variables["QDRANT_COLLECTION_NAME"], content_root=docs,
        openai_base_url=provider_server.base_url, openai_embedding_model="stand-in",
    )  # fmt: skip
    asyncio.run(ingest(settings))
    with running_api(folder, variables) as api:
        yield Served(api, variables)


async def ingest(settings: Settings) -> None:
    async with open_services(settings) as services:
        await by_hand.ingest(by_hand.by_hand(services)[0])


class Reader:
    """Reads events of one answer, over as many connections as it takes."""

    def __init__(self, **headers: str) -> None:
        self.headers = headers
        self.events: list[dict[str, Any]] = []
        self.last_id = ""

    @property
    def text(self) -> str:
        return "".join(event["content"] for event in self.events if event["type"] == "chunk")

    def read(self, api: Api, most: int | None = None, at: tuple[int, Callable[[], object]] | None = None) -> None:
        """Read on: to the end, or `most` events, after which the connection is dropped; after `at` events, do that."""
        headers = {**self.headers, **({"Last-Event-ID": self.last_id} if self.last_id else {})}
        with api.client.stream("POST", "/chat", json=QUESTION, headers=headers) as response:
            for line in response.iter_lines():
                if line.startswith("id: "):
                    self.last_id = line[4:]
                elif line.startswith("data: "):
                    self.events.append(json.loads(line[6:]))
                    if at is not None and len(self.events) == at[0]:
                        at[1]()
                    if most is not None and (most := most - 1) == 0:
                        return


def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid4().hex}


def connect(api: Api, receive_buffer: int = 4096) -> socket.socket:
    """A socket that has asked, and reads nothing by itself."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(30)
    connection.connect((api.client.base_url.host, api.client.base_url.port or 80))
    connection.sendall(raw_chat(json.dumps(QUESTION).encode()))
    return connection


def connections(api: Api) -> int:
    """What the API holds open for visitors, by the kernel's own table."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ends = [(line.split()[1], line.split()[3], line.split()[9]) for line in lines]
    ours = f":{api.client.base_url.port:04X}"
    # 0A listens; without an inode, no process has it any more.
    return sum(local.endswith(ours) and state != "0A" and inode != "0" for local, state, inode in ends)


def resident_bytes(api: Api) -> int:
    lines = Path(f"/proc/{api.process.pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def is_asked(stats: Stats) -> bool:
    return stats.open_streams == 1


def test_the_head_and_the_sources_are_there_while_the_model_is_silent(served: Served, provider: Provider) -> None:
    provider.fault("chat", "stall_head")
    with connect(served.api) as connection:
        began = time.monotonic()
        reply = b""
        while b'"type":"start"' not in reply:
            reply += connection.recv(65536)
        assert time.monotonic() - began < 2
        provider.wait_until(is_asked)
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b": ping" in body.partition(b"data: ")[0]
    provider.wait_until(lambda stats: stats.streams_closed_early == 1)


@pytest.mark.parametrize(
    ("behaviour", "options", "events"),
    [("stall_head", {}, 1), ("stall_body", {}, 1), ("slow_tokens", {"seconds": 0.2, "text": "word " * 200}, 3)],
    ids=["before the model's head", "before its first word", "in the middle"],
)
def test_a_visitor_who_leaves_frees_the_model_at_once(
    served: Served, provider: Provider, behaviour: str, options: dict[str, Any], events: int
) -> None:
    took = []
    for _ in range(5):
        provider.reset()
        provider.fault("chat", behaviour, **options)
        Reader().read(served.api, events, at=(events, lambda: provider.wait_until(is_asked)))
        left_at = time.monotonic()
        stats = provider.wait_until(lambda stats: stats.streams_closed_early == 1)
        took.append(stats.chat.left_early[0] - left_at)
    assert statistics.median(took) < SOON
    assert provider.stats().open_streams == 0


def test_twenty_dropped_connections_are_one_call_of_the_model(served: Served, provider: Provider) -> None:
    provider.fault("chat", "slow_tokens", seconds=0.05, text="".join(f"w{number} " for number in range(80)))
    reader = Reader(**key())
    for _ in range(20):
        reader.read(served.api, 2)
    reader.read(served.api)
    assert reader.events[-1]["type"] == "done"
    assert [word for word in reader.text.split() if word.startswith("w")] == [f"w{number}" for number in range(80)]
    assert provider.stats().chat_requests == 1


def test_a_client_that_comes_back_by_itself_costs_no_second_call_either(served: Served, provider: Provider) -> None:
    provider.fault("chat", "slow_tokens", seconds=0.05, text="word " * 80)
    reader = Reader()
    reader.read(served.api, 4)
    for _ in range(20):
        reader.read(served.api)
    assert {event["code"] for event in reader.events if event["type"] == "error"} == {"ANSWER_INTERRUPTED"}
    assert provider.stats().chat_requests == 1


def test_an_answer_of_a_process_that_is_told_to_stop_goes_on_at_another(
    served: Served, provider: Provider, tmp_path: Path
) -> None:
    provider.fault("chat", "slow_tokens", seconds=0.05, text="".join(f"w{number} " for number in range(40)))
    reader = Reader(**key())
    with running_api(tmp_path, served.variables) as leaving:
        reader.read(leaving, at=(4, lambda: leaving.process.send_signal(signal.SIGTERM)))
        assert reader.events.pop()["code"] == "RESTARTING"
        assert reader.events.pop()["content"].strip().startswith("Sorry")
        reader.read(served.api)
        assert leaving.process.wait(20) is not None
        assert "Traceback" not in leaving.log.read_text()
    assert reader.events[-1]["type"] == "done"
    assert [word for word in reader.text.split() if word.startswith("w")] == [f"w{number}" for number in range(40)]
    assert provider.stats().chat_requests == 1


def test_an_answer_of_a_process_that_was_killed_is_told_up_to_where_it_came(
    served: Served, provider: Provider, tmp_path: Path
) -> None:
    provider.fault("chat", "slow_tokens", seconds=0.2, text="word " * 200)
    reader = Reader(**key())
    with running_api(tmp_path, served.variables) as dying:
        with pytest.raises(httpx.RemoteProtocolError):
            reader.read(dying, at=(6, dying.process.kill))
        reader.read(served.api)
    assert reader.events[-1]["code"] == "ANSWER_INTERRUPTED"
    provider.reset()
    again = Reader(**reader.headers)  # the key is free again
    again.read(served.api)
    assert again.events[-1]["type"] == "done"


def test_readers_who_do_not_read_are_given_up_with_everything_that_is_theirs(
    served: Served, provider: Provider
) -> None:
    before = connections(served.api)
    provider.plan("chat", step("slow_tokens", times=None, seconds=0.02, text=("x" * 50_000 + " ") * 2000))
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(connect(served.api))
        provider.wait_until(lambda stats: stats.chat_requests == 5, 10)
        # The kernel takes some megabytes first; then a write waits, and its time runs.
        provider.wait_until(lambda stats: stats.streams_closed_early == 5, PATIENCE + 30)
        assert provider.stats().open_streams == 0
        # Cut off, and not left to end when its peer may like to.
        until(lambda: connections(served.api) <= before, 5)


def test_two_hundred_readers_who_do_not_read_take_little_memory(served: Served, provider: Provider) -> None:
    Reader().read(served.api)
    before = resident_bytes(served.api)
    opened = connections(served.api)
    provider.plan("chat", step(times=None, text="Drop the anchor over the bow [1]. " * 60))
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(served.api))
        provider.wait_until(lambda stats: stats.chat_requests > 100, 120)
        until(lambda: "active_connections 1.0" in served.api.client.get("/metrics").text, 120)
        assert resident_bytes(served.api) - before < 200 * 200_000
        began = time.monotonic()
        assert served.api.client.get("/healthz").status_code == 200
        assert time.monotonic() - began < 1
    until(lambda: connections(served.api) <= opened, 10)
