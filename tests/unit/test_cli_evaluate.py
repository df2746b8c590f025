"""`lectern eval` against a real socket: what is asked, what it comes to, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli import evaluate as evaluating
from cli.main import app
from cli.question_sets import read_golden_set
from cli.scores import measurable
from tests.unit.scripted_api import ScriptedApi, as_json, running_api

KEY = "an-admin-key-for-tests"
GOLDEN = """\
- question: Which port?
  expect: run.md#ports
  answer: "7860"
- question: What of Mordor?
  refuse: true
"""


@pytest.fixture(autouse=True)
def golden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder without a `.env`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADMIN_API_KEY", KEY)
    Path("golden.yaml").write_text(GOLDEN)


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with running_api() as scripted:
        scripted.on("GET", "/releases", as_json({"releases": [], "total": 1, "live": 4}))
        yield scripted


def run(api: ScriptedApi, *words: str) -> Result:
    return CliRunner().invoke(app, ["eval", *words, "--api", api.url])


def passage(path: str, *anchors: str) -> dict[str, Any]:
    return {
        "id": path, "path": path, "url": f"/documents/{path}", "title": "T", "heading": "H", "anchors": list(anchors),
        "score": 1.0, "cosine": 0.5, "holds": True,
    }  # fmt: skip


def row(*found: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A row as the API sends it, of an answer that cites what it should."""
    return {
        "question": "?", "retrieved": list(found), "searched": "", "error": None, "seconds": 0.5, "refused": False,
        "confidence": 0.9, "grounded": 1.0, "finish_reason": "stop", "model": "m", "tokens_used": 9,
        "answer": "The port is 7860. [Run](/documents/run.md#ports)", "first_word_seconds": 0.25, "links": 1,
        "links_not_shown": [], "links_to_nowhere": [], **changes,
    }  # fmt: skip


REFUSAL = row(passage("run.md"), refused=True, confidence=0.1, grounded=None, answer="I could not find it.", links=0)
GOOD = [row(passage("x.md", "y"), passage("run.md", "ports")), REFUSAL]


def replies(api: ScriptedApi, *batches: list[dict[str, Any]], unknown: tuple[str, ...] = ()) -> None:
    body = {"release": 4, "embedding_model": "m", "unknown_pages": list(unknown)}
    api.on("POST", "/evaluate", *(as_json({**body, "rows": rows}) for rows in batches))


def asked(api: ScriptedApi) -> list[dict[str, Any]]:
    return [received.body for received in api.received if received.path == "/evaluate"]


def measures(result: Result) -> dict[str, float]:
    return {name: measured["value"] for name, measured in json.loads(result.stdout)["measures"].items()}


def test_the_questions_are_asked_of_the_live_release_with_all_that_they_have(api: ScriptedApi) -> None:
    replies(api, GOOD)
    assert run(api, "golden.yaml").exit_code == 0
    assert asked(api) == [
        {
            "questions": [{"question": "Which port?"}, {"question": "What of Mordor?"}],
            "k": 10, "answers": True, "release": 4, "settings": {}, "pages": ["run.md"],
        }
    ]  # fmt: skip
    assert {r.headers["x-api-key"] for r in api.received} == {KEY}


def test_the_measures_are_those_of_the_rows(api: ScriptedApi) -> None:
    replies(api, GOOD)
    found = measures(run(api, "golden.yaml", "--json"))
    assert (found["recall@10"], found["mrr@10"], found["hit@10"]) == (1.0, 0.5, 1.0)
    assert found["ndcg@10"] == pytest.approx(0.6309, abs=1e-4)
    assert (found["answer"], found["answer@3"], found["cited"], found["citations_valid"]) == (1, 1, 1, 1)
    assert (found["answered"], found["refusal_precision"], found["refusal_recall"]) == (1, 1, 1)
    assert (found["confidence_auroc"], found["grounded"]) == (1, 1)
    assert (found["seconds_p50"], found["first_word_seconds_p95"]) == (0.5, 0.25)


def test_a_table_and_what_went_wrong_are_shown(api: ScriptedApi) -> None:
    wrong = row(
        passage("x.md"), answer="It has one. [X](https://evil.example)", links_not_shown=["https://evil.example"]
    )
    replies(api, [wrong, row(passage("x.md"))])
    result = run(api, "golden.yaml")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "golden.yaml: 2 questions, release 4"
    assert "recall@10               0.000  1" in lines
    assert "refusal_recall          0.000  1" in lines
    for title in (
        "1 question not found:", "1 question answered, though the docs do not:",
        "1 question answered without the words expected:", "1 question with a citation that leads astray:",
    ):  # fmt: skip
        assert title in lines
    assert "  line 1: Which port?" in lines


def test_a_missed_bar_has_an_exit_code_of_its_own_and_is_named(api: ScriptedApi) -> None:
    replies(api, GOOD)
    passed = run(api, "golden.yaml", "--fail-under", "ndcg@10=.6, refusal_recall=1")
    assert (passed.exit_code, passed.stderr) == (0, "")
    missed = run(api, "golden.yaml", "--fail-under", "ndcg@10=.7,refusal_recall=1,MRR@10=0.51")
    assert missed.exit_code == 5
    assert missed.stderr.splitlines() == [
        "lectern: ndcg@10 is 0.631, and should be 0.7 at least",
        "lectern: mrr@10 is 0.500, and should be 0.51 at least",
    ]


@pytest.mark.parametrize("bars", ["ndcg=.5", "seconds_p95=1", "recall@7=1", "answered=1,hit=1", "refused_rightly=1"])
def test_a_bar_for_what_is_not_measured_is_told_before_anything_is_asked(api: ScriptedApi, bars: str) -> None:
    result = run(api, "golden.yaml", "--fail-under", bars)
    assert (result.exit_code, api.received) == (2, [])
    assert "is not measured here; there are recall@3, recall@10" in result.stderr
    assert "refusal_precision, refusal_recall, confidence_auroc" in result.stderr


@pytest.mark.parametrize(
    ("questions", "words", "bar", "is_there"),
    [
        ("- {question: Q, refuse: true}", (), "refusal_recall", True),
        ("- {question: Q, refuse: true}", (), "ndcg@10", False),
        ("- {question: Q, expect: a.md}", (), "refusal_recall", False),
        ("- {question: Q, expect: a.md}", (), "answer@3", False),
        ("- {question: Q, expect: a.md}", (), "grounded", True),
        ("- {question: Q, expect: a.md}", ("--no-answers",), "grounded", False),
        ("- {question: Q, expect: a.md}", ("--no-answers",), "hit@10", True),
        ("- {question: Q, expect: a.md}", ("-k", "7"), "recall@7", True),
        ("- {question: Q, expect: a.md}", ("-k", "7"), "recall@10", False),
        ("- {question: Q, answer: x}", (), "answer", True),
    ],
)
def test_what_can_be_measured_depends_on_the_questions_and_options(
    api: ScriptedApi, questions: str, words: tuple[str, ...], bar: str, is_there: bool
) -> None:
    Path("golden.yaml").write_text(questions)
    result = run(api, "golden.yaml", *words, "--fail-under", f"{bar}=0.5")
    assert (f"{bar} is not measured here" in result.stderr) is not is_there
    assert (api.received == []) is not is_there


def test_what_is_found_to_be_measurable_is_what_is_measured(api: ScriptedApi) -> None:
    replies(api, GOOD)
    found = measures(run(api, "golden.yaml", "--json"))
    names = measurable(read_golden_set(Path("golden.yaml")), 10, answers=True)
    assert names == [name for name in found if "seconds" not in name]


def test_a_bar_that_no_answer_could_be_held_against_is_bad_input(api: ScriptedApi) -> None:
    replies(api, [row(refused=True, grounded=None, links=0), REFUSAL])
    result = run(api, "golden.yaml", "--fail-under", "grounded=0.5")
    assert (result.exit_code, result.stderr) == (
        2,
        "lectern: --fail-under: no answer had anything to say about grounded\n",
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["golden.yaml", "--fail-under", "ndcg@10"], "write it as ndcg@10=0.8"),
        (["golden.yaml", "--fail-under", "ndcg@10=high"], "write it as ndcg@10=0.8"),
        (["golden.yaml", "--set", "min_score"], "write it as min_score=0.3"),
        (["golden.yaml", "--against", "4"], "both sides are the same"),
        (["nowhere.yaml"], "there is no nowhere.yaml; name a golden.yaml"),
        (["."], "there is no corpus.jsonl"),
    ],
)
def test_bad_input_is_named_before_anything_is_asked(api: ScriptedApi, words: list[str], says: str) -> None:
    result = run(api, *words)
    assert (result.exit_code, asked(api)) == (2, [])
    assert says in result.stderr


def test_nothing_indexed_is_bad_input(api: ScriptedApi) -> None:
    api.on("GET", "/releases", as_json({"releases": [], "total": 0, "live": None}))
    result = run(api, "golden.yaml")
    assert (result.exit_code, "nothing is indexed" in result.stderr) == (2, True)


def test_two_settings_stand_side_by_side(api: ScriptedApi) -> None:
    worse = [row(passage("x.md"), passage("z.md"), passage("run.md", "ports")), row(passage("x.md"))]
    replies(api, GOOD, worse)
    result = run(api, "golden.yaml", "--set", "min_score=0.3", "--against-set", "min_score=0.2", "--against", "3")
    assert result.exit_code == 0
    assert [(body["release"], body["settings"]) for body in asked(api)] == [
        (4, {"min_score": 0.3}),
        (3, {"min_score": 0.2}),
    ]
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["mrr@10", "0.500", "0.333", "+0.167", "1", "0", "1.000"] in lines
    assert ["refusal_recall", "1.000", "0.000", "+1.000", "1", "0", "1.000"] in lines
    assert "golden.yaml: 2 questions, release 4, min_score=0.3 against release 3, min_score=0.2" in result.stdout


def test_a_comparison_is_in_the_json_and_every_row_in_the_file(api: ScriptedApi) -> None:
    replies(api, GOOD, [GOOD[0], row(passage("x.md"))])
    result = run(api, "golden.yaml", "--release", "2", "--against", "1", "--json", "--out", "all.json")
    shown = json.loads(result.stdout)
    assert (shown["release"], shown["against"]) == (2, {"release": 1, "settings": {}})
    assert shown["differences"]["refusal_recall"] == {
        "value": 1.0, "against": 0.0, "difference": 1.0,
        "by_question": {"better": 1, "worse": 0, "same": 0, "chance": 1.0},
    }  # fmt: skip
    kept = json.loads(Path("all.json").read_text())
    assert {name: len(rows) for name, rows in kept.pop("rows").items()} == {"release 2": 2, "release 1": 2}
    assert kept == shown


def test_failed_questions_count_for_nothing_and_end_in_exit_code_1(api: ScriptedApi) -> None:
    failed = row(error={"code": "X", "message": "the provider is away"}, refused=None, answer=None)
    replies(api, [failed, REFUSAL])
    result = run(api, "golden.yaml", "--json")
    assert result.exit_code == 1
    assert "1 question failed and counts" not in result.stdout
    assert "lectern: 1 question failed and count for nothing: the provider is away" in result.stderr
    assert measures(result)["refusal_recall"] == 1
    assert "ndcg@10" not in measures(result)


def test_many_questions_are_several_requests_which_grow_while_they_are_quick(api: ScriptedApi) -> None:
    Path("golden.yaml").write_text("".join(f"- {{question: q{n}, expect: run.md}}\n" for n in range(70)))
    sizes = (2, 8, 32, 28)
    replies(api, *([row(passage("run.md"))] * size for size in sizes))
    result = run(api, "golden.yaml", "--json")
    assert result.exit_code == 0
    assert [len(body["questions"]) for body in asked(api)] == list(sizes)
    assert ["pages" in body for body in asked(api)] == [True, False, False, False]
    assert json.loads(result.stdout)["questions"] == 70


def test_long_questions_are_cut_into_requests_that_the_api_takes(api: ScriptedApi) -> None:
    said = "x" * 1900
    turns = "".join(f"    - {{question: {said}, answer: {said}}}\n" for _ in range(10))
    text = "".join(f"- question: q{n}\n  expect: run.md\n  history:\n{turns}" for n in range(4))
    Path("golden.yaml").write_text(text)
    replies(api, [row(passage("run.md"))])
    assert run(api, "golden.yaml", "--json").exit_code == 0
    assert [len(body["questions"]) for body in asked(api)] == [1, 1, 1, 1]


def test_a_busy_api_is_asked_again_when_it_says(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = as_json({"message": "too many requests", "code": "RATE_LIMITED"}, 429, Retry_After="0")
    good = as_json({"release": 4, "embedding_model": "m", "unknown_pages": [], "rows": GOOD})
    api.on("POST", "/evaluate", busy, busy, good)
    assert run(api, "golden.yaml", "--json").exit_code == 0
    monkeypatch.setattr(evaluating, "TRIES", 2)
    api.on("POST", "/evaluate", busy)
    assert run(api, "golden.yaml").exit_code == 1


def test_what_the_api_refuses_is_bad_input(api: ScriptedApi) -> None:
    api.on("POST", "/evaluate", as_json({"message": "settings.colour: there is no such field", "code": "INVALID"}, 422))
    result = run(api, "golden.yaml", "--set", "colour=red")
    assert (result.exit_code, result.stderr) == (2, "lectern: settings.colour: there is no such field\n")
    assert asked(api)[0]["settings"] == {"colour": "red"}


def test_pages_that_the_release_has_not_are_named(api: ScriptedApi) -> None:
    Path("golden.yaml").write_text("- {question: a, expect: run.md}\n- {question: b, expect: walk.md}\n")
    replies(api, [row(passage("run.md")), row(passage("run.md"))], unknown=("walk.md",))
    result = run(api, "golden.yaml")
    assert result.exit_code == 0
    assert result.stderr == "lectern: golden.yaml: there is no page walk.md in release 4\n"
    replies(api, [row(passage("x.md")), row(passage("x.md"))], unknown=("run.md", "walk.md"))
    result = run(api, "golden.yaml")
    assert result.exit_code == 2
    assert "none of the pages that golden.yaml expects is in release 4, such as run.md" in result.stderr


def beir(folder: Path) -> Path:
    folder.mkdir()
    (folder / "corpus.jsonl").write_text('{"_id": "d1", "title": "Ports", "text": "The port is 7860."}\n')
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "Which port?"}\n')
    (folder / "qrels.tsv").write_text("q1\td1\t1\n")
    return folder


def test_a_folder_of_which_nothing_is_indexed_says_how_to_index_it(api: ScriptedApi, tmp_path: Path) -> None:
    beir(tmp_path / "set")
    replies(api, [row(passage("run.md"))])
    result = run(api, "set")
    assert result.exit_code == 2
    assert "set: none of its documents (1) was found in release 4" in result.stderr
    assert "lectern eval FOLDER --write-pages PAGES" in result.stderr
    replies(api, [row(passage("d1.md"))])
    assert measures(run(api, "set", "--json"))["mrr@10"] == 1.0


def test_a_corpus_becomes_pages_without_an_api(tmp_path: Path) -> None:
    beir(tmp_path / "set")
    result = CliRunner().invoke(app, ["eval", "set", "--write-pages", "pages", "--api", "http://127.0.0.1:9"])
    assert result.exit_code == 0
    assert result.stdout.startswith("1 page written to pages; ingest them")
    assert Path("pages/d1.md").read_text() == '---\ntitle: "Ports"\n---\n\nThe port is 7860.\n'
    assert CliRunner().invoke(app, ["eval", "golden.yaml", "--write-pages", "more"]).exit_code == 2


def test_only_searching_measures_no_answers(api: ScriptedApi) -> None:
    nothing = dict.fromkeys(("refused", "confidence", "grounded", "answer", "links", "first_word_seconds"))
    replies(api, [row(passage("run.md", "ports"), **nothing), row(passage("x.md"), **nothing)])
    result = run(api, "golden.yaml", "--no-answers", "--json", "-k", "5")
    assert (asked(api)[0]["answers"], asked(api)[0]["k"]) == (False, 5)
    assert set(measures(result)) == {
        "recall@3", "recall@5", "hit@5", "ndcg@5", "mrr@3", "mrr@5", "seconds_p50", "seconds_p95",
    }  # fmt: skip
