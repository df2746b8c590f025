"""Real workers that die, are stopped, or are killed by a page, and how soon and how their work goes on."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from embedded.ports import pick_free
from embedded.valkey import valkey_command
from shared.queue import Queue, make_celery
from shared.settings import Settings
from tests.http_api import ADMIN, settings_on
from tests.processes import running_api, running_worker
from tests.stand_in.fixtures import Provider
from tests.stores import PASSWORD, Stores
from tests.system import descendants

POISON = Path(__file__).parents[1] / "faults" / "poison"
MARKER = "This page kills whoever reads it."
JOB_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Site:
    """A folder of docs and what a process needs to index it."""

    docs: Path
    variables: dict[str, str]
    settings: Settings
    redis: redis.Redis

    def write(self, name: str, text: str) -> None:
        (self.docs / name).write_text(f"# {name}\n\n{text}\n", encoding="utf-8")

    def notes(self, job_id: str) -> dict[str, str]:
        """Who has begun which piece of the job's work."""
        found: Any = self.redis.hgetall(f"lectern:job:{job_id}:begun")
        return dict(found)

    def deaths(self, job_id: str) -> dict[str, int]:
        found: Any = self.redis.hgetall(f"lectern:job:{job_id}:deaths")
        return {name: int(count) for name, count in found.items()}


@pytest.fixture
def site(stores: Stores, provider: Provider, tmp_path: Path) -> Site:
    """Four shards of one page each."""
    docs = tmp_path / "docs"
    docs.mkdir()
    client: redis.Redis = redis.Redis.from_url(stores.redis_url, decode_responses=True)
    client.flushall()
    settings = settings_on(stores, content_root=docs, openai_base_url=provider.base_url)
    variables = {
        **stores.environment, "QDRANT_COLLECTION_NAME": settings.collection, "CONTENT_ROOT": str(docs),
        "OPENAI_BASE_URL": provider.base_url, "OPENAI_EMBEDDING_MODEL": "stand-in",
    }  # fmt: skip
    site = Site(docs, variables, settings, client)
    for number in range(4):
        sections = "".join(f"## Part {s}\n\n{f'Sentence {s} of page {number}. ' * 80}\n\n" for s in range(40))
        site.write(f"page-{number}.md", sections)
    return site


def within(seconds: float, condition: Callable[[], Any]) -> float:
    """Seconds until the condition came true; it has to within the time."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} seconds"
        time.sleep(0.02)
    return time.monotonic() - began


def at_a_shard(site: Site, job_id: str) -> bool:
    return any(work not in ("plan", "publish") for work in site.notes(job_id))


def child_of(worker: subprocess.Popen[bytes]) -> int:
    (child,) = descendants(worker.pid)
    return child


def test_a_page_that_kills_is_named_and_keeps_its_last_good_version_while_the_others_are_published(
    site: Site, tmp_path: Path
) -> None:
    site.write("deadly.md", "A harmless page, as it was first.")
    for number in range(3):
        site.write(f"small-{number}.md", "A small page that shares a shard with others.")
    poisoned = {**site.variables, "PYTHONPATH": str(POISON)}
    with running_api(tmp_path, site.variables) as api, running_worker(tmp_path, poisoned) as worker:
        first = api.finished(api.ingest(), JOB_SECONDS)
        assert first["status"] == "completed"
        site.write("deadly.md", MARKER)
        for number in range(3):
            site.write(f"small-{number}.md", "Edited.")
        began = time.monotonic()
        job = api.finished(api.ingest(), JOB_SECONDS)
        took = time.monotonic() - began
        assert worker.poll() is None
        page = api.client.get("/search", params={"q": "harmless page as it was first", "k": 20}).json()
    assert job["status"] == "completed", job
    assert [error for error in job["errors"] if error.startswith("deadly.md: a worker died 3 times")], job["errors"]
    assert job["release"] == first["release"] + 1
    assert job["totals"]["pages_changed"] == 3
    assert any(found["path"] == "deadly.md" for found in page["results"])
    assert took < 60


def test_workers_that_are_stopped_in_the_middle_count_for_nothing(
    site: Site, provider: Provider, tmp_path: Path
) -> None:
    provider.fault("embeddings", "slow", seconds=7)
    with running_api(tmp_path, site.variables) as api:
        job_id = api.ingest()
        for round_ in range(2):
            with running_worker(tmp_path, site.variables, f"round-{round_}") as worker:
                within(30, lambda: at_a_shard(site, job_id))
                worker.send_signal(signal.SIGTERM)
                worker.wait(20)
        provider.reset()
        with running_worker(tmp_path, site.variables, "last"):
            assert api.finished(job_id, JOB_SECONDS)["status"] == "completed"
    assert site.deaths(job_id) == {}


def test_a_message_that_is_put_first_is_taken_before_all_that_wait(site: Site, tmp_path: Path) -> None:
    async def send() -> None:
        queue = Queue(make_celery(site.settings))
        for number in range(3):
            assert await queue.plan(f"job_1_later{number}")
        assert await queue.plan("job_1_first", first=True)
        queue.close()

    asyncio.run(send())
    with running_worker(tmp_path, site.variables):
        log = tmp_path / "worker-one.log"
        within(20, lambda: log.read_text().count("there is no job") == 4)
    jobs = [line.split("job_1_")[1][:5] for line in log.read_text().splitlines() if "there is no job" in line]
    assert jobs == ["first", "later", "later", "later"]


@contextmanager
def valkey(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(valkey_command(folder, port, PASSWORD), stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_an_ingest_that_is_asked_for_without_redis_is_accepted_at_once_and_starts_when_it_is_back(
    site: Site, provider: Provider, tmp_path: Path
) -> None:
    (port,) = pick_free(1)
    variables = {**site.variables, "REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:{port}/0"}
    with (
        valkey(tmp_path / "valkey", port) as first,
        running_api(tmp_path, variables) as api,
        running_worker(tmp_path, variables),
    ):
        assert api.jobs() == []
        first.kill()
        first.wait()
        took = []
        for _ in range(5):
            began = time.monotonic()
            response = api.client.post("/ingest", headers=ADMIN)
            took.append(time.monotonic() - began)
            assert response.status_code == 202
        job_id = response.json()["task_id"]
        assert api.job(job_id)["waiting_for"]["what"] == "redis"
        with valkey(tmp_path / "valkey", port):
            began = time.monotonic()
            job = api.finished(job_id, JOB_SECONDS)
            print(f"accepted in {[round(1000 * t) for t in took]} ms, done {time.monotonic() - began:.1f} s after")
    assert job["status"] == "completed", job
    assert min(took) < 0.1, took
