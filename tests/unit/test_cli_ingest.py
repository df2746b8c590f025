"""`lectern ingest` and `lectern status` against a real socket."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli import jobs, watch
from cli.address import Target
from cli.client import Api
from cli.errors import BadInput
from cli.ingest import Request, ingest, relative_to_root, result_line, watched_folder
from cli.jobs import JobView, Pace
from cli.main import app
from cli.progress import describe
from tests.unit.scripted_api import ScriptedApi, as_json, running_api

KEY = "an-admin-key-for-tests"


@pytest.fixture(autouse=True)
def quickly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls without waiting, in a folder without a `.env`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADMIN_API_KEY", KEY)
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(watch, "SETTLE_SECONDS", 0.02)


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with running_api() as scripted:
        scripted.on("POST", "/ingest", as_json({"task_id": "job_1", "status": "started"}, 202))
        yield scripted


def task(state: str = "running", **changes: Any) -> dict[str, Any]:
    """A job as GET /ingest/status shows it."""
    progress: dict[str, Any] = {
        "stage": "indexing" if state == "running" else "done", "files_processed": 12, "total_files": 40,
        "chunks_created": 130, "percent": 30.0, "seconds_left": 4.0, "errors": [],
    }  # fmt: skip
    return {
        "task_id": "job_1", "state": state, "status": "processing", "reason": None, "release": None, "errors": [],
        "created_at": "2026-01-02T03:04:05.678+00:00", "totals": {}, "progress": progress, **changes,
    }  # fmt: skip


DONE = task(
    "succeeded", reason="release 3 is live", release=3,
    totals={"documents": 40, "chunks": 512, "pages_found": 40, "pages_changed": 12, "texts_embedded": 130},
)  # fmt: skip


def run(api: ScriptedApi, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--api", api.url])


def test_an_ingest_is_followed_to_its_end_and_summed_up(api: ScriptedApi) -> None:
    api.on("GET", "/ingest/status", as_json(task()), as_json(DONE))
    result = run(api, "ingest")
    assert result.exit_code == 0
    assert result.stdout.startswith(
        "release 3 is live: 40 pages, 512 passages; 12 pages changed, 130 passages embedded"
    )
    assert "indexing: 12 of 40 pages, 130 passages, 4 s left" in result.stderr
    started, *looks = api.received
    assert started.body == {"content_path": ".", "force_reindex": False}
    assert started.headers["x-api-key"] == KEY
    assert [look.query for look in looks] == [{"task_id": "job_1"}] * 2


def test_force_and_a_path_are_handed_on(api: ScriptedApi) -> None:
    api.on("GET", "/ingest/status", as_json(DONE))
    assert run(api, "ingest", "guide", "--force").exit_code == 0
    assert api.received[0].body == {"content_path": "guide", "force_reindex": True}


def test_docs_that_did_not_change_are_said_so(api: ScriptedApi) -> None:
    unchanged = {**DONE, "release": None, "reason": "nothing has changed"}
    api.on("GET", "/ingest/status", as_json(unchanged))
    assert run(api, "ingest").stdout.startswith("nothing has changed: 40 pages, 512 passages")


def test_a_failed_job_is_told_once_with_its_faults(api: ScriptedApi) -> None:
    failed = task(
        "failed", reason="no page could be indexed", errors=["no page could be indexed", "a.md: is not UTF-8"]
    )
    api.on("GET", "/ingest/status", as_json(failed))
    result = run(api, "ingest")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "lectern: job_1 failed: no page could be indexed",
        "lectern: fault: a.md: is not UTF-8",
    ]


def test_a_thousand_faults_are_not_all_listed(api: ScriptedApi) -> None:
    api.on("GET", "/ingest/status", as_json({**DONE, "errors": [f"{n}.md: is not UTF-8" for n in range(1000)]}))
    lines = run(api, "ingest").stderr.splitlines()
    assert len(lines) == 21
    assert "980 more" in lines[-1]


def test_json_is_the_job_alone(api: ScriptedApi) -> None:
    api.on("GET", "/ingest/status", as_json(task()), as_json(DONE))
    result = run(api, "ingest", "--json")
    assert json.loads(result.stdout) == DONE
    assert result.stderr == ""


def test_an_api_that_is_away_during_a_job_is_waited_for(api: ScriptedApi) -> None:
    down = as_json({"message": "Qdrant does not answer"}, 503)
    limited = as_json({"message": "too many requests"}, 429, retry_after="0")
    api.on("GET", "/ingest/status", as_json(task()), down, limited, as_json(DONE))
    assert run(api, "ingest").exit_code == 0


def test_an_api_that_stays_away_is_given_up(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PATIENCE_SECONDS", 0.05)
    api.on("GET", "/ingest/status", as_json({"message": "Qdrant does not answer"}, 503))
    result = run(api, "ingest")
    assert (result.exit_code, result.stderr) == (1, "lectern: Qdrant does not answer\n")


def test_without_an_admin_key_nothing_is_sent(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADMIN_API_KEY")
    result = run(api, "ingest")
    assert (result.exit_code, api.received) == (2, [])
    assert "no admin key" in result.stderr


def test_a_wrong_admin_key_is_bad_input_and_never_shown(api: ScriptedApi) -> None:
    api.on("POST", "/ingest", as_json({"message": "the key is not the admin key"}, 401))
    result = run(api, "ingest")
    assert result.exit_code == 2
    assert "not the admin key" in result.stderr
    assert KEY not in result.output


def test_a_wrong_setting_is_bad_input(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHUNK_SIZE", "many")
    result = run(api, "ingest")
    assert result.exit_code == 2
    assert result.stderr.startswith("lectern: CHUNK_SIZE: ")


def test_status_shows_what_is_live_and_every_job(api: ScriptedApi) -> None:
    api.on("GET", "/health", as_json({"status": "healthy", "release": 3, "documents_count": 40, "chunks_count": 512}))
    api.on("GET", "/ingest/status", as_json({"tasks": [task(), DONE], "total": 2}))
    result = run(api, "status")
    assert result.stdout.splitlines() == [
        f"{api.url} is healthy; release 3 is live: 40 pages, 512 passages",
        "job_1  2026-01-02T03:04:05.678+00:00  running    12 of 40 pages, 130 passages, 4 s left",
        "job_1  2026-01-02T03:04:05.678+00:00  succeeded  release 3 is live",
    ]


def test_status_of_one_job_shows_its_totals_and_faults(api: ScriptedApi) -> None:
    api.on("GET", "/ingest/status", as_json({**DONE, "errors": ["a.md: is not UTF-8"]}))
    result = run(api, "status", "job_1")
    assert result.stdout.splitlines()[:2] == ["job_1 succeeded: release 3 is live", "  documents: 40"]
    assert result.stderr == "lectern: fault: a.md: is not UTF-8\n"


def test_status_of_an_unknown_job_is_bad_input(api: ScriptedApi) -> None:
    api.on("GET", "/ingest/status", as_json({"message": "there is no job 'x'"}, 404))
    result = run(api, "status", "x")
    assert (result.exit_code, result.stderr) == (2, "lectern: there is no job 'x'\n")


def test_a_health_report_of_a_broken_system_is_read_all_the_same(api: ScriptedApi) -> None:
    health = {"status": "unhealthy", "release": None, "documents_count": 0, "chunks_count": 0}
    api.on("GET", "/health", as_json(health, 503))
    api.on("GET", "/ingest/status", as_json({"tasks": [], "total": 0}))
    assert run(api, "status").stdout == f"{api.url} is unhealthy; nothing is indexed\n"


def test_a_path_from_the_current_folder_is_made_relative_to_the_content_root(tmp_path: Path) -> None:
    (tmp_path / "docs" / "guide").mkdir(parents=True)
    assert relative_to_root("docs/guide", tmp_path / "docs") == "guide"
    assert relative_to_root(str(tmp_path / "docs" / "guide"), Path("docs")) == "guide"
    assert relative_to_root("guide", tmp_path / "docs") == "guide"
    assert relative_to_root("../secret", tmp_path / "docs") == "../secret"  # the API refuses it by name
    assert relative_to_root(".", tmp_path / "docs") == "."


def target(url: str, root: Path) -> Target:
    return Target(url, KEY, root, "a test")


def test_a_watch_ingests_again_after_a_change_and_ends_well_when_interrupted(api: ScriptedApi, tmp_path: Path) -> None:
    api.on("GET", "/ingest/status", as_json(DONE))
    page = tmp_path / "docs" / "a.md"
    page.parent.mkdir()
    page.write_text("# One")

    def ingests() -> int:
        return sum(received.path == "/ingest" for received in api.received)

    async def scenario() -> int:
        async with Api(target(api.url, page.parent)) as client:
            watching = asyncio.create_task(ingest(client, Request(".", force=False, as_json=False), watch=True))
            for count in (1, 2):
                async with asyncio.timeout(5):
                    while ingests() < count:
                        await asyncio.sleep(0.01)
                await asyncio.sleep(0.1)
                assert ingests() == count  # nothing changed, nothing is done
                page.write_text(f"# Version {count}" + "." * count)
            watching.cancel()
            return await watching

    assert asyncio.run(scenario()) == 0


def test_ctrl_c_ends_a_watch_without_a_word_of_complaint(api: ScriptedApi, tmp_path: Path) -> None:
    api.on("GET", "/ingest/status", as_json(DONE))
    (tmp_path / "docs").mkdir()
    command = [sys.executable, "-m", "cli.main", "ingest", "--watch", "--api", api.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "watching" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
    assert process.returncode == 0


async def test_a_watch_waits_until_the_last_file_is_written(tmp_path: Path) -> None:
    known = watch.snapshot(tmp_path)

    async def write_slowly() -> None:
        for number in range(5):
            (tmp_path / f"{number}.md").write_text("# Page")
            await asyncio.sleep(0.01)

    writing = asyncio.create_task(write_slowly())
    found = await watch.changed(tmp_path, known)
    await writing
    assert len(found) == 5


def test_a_snapshot_holds_what_pages_may_be_made_of_and_no_tool_s_files(tmp_path: Path) -> None:
    for name in ("a.md", "b.MDX", "mkdocs.yml", ".hidden/d.md", ".a.md.swp", "node_modules/e.md", "deep/f.rs"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert sorted(Path(path).name for path in watch.snapshot(tmp_path)) == ["a.md", "b.MDX", "f.rs", "mkdocs.yml"]


def test_a_folder_has_pages_only_if_a_file_is_one(tmp_path: Path) -> None:
    (tmp_path / "mkdocs.yml").write_text("x")
    (tmp_path / "b.pdf").write_text("x")
    assert not watch.has_pages(tmp_path, (".md", ".mdx"))
    assert watch.has_pages(tmp_path, (".md", ".mdx", ".pdf"))
    (tmp_path / "A.MD").write_text("x")
    assert watch.has_pages(tmp_path, (".md", ".mdx"))


def test_only_a_folder_on_this_machine_can_be_watched(tmp_path: Path) -> None:
    assert watched_folder(target("http://127.0.0.1:1", tmp_path), ".") == tmp_path
    for url in ("https://docs.example.org", "http://127.0.0.1:1"):
        with pytest.raises(BadInput, match="--watch"):
            watched_folder(target(url, tmp_path), "missing")


def test_for_an_api_elsewhere_the_watch_says_what_it_depends_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert watched_folder(target("https://docs.example.org", tmp_path), ".") == tmp_path
    assert "if both share it" in capsys.readouterr().err


def test_docs_that_are_fetched_from_elsewhere_cannot_be_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_GIT_URL", "https://git.example.org/docs.git")
    with pytest.raises(BadInput, match="webhook"):
        watched_folder(target("http://127.0.0.1:1", tmp_path), ".")


def test_a_watch_waits_for_an_api_that_is_away_and_says_so_once(
    api: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watch, "AWAY_SECONDS", 0.01)
    down = as_json({"message": "Qdrant does not answer"}, 503, retry_after="0")
    api.on("POST", "/ingest", down, down, down, as_json({"task_id": "job_1", "status": "started"}, 202))
    api.on("GET", "/ingest/status", as_json(DONE))
    away = target("http://127.0.0.1:1", tmp_path)

    async def scenario(of: Target, until: str) -> int:
        said = ""
        async with Api(of) as client:
            watching = asyncio.create_task(ingest(client, Request(".", force=False, as_json=False), watch=True))
            async with asyncio.timeout(5):
                while until not in said:
                    await asyncio.sleep(0.05)
                    said += "".join(capsys.readouterr())
            watching.cancel()
            code = await watching
        assert said.count("waiting until it does") == 1
        return code

    assert asyncio.run(scenario(target(api.url, tmp_path), "release 3 is live")) == 0
    assert asyncio.run(scenario(away, "nothing answers at http://127.0.0.1:1")) == 0


def test_the_rate_is_known_once_pages_were_done() -> None:
    pace = Pace(iter([10.0, 12.0]).__next__)
    later = task()
    later["progress"] = {**later["progress"], "files_processed": 20}
    assert pace.of(JobView.of(task())) is None
    assert pace.of(JobView.of(later)) == 4.0
    assert describe(JobView.of(later), 4.0) == "20 of 40 pages, 130 passages, 4.0 pages/s, 4 s left"


def test_one_page_is_not_called_pages() -> None:
    totals = {"documents": 1, "chunks": 1, "pages_changed": 1, "texts_embedded": 1}
    job = JobView.of({**DONE, "totals": totals, "release": 1})
    assert result_line(job, 65) == "release 1 is live: 1 page, 1 passage; 1 page changed, 1 passage embedded, 1 min 5 s"


@pytest.mark.parametrize(
    ("action", "reply", "line"),
    [
        (
            "cancel",
            {"state": "cancelled", "reason": "cancelled before it began"},
            "job_1 is cancelled: cancelled before",
        ),
        ("cancel", {"state": "running", "wish": "cancel"}, "job_1 is to cancel; `lectern status job_1` shows when"),
        ("pause", {"state": "paused", "reason": "paused; it keeps"}, "job_1 is paused: paused; it keeps"),
        ("resume", {"state": "running"}, "job_1 is running"),
        ("retry", {"task_id": "job_2", "state": "queued"}, "job_2 does again what job_1 was to do"),
    ],
)
def test_a_job_is_acted_upon_and_said_to_be_what_it_is_then(
    api: ScriptedApi, action: str, reply: dict[str, Any], line: str
) -> None:
    api.on("POST", f"/ingest/job_1/{action}", as_json({**task(), **reply}, 202))
    result = run(api, "jobs", action, "job_1")
    assert (result.exit_code, result.stdout.startswith(line)) == (0, True), result.output


def test_an_action_that_its_state_does_not_allow_fails_with_what_is_possible(api: ScriptedApi) -> None:
    api.on("POST", "/ingest/job_1/pause", as_json({"message": "job_1 is failed, and cannot pause"}, 409))
    result = run(api, "jobs", "pause", "job_1")
    assert (result.exit_code, result.stderr) == (1, "lectern: job_1 is failed, and cannot pause\n")


def test_jobs_are_listed_with_the_queue_and_why_they_wait(api: ScriptedApi) -> None:
    waiting = {**task("queued"), "waiting_for": {"reason": "no worker has been heard of"}}
    queue = {"messages": 3, "oldest_seconds": 8.0, "workers": 0}
    api.on("GET", "/ingest/status", as_json({"tasks": [waiting, DONE], "total": 2, "queue": queue}))
    lines = run(api, "jobs").stdout.splitlines()
    assert lines[0] == "0 workers; 3 messages waiting, the oldest for 8 s"
    assert lines[1].endswith("waits: no worker has been heard of")
    assert lines[2].endswith("release 3 is live")
