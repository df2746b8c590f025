"""`lectern questions` against a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from cli.questions import since_of
from tests.unit.scripted_api import Reply, ScriptedApi, as_json, running_api

KEY = "an-admin-key-for-tests"
NOW = datetime(2026, 6, 8, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder without a `.env`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADMIN_API_KEY", KEY)


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with running_api() as scripted:
        yield scripted


def run(api: ScriptedApi, *words: str) -> Result:
    return CliRunner().invoke(app, ["questions", *words, "--api", api.url])


def entry(question: str = "How?", **changes: Any) -> dict[str, Any]:
    """An entry as GET /questions has it."""
    return {
        "id": "1-0", "at": "2026-06-08T11:22:33.444+00:00", "visitor": "0123456789ab", "question": question,
        "outcome": "answered", "no_results": False, "found": [{}, {}], "cited": [{}], "model": "m", "cached": False,
        "dollars": 0.25, "first_word_seconds": 0.4, "seconds": 2.0, **changes,
    }  # fmt: skip


REFUSED = entry("Who won?", outcome="no_results", no_results=True, cited=[], first_word_seconds=0.1, dollars=0.0)
AGAIN = entry("How now?", cached=True, first_word_seconds=0.05, dollars=0.0)
FAILED = entry("And?", outcome="provider_unavailable", found=[], cited=[], model=None, first_word_seconds=None)


def as_lines(*entries: dict[str, Any], cut: bool = False) -> Reply:
    lines = [json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in entries]
    return Reply(lines, kind="application/x-ndjson", cut=cut)


def test_the_latest_questions_are_shown_in_columns_with_a_summary_of_all(api: ScriptedApi) -> None:
    api.on("GET", "/questions", as_lines(entry("How?\x1b[31m\nso?"), REFUSED, AGAIN, FAILED))
    result = run(api)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "2026-06-08 11:22  answered              0.40 s  2 found, 1 cited  How?[31m so?",
        "2026-06-08 11:22  no results            0.10 s  2 found, 0 cited  Who won?",
        "2026-06-08 11:22  given again           0.05 s  2 found, 1 cited  How now?",
        "2026-06-08 11:22  provider unavailable          0 found, 0 cited  And?",
        "4 questions: 25% not answered by the docs, 25% given again, 25% failed, first word after 0.10 s for half of "
        "them, $0.2500",
    ]
    (asked,) = api.received
    assert (asked.query, asked.headers["x-api-key"]) == ({"format": "jsonl"}, KEY)


def test_refused_questions_are_chosen_and_the_summary_is_still_of_all(api: ScriptedApi) -> None:
    api.on("GET", "/questions", as_lines(*[entry()] * 3, *[REFUSED] * 2))
    lines = run(api, "--refused", "-n", "1").stdout.splitlines()
    assert len(lines) == 2
    assert "Who won?" in lines[0]
    assert lines[1].startswith("5 questions: 40% not answered by the docs")


def test_the_cost_is_not_said_where_a_part_of_it_is_not_known(api: ScriptedApi) -> None:
    api.on("GET", "/questions", as_lines(entry(dollars=None), entry()))
    assert "$" not in run(api).stdout


def test_nothing_logged_is_said(api: ScriptedApi) -> None:
    api.on("GET", "/questions", as_lines())
    assert run(api).stdout == "no questions are logged\n"


def test_json_is_what_would_be_shown(api: ScriptedApi) -> None:
    api.on("GET", "/questions", as_lines(entry(), REFUSED, AGAIN))
    assert json.loads(run(api, "--json", "--last", "2").stdout) == [entry(), REFUSED]


def test_all_questions_are_written_to_a_file(api: ScriptedApi, tmp_path: Path) -> None:
    sent = [entry(f"Größe {number}?") for number in range(50)]
    api.on("GET", "/questions", as_lines(*sent))
    result = run(api, "--jsonl", "out.jsonl", "--refused")
    assert (result.exit_code, result.stderr) == (0, "lectern: 50 questions exported\n")
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()] == sent
    assert api.received[0].query == {"format": "jsonl", "no_results": "true"}

    again = run(api, "--jsonl", "out.jsonl")
    assert again.exit_code == 2
    assert "there already" in again.stderr
    assert run(api, "--jsonl", "out.jsonl", "--force").exit_code == 0


def test_a_file_that_could_not_be_written_whole_is_not_there(api: ScriptedApi, tmp_path: Path) -> None:
    api.on("GET", "/questions", as_lines(entry(), cut=True))
    result = run(api, "--jsonl", "out.jsonl")
    assert result.exit_code == 3
    assert list(tmp_path.iterdir()) == []
    astray = run(api, "--jsonl", "no/such/folder.jsonl")
    assert (astray.exit_code, astray.stderr) == (
        2, "lectern: no/such/folder.jsonl cannot be written (No such file or directory)\n"
    )  # fmt: skip


def test_standard_output_takes_the_lines(api: ScriptedApi) -> None:
    api.on("GET", "/questions", as_lines(entry(), REFUSED))
    assert [json.loads(line) for line in run(api, "--jsonl", "-").stdout.splitlines()] == [entry(), REFUSED]


@pytest.mark.parametrize(
    ("said", "since"),
    [
        ("7d", NOW - timedelta(days=7)), ("24h", NOW - timedelta(hours=24)), ("30m", NOW - timedelta(minutes=30)),
        ("2026-06-01T00:00:00+00:00", datetime(2026, 6, 1, tzinfo=UTC)),
        ("2026-06-01", datetime(2026, 6, 1).astimezone()),
    ],
)  # fmt: skip
def test_a_time_is_an_age_or_a_date(said: str, since: datetime) -> None:
    assert datetime.fromisoformat(since_of(said, NOW)) == since


def test_what_is_no_time_is_bad_input(api: ScriptedApi) -> None:
    result = run(api, "--since", "yesterday")
    assert (result.exit_code, api.received) == (2, [])
    assert "--since yesterday: give a time such as 7d" in result.stderr


def test_a_refusal_of_the_api_is_one_line(api: ScriptedApi) -> None:
    api.on("GET", "/questions", as_json({"message": "the key is not the admin key", "code": "UNAUTHORIZED"}, 401))
    result = run(api)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
