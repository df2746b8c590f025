"""Admin routes: closed without the key, before anything else is looked at; then ingest and its status."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from fastapi.routing import APIRoute, iter_route_contexts

from api.main import create_app
from shared.models import JobState, PageFault, ShardResult
from shared.plans import Plan, PlannedShard
from shared.services import Services, open_services
from shared.settings import Settings
from tests.http_api import ADMIN, ADMIN_KEY, Client, NoModel, serving, settings_on
from tests.stores import Stores

MakeSettings = Callable[..., Settings]
#: Open to visitors, or to whoever signs (the webhook); every other route is for admins.
PUBLIC = {
    ("POST", "/chat"), ("POST", "/api/chat"), ("DELETE", "/answers/{answer_id}"), ("GET", "/search"),
    ("GET", "/auth/anonymous-session/{browser_id}"),
    ("GET", "/health"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/"),
    ("GET", "/documents/{path:path}"), ("GET", "/docs"), ("POST", "/ingest/webhook"), ("POST", "/feedback"),
}  # fmt: skip
ADMIN_ROUTES = [
    ("POST", "/ingest"), ("GET", "/ingest/status"), ("GET", "/ingest/{job_id}"), ("GET", "/ingest/{job_id}/events"),
    *(("POST", f"/ingest/{{job_id}}/{action}") for action in ("cancel", "pause", "resume", "retry")),
    ("GET", "/releases"), ("GET", "/releases/{number}"), ("POST", "/releases/{number}/activate"),
    ("POST", "/evaluate"), ("GET", "/questions"),
]  # fmt: skip


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("content") / "docs"
    (folder / "guide").mkdir(parents=True)
    for name in ("index.md", "guide/install.md", "guide/run.mdx"):
        (folder / name).write_text("# Page\n\nText.\n")
    (folder / "guide" / "logo.svg").write_text("<svg/>")
    (folder / "outside").symlink_to("/etc")
    return folder


@pytest.fixture(scope="module")
def client(stores: Stores, docs: Path) -> Iterator[Client]:
    """One server for all tests that need nothing of their own."""
    with serving(settings_on(stores, content_root=docs, rate_limit_requests=100_000)) as client:
        yield client


@pytest.fixture
def settings(make_settings: MakeSettings, docs: Path) -> Settings:
    return make_settings(content_root=docs)


@pytest.fixture
def fresh_client(settings: Settings) -> Iterator[Client]:
    """A server without any job."""
    with serving(settings) as client:
        yield client


def with_services(settings: Settings, work: Callable[[Services], Any]) -> Any:
    """Run async work on the same stores."""

    async def run() -> Any:
        async with open_services(settings) as services:
            return await work(services)

    return asyncio.run(run())


# The key


def test_every_route_that_is_not_known_to_be_public_is_for_admins(settings: Settings) -> None:
    app = create_app(settings, open_model=lambda _: NoModel())
    routes = {
        (method, context.path)
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute)
        for method in context.methods or ()
    }
    assert routes - PUBLIC == set(ADMIN_ROUTES)


@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "wrong"},
        {"X-API-Key": ADMIN_KEY + "x"},
        {"X-API-Key": ADMIN_KEY[:-1]},
        {"X-API-Key": ADMIN_KEY.upper()},
        {"X-API-Key": "é".encode().decode("latin-1")},
        {"X-API-Key": f"Bearer {ADMIN_KEY}"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": ADMIN_KEY},
        {"Authorization": f"Basic {ADMIN_KEY}"},
        {"X-API-Key": "wrong", "Authorization": f"Bearer {ADMIN_KEY}"},
        {"Cookie": f"X-API-Key={ADMIN_KEY}"},
        {"X-User-ID": "admin"},
    ],
    ids=str,
)
def test_without_the_right_key_an_admin_route_is_closed(
    client: Client, method: str, path: str, headers: dict[str, str]
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    response = client.request(method, path, headers=raw)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.json()["code"] == "UNAUTHORIZED"
    assert ADMIN_KEY not in response.text


@pytest.mark.parametrize(
    "headers", [ADMIN, {"Authorization": f"Bearer {ADMIN_KEY}"}, {"authorization": f"bearer {ADMIN_KEY}"}]
)
def test_either_header_opens_them(client: Client, headers: dict[str, str]) -> None:
    assert client.get("/ingest/status", headers=headers).status_code == 200
    assert client.post("/ingest", headers=headers).status_code == 202


def test_the_key_in_the_address_opens_nothing(client: Client) -> None:
    assert client.get("/ingest/status", params={"api_key": ADMIN_KEY, "X-API-Key": ADMIN_KEY}).status_code == 401


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"{not json", "application/json"), (b"[" * 100_000, "application/json"), (b"x", "text/plain")],
)
def test_the_key_is_checked_before_the_body_is_read(client: Client, content: bytes, kind: str) -> None:
    assert client.post("/ingest", content=content, headers={"Content-Type": kind}).status_code == 401
    assert client.post("/ingest", content=content, headers={"Content-Type": kind, **ADMIN}).status_code in (415, 422)


def test_without_a_configured_key_admin_routes_say_what_to_set(make_settings: MakeSettings) -> None:
    with serving(make_settings(admin_api_key=None)) as client:
        response = client.get("/ingest/status", headers={"X-API-Key": ""})
    assert response.status_code == 401
    assert "ADMIN_API_KEY" in response.json()["error"]


def test_a_visitor_key_is_no_admin_key(make_settings: MakeSettings) -> None:
    with serving(make_settings(api_keys=("visitor-key-0123456789",))) as client:
        assert client.get("/ingest/status", headers={"X-API-Key": "visitor-key-0123456789"}).status_code == 401


# Starting an ingest


def test_an_ingest_is_accepted_with_a_job_to_look_at(fresh_client: Client, stores: Stores) -> None:
    body = {"content_path": "guide", "force_reindex": True, "batch_size": 50}
    response = fresh_client.post("/ingest", json=body, headers=ADMIN)
    assert response.status_code == 202
    reply = response.json()
    assert re.fullmatch(r"job_\d+_[0-9a-f]{8}", reply["task_id"])
    assert (reply["status"], reply["estimated_files"]) == ("started", 2)
    assert {name: reply[name] for name in body} == body
    assert isinstance(reply["message"], str)
    status = fresh_client.get(response.headers["location"], headers=ADMIN).json()
    assert (status["task_id"], status["status"], status["content_path"]) == (reply["task_id"], "pending", "guide")
    assert status["metadata"] == {"force_reindex": True}
    assert any(reply["task_id"] in message for message in queued(stores, 1))


def queued(stores: Stores, count: int) -> list[str]:
    """Messages to workers, once there are so many."""
    with redis.Redis.from_url(stores.redis_url, decode_responses=True) as connection:
        for _ in range(200):
            found: Any = connection.lrange("lectern:ingest", 0, -1)
            if len(found) >= count:
                break
            asyncio.run(asyncio.sleep(0.02))
    # Payloads are base64 within the message's JSON; the task's arguments are shown in its headers.
    return [json.dumps(json.loads(message)["headers"]) for message in found]


@pytest.mark.parametrize("content", [b"", b"{}", b" \n"])
def test_without_a_path_everything_is_ingested(client: Client, content: bytes) -> None:
    response = client.post("/ingest", content=content, headers={"Content-Type": "application/json", **ADMIN})
    reply = response.json()
    assert response.status_code == 202, reply
    assert (reply["content_path"], reply["estimated_files"], reply["force_reindex"]) == (".", 3, False)


def test_an_ingest_needs_no_content_type_without_a_body(client: Client) -> None:
    assert client.post("/ingest", headers=ADMIN).status_code == 202


def test_the_content_root_may_be_named_as_its_owner_writes_it(client: Client, docs: Path) -> None:
    for path in (str(docs), str(docs / "guide"), ".", "guide/", "guide/install.md"):
        assert client.post("/ingest", json={"content_path": path}, headers=ADMIN).status_code == 202, path


@pytest.mark.parametrize(
    "path", ["/", "/etc", "../", "guide/../../x", "~", "file:///etc", "a\x00b", "\\\\?\\C:", "x" * 300, "/etc/passwd"]
)
def test_a_path_outside_the_content_is_refused(client: Client, path: str) -> None:
    known = client.get("/ingest/status", headers=ADMIN).json()["total"]
    response = client.post("/ingest", json={"content_path": path}, headers=ADMIN)
    assert response.status_code == 422
    assert response.json()["code"] == "VALIDATION_ERROR"
    assert client.get("/ingest/status", headers=ADMIN).json()["total"] == known


def test_a_link_out_of_the_content_is_refused(client: Client) -> None:
    assert client.post("/ingest", json={"content_path": "outside"}, headers=ADMIN).status_code == 422


def test_a_path_that_is_not_there_is_not_found(client: Client) -> None:
    response = client.post("/ingest", json={"content_path": "nowhere"}, headers=ADMIN)
    assert response.status_code == 404
    assert response.json()["code"] == "CONTENT_NOT_FOUND"
    assert "nowhere" in response.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"content_path": 5}, {"force_reindex": "yes"}, {"force_reindex": 1}, {"batch_size": 0}, {"batch_size": 1001},
        {"batch_size": "5"}, {"path": "guide"}, [], None, {"content_path": "x" * 5000},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_ingest_request_is_refused(client: Client, body: Any) -> None:
    response = client.post("/ingest", content=json.dumps(body), headers={"Content-Type": "application/json", **ADMIN})
    assert response.status_code == 422
    assert response.json()["code"] == "VALIDATION_ERROR"


def test_with_the_queue_down_an_ingest_is_accepted_all_the_same(make_settings: MakeSettings, docs: Path) -> None:
    with serving(make_settings(content_root=docs, redis_url="redis://127.0.0.1:9/0")) as client:
        response = client.post("/ingest", headers=ADMIN)
        assert response.status_code == 202
        assert response.elapsed.total_seconds() < 2
        assert client.get(response.headers["location"], headers=ADMIN).json()["status"] == "pending"
        listed = client.get("/ingest/status", headers=ADMIN).json()
    assert [task["status"] for task in listed["tasks"]] == ["pending"]


def test_with_qdrant_down_an_ingest_is_refused_with_the_time_to_try_again(
    make_settings: MakeSettings, docs: Path
) -> None:
    with serving(make_settings(content_root=docs, qdrant_url="http://127.0.0.1:9")) as client:
        response = client.post("/ingest", headers=ADMIN)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1


# The same ingest, sent twice


def ingest_with(client: Client, key: str, **body: Any) -> Any:
    return client.post("/ingest", json=body, headers={"Idempotency-Key": key, **ADMIN})


def test_an_ingest_that_is_sent_again_with_its_key_is_the_same_one(fresh_client: Client) -> None:
    one, two = (
        ingest_with(fresh_client, "a", content_path="guide"),
        ingest_with(fresh_client, "a", content_path="guide"),
    )
    assert one.status_code == two.status_code == 202
    assert one.json()["task_id"] == two.json()["task_id"]
    assert ingest_with(fresh_client, "b", content_path="index.md").json()["task_id"] != one.json()["task_id"]
    assert fresh_client.get("/ingest/status", headers=ADMIN).json()["total"] == 2


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_a_key_whose_job_came_to_nothing_starts_a_new_one(
    fresh_client: Client, settings: Settings, state: JobState
) -> None:
    lost = ingest_with(fresh_client, "a").json()["task_id"]
    ended(settings, lost, state)
    again = ingest_with(fresh_client, "a").json()
    assert again["task_id"] != lost
    assert ingest_with(fresh_client, "a").json()["task_id"] == again["task_id"]


def test_a_key_whose_job_has_succeeded_stays_with_it(fresh_client: Client, settings: Settings) -> None:
    done = ingest_with(fresh_client, "a").json()["task_id"]
    ended(settings, done, JobState.SUCCEEDED)
    assert ingest_with(fresh_client, "a").json()["task_id"] == done


def ended(settings: Settings, job_id: str, state: JobState) -> None:
    async def work(services: Services) -> None:
        await services.jobs.finish(await services.jobs.get(job_id), state, "because")

    with_services(settings, work)


def test_many_at_once_with_one_key_make_one_job(fresh_client: Client) -> None:
    with ThreadPoolExecutor(10) as threads:
        replies = list(threads.map(lambda _: ingest_with(fresh_client, "a"), range(20)))
    assert {reply.status_code for reply in replies} == {202}
    assert len({reply.json()["task_id"] for reply in replies}) == 1
    assert fresh_client.get("/ingest/status", headers=ADMIN).json()["total"] == 1


def test_a_key_stands_for_one_request(fresh_client: Client) -> None:
    assert ingest_with(fresh_client, "a", content_path="guide").status_code == 202
    other = ingest_with(fresh_client, "a", content_path=".")
    assert other.status_code == 422
    assert "Idempotency-Key" in other.json()["error"]


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_key_of_no_sensible_length_is_refused(client: Client, key: str) -> None:
    assert ingest_with(client, key).status_code == 422


def test_a_key_is_free_again_after_a_request_that_failed(make_settings: MakeSettings, docs: Path) -> None:
    settings = make_settings(content_root=docs, qdrant_url="http://127.0.0.1:9")
    with serving(settings) as client:
        assert ingest_with(client, "a").status_code == 503
        began = time.monotonic()
        assert ingest_with(client, "a").status_code == 503
        assert time.monotonic() - began < 3


# Status


def test_an_unknown_job_is_not_found(client: Client) -> None:
    for task_id in ("job_1_x", "../..", "' OR 1=1", "x" * 128, ""):
        response = client.get("/ingest/status", params={"task_id": task_id}, headers=ADMIN)
        assert response.status_code == 404, task_id
        assert response.json()["code"] == "NOT_FOUND"


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 1001}, {"limit": "many"}, {"task_id": "x" * 129}])
def test_a_wrong_status_request_is_refused(client: Client, params: dict[str, Any]) -> None:
    response = client.get("/ingest/status", params=params, headers=ADMIN)
    assert response.status_code == 422
    assert response.json()["detail"].startswith(next(iter(params)))


def test_jobs_are_listed_newest_first(fresh_client: Client) -> None:
    paths = (".", "guide", "index.md")
    ids = [fresh_client.post("/ingest", json={"content_path": p}, headers=ADMIN).json()["task_id"] for p in paths]
    listed = fresh_client.get("/ingest/status", params={"limit": 2}, headers=ADMIN).json()
    assert listed["total"] == 3
    assert len(listed["tasks"]) == 2
    assert {task["task_id"] for task in listed["tasks"]} <= set(ids)
    times = [task["created_at"] for task in listed["tasks"]]
    assert times == sorted(times, reverse=True)


def test_a_running_job_shows_how_far_it_is(fresh_client: Client, settings: Settings) -> None:
    task_id = fresh_client.post("/ingest", headers=ADMIN).json()["task_id"]

    async def work(services: Services) -> None:
        job = await services.jobs.get(task_id)
        await services.jobs.save(replace(job, state=JobState.RUNNING, started_at="2026-01-01T00:00:00.000+00:00"))
        await services.jobs.start_plan(task_id)
        shards = (PlannedShard("a", ("index.md",), ()), PlannedShard("b", ("guide/install.md", "guide/run.mdx"), ()))
        plan = Plan(
            release=1, base=0, collection="c", dimensions=4, pages_total=3, base_chunks=0, base_pages=0, shards=shards
        )
        await services.jobs.save_plan(task_id, plan)
        result = ShardResult(
            shard_id="a", pages=1, pages_written=1, pages_closed=0, chunks_written=7, chunks_kept=0,
            chunks_closed=0, texts_embedded=7, texts_reused=0, requests=1, tokens=300,
            faults=(PageFault("index.md", "not UTF-8"),),
        )  # fmt: skip
        await services.jobs.save_result(task_id, result)

    with_services(settings, work)
    task = fresh_client.get("/ingest/status", params={"task_id": task_id}, headers=ADMIN).json()
    assert (task["status"], task["state"]) == ("processing", "running")
    progress = task["progress"]
    assert (progress["files_processed"], progress["total_files"]) == (1, 3)
    assert (progress["chunks_created"], task["chunks_created"]) == (7, 7)
    assert (progress["stage"], progress["shards_done"], progress["shards_total"]) == ("indexing", 1, 2)
    assert 0 < progress["percent"] < 100
    assert progress["errors"] == task["errors"] == ["index.md: not UTF-8"]
    assert (task["documents_found"], task["documents_processed"]) == (3, 1)
    assert task["estimated_completion"] is not None


@pytest.mark.parametrize(
    ("state", "status"),
    [(JobState.SUCCEEDED, "completed"), (JobState.FAILED, "failed"), (JobState.CANCELLED, "cancelled")],
)
def test_a_job_that_has_ended_shows_its_record_even_if_redis_was_emptied(
    fresh_client: Client, settings: Settings, stores: Stores, state: JobState, status: str
) -> None:
    task_id = fresh_client.post("/ingest", headers=ADMIN).json()["task_id"]

    async def work(services: Services) -> None:
        job = await services.jobs.get(task_id)
        totals = {"pages_found": 3, "chunks_written": 12, "documents": 3, "chunks": 12}
        faults = (PageFault("index.md", "not UTF-8"),)
        await services.jobs.finish(job, state, "because", release=4, totals=totals, faults=faults)

    with_services(settings, work)
    with redis.Redis.from_url(stores.redis_url) as connection:
        connection.flushall()
    task = fresh_client.get("/ingest/status", params={"task_id": task_id}, headers=ADMIN).json()
    assert (task["status"], task["reason"], task["release"]) == (status, "because", 4)
    assert task["chunks_created"] == 12
    assert task["completed_at"] is not None
    assert "index.md: not UTF-8" in task["errors"]
    assert task["progress"]["total_files"] == 3
    assert task["estimated_completion"] is None
    if state is JobState.SUCCEEDED:
        assert (task["progress"]["percent"], task["progress"]["files_processed"]) == (100.0, 3)
