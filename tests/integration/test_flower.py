"""Flower as admins meet it: a real process beside a real worker, on a real Valkey, with the project's configuration."""

from __future__ import annotations

import asyncio
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from embedded.parts import stages
from embedded.ports import pick_free
from shared.models import Job, JobState
from shared.queue import PLAN_TASK, SHARD_TASK, make_celery
from shared.services import open_services
from shared.settings import Settings, load_settings
from tests.integration.test_embedded_valkey import make_plan
from tests.stores import Stores, running_stores
from tests.system import docs_folder, environment, until

CONFIGURATION = Path(__file__).parents[2] / "worker" / "flowerconfig.py"
LOGIN = ("admin", "a-password-for-tests")
#: Long enough for a machine that runs other tests beside.
START_SECONDS = 60
#: What flowerconfig.py promises to lose at most, and a little for a busy machine.
SAVE_SECONDS = 10 + 5
PAGES = {f"guide__page_{number}": f"# Page {number}\n\nWhat page {number} says.\n" for number in range(7)}
CONTROLS = (
    *("worker/shutdown/{worker}", "worker/pool/restart/{worker}", "worker/pool/grow/{worker}"),
    *("worker/pool/shrink/{worker}", "worker/pool/autoscale/{worker}", "worker/queue/add-consumer/{worker}"),
    *("worker/queue/cancel-consumer/{worker}", "task/apply/ingest.plan", "task/async-apply/ingest.plan"),
    *("task/send-task/ingest.plan", "task/abort/{task}", "task/timeout/ingest.plan", "task/rate-limit/ingest.plan"),
    *("task/revoke/{task}", "task/revoke/{task}?terminate=true"),
)


@dataclass(frozen=True, slots=True)
class Site:
    """Stores, a content folder and one worker that indexes it."""

    stores: Stores
    docs: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return environment({**self.stores.environment, "CONTENT_ROOT": str(self.docs)})

    @property
    def settings(self) -> Settings:
        return load_settings(
            None,
            redis_url=self.stores.redis_url,
            qdrant_url=self.stores.qdrant_url,
            qdrant_api_key=self.stores.qdrant_api_key,
            content_root=self.docs,
        )

    def ingest(self, source: str = ".", *, more: dict[str, Any] | None = None) -> Job:
        """Run a job to its end. With `more`, its first message is an unusual one that holds this too."""
        return asyncio.run(self._ingest(source, more))

    async def _ingest(self, source: str, more: dict[str, Any] | None) -> Job:
        async with open_services(self.settings) as services:
            job = await services.jobs.create(source, force=True)
            if more is None:
                await services.queue.plan(job.id, source)
            else:
                make_celery(self.settings).send_task(PLAN_TASK, kwargs={"job": job.id, **more})
            async with asyncio.timeout(START_SECONDS):
                while not job.state.terminal:
                    await asyncio.sleep(0.1)
                    job = await services.jobs.get(job.id)
        return job


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("flower")
    with (
        docs_folder(folder / "docs", **PAGES) as docs,
        running_stores(folder) as stores,
        worker(site := Site(stores, docs, folder), "worker@%h"),
    ):
        yield site


@pytest.fixture(scope="module")
def flower(site: Site) -> Iterator[httpx.Client]:
    """A client that is logged in at a Flower with nothing but its login set, which sees the worker."""
    with running(site, FLOWER_BASIC_AUTH=":".join(LOGIN)) as (_, client):
        yield client


@pytest.fixture(scope="module")
def job(site: Site, flower: httpx.Client) -> Job:
    """An ingest that Flower has seen."""
    done = site.ingest()
    until(lambda: "ingest.publish" in {task["name"] for task in tasks(flower)}, 10)
    return done


@contextmanager
def worker(site: Site, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker, told to start; Flower shows when it is there."""
    command = [sys.executable, "-m", "celery", "--quiet", "-A", "worker.app", "worker", "--loglevel=INFO", "-n", name]
    with process([*command, "--without-mingle", "--without-gossip"], site.folder, site.environment) as started:
        yield started


@contextmanager
def running(site: Site, *arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """A Flower that answers and whose worker has been heard of."""
    (port,) = pick_free(1)
    settings = {"FLOWER_PORT": str(port), "FLOWER_DB": str(site.folder / "history"), **variables}
    with (
        process([*command(), *arguments], site.folder, {**site.environment, **settings}) as started,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=LOGIN, timeout=10) as client,
    ):
        until(lambda: answers(client, started), START_SECONDS)
        if "FLOWER_BASIC_AUTH" in variables:
            until(lambda: known_workers(client), START_SECONDS)
        yield started, client


@contextmanager
def process(command: list[str], folder: Path, variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "processes.log").open("ab") as log:
        started = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(timeout=30)


def refused(site: Site, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A Flower that ends by itself."""
    return subprocess.run(
        command(), check=False, cwd=site.folder, env=variables, capture_output=True, text=True, timeout=START_SECONDS
    )


def command() -> list[str]:
    return [sys.executable, "-m", "celery", "-A", "worker.app", "flower", f"--conf={CONFIGURATION}"]


def answers(client: httpx.Client, started: subprocess.Popen[bytes]) -> bool:
    assert started.poll() is None
    try:
        return client.get("/healthcheck").status_code == 200
    except httpx.HTTPError:
        return False


def known_workers(client: httpx.Client) -> list[str]:
    """Those that Flower may control: they have answered it, and their events arrive."""
    seen = {row["hostname"] for row in client.get("/workers?json=1").json()["data"] if row["status"]}
    return [name for name in client.get("/api/workers?refresh=true").json() if name in seen]


def tasks(client: httpx.Client) -> list[dict[str, Any]]:
    return list(client.get("/api/tasks").json().values())


def rows(client: httpx.Client) -> list[dict[str, Any]]:
    """The list of tasks as the page of Flower fetches it."""
    query: dict[str, str | int] = {
        "draw": 1,
        "start": 0,
        "length": 100,
        "order[0][column]": 0,
        "columns[0][data]": "name",
    }
    found: list[dict[str, Any]] = client.get("/tasks/datatable", params=query).json()["data"]
    return found


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_login_it_does_not_start_and_says_what_is_missing(site: Site, value: str | None) -> None:
    variables = {**site.environment, **({} if value is None else {"FLOWER_BASIC_AUTH": value})}
    ended = refused(site, variables)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("FLOWER_BASIC_AUTH: is missing")
    assert "for example FLOWER_BASIC_AUTH=admin:" in ended.stderr


def test_a_login_without_a_password_is_refused_and_not_printed(site: Site) -> None:
    variables = {**site.environment, "FLOWER_BASIC_AUTH": "canary"}
    ended = refused(site, variables)
    assert ended.returncode == 2
    assert ended.stderr.startswith("FLOWER_BASIC_AUTH: must be user:password")
    assert "canary" not in ended.stderr


@pytest.mark.parametrize(
    "path",
    ["/", "/workers", "/tasks", "/tasks/datatable", "/broker", "/task/1", "/api/tasks", "/api/workers", "/metrics"],
)
def test_nothing_is_shown_to_who_is_not_logged_in(flower: httpx.Client, path: str) -> None:
    for credentials in (None, (LOGIN[0], "wrong"), ("", "")):
        assert httpx.get(f"{flower.base_url}{path}", auth=credentials, timeout=10).status_code == 401


def test_the_health_check_needs_no_login_and_tells_nothing(flower: httpx.Client) -> None:
    response = httpx.get(f"{flower.base_url}/healthcheck", timeout=10)
    assert (response.status_code, response.text) == (200, "OK")


def test_metrics_are_there_for_who_is_logged_in(flower: httpx.Client, job: Job) -> None:
    response = flower.get("/metrics")
    assert response.status_code == 200
    assert f'flower_worker_online{{worker="{this_worker()}"}} 1.0' in response.text
    assert 'task="ingest.shard"' in response.text


def test_workers_are_named_by_their_host(flower: httpx.Client) -> None:
    assert known_workers(flower) == [this_worker()]


def this_worker() -> str:
    return f"worker@{platform.node()}"


def test_tasks_are_listed_by_name_with_what_an_admin_needs(flower: httpx.Client, job: Job) -> None:
    listed = {task["name"]: task for task in tasks(flower) if job.id in task["kwargs"]}
    assert set(listed) == {"ingest.plan", "ingest.shard", "ingest.publish"}
    assert all(task["worker"] == this_worker() for task in listed.values())
    assert "guide/page_4.md" in listed["ingest.shard"]["kwargs"]
    assert "guide/page_5.md" not in listed["ingest.shard"]["kwargs"]


def test_the_page_shows_the_arguments_in_words(flower: httpx.Client, job: Job) -> None:
    shown = {row["name"]: row["kwargs"] for row in rows(flower) if job.id in row["kwargs"]}
    assert shown["ingest.plan"] == f"{job.id}, source ."
    assert shown["ingest.publish"] == f"{job.id}, source ."
    pages = "7 pages: guide/page_0.md, guide/page_1.md, guide/page_2.md and 4 more"
    assert shown["ingest.shard"].startswith(f"{job.id}, {pages}, source ., shard ")
    assert 'data-column="kwargs"' in flower.get("/tasks").text


def test_messages_of_another_version_are_understood(site: Site, flower: httpx.Client) -> None:
    done = site.ingest("guide", more={"of_the_next_version": 1})
    assert done.state == JobState.SUCCEEDED
    make_celery(site.settings).send_task(SHARD_TASK, kwargs={"job": done.id, "shard": "of-the-last-version"})
    until(lambda: {"SUCCESS"} == {task["state"] for task in tasks(flower) if done.id in task["kwargs"]}, 10)
    assert any("of-the-last-version" in task["kwargs"] for task in tasks(flower))


@pytest.mark.parametrize("control", CONTROLS)
def test_it_is_for_looking_only_unless_told_otherwise(flower: httpx.Client, job: Job, control: str) -> None:
    path = control.format(worker=this_worker(), task=tasks(flower)[0]["uuid"])
    response = flower.post(f"/api/{path}", json={})
    assert (response.status_code, response.text) == (403, "Read only mode is enabled")


def saved(job: str, file: Path, after: float) -> bool:
    return file.stat().st_mtime > after and job.encode() in file.read_bytes()


def test_the_history_is_there_after_a_kill_within_the_save_interval(site: Site) -> None:
    history = {"FLOWER_BASIC_AUTH": ":".join(LOGIN), "FLOWER_DB": str(site.folder / "killed")}
    with running(site, **history) as (started, client):
        done = site.ingest()
        until(lambda: "ingest.publish" in {task["name"] for task in tasks(client)}, 10)
        until(lambda: {task["state"] for task in tasks(client)} == {"SUCCESS"}, 10)
        before, seen_at = {task["uuid"]: task["state"] for task in tasks(client)}, time.time()
        until(lambda: any(saved(done.id, file, seen_at) for file in site.folder.glob("killed*")), SAVE_SECONDS)
        started.kill()
        started.wait()
    with running(site, **history) as (_, client):
        assert {task["uuid"]: task["state"] for task in tasks(client)}.items() >= before.items()
        assert {row["name"] for row in rows(client)} == {"ingest.plan", "ingest.shard", "ingest.publish"}


def test_who_may_do_more_can_end_tasks_and_stop_workers(site: Site) -> None:
    ours = {"FLOWER_BASIC_AUTH": ":".join(LOGIN), "FLOWER_READ_ONLY": "false"}
    # Flower's own variables and options work as its manual says: they win over the configuration.
    with (
        running(site, "--tasks-columns=name,worker", FLOWER_PERSISTENT="false", **ours) as (_, client),
        worker(site, "second@%h") as second,
    ):
        assert 'data-column="kwargs"' not in client.get("/tasks").text
        assert tasks(client) == []
        name = f"second@{platform.node()}"
        until(lambda: name in known_workers(client), START_SECONDS)
        assert client.post("/api/task/revoke/no-such-task").status_code == 200
        assert client.post(f"/api/worker/shutdown/{name}").status_code == 200
        second.wait(timeout=30)
        assert this_worker() in known_workers(client)


def test_people_may_log_in_at_a_provider_instead(site: Site) -> None:
    provider = {"FLOWER_AUTH": "admin@example.org", "FLOWER_AUTH_PROVIDER": "flower.views.auth.GithubLoginHandler"}
    with running(site, **provider) as (_, client):
        for path in ("/tasks", "/api/tasks", "/metrics"):
            response = client.get(path, auth=None)
            assert response.status_code in {302, 401}, path
            assert json.dumps("ingest") not in response.text


@pytest.mark.parametrize("chosen", [None, "ada:a-password-of-her-own"])
def test_the_small_size_makes_a_login_unless_its_owner_has_chosen_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str | None
) -> None:
    if chosen is not None:
        monkeypatch.setenv("FLOWER_BASIC_AUTH", chosen)
    plan = make_plan(tmp_path)
    flower = next(part for stage in stages(plan) for part in stage if part.name == "flower")
    made = "lectern:" + (plan.home.secret("flower.password") if chosen is None else "")
    assert flower.env["FLOWER_BASIC_AUTH"] == (chosen or made)
    assert f"--conf={CONFIGURATION}" in flower.argv
    assert flower.env["FLOWER_DB"].startswith(str(plan.home.path))
