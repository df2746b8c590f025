"""`lectern eval` on a whole system with the local models: real answers, two releases, and a folder of questions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from tests.system import System, docs_folder

PAGES = {
    "guide__rigging": (
        "# Rigging\n\n## Reefing\n\nReef the mainsail before the wind reaches twenty knots. Lower the halyard first, "
        "and hook the cringle.\n\n## Washing the sails\n\nWash the sails with fresh water each autumn.\n"
    ),
    "guide__engine": (
        "# Engine\n\n## Starting the engine\n\nOpen the sea cock and turn the key.\n\n## Fuel\n\nThe engine burns "
        "diesel, two litres an hour.\n"
    ),
    "guide__anchor": "# Anchoring\n\n## Chain\n\nLet out five times the depth of chain, in a storm eight times.\n",
}
GOLDEN = """\
- question: When do I reef the mainsail?
  expect: guide/rigging.md#reefing
  must_contain: halyard
  answer: [twenty knots, 20 knots]
- question: How much diesel does the engine burn?
  expect: guide/engine.md
  answer: two litres
  filters: {path: guide/}
- question: Who won the chess championship of 1972?
  refuse: true
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Release 1 has all pages, and release 2, which is live, has lost how to reef."""
    folder = tmp_path_factory.mktemp("evaluation")
    with docs_folder(folder / "docs", **PAGES) as docs, System(folder / "home", docs, MIN_CHUNK_SIZE="0") as system:
        assert system.ingest()["release"] == 1
        rigging = docs / "guide" / "rigging.md"
        rigging.write_text(rigging.read_text().replace("twenty knots", "a gale").replace("halyard", "boom"))
        assert system.ingest()["release"] == 2
        yield system


@pytest.fixture
def golden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "golden.yaml"
    file.write_text(GOLDEN)
    return file


def evaluate(system: System, *words: str | Path) -> Result:
    return CliRunner().invoke(app, ["eval", *map(str, words), "--home", str(system.home)])


def values(record: dict[str, Any]) -> dict[str, float]:
    return {name: measured["value"] for name, measured in record["measures"].items()}


def test_a_release_that_answers_everything_passes_its_bars(system: System, golden: Path) -> None:
    bars = "hit@10=1,mrr@10=1,answer=1,answered=1,refusal_recall=1,refusal_precision=1,citations_valid=1,links_alive=1"
    result = evaluate(system, golden, "--release", "1", "--fail-under", bars, "--out", "all.json")
    assert result.exit_code == 0, result.output
    (rows,) = json.loads(Path("all.json").read_text())["rows"].values()
    reefing, fuel, chess = rows
    assert (reefing["retrieved"][0]["path"], reefing["retrieved"][0]["anchors"]) == ("guide/rigging.md", ["reefing"])
    assert "twenty knots" in reefing["answer"]
    assert (reefing["model"], reefing["links"] > 0, fuel["links"] > 0) == ("extractive", True, True)
    assert (chess["refused"], chess["links_to_nowhere"]) == (True, [])


def test_the_live_release_misses_a_bar_and_the_exit_code_says_so(system: System, golden: Path) -> None:
    result = evaluate(system, golden, "--fail-under", "hit@10=1,answer=1")
    assert result.exit_code == 5
    assert "hit@10 is 0.500, and should be 1 at least" in result.stderr
    assert "1 question not found:\n  line 1: When do I reef the mainsail?" in result.stdout


def test_two_releases_stand_side_by_side(system: System, golden: Path) -> None:
    result = evaluate(system, golden, "--release", "2", "--against", "1", "--json")
    assert result.exit_code == 0, result.output
    difference = json.loads(result.stdout)["differences"]["hit@10"]
    assert (difference["value"], difference["against"]) == (0.5, 1.0)
    assert (difference["by_question"]["worse"], difference["by_question"]["same"]) == (1, 1)


def test_a_setting_can_be_tried_beside_the_present_one(system: System, golden: Path) -> None:
    tried = ("--release", "1", "--against-set", "min_score=1", "--json")
    result = evaluate(system, golden, *tried)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["against"] == {"release": 1, "settings": {"min_score": 1}}
    assert record["differences"]["answered"]["against"] < record["differences"]["answered"]["value"] == 1
    assert evaluate(system, golden, "--set", "min_score=high").exit_code == 2


def test_a_folder_s_corpus_becomes_pages_that_its_questions_find(system: System, golden: Path) -> None:
    folder = golden.parent / "set"
    folder.mkdir()
    documents = [
        {
            "_id": "https://boat.example/deck#mast",
            "title": "Mast",
            "text": "Mast\n\nThe mast is made of spruce <wood>.",
        },
        {"_id": "https://boat.example/deck#rail", "title": "Rail", "text": "The rail is made of brass."},
        {"_id": "Crew #1", "title": "", "text": "The cook is called Beatrice."},
    ]
    queries = [
        {"_id": "q1", "text": "What is the mast made of?", "answers": ["spruce"]},
        {"_id": "q2", "text": "What is the cook called?", "answers": ["Beatrice"]},
    ]
    for name, rows in (("corpus", documents), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "qrels.tsv").write_text("q1\thttps://boat.example/deck#mast\t1\nq2\tCrew #1\t1\n")
    refused = evaluate(system, folder)
    assert (refused.exit_code, "--write-pages" in refused.stderr) == (2, True)
    assert evaluate(system, folder, "--write-pages", "pages").exit_code == 0
    shutil.copytree("pages", system.docs, dirs_exist_ok=True)
    assert system.ingest()["release"] == 3
    result = evaluate(system, folder, "--fail-under", "mrr@10=1,answer@3=1,citations_valid=1")
    assert result.exit_code == 0, result.output


def test_a_release_that_is_not_kept_is_bad_input(system: System, golden: Path) -> None:
    result = evaluate(system, golden, "--release", "99")
    assert (result.exit_code, "there is no release 99" in result.stderr) == (2, True)
