"""`lectern releases` and `lectern ingest --plan` against a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli import jobs
from cli.main import app
from tests.unit.scripted_api import ScriptedApi, as_json, running_api

KEY = "an-admin-key-for-tests"


@pytest.fixture(autouse=True)
def quickly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls without waiting, in a folder without a `.env`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADMIN_API_KEY", KEY)
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.01)


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with running_api() as scripted:
        yield scripted


def run(api: ScriptedApi, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--api", api.url])


def release(number: int, state: str = "kept", **changes: Any) -> dict[str, Any]:
    """A release as GET /releases shows it."""
    return {
        "number": number, "state": state, "live": state == "live", "held": state == "held", "documents": 40,
        "chunks": 512, "job_id": f"job_{number}", "created_at": "2026-01-02T03:04:05.678+00:00",
        "collection": "lectern__small-1536", "model": "text-embedding-3-small", "dimensions": 1536,
        "changes": {"added": 1, "changed": 0, "moved": 2, "removed": 0}, **changes,
    }  # fmt: skip


def detail(**changes: Any) -> dict[str, Any]:
    pages: dict[str, list[Any]] = {"added": [], "changed": [], "moved": [], "removed": []}
    return {**release(5, "live"), "base": 4, **pages, "note": None, "gate": None, **changes}


LISTING = {"releases": [release(6, "held"), release(5, "live"), release(12, changes=None, model=None)], "total": 3}


def test_releases_are_listed_in_columns(api: ScriptedApi) -> None:
    api.on("GET", "/releases", as_json(LISTING))
    result = run(api, "releases")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "release 6   held  2026-01-02 03:04  40 pages, 512 passages  text-embedding-3-small  1 added, 2 moved",
        "release 5   live  2026-01-02 03:04  40 pages, 512 passages  text-embedding-3-small  1 added, 2 moved",
        "release 12  kept  2026-01-02 03:04  40 pages, 512 passages  its collection is gone",
    ]
    assert api.received[0].headers["x-api-key"] == KEY


def test_nothing_indexed_is_said(api: ScriptedApi) -> None:
    api.on("GET", "/releases", as_json({"releases": [], "total": 0, "live": None}))
    assert run(api, "releases").stdout == "nothing is indexed\n"


def test_a_release_is_shown_with_its_pages_and_reasons(api: ScriptedApi) -> None:
    pages = [{"path": f"new/{number:02}.md", "reason": "new page"} for number in range(25)]
    moved = [{"path": "b.md", "reason": "moved from a.md\x1b[31m"}]
    gate = {
        "file": "golden.yaml", "asked": 4, "answered": 2, "answered_before": 3, "lost_total": 1,
        "lost": [{"question": "How?", "expected": ["a.md", "b.md#c"], "line": 3}], "faults": ["line 9: not a question"],
    }  # fmt: skip
    totals = {"added": 1300, "changed": 0, "moved": 1, "removed": 0}
    api.on("GET", "/releases/5", as_json(detail(added=pages, moved=moved, gate=gate, note="Noted.", changes=totals)))
    lines = run(api, "releases", "show", "5").stdout.splitlines()
    assert lines[0].startswith("release 5  live")
    assert "  Noted." in lines
    assert "  1,300 pages added:" in lines
    assert "    new/19.md: new page" in lines
    assert "    new/20.md: new page" not in lines
    assert "    and 1,280 more; --json names 25" in lines
    assert "    b.md: moved from a.md[31m" in lines
    assert "  golden.yaml: 2 of 4 questions answered, 3 before" in lines
    assert "    lost: How? (a.md or b.md#c)" in lines
    assert "    fault: line 9: not a question" in lines


def test_a_release_without_a_record_says_so(api: ScriptedApi) -> None:
    api.on("GET", "/releases/5", as_json(detail(changes=None)))
    assert "what it changed was not recorded" in run(api, "releases", "show", "5").stdout


def activated(**changes: Any) -> dict[str, Any]:
    return {
        "release": release(4, "live"), "previous": 5, "changed": True, "message": "release 4 is live", "warning": None,
        **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "release 4 is live in place of release 5"),
        (
            {"previous": 4, "changed": False, "message": "release 4 is live, as it was before"},
            "release 4 is live, as it was before",
        ),
        ({"previous": None}, "release 4 is live"),
    ],
)
def test_a_release_is_activated_and_what_it_took_the_place_of_is_said(
    api: ScriptedApi, changes: dict[str, Any], says: str
) -> None:
    api.on("POST", "/releases/4/activate", as_json(activated(**changes)))
    result = run(api, "releases", "activate", "4")
    assert (result.exit_code, result.stdout.strip()) == (0, says)
    assert api.received[0].headers["x-api-key"] == KEY


def test_a_warning_goes_to_standard_error(api: ScriptedApi) -> None:
    api.on("POST", "/releases/4/activate", as_json(activated(warning="made with another model")))
    result = run(api, "releases", "activate", "4")
    assert result.stderr == "lectern: made with another model\n"


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "/releases", ("releases", "--json")),
        ("GET", "/releases/4", ("releases", "show", "4", "--json")),
        ("POST", "/releases/4/activate", ("releases", "activate", "4", "--json")),
    ],
)
def test_json_is_what_the_api_sent(api: ScriptedApi, method: str, path: str, words: tuple[str, ...]) -> None:
    sent = {**activated(), **detail(), **LISTING}
    api.on(method, path, as_json(sent))
    result = run(api, *words)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == sent


@pytest.mark.parametrize("action", ["show", "activate"])
def test_an_unknown_release_is_bad_input(api: ScriptedApi, action: str) -> None:
    refusal = as_json({"message": "there is no release 9; kept: 3, 4", "code": "NOT_FOUND"}, 404)
    api.on("GET", "/releases/9", refusal)
    api.on("POST", "/releases/9/activate", refusal)
    result = run(api, "releases", action, "9")
    assert (result.exit_code, result.stderr) == (2, "lectern: there is no release 9; kept: 3, 4\n")


@pytest.mark.parametrize("words", [("show",), ("activate",), ("show", "x"), ("activate", "0"), ("drop", "1")])
def test_what_is_no_number_or_no_action_is_bad_input(api: ScriptedApi, words: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, ["releases", *words]).exit_code == 2
    assert api.received == []


# Planning


def task(**changes: Any) -> dict[str, Any]:
    """A job that has ended, as GET /ingest/status shows it."""
    progress: dict[str, Any] = {
        "stage": "done", "files_processed": 40, "total_files": 40, "chunks_created": 0, "percent": 100.0,
        "seconds_left": None, "errors": [],
    }  # fmt: skip
    return {
        "task_id": "job_1", "state": "succeeded", "status": "completed", "reason": None, "release": None, "errors": [],
        "created_at": "2026-01-02T03:04:05.678+00:00", "totals": {}, "progress": progress, "metadata": {}, **changes,
    }  # fmt: skip


def estimate(dollars: float | None, per_million: float | None) -> dict[str, Any]:
    return {
        "base": 4, "added": [{"path": "new.md", "reason": "new page"}], "changed": [], "moved": [], "removed": [],
        "pages": {"found": 41, "added": 1, "changed": 0, "moved": 0, "removed": 0, "hidden": 2, "unchanged": 38},
        "passages": {"read": 30, "to_embed": 9, "to_reuse": 21}, "tokens": 3120, "seconds": 125.0,
        "seconds_by": "the last 3 ingests",
        "price": {"model": "small", "dollars": dollars, "dollars_per_million_tokens": per_million},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("price", "says"),
    [
        ((0.0000624, 0.02), "about $0.0001 with small"),
        ((0.0, 0.0), "at no cost with small"),
        ((None, None), "price unknown: set EMBEDDING_PRICE to what a million tokens of small cost in dollars"),
    ],
)
def test_a_plan_is_asked_for_and_printed(api: ScriptedApi, price: tuple[float | None, float | None], says: str) -> None:
    api.on("POST", "/ingest", as_json({"task_id": "job_1", "status": "started"}, 202))
    api.on("GET", "/ingest/status", as_json(task(dry_run=True, estimate=estimate(*price))))
    result = run(api, "ingest", "--plan", "--force")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "41 pages found, 38 unchanged",
        "  1 page added:",
        "    new.md: new page",
        "  2 pages hidden or empty",
        f"9 passages to embed, 21 to reuse: 3,120 tokens, {says}",
        "about 2 min 5 s, by the last 3 ingests",
        "nothing was written",
    ]
    assert api.received[0].body == {"content_path": ".", "force_reindex": True, "dry_run": True}


def test_a_plan_and_a_watch_do_not_go_together(api: ScriptedApi) -> None:
    result = run(api, "ingest", "--plan", "--watch")
    assert (result.exit_code, api.received) == (2, [])
    assert "--plan looks once" in result.stderr


def test_a_release_that_is_held_back_ends_an_ingest_with_a_failure(api: ScriptedApi) -> None:
    reason = "release 6 is held back: 1 question would no longer be answered"
    held = task(release=6, reason=reason, totals={"releases_held": 1})
    api.on("POST", "/ingest", as_json({"task_id": "job_1", "status": "started"}, 202))
    api.on("GET", "/ingest/status", as_json(held))
    result = run(api, "ingest")
    assert result.exit_code == 1
    assert f"lectern: {reason}" in result.stderr


def test_an_ingest_that_leaves_a_rollback_alone_says_so(api: ScriptedApi) -> None:
    reason = "nothing has changed since release 5, and release 4 stays live, which was chosen in its place"
    api.on("POST", "/ingest", as_json({"task_id": "job_1", "status": "started"}, 202))
    api.on("GET", "/ingest/status", as_json(task(reason=reason)))
    result = run(api, "ingest")
    assert (result.exit_code, result.stdout.strip()) == (0, reason)
