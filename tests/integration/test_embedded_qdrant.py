"""The embedded Qdrant as a process: starting, refusing, dying, coming back."""

from __future__ import annotations

import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import qdrant_client.http.api
import qdrant_edge as edge
from qdrant_client import QdrantClient, models

from embedded.qdrant.__main__ import main
from embedded.qdrant.errors import CannotStart
from embedded.qdrant.points import Change
from embedded.qdrant.store import Store
from tests.qdrant_server import EmbeddedQdrant, launch, quick_folder, running

KEY = "sesame"
PLAIN = {"vectors": {"size": 4, "distance": "Cosine"}}
X = [1.0, 0.0, 0.0, 0.0]


def connect(server: EmbeddedQdrant) -> QdrantClient:
    return QdrantClient(url=server.url, check_compatibility=False)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedQdrant]:
    """A server for the tests that leave it as it is; it wants the key."""
    with quick_folder() as folder:
        (folder / "key").write_text(KEY)
        with running(folder / "data", "--api-key-file", str(folder / "key")) as started:
            yield started


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder for tests that are not about the disk."""
    with quick_folder() as folder:
        yield folder


@pytest.fixture
def http(server: EmbeddedQdrant) -> Iterator[httpx.Client]:
    """A client that sends the key; the collection `c` is there, and empty."""
    with httpx.Client(base_url=server.url, headers={"api-key": KEY}) as client:
        client.delete("/collections/c").raise_for_status()
        client.put("/collections/c", json=PLAIN).raise_for_status()
        yield client


class TestStart:
    def test_a_second_process_does_not_open_the_folder(self, data: Path) -> None:
        with running(data):
            second = launch(data)
            out, err = second.communicate(timeout=20)
        assert second.returncode == 2
        assert out == ""
        assert err == f"qdrant: the data folder {data} is in use by another process\n"

    @pytest.fixture
    def refusal(self, data: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
        """What is written when the server must not start with some arguments: one line."""

        def start(*arguments: str) -> str:
            assert main(["--data", str(data / "data"), "--port", "0", *arguments]) == 2
            out, err = capsys.readouterr()
            assert out == ""
            assert err.count("\n") == 1
            return err

        return start

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7"])
    def test_other_machines_are_not_served_without_a_key(self, refusal: Callable[..., str], host: str) -> None:
        assert f"{host} is not a loopback address; other machines need a key" in refusal("--host", host)

    def test_a_host_is_given_by_its_address(self, refusal: Callable[..., str]) -> None:
        assert "example.org is not an IP address" in refusal("--host", "example.org")

    def test_a_port_that_is_taken_is_named(self, refusal: Callable[..., str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert f"cannot listen on 127.0.0.1:{port}" in refusal("--port", str(port))

    def test_a_folder_that_cannot_be_written_is_named(self, refusal: Callable[..., str], tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        data = tmp_path / "file" / "data"
        assert f"cannot write to the data folder {data}" in refusal("--data", str(data))

    @pytest.mark.parametrize("content", [b"\n", b"\xff", None], ids=["empty", "binary", "missing"])
    def test_a_key_that_cannot_be_used_is_refused(
        self, refusal: Callable[..., str], tmp_path: Path, content: bytes | None
    ) -> None:
        file = tmp_path / "key"
        if content is not None:
            file.write_bytes(content)
        assert str(file) in refusal("--api-key-file", str(file))

    @pytest.mark.parametrize("content", ["{", '{"version": 2}', ""])
    def test_a_state_that_cannot_be_read_is_not_overwritten(self, data: Path, content: str) -> None:
        (data / "state.json").write_text(content)
        with pytest.raises(CannotStart, match=r"state\.json cannot be read"):
            Store(data, 0)
        assert (data / "state.json").read_text() == content

    def test_a_lost_state_is_not_taken_for_an_empty_one(self, data: Path) -> None:
        (data / "collections" / "docs-1234").mkdir(parents=True)
        with pytest.raises(CannotStart, match=r"state\.json is missing"):
            Store(data, 0)
        assert (data / "collections" / "docs-1234").is_dir()


class TestAccess:
    @pytest.fixture
    def stranger(self, server: EmbeddedQdrant) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=server.url) as client:
            yield client

    @pytest.mark.parametrize(
        "headers",
        [{}, {"api-key": "wrong"}, {"api-key": ""}, {"authorization": f"Basic {KEY}"}],
        ids=["none", "wrong", "empty", "basic"],
    )
    def test_nothing_is_answered_without_the_key(self, stranger: httpx.Client, headers: dict[str, str]) -> None:
        for path in ("/", "/collections", "/collections/c", "/nowhere", "/telemetry"):
            answer = stranger.get(path, headers=headers)
            assert answer.status_code == 401
            assert "API key" in answer.json()["status"]["error"]

    @pytest.mark.parametrize("headers", [{"api-key": KEY}, {"authorization": f"Bearer {KEY}"}])
    def test_the_key_is_taken_from_either_header(self, stranger: httpx.Client, headers: dict[str, str]) -> None:
        assert stranger.get("/collections", headers=headers).status_code == 200

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez"])
    def test_probes_need_no_key(self, stranger: httpx.Client, path: str) -> None:
        assert stranger.get(path).status_code == 200


class TestAnswers:
    def test_every_route_of_the_api_is_offered_or_says_that_it_is_not(self, http: httpx.Client) -> None:
        folder = Path(qdrant_client.http.api.__file__).parent
        routes = {
            route
            for module in folder.glob("*_api.py")
            for route in re.findall(r'method="(\w+)",\s+url="([^"]+)"', module.read_text())
        }
        assert len(routes) > 60
        for method, template in sorted(routes):
            path = template.format_map(
                {"collection_name": "missing", "id": 1}
                | dict.fromkeys(re.findall(r"{(\w+)}", template), "x")
                | {"collection_name": "missing"}
            )
            answer = http.request(method, path, json={})
            if answer.status_code == 501:
                assert "a Qdrant server does" in answer.json()["status"]["error"]
            else:
                known = answer.status_code == 200 or "error" in answer.json()["status"]
                assert known, (method, path)
                assert "Not Found:" not in answer.text, (method, path)
                assert answer.status_code != 405, (method, path)

    def test_what_the_engine_lacks_is_named(self, http: httpx.Client) -> None:
        lacks: list[tuple[str, dict[str, Any], str]] = [
            ("points/query", {"query": {"recommend": {"positive": [1]}}}, "RecommendQuery"),
            ("points/query", {"query": X, "lookup_from": {"collection": "d"}}, "lookup_from"),
            ("points/query", {"query": {"text": "a cat", "model": "some/model"}}, "some/model|a model"),
            ("points/scroll", {"shard_key": "eu"}, "shard keys"),
        ]
        for path, body, named in lacks:
            answer = http.post(f"/collections/c/{path}", json=body)
            assert answer.status_code == 501, answer.text
            assert re.search(named, answer.json()["status"]["error"])

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"points":[{"id":1}]}', b'{"points":"x"}', b"\xff"])
    def test_a_body_that_makes_no_sense_is_the_callers_fault(self, http: httpx.Client, body: bytes) -> None:
        answer = http.put("/collections/c/points", content=body)
        assert answer.status_code == 400
        assert answer.json()["status"]["error"].startswith("Format error in JSON body")

    def test_a_path_that_nobody_knows_is_not_found(self, http: httpx.Client) -> None:
        answer = http.get("/collections/c/nonsense")
        assert answer.status_code == 404
        assert "GET /collections/c/nonsense" in answer.json()["status"]["error"]

    @pytest.mark.parametrize("name", ["..", "../../etc", "a/b", "%2e%2e"])
    def test_a_name_does_not_lead_out_of_the_folder(self, http: httpx.Client, name: str) -> None:
        quoted = name.replace("%", "%25").replace("/", "%2F").replace(".", "%2E")
        before = http.get("/collections").json()["result"]
        answer = http.put(f"/collections/{quoted}", json=PLAIN)
        if answer.status_code == 200:
            assert name == "%2e%2e"
            http.delete(f"/collections/{quoted}")
        assert http.get("/collections").json()["result"] == before

    def test_a_body_over_the_limit_is_refused(self, http: httpx.Client) -> None:
        answer = http.put("/collections/c/points", content=b" " * (33 << 20))
        assert answer.status_code == 413
        assert "larger than allowed" in answer.json()["status"]["error"]


class TestRefusedWrites:
    @pytest.mark.parametrize("number", ["NaN", "Infinity", "1e39", "1e999"])
    def test_a_number_that_is_not_finite_is_refused(self, http: httpx.Client, number: str) -> None:
        body = f'{{"points":[{{"id":1,"vector":[1,0,0,{number}]}}]}}'
        assert http.put("/collections/c/points", content=body).status_code == 400
        assert http.post("/collections/c/points/count", json={}).json()["result"]["count"] == 0

    def test_a_payload_is_nested_64_levels_deep_and_no_deeper(self, http: httpx.Client) -> None:
        def nested(levels: int) -> Any:
            return {"a": nested(levels - 1)} if levels > 1 else {"a": 1}

        def write(levels: int) -> int:
            point = {"id": 1, "vector": X, "payload": nested(levels)}
            return http.put("/collections/c/points", json={"points": [point]}).status_code

        def set_under(key: str, levels: int) -> int:
            body = {"payload": nested(levels), "points": [1], "key": key}
            return http.post("/collections/c/points/payload", json=body).status_code

        assert [write(64), write(65), write(150)] == [200, 400, 400]
        assert [set_under("b.c", 62), set_under("b.c", 63), set_under(".".join("b" * 150), 1)] == [200, 400, 400]

    def test_what_was_refused_does_not_come_back_with_a_restart(self, data: Path) -> None:
        with running(data) as server:
            with httpx.Client(base_url=server.url) as http:
                http.put("/collections/c", json=PLAIN).raise_for_status()
                for wrong in ([1.0], {"nowhere": X}, {"": [[1.0] * 4]}, {"": {"indices": [1], "values": [1.0]}}):
                    points = [{"id": 1, "vector": X}, {"id": 2, "vector": wrong}]
                    assert http.put("/collections/c/points", json={"points": points}).status_code == 400
                http.put("/collections/c/points", json={"points": [{"id": 9, "vector": X}]}).raise_for_status()
                body = {"payload": {"k": 1}, "points": [9, 10]}
                assert http.post("/collections/c/points/payload", json=body).status_code == 404
                first = {"upsert": {"points": [{"id": 3, "vector": X}]}}
                second = {"upsert": {"points": [{"id": 4, "vector": [1.0]}]}}
                batch = {"operations": [first, second]}
                assert http.post("/collections/c/points/batch", json=batch).status_code == 400
            server.kill()
        with running(data) as server:
            answer = httpx.post(f"{server.url}/collections/c/points/scroll", json={}).json()
            assert answer["result"]["points"] == [{"id": 9, "payload": {}}]

    def test_alias_actions_are_done_all_or_none(self, http: httpx.Client) -> None:
        actions = [
            {"create_alias": {"collection_name": "c", "alias_name": "live"}},
            {"create_alias": {"collection_name": "missing", "alias_name": "next"}},
        ]
        assert http.post("/collections/aliases", json={"actions": actions}).status_code == 404
        assert http.get("/aliases").json()["result"] == {"aliases": []}


class TestDisk:
    def test_a_full_disk_stops_writes_before_the_engine_dies_of_it(self, data: Path) -> None:
        with running(data) as server:
            client = connect(server)
            client.create_collection("c", models.VectorParams(size=4, distance=models.Distance.COSINE))
            client.upsert("c", [models.PointStruct(id=1, vector=X)])
            server.stop()
        with running(data, "--min-free-mb", str(1 << 40)) as server, httpx.Client(base_url=server.url) as http:
            point = {"points": [{"id": 2, "vector": X}]}
            refused = [
                http.put("/collections/c/points", json=point),
                http.put("/collections/d", json=PLAIN),
                http.post("/collections/c/points/payload", json={"payload": {"a": 1}, "points": [1]}),
            ]
            assert [answer.status_code for answer in refused] == [507, 507, 507]
            assert "must stay free" in refused[0].json()["status"]["error"]
            assert http.post("/collections/c/points/query", json={"query": X}).json()["result"]["points"]
            assert http.post("/collections/c/points/delete", json={"points": [1]}).status_code == 200
            assert http.delete("/collections/c").json()["result"] is True


class TestDeath:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_polite_end_takes_less_than_three_seconds(self, tmp_path: Path, number: signal.Signals) -> None:
        with running(tmp_path) as server:
            client = connect(server)
            client.create_collection("c", models.VectorParams(size=4, distance=models.Distance.COSINE))
            client.upload_points("c", [models.PointStruct(id=n, vector=X) for n in range(500)])
            kept_open = httpx.Client(base_url=server.url)
            kept_open.get("/readyz")
            asked = time.monotonic()
            server.process.send_signal(number)
            assert server.process.wait(10) == 0
            assert time.monotonic() - asked < 3
            kept_open.close()
            assert server.process.stderr is not None
            assert server.process.stderr.read() == ""

    def test_kill_9_loses_nothing_that_was_acknowledged(self, tmp_path: Path) -> None:
        acknowledged: list[int] = []
        with running(tmp_path) as server:
            with httpx.Client(base_url=server.url) as http:
                http.put("/collections/c", json=PLAIN).raise_for_status()
            writers = [
                threading.Thread(target=write_until_refused, args=(server.url, n, acknowledged)) for n in range(3)
            ]
            for writer in writers:
                writer.start()
            time.sleep(1.0)
            server.kill()
            for writer in writers:
                writer.join()
        assert len(acknowledged) > 100
        with running(tmp_path) as server:
            client = connect(server)
            missing = set(acknowledged)
            for start in range(0, len(acknowledged), 1000):
                found = client.retrieve("c", acknowledged[start : start + 1000], with_payload=["n"])
                missing -= {int(point.id) for point in found if point.payload == {"n": point.id}}
            assert not missing

    def test_what_there_was_is_there_after_a_restart(self, tmp_path: Path) -> None:
        with running(tmp_path) as server:
            client = connect(server)
            client.create_collection(
                "docs/".replace("/", " é"),
                vectors_config={"dense": models.VectorParams(size=4, distance=models.Distance.COSINE)},
                sparse_vectors_config={"bm25": models.SparseVectorParams(modifier=models.Modifier.IDF)},
                metadata={"model": "m"},
            )
            client.create_payload_index("docs é", "path", models.PayloadSchemaType.KEYWORD)
            client.upsert("docs é", [models.PointStruct(id=1, vector={"dense": X}, payload={"path": "a"})])
            alias = models.CreateAlias(collection_name="docs é", alias_name="docs")
            client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
            before = client.get_collection("docs")
            server.kill()
        with running(tmp_path) as server:
            client = connect(server)
            assert client.get_collection("docs") == before
            assert client.query_points("docs", query=X, using="dense").points[0].payload == {"path": "a"}
            assert client.facet("docs", "path").hits == [models.FacetValueHit(value="a", count=1)]

    def test_folders_that_a_crash_left_behind_are_removed(self, data: Path) -> None:
        store = Store(data, 0)
        store.create("docs", models.CreateCollection.model_validate(PLAIN))
        store.close()
        (data / "collections" / "half-made").mkdir()
        store = Store(data, 0)
        try:
            left = [each.name for each in (data / "collections").iterdir()]
            assert left == [store.state.collections["docs"].folder]
        finally:
            store.close()


class TestBrokenCollection:
    def test_one_that_does_not_open_leaves_the_others_alone(self, data: Path) -> None:
        store = Store(data, 0)
        for name in ("good", "bad", "gone"):
            store.create(name, models.CreateCollection.model_validate(PLAIN))
        folders = {name: data / "collections" / each.folder for name, each in store.state.collections.items()}
        store.close()
        make_unloadable(folders["bad"])
        for file in sorted(folders["gone"].rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()
        with running(data) as server, httpx.Client(base_url=server.url) as http:
            point = {"points": [{"id": 1, "vector": X}]}
            assert http.put("/collections/good/points", json=point).status_code == 200
            for name in ("bad", "gone"):
                answer = http.post(f"/collections/{name}/points/query", json={"query": X})
                assert answer.status_code == 500
                assert str(folders[name]) in answer.json()["status"]["error"]
                assert http.delete(f"/collections/{name}").json()["result"] is True
                assert http.put(f"/collections/{name}", json=PLAIN).status_code == 200
                assert not folders[name].exists()


class TestConcurrency:
    def test_readers_see_whole_writes_while_writers_write(self, http: httpx.Client, server: EmbeddedQdrant) -> None:
        stop = threading.Event()
        faults: list[str] = []

        def write(worker: int) -> None:
            with httpx.Client(base_url=server.url, headers={"api-key": KEY}) as own:
                for round_ in range(1, 40):
                    points = [
                        {"id": worker * 100 + n, "vector": X, "payload": {"w": worker, "r": round_}} for n in range(20)
                    ]
                    answer = own.put("/collections/c/points?wait=true", json={"points": points})
                    if answer.status_code != 200:
                        faults.append(answer.text)

        def read() -> None:
            body = {"query": X, "limit": 100, "with_payload": True}
            with httpx.Client(base_url=server.url, headers={"api-key": KEY}) as own:
                while not stop.is_set():
                    answer = own.post("/collections/c/points/query", json=body)
                    if answer.status_code != 200:
                        faults.append(answer.text)

        writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
        readers = [threading.Thread(target=read) for _ in range(2)]
        for thread in (*writers, *readers):
            thread.start()
        for thread in writers:
            thread.join()
        stop.set()
        for thread in readers:
            thread.join()
        assert faults == []
        body = {"filter": {"must": [{"key": "r", "match": {"value": 39}}]}}
        assert http.post("/collections/c/points/count", json=body).json()["result"]["count"] == 60

    def test_a_collection_deleted_under_its_readers_is_gone_or_closing(
        self, http: httpx.Client, server: EmbeddedQdrant
    ) -> None:
        seen: set[int] = set()

        def read() -> None:
            with httpx.Client(base_url=server.url, headers={"api-key": KEY}) as own:
                for _ in range(150):
                    seen.add(own.post("/collections/c/points/query", json={"query": X}).status_code)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for thread in readers:
            thread.start()
        for _ in range(5):
            time.sleep(0.05)
            http.delete("/collections/c")
            http.put("/collections/c", json=PLAIN)
        for thread in readers:
            thread.join()
        assert 200 in seen
        assert seen <= {200, 404, 503}


class TestStrongOrdering:
    def test_everything_acknowledged_before_reaches_the_disk_first(self, data: Path) -> None:
        done: list[str] = []
        store = Store(data, 0)
        try:
            for name in ("chunks", "records"):
                store.create(name, models.CreateCollection.model_validate(PLAIN))
                opened: Any = store.collection(name)
                opened.shard = Recording(name, opened.shard, done)
            store.write("chunks", [change(1)])
            store.write("records", [change(1)])
            assert done == ["chunks update", "records update"]
            done.clear()
            store.write("records", [change(2)], strong=True)
            assert sorted(done[:2]) == ["chunks flush", "records flush"]
            assert done[2:] == ["records update", "records flush"]
        finally:
            store.close()


class Recording:
    """A shard that writes down what is done to it."""

    def __init__(self, name: str, shard: edge.EdgeShard, done: list[str]) -> None:
        self._name = name
        self._shard = shard
        self._done = done

    def update(self, operation: edge.UpdateOperation) -> None:
        self._done.append(f"{self._name} update")
        self._shard.update(operation)

    def flush(self) -> None:
        self._done.append(f"{self._name} flush")
        self._shard.flush()

    def close(self) -> None:
        self._shard.close()


def change(number: int) -> Change:
    return Change(edge.UpdateOperation.upsert_points([edge.Point(number, X, {})]))


def make_unloadable(folder: Path) -> None:
    """Do to a shard what the server refuses to: a payload that the engine writes and cannot read."""
    shard = edge.EdgeShard.load(str(folder))
    payload: dict[str, Any] = {}
    for _ in range(140):
        payload = {"a": payload}
    shard.update(edge.UpdateOperation.upsert_points([edge.Point(1, X, payload)]))
    shard.close()


def write_until_refused(url: str, worker: int, acknowledged: list[int]) -> None:
    """Write points of a worker's own, one request after the other, until the server is gone."""
    number = worker
    with httpx.Client(base_url=url) as http:
        while True:
            numbers = [number + 3 * step for step in range(10)]
            points = [{"id": each, "vector": X, "payload": {"n": each}} for each in numbers]
            try:
                answer = http.put("/collections/c/points?wait=true", json={"points": points})
            except httpx.HTTPError:
                return
            answer.raise_for_status()
            acknowledged.extend(numbers)
            number += 30
