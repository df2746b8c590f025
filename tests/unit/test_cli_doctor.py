"""`lectern doctor` names what is broken and how to mend it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli import doctor
from cli.main import app
from tests.unit.scripted_api import ScriptedApi, as_json, running_api

MODELS = {"model": "extractive", "embedding_model": "all-MiniLM-L6-v2"}


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedApi]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A")
    with running_api() as scripted:
        scripted.on("GET", "/health", as_json(health()))
        scripted.on("GET", "/search", as_json({"results": []}))
        yield scripted


def health(*, workers: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "status": "healthy", "version": "0.1.0", "redis_connected": True, "qdrant_connected": True, "release": 2,
        "documents_count": 3, "chunks_count": 14,
        "services": {"openai": {"details": MODELS}, "task_manager": {"details": {"workers": workers}}}, **changes,
    }  # fmt: skip


def run(api: ScriptedApi, *words: str) -> Result:
    return CliRunner().invoke(app, ["doctor", "--api", api.url, *words])


def failed(result: Result) -> list[str]:
    """The parts that are said to be broken."""
    return [line.split()[1] for line in result.stdout.splitlines() if line.startswith("FAIL")]


def test_a_system_that_is_well_has_no_fault(api: ScriptedApi) -> None:
    result = run(api)
    assert (failed(result), result.exit_code) == ([], 0)
    parts = [line.split()[1] for line in result.stdout.splitlines()]
    assert parts == ["python", "disk", "settings", "content", "api", "redis", "qdrant", "worker", "release", "model"]


@pytest.mark.parametrize(
    ("report", "part"),
    [
        (health(redis_connected=False, status="degraded"), "redis"),
        (health(qdrant_connected=False, status="unhealthy", release=None), "qdrant"),
        (health(workers=0, status="degraded"), "worker"),
        (health(release=None), "release"),
    ],
)
def test_each_broken_part_is_named_with_a_mend(api: ScriptedApi, report: dict[str, Any], part: str) -> None:
    api.on("GET", "/health", as_json(report, 503 if report["status"] == "unhealthy" else 200))
    result = run(api, "--json")
    checks = json.loads(result.stdout)
    broken = [check for check in checks if not check["ok"]]
    assert [check["part"] for check in broken] == [part]
    assert all(check["mend"] for check in broken)
    assert result.exit_code == 1


def test_a_model_that_does_not_embed_is_found_by_a_search(api: ScriptedApi) -> None:
    api.on("GET", "/search", as_json({"message": "the provider refuses the key"}, 502))
    result = run(api)
    assert failed(result) == ["model"]
    assert "the provider refuses the key" in result.stdout


def test_a_question_that_is_found_by_words_alone_was_not_embedded(api: ScriptedApi) -> None:
    api.on("GET", "/search", as_json({"results": [{"score": 0.0, "bm25": 3.1}]}))
    assert failed(run(api)) == ["model"]
    api.on("GET", "/search", as_json({"results": [{"score": 0.4, "bm25": None}]}))
    assert failed(run(api)) == []


def test_nobody_at_the_address_ends_the_checks_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    with running_api() as gone:
        pass
    result = run(gone)
    assert failed(result) == ["content", "api"]
    assert "lectern up" in result.stdout
    assert result.exit_code == 1


def test_a_wrong_setting_is_a_failed_check(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "99999")
    result = run(api)
    assert failed(result) == ["settings"]
    assert "API_PORT" in result.stdout


def test_a_full_disk_is_found(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 2**63)
    assert failed(run(api)) == ["disk"]


@pytest.mark.parametrize(("host", "said"), [("llm.example", "llama3.2 at llm.example"), (None, "llama3.2")])
def test_who_answers_is_named_with_the_host(api: ScriptedApi, host: str | None, said: str) -> None:
    models = {**MODELS, "model": "llama3.2", "host": host}
    services = {"openai": {"details": models}, "task_manager": {"details": {"workers": 1}}}
    api.on("GET", "/health", as_json(health(services=services)))
    (line,) = [line for line in run(api).stdout.splitlines() if "answers with" in line]
    assert line.endswith(f"embeds with all-MiniLM-L6-v2, answers with {said}")
