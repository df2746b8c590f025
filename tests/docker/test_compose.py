"""One Lectern under Compose, from its first start to its last stop. The tests go on from one another, in this order."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from shared.points import digest_of
from shared.settings import load_settings
from tests.docker.compose import Compose, docker, until
from tests.docker.conftest import SECRETS, Host
from tests.system import System, environment
from worker.ingestion.content import Content

#: Pages that make a job of many shards, and some seconds for the local model.
PAGES: Final = 60
SERVICES: Final = ("redis", "qdrant", "api", "worker", "flower")
FLOWER_AUTH: Final = ("admin", "flower-canary-0123456789")
KILLED: Final = 137
GRACE_SECONDS: Final = 30


def write_content(folder: Path) -> None:
    """A guide to ask about, and many pages that differ."""
    guide = folder / "guide" / "install.md"
    guide.parent.mkdir(parents=True)
    guide.write_text(
        "# Install Glowworm\n\nGlowworm runs on Linux.\n\n## Change the listening port\n\n"
        "To change the port that Glowworm listens on, set `GLOW_PORT` to 9191 and restart it.\n"
    )
    words = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text().split("\n## ")[1:]
    for number in range(PAGES):
        sections = [f"## Part {n} of book {number}\n\n{words[(number + n) % len(words)]}" for n in range(4)]
        page = folder / "many" / f"page-{number:03}.md"
        page.parent.mkdir(exist_ok=True)
        page.write_text(f"# Book {number}\n\n" + "\n\n".join(sections))
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    folder.chmod(0o755)


@pytest.fixture(scope="module")
def system(images: Compose) -> Compose:
    """Everything up, nothing indexed."""
    write_content(images.clone / "content")
    images.up()
    return images


def state_of(container: dict[str, Any]) -> str:
    return str(container["State"].get("Health", {}).get("Status") or container["State"]["Status"])


def test_every_part_comes_up_healthy(system: Compose) -> None:
    found = {c["Config"]["Labels"]["com.docker.compose.service"]: state_of(c) for c in system.containers()}
    assert found == {**dict.fromkeys(SERVICES, "healthy"), "setup": "exited"}


def test_containers_are_locked_down(system: Compose) -> None:
    for container in system.containers():
        name, host = container["Name"], container["HostConfig"]
        assert container["Config"]["User"] == "1000:1000", name
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert host["LogConfig"]["Config"]["max-size"], name
        if "setup" not in name:
            assert host["Memory"] > 0, name
            assert host["PidsLimit"] > 0, name
        for mount in container["Mounts"]:
            assert mount["Destination"] != "/content" or not mount["RW"], name
    assert system.execute("api", "id", "-u").strip() == "1000"
    with pytest.raises(AssertionError, match="Read-only file system"):
        system.execute("api", "touch", "/app/x")


def test_only_the_api_and_flower_are_published(system: Compose) -> None:
    published = {}
    for container in system.containers():
        service = container["Config"]["Labels"]["com.docker.compose.service"]
        for inside, outside in (container["NetworkSettings"]["Ports"] or {}).items():
            if outside:
                published[service, inside] = {binding["HostIp"] for binding in outside}
    assert published == {("api", "7860/tcp"): {"127.0.0.1"}, ("flower", "5555/tcp"): {"127.0.0.1"}}


def test_the_stores_reach_nobody_outside(system: Compose) -> None:
    networks = {
        c["Config"]["Labels"]["com.docker.compose.service"]: set(c["NetworkSettings"]["Networks"])
        for c in system.containers()
    }
    assert networks["redis"] == networks["qdrant"] == {f"{system.project}_stores"}
    assert json.loads(docker("network", "inspect", f"{system.project}_stores"))[0]["Internal"] is True


def test_a_folder_is_indexed_through_the_api(system: Compose) -> None:
    job = system.wait_for(system.start_job("guide"))
    assert job["status"] == "completed", job
    health = system.api.get("/health").json()
    assert (health["release"], health["documents_count"]) == (1, 1)
    assert system.api.post("/ingest", json={}).status_code == 401


def test_a_question_is_answered_with_a_link_to_its_heading(system: Compose, host: Host) -> None:
    host.provider.fault(
        "chat", "slow", seconds=0, text="Set `GLOW_PORT` to change the port that Glowworm listens on [1]."
    )
    events = list(system.ask("How do I change the port that Glowworm listens on?"))
    kinds = [kind for kind, _ in events]
    assert kinds[0] == "start"
    assert kinds[-1] == "done"
    citations = [data for kind, data in events if kind == "citation"]
    assert "https://site.example/guide/install#change-the-listening-port" in json.dumps(citations)
    assert host.provider.stats().chat_requests == 1  # the model on this machine was asked


def flower(system: Compose, path: str, auth: tuple[str, str] | None = FLOWER_AUTH) -> httpx.Response:
    return httpx.get(f"{system.flower}{path}", auth=auth, timeout=20, trust_env=False)


def tasks(system: Compose) -> list[dict[str, Any]]:
    return list(flower(system, "/api/tasks?limit=1000").raise_for_status().json().values())


def test_flower_shows_the_finished_tasks_to_who_has_the_password(system: Compose) -> None:
    until(
        lambda: {task["name"] for task in tasks(system) if task["state"] == "SUCCESS"},
        lambda names: names == {"ingest.plan", "ingest.shard", "ingest.publish"},
        seconds=20,
    )
    assert flower(system, "/api/tasks", auth=None).status_code == 401
    assert flower(system, "/metrics", auth=None).status_code == 401
    assert flower(system, "/", auth=("admin", "wrong")).status_code == 401


def test_shards_spread_over_three_workers_and_a_killed_one_costs_nothing(system: Compose) -> None:
    system.up("--scale", "worker=3")
    job = system.start_job()
    until(lambda: system.job(job)["progress"], lambda p: 10 <= (p or {}).get("percent", 0) < 60, seconds=60, pause=0.1)
    victim = system.containers("worker")[0]["Id"]
    docker("kill", victim)
    done = system.wait_for(job)
    assert done["status"] == "completed", done
    shards = [task for task in tasks(system) if task["name"] == "ingest.shard" and job in str(task["kwargs"])]
    workers = {task["worker"] for task in shards if task.get("worker")}
    assert len(workers) == 3, workers
    assert system.points() == expected_points(system.clone / "content")
    assert system.stored() == len(system.points())


def expected_points(content: Path) -> list[tuple[str, ...]]:
    """What an ingest that nobody disturbs has to store."""
    settings = load_settings(None, content_root=content, site_url="https://site.example", docs_route="/")
    paths = sorted(path.relative_to(content).as_posix() for path in content.rglob("*.md"))
    pages, faults = Content.of(settings).read(paths)
    assert not faults
    rows = [("chunk", page.page.path, digest_of(chunk)) for page in pages for chunk in page.chunks]
    return sorted([*rows, *(("page", page.page.path, str(len(page.chunks))) for page in pages)])


def test_all_workers_are_renewed_in_the_middle_of_a_job_and_no_page_is_lost(system: Compose) -> None:
    for page in (system.clone / "content" / "many").glob("*.md"):
        page.write_text(page.read_text() + "\n\n## Another edition\n\nThis part is new.\n")
    job = system.start_job()
    until(lambda: system.job(job)["progress"], lambda p: (p or {}).get("percent", 0) >= 10, seconds=60, pause=0.1)
    system.up("--force-recreate", "--no-deps", "worker")
    done = system.wait_for(job)
    assert done["status"] == "completed", done
    assert system.points() == expected_points(system.clone / "content")
    assert all(code != KILLED for code in exit_codes(system))


def exit_codes(system: Compose) -> list[int]:
    return [c["State"]["ExitCode"] for c in system.containers() if c["State"]["Status"] == "exited"]


def test_a_stream_that_an_update_cuts_off_is_told_so(system: Compose, host: Host) -> None:
    host.provider.fault("chat", "slow_tokens", seconds=0.5, text="word " * 200 + "[1].")
    events: list[tuple[str, dict[str, Any]]] = []
    asking = threading.Thread(target=lambda: events.extend(system.ask("How do I change the port of Glowworm?")))
    asking.start()
    host.provider.wait_until(lambda stats: stats.open_streams == 1)
    time.sleep(1)  # a few words
    system.up("--force-recreate", "--no-deps", "api")
    asking.join(20)
    host.provider.reset()
    assert not asking.is_alive()
    assert [kind for kind, _ in events].count("error") == 1
    assert events[-1][0] == "error"
    assert "chunk" in [kind for kind, _ in events]


def test_every_container_may_restart_and_nothing_is_lost(system: Compose) -> None:
    before = system.points()
    for service in SERVICES:
        system.run("restart", service)
        system.up("--no-recreate")
        assert system.points() == before, service
    assert system.wait_for(system.start_job())["status"] == "completed"
    assert system.points() == before
    assert flower(system, "/api/tasks").json()


def test_down_and_up_keep_everything(system: Compose) -> None:
    before = system.points()
    system.run("down", "--timeout", str(GRACE_SECONDS))
    system.up()
    assert system.points() == before
    assert any(kind == "citation" for kind, _ in system.ask("How do I change the port that Glowworm listens on?"))


def test_an_index_moves_between_the_sizes_through_a_file(system: Compose, tmp_path: Path) -> None:
    """To the small size, where it answers, and back, where it changes nothing."""
    before = system.points()
    archive = tmp_path / "site.lectern"
    with archive.open("wb") as file:
        system.pipe("exec", "-T", "api", "lectern", "export", "-", stdout=file)
    empty = tmp_path / "docs"
    empty.mkdir()
    with System(tmp_path / "home", empty) as small:
        lectern(tmp_path, "import", str(archive), "--home", str(small.home))
        answer = small.ask("How do I change the port that Glowworm listens on?")
        assert "https://site.example/guide/install#change-the-listening-port" in json.dumps(answer)
        lectern(tmp_path, "export", str(tmp_path / "back.lectern"), "--home", str(small.home))
    with (tmp_path / "back.lectern").open("rb") as file:
        said = system.pipe("exec", "-T", "api", "lectern", "import", "-", stdin=file)
    assert b"nothing has changed" in said
    assert system.points() == before


def lectern(folder: Path, *arguments: str) -> None:
    """The command of the small size."""
    command = [sys.executable, "-m", "cli.main", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment({}), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_no_secret_is_in_the_logs(system: Compose) -> None:
    logs = system.run("logs", "--no-color").stdout
    assert "ingest" in logs
    assert not [name for name, value in SECRETS.items() if value in logs]
    assert not [name for name, value in SECRETS.items() if value.split(":")[-1] in logs]


def test_everything_stops_by_itself_within_its_grace(system: Compose) -> None:
    started = time.monotonic()
    system.run("stop")
    seconds = time.monotonic() - started
    print(f"stopped in {seconds:.1f} s")
    assert seconds < GRACE_SECONDS
    assert set(exit_codes(system)) == {0}


def test_a_port_for_others_needs_a_key_that_somebody_chose(system: Compose) -> None:
    system.run("down", "--volumes")
    system.write_env(BIND_ADDRESS="0.0.0.0")
    refused = system.run("up", "--detach", check=False)
    assert refused.returncode != 0
    said = system.run("logs", "--no-color", "setup").stdout
    assert "BIND_ADDRESS is 0.0.0.0, which other machines can reach, so ADMIN_API_KEY has to be set" in said


def test_a_wrong_setting_is_named_and_once_mended_all_is_well(system: Compose) -> None:
    system.write_env(ADMIN_API_KEY="short")
    assert system.run("up", "--detach", check=False).returncode != 0
    assert "ADMIN_API_KEY: " in system.run("logs", "--no-color", "setup").stdout
    system.write_env()
    system.up()
    assert system.api.get("/health").json()["status"] == "healthy"
    system.run("down", "--volumes")


def test_every_line_of_the_example_file_may_be_uncommented_and_keys_may_change(system: Compose) -> None:
    lines = (system.clone / ".env.example").read_text().splitlines()
    example = dict(line.removeprefix("# ").split("=", 1) for line in lines if "=" in line and " " not in line[2:])
    assert example["REDIS_URL"] == "redis://localhost:6379/0"
    system.write_env(**{**example, "INGEST_ON_START": "true"})
    system.up()
    until(lambda: system.api.get("/health").json()["release"], lambda release: release == 1, seconds=60)
    system.write_env(**SECRETS, MODEL_PROVIDER="local")
    system.up()
    assert system.admin()["X-API-Key"] == SECRETS["ADMIN_API_KEY"]
    assert any(kind == "citation" for kind, _ in system.ask("How do I change the port?"))
    assert system.wait_for(system.start_job())["status"] == "completed"
    system.run("down", "--volumes")


def test_without_any_env_file_the_manual_is_indexed_and_answers(system: Compose) -> None:
    system.write_env()
    system.up()
    said = system.run("logs", "--no-color", "setup").stdout
    key = system.admin()["X-API-Key"]
    assert said.count(key) == 1
    assert len(key) >= 32
    until(lambda: system.api.get("/health").json()["release"], lambda release: release == 1, seconds=60)
    events = list(system.ask("How do I change the port?"))
    assert any("#change-the-port" in json.dumps(data) for kind, data in events if kind == "citation")
    assert not system.containers("flower")
    system.up()
    assert system.run("logs", "--no-color", "setup").stdout.count(key) == 1
