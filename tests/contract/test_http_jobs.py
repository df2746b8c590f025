"""One job over HTTP: joined, cancelled, paused, resumed, tried again, looked at, and followed event by event."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from api.dependencies import Timings
from api.job_view import REDIS_SECONDS
from shared.content_mark import content_mark
from shared.models import Job, JobState, PageFault, ShardResult
from shared.plans import Plan, PlannedShard
from shared.services import Services, open_services
from shared.settings import Settings
from tests.http_api import ADMIN, Client, serving, wait_for
from tests.stores import Stores

MakeSettings = Callable[..., Settings]
PLAN = Plan(
    release=1, base=0, collection="c", dimensions=4, pages_total=2, base_chunks=0, base_pages=0,
    shards=(PlannedShard("a", ("index.md",), ()), PlannedShard("b", ("run.md",), ())),
)  # fmt: skip
RESULT = ShardResult("a", 1, 1, 0, 7, 0, 0, 7, 0, 1, 300, (PageFault("index.md", "not UTF-8"),))


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "guide").mkdir(parents=True)
    for name in ("index.md", "guide/run.md"):
        (folder / name).write_text("# Page\n\nText.\n")
    return folder


@pytest.fixture
def settings(make_settings: MakeSettings, docs: Path) -> Settings:
    return make_settings(content_root=docs, rate_limit_requests=100_000)


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with serving(settings, timings=Timings(heartbeat=0.2)) as client:
        yield client


def on_stores(settings: Settings, work: Callable[[Services], Any]) -> Any:
    async def run() -> Any:
        async with open_services(settings) as services:
            return await work(services)

    return asyncio.run(run())


def post(client: Client, **body: Any) -> dict[str, Any]:
    response = client.post("/ingest", json=body, headers=ADMIN)
    assert response.status_code == 202, response.text
    reply: dict[str, Any] = response.json()
    return reply


def act(client: Client, job_id: str, action: str) -> httpx.Response:
    return client.post(f"/ingest/{job_id}/{action}", headers=ADMIN)


def view(client: Client, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/ingest/{job_id}", headers=ADMIN).json()
    return found


def begin(settings: Settings, job_id: str, mark: str = "") -> None:
    """What a worker does when it takes a job's turn."""

    async def work(services: Services) -> None:
        job = await services.jobs.begin(await services.jobs.get(job_id), content_mark=mark)
        assert job is not None
        await services.jobs.give_turn_back(job)

    on_stores(settings, work)


def end(settings: Settings, job_id: str, state: JobState = JobState.SUCCEEDED) -> None:
    async def work(services: Services) -> None:
        await services.jobs.finish(await services.jobs.get(job_id), state, "because", totals={"pages_found": 2})

    on_stores(settings, work)


# Joining


def test_who_asks_for_what_waits_already_joins_it(client: Client) -> None:
    first, second = post(client), post(client)
    assert (first["joined"], second["joined"]) == (False, True)
    assert first["task_id"] == second["task_id"]
    assert post(client, content_path="guide")["task_id"] != first["task_id"]
    assert post(client, force_reindex=True)["task_id"] != first["task_id"]


def test_many_at_once_through_two_apis_make_one_job(client: Client, settings: Settings) -> None:
    with serving(settings) as other, ThreadPoolExecutor(20) as threads:
        ids = set(threads.map(lambda n: post((client, other)[n % 2])["task_id"], range(20)))
    assert len(ids) == 1
    assert client.get("/ingest/status", headers=ADMIN).json()["total"] == 1


def test_many_at_once_without_redis_make_one_job_and_none_waits_for_it(make_settings: MakeSettings, docs: Path) -> None:
    without = make_settings(content_root=docs, redis_url="redis://127.0.0.1:9/0", rate_limit_requests=100_000)
    with serving(without) as one, serving(without) as two, ThreadPoolExecutor(20) as threads:
        ids = set(threads.map(lambda n: post((one, two)[n % 2])["task_id"], range(20)))
        response = one.post("/ingest", headers=ADMIN)
    assert len(ids) == 1
    assert response.elapsed.total_seconds() < 0.1


def test_a_job_that_has_read_the_content_as_it_is_now_is_joined(client: Client, settings: Settings, docs: Path) -> None:
    running = post(client)["task_id"]
    begin(settings, running, content_mark(docs))
    assert post(client)["task_id"] == running


def test_content_that_has_changed_since_is_read_by_one_job_more(client: Client, settings: Settings, docs: Path) -> None:
    running = post(client)["task_id"]
    begin(settings, running, content_mark(docs))
    for edition in range(5):
        (docs / "index.md").write_text(f"# Page\n\nEdition {edition}.\n")
        follower = post(client)["task_id"]
    assert follower != running
    assert client.get("/ingest/status", headers=ADMIN).json()["total"] == 2
    assert view(client, follower)["waiting_for"]["job"] == running


def test_an_ended_job_is_not_joined(client: Client, settings: Settings) -> None:
    done = post(client)["task_id"]
    end(settings, done)
    assert post(client)["task_id"] != done


def test_a_turn_whose_job_was_never_written_is_taken_up(client: Client, settings: Settings) -> None:
    async def die_between_the_writes(services: Services) -> None:
        await services.jobs._records.insert("turn", ".\0False", {"job": "job_1_died"})

    on_stores(settings, die_between_the_writes)
    assert post(client)["task_id"] == "job_1_died"
    assert view(client, "job_1_died")["state"] == "queued"


def test_a_dry_run_is_a_job_of_its_own(client: Client) -> None:
    real, dry = post(client), post(client, dry_run=True)
    assert dry["task_id"] != real["task_id"]
    assert post(client, dry_run=True)["task_id"] != dry["task_id"]
    assert view(client, dry["task_id"])["waiting_for"] is None or view(client, dry["task_id"])["waiting_for"][
        "what"
    ] in ("worker", "queue")


# Cancel, pause, resume, retry


def test_a_job_that_has_not_begun_is_cancelled_at_once(client: Client) -> None:
    job = post(client)["task_id"]
    reply = act(client, job, "cancel")
    assert (reply.status_code, reply.json()["state"]) == (202, "cancelled")
    assert reply.json()["reason"] == "cancelled before it began"
    assert post(client)["task_id"] != job


def test_a_running_job_keeps_its_owners_wish_also_when_redis_is_emptied(
    client: Client, settings: Settings, stores: Stores
) -> None:
    job = post(client)["task_id"]
    begin(settings, job)
    assert act(client, job, "cancel").json()["wish"] == "cancel"
    with redis.Redis.from_url(stores.redis_url, decode_responses=True) as connection:
        assert connection.get(f"lectern:job:{job}:stop") == "cancel"
        connection.flushall()
        wait_for(lambda: connection.get(f"lectern:job:{job}:stop") == "cancel")
        wait_for(lambda: connection.llen("lectern:ingest.first") == 1)


def test_a_job_that_is_paused_before_it_begins_does_not_hold_up_the_next(client: Client) -> None:
    first = post(client)["task_id"]
    assert act(client, first, "pause").json()["state"] == "paused"
    second = post(client)["task_id"]
    assert second != first
    assert (view(client, second)["waiting_for"] or {}).get("what") != "job"
    assert act(client, first, "resume").json()["state"] == "queued"


def test_a_pause_that_is_not_granted_yet_can_be_taken_back(client: Client, settings: Settings, stores: Stores) -> None:
    job = post(client)["task_id"]
    begin(settings, job)
    assert act(client, job, "pause").json()["wish"] == "pause"
    assert act(client, job, "resume").json()["wish"] is None
    with redis.Redis.from_url(stores.redis_url) as connection:
        assert connection.get(f"lectern:job:{job}:stop") is None


def test_a_lost_job_is_tried_again_in_a_new_one(client: Client, settings: Settings) -> None:
    lost = post(client, content_path="guide", force_reindex=True)["task_id"]
    end(settings, lost, JobState.FAILED)
    reply = act(client, lost, "retry")
    again = reply.json()
    assert reply.status_code == 202
    assert again["task_id"] != lost
    assert reply.headers["location"] == f"/ingest/{again['task_id']}"
    assert (again["retry_of"], again["content_path"], again["state"]) == (lost, "guide", "queued")
    assert again["metadata"] == {"force_reindex": True}
    assert act(client, lost, "retry").json()["task_id"] == again["task_id"]


@pytest.mark.parametrize(
    ("state", "action", "possible"),
    [
        (JobState.QUEUED, "resume", "{job}/cancel and POST /ingest/{job}/pause"),
        (JobState.QUEUED, "retry", "is queued, and cannot be tried again; possible: POST /ingest/{job}/cancel"),
        (JobState.SUCCEEDED, "cancel", "is succeeded, and cannot be cancelled; start another ingest"),
        (JobState.SUCCEEDED, "retry", "start another ingest"),
        (JobState.FAILED, "pause", "{job}/retry"),
        (JobState.CANCELLED, "cancel", "{job}/retry"),
    ],
)
def test_what_a_state_does_not_allow_is_refused_with_what_it_does(
    client: Client, settings: Settings, state: JobState, action: str, possible: str
) -> None:
    job = post(client)["task_id"]
    if state.terminal:
        end(settings, job, state)
    reply = act(client, job, action)
    assert (reply.status_code, reply.json()["code"]) == (409, "CONFLICT")
    assert possible.format(job=job) in reply.json()["message"]


@pytest.mark.parametrize("action", ["cancel", "pause", "resume", "retry"])
def test_an_unknown_job_cannot_be_acted_upon(client: Client, action: str) -> None:
    assert act(client, "job_1_x", action).status_code == 404
    assert client.get("/ingest/job_1_x", headers=ADMIN).status_code == 404
    assert client.get("/ingest/job_1_x/events", headers=ADMIN).status_code == 404
    assert act(client, "x" * 129, action).status_code == 422


# Why it waits


def test_without_a_worker_that_is_what_a_job_waits_for(client: Client) -> None:
    waiting = view(client, post(client)["task_id"])["waiting_for"]
    assert (waiting["what"], waiting["job"]) == ("worker", None)
    assert waiting["seconds"] >= 0
    queue = client.get("/ingest/status", headers=ADMIN).json()["queue"]
    assert queue["workers"] == 0


def test_the_queue_and_its_oldest_message_are_shown(client: Client, stores: Stores) -> None:
    with redis.Redis.from_url(stores.redis_url) as connection:
        for seconds in (5, 500):
            message = {"headers": {"sent_at": time.time() - seconds}}
            connection.rpush("lectern:ingest", json.dumps(message))
        connection.set("lectern:worker:worker@one", "ready")
        queue = client.get("/ingest/status", headers=ADMIN).json()["queue"]
        metrics = client.get("/metrics").text
        connection.delete("lectern:ingest")
    assert (queue["messages"], queue["workers"]) == (2, 1)
    assert queue["oldest_seconds"] == pytest.approx(500, abs=3)
    assert "ingest_queue_messages 2.0" in metrics
    assert "ingest_workers 1.0" in metrics
    assert 'ingest_jobs{state="queued"} 0.0' in metrics


def test_a_job_that_is_worked_on_waits_for_nothing(client: Client, settings: Settings) -> None:
    job = post(client)["task_id"]

    async def take(services: Services) -> None:
        await services.jobs.claim(job, "plan", "message")

    on_stores(settings, take)
    assert view(client, job)["waiting_for"] is None


def test_with_redis_down_a_job_waits_for_that(make_settings: MakeSettings, docs: Path) -> None:
    with serving(make_settings(content_root=docs, redis_url="redis://127.0.0.1:9/0")) as client:
        assert view(client, post(client)["task_id"])["waiting_for"]["what"] == "redis"
        assert client.get("/ingest/status", headers=ADMIN).json()["queue"] is None
        assert "ingest_queue_messages" in client.get("/metrics").text


def test_a_redis_that_hangs_is_waited_for_once_however_many_jobs_are_shown(
    make_settings: MakeSettings, docs: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        settings = make_settings(content_root=docs, redis_url=f"redis://127.0.0.1:{hanging.getsockname()[1]}/0")
        for _ in range(4):
            on_stores(settings, lambda services: services.jobs.create(".", force=False))
        with serving(settings) as client:
            began = time.monotonic()
            listing = client.get("/ingest/status", headers=ADMIN).json()
            assert time.monotonic() - began < 2 * REDIS_SECONDS
            assert [task["waiting_for"]["what"] for task in listing["tasks"]] == ["redis"] * 4
            began = time.monotonic()
            one = client.get(f"/ingest/{listing['tasks'][0]['task_id']}", headers=ADMIN).json()
            assert time.monotonic() - began < 2 * REDIS_SECONDS
            assert one["waiting_for"]["what"] == "redis"


# Its events


def events(client: Client, job_id: str, last: str | None = None) -> list[dict[str, Any]]:
    """The whole stream: each event with its id."""
    headers = {**ADMIN, **({"Last-Event-ID": last} if last is not None else {})}
    response = client.get(f"/ingest/{job_id}/events", headers=headers)
    assert response.headers["content-type"].startswith("text/event-stream"), response.text
    return parsed(response.text)


def parsed(text: str) -> list[dict[str, Any]]:
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append({"id": fields.get("id"), **json.loads(fields["data"])})
    return found


def run(settings: Settings, job_id: str) -> Job:
    """A short life: planned, one shard of two done, ended."""

    async def work(services: Services) -> Job:
        jobs = services.jobs
        job = await jobs.begin(await jobs.get(job_id))
        assert job is not None
        await jobs.start_plan(job_id)
        await jobs.save_plan(job_id, PLAN)
        await jobs.save_result(job_id, RESULT)
        return await jobs.finish(replace(job, faults=RESULT.faults), JobState.SUCCEEDED, "release 1 is live", release=1)

    return on_stores(settings, work)  # type: ignore[no-any-return]


def test_the_events_of_an_ended_job_are_told_again_and_end(client: Client, settings: Settings) -> None:
    job = post(client)["task_id"]
    run(settings, job)
    told = events(client, job)
    assert [event["type"] for event in told] == [
        "planning", "indexing", "shard", "warning", "done", "progress", "succeeded",
    ]  # fmt: skip
    assert told[3]["path"] == "index.md"
    assert [(event.get("pages"), event.get("chunks")) for event in told[1:3]] == [(2, None), (1, 7)]
    assert (told[-1]["release"], told[-1]["task_id"]) == (1, job)
    progress = told[-2]
    assert (progress["pages_total"], progress["tokens"], progress["percent"]) == (2, 300, 100.0)


def test_a_reader_that_comes_back_goes_on_where_it_was(client: Client, settings: Settings) -> None:
    job = post(client)["task_id"]
    run(settings, job)
    told = events(client, job)
    rest = events(client, job, told[1]["id"])
    assert [event["type"] for event in rest] == ["shard", "warning", "done", "progress", "succeeded"]
    assert [event["type"] for event in events(client, job, told[-1]["id"])][-1:] == ["succeeded"]


@pytest.mark.parametrize(
    "last", ["", "junk", "-", "+", "1", "0-0; FLUSHALL", "9" * 400 + "-1", "é".encode().decode("latin-1")]
)
def test_a_last_event_id_that_is_none_of_ours_is_passed_over(client: Client, settings: Settings, last: str) -> None:
    job = post(client)["task_id"]
    run(settings, job)
    raw = [(b"last-event-id", last.encode("latin-1")), *((k.encode(), v.encode()) for k, v in ADMIN.items())]
    response = client.get(f"/ingest/{job}/events", headers=raw)
    assert parsed(response.text)[0]["type"] == "planning"


def test_a_job_whose_stream_is_gone_tells_its_end(client: Client, settings: Settings, stores: Stores) -> None:
    job = post(client)["task_id"]
    run(settings, job)
    with redis.Redis.from_url(stores.redis_url) as connection:
        connection.flushall()
    (end,) = events(client, job)
    assert (end["type"], end["errors"]) == ("succeeded", ["index.md: not UTF-8"])


def test_several_readers_follow_a_job_to_its_end_with_pings_in_between(client: Client, settings: Settings) -> None:
    job = post(client)["task_id"]
    texts: list[str] = []

    def read() -> None:
        response = httpx.get(f"{client.base_url}/ingest/{job}/events", headers=ADMIN, timeout=20)
        texts.append(response.text)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    time.sleep(1)
    run(settings, job)
    for reader in readers:
        reader.join()
    assert len(texts) == 3
    for text in texts:
        told = [event["type"] for event in parsed(text)]
        assert told[0] == "planning"
        assert told.count("succeeded") == 1
        assert told[-1] == "succeeded"
        assert ": ping\n\n" in text


def test_a_reader_that_leaves_is_let_go(client: Client) -> None:
    job = post(client)["task_id"]
    gauge = "active_connections "
    with suppress(httpx.ReadTimeout), client.stream("GET", f"/ingest/{job}/events", headers=ADMIN) as response:
        assert response.status_code == 200
        next(response.iter_bytes())
    wait_for(lambda: f"{gauge}1.0" in client.get("/metrics").text)
