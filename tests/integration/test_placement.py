"""How collections are laid out in a Qdrant cluster: what goes out when they are made. No cluster is at hand here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from shared.chunk_collections import CollectionSpec
from shared.errors import ConfigurationError
from shared.services import open_services
from shared.settings import Settings
from tests import by_hand
from tests.stores import Stores
from tests.system import System

MakeSettings = Callable[..., Settings]
PLACEMENT = ("shard_number", "replication_factor", "write_consistency_factor")


class Recorder(ThreadingHTTPServer):
    """Stands before the embedded engine. Notes where a collection is to be placed, which one node cannot do."""

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behind = behind
        #: By the collection's name.
        self.placed: dict[str, dict[str, int]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Recorder

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.command == "PUT" and self.path.count("/") == 2:
            asked: dict[str, Any] = json.loads(body)
            self.server.placed[self.path.rpartition("/")[2]] = {n: asked.pop(n) for n in PLACEMENT if n in asked}
            body = json.dumps(asked).encode()
        headers = {name: self.headers[name] for name in ("api-key", "content-type") if name in self.headers}
        answer = httpx.request(self.command, self.server.behind + self.path, content=body, headers=headers)
        self.send_response(answer.status_code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = forward

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def recorder(stores: Stores) -> Iterator[Recorder]:
    with Recorder(stores.qdrant_url) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ingest(settings: Settings, docs: Path) -> None:
    docs.mkdir(exist_ok=True)
    (docs / "page.md").write_text("# Page\n\nText.\n", encoding="utf-8")

    async def run() -> None:
        async with open_services(settings) as services:
            ours = replace(by_hand.by_hand(services)[0], store=services.store)
            job = await by_hand.ingest(ours)
            assert job.state.value == "succeeded", job.reason

    asyncio.run(run())


def test_both_collections_are_placed_as_the_settings_say(
    recorder: Recorder, make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings(qdrant_url=recorder.url, qdrant_shards=6, qdrant_replicas=3)
    ingest(settings, tmp_path / "docs")
    records = f"{settings.collection}__records"
    assert recorder.placed[records] == {"shard_number": 1, "replication_factor": 3, "write_consistency_factor": 2}
    (chunks,) = recorder.placed.keys() - {records}
    assert recorder.placed[chunks] == {"shard_number": 6, "replication_factor": 3, "write_consistency_factor": 2}


def test_what_is_not_set_is_left_to_the_server(
    recorder: Recorder, make_settings: MakeSettings, tmp_path: Path
) -> None:  # fmt: skip
    settings = make_settings(qdrant_url=recorder.url)
    ingest(settings, tmp_path / "docs")
    records = f"{settings.collection}__records"
    assert recorder.placed[records] == {"shard_number": 1}
    (chunks,) = recorder.placed.keys() - {records}
    assert recorder.placed[chunks] == {}


def test_one_of_each_is_what_the_small_size_has(make_settings: MakeSettings, tmp_path: Path) -> None:
    ingest(make_settings(qdrant_shards=1, qdrant_replicas=1, qdrant_write_consistency=1), tmp_path / "docs")


def test_the_small_size_starts_with_the_settings_of_a_cluster_and_ignores_them(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "page.md").write_text("# Page\n\nText.\n", encoding="utf-8")
    with System(tmp_path / "home", docs, QDRANT_SHARDS="6", QDRANT_REPLICAS="3") as system:
        assert system.ingest()["status"] == "completed"


@pytest.mark.parametrize("option", PLACEMENT)
def test_the_small_size_refuses_what_takes_a_cluster(stores: Stores, option: str) -> None:
    answer = httpx.put(
        f"{stores.qdrant_url}/collections/placed",
        json={"vectors": {"size": 2, "distance": "Cosine"}, option: 2},
        headers={"api-key": stores.qdrant_api_key},
    )
    assert answer.status_code == 501
    assert "one node" in answer.json()["status"]["error"]


async def test_what_the_embedded_engine_cannot_do_is_said_and_not_tried_for_ever(make_settings: MakeSettings) -> None:
    async with open_services(make_settings(qdrant_shards=3)) as services:
        with pytest.raises(ConfigurationError, match=r"this Qdrant cannot do what the settings ask of it: .*shard"):
            await services.store.ensure_collection(CollectionSpec("model", 3, None))
