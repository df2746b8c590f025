"""How the benchmark of quality divides, samples and counts; what it measures it asks of a real system."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import quality_report
from benchmarks.quality import exchanges, half_of, is_there, kinds_of, means, refused_at, sample, with_dialogues
from benchmarks.quality_report import BEGIN, END, REPORT, Value, report, write_report
from cli.question_sets import Asked, QuestionSet
from cli.scores import Scored


def questions(count: int, **changes: Any) -> tuple[Asked, ...]:
    return tuple(Asked(f"q{number}", f"Question {number}?", **changes) for number in range(count))


def test_halves_are_by_the_first_byte_of_the_id_s_hash() -> None:
    # sha256("a") begins with ca, sha256("b") with 3e, sha256("d") with 18, sha256("e") with 3f.
    assert [half_of(id_) for id_ in "abde"] == ["tune", "tune", "tune", "held out"]


def test_a_sample_is_of_one_half_and_the_same_in_whatever_order_the_questions_stand() -> None:
    asked = questions(100)
    tune = sample(asked, "tune", 20)
    assert tune == sample(asked[::-1], "tune", 20)
    assert {half_of(one.id) for one in tune} == {"tune"}
    assert len(tune) == 20
    both = {one.id for half in ("tune", "held out") for one in sample(asked, half, 100)}
    assert len(both) == 100


def test_questions_of_other_sets_are_off_topic_and_have_nothing_to_be_found() -> None:
    ours = QuestionSet("ours", (*questions(9, grades={"d": 1.0}), Asked("u", "?", refuse=True)))
    theirs = QuestionSet("theirs", tuple(Asked(f"t{n}", "?", {"x": 1.0}, ("yes",)) for n in range(9)))
    kinds = [kinds_of("ours", {"ours": ours, "theirs": theirs}, half) for half in ("tune", "held out")]
    assert sum(len(kind.answerable) for kind in kinds) == 9
    assert sum(len(kind.unanswerable) for kind in kinds) == 1
    strangers = [asked for kind in kinds for asked in kind.off_topic]
    assert len(strangers) == 9
    assert all(asked.refuse and not asked.grades and not asked.answers for asked in strangers)


def test_a_dialogue_s_exchanges_before_its_last_question_are_kept() -> None:
    assert exchanges(["a"]) == ()
    assert exchanges(["a", "b", "c"]) == (("a", "b"),)
    assert exchanges(list("abcdefghi")) == (("c", "d"), ("e", "f"), ("g", "h"))


def test_dialogues_are_found_by_their_question(tmp_path: Path) -> None:
    turns = [{"speaker": "user", "text": "a"}, {"speaker": "agent", "text": "b"}, {"speaker": "user", "text": "c"}]
    file = tmp_path / "dialogs.jsonl"
    file.write_text(json.dumps({"task_id": "q1", "input": turns}) + "\n")
    first, second = with_dialogues(QuestionSet("x", questions(2)), file).questions
    assert (first.history, second.history) == ((), (("a", "b"),))


def scored(confidence: float | None, **values: float) -> Scored:
    row = {"confidence": confidence, "error": None, "refused": False, "seconds": 1.0, "first_word_seconds": 1.0}
    return Scored(Asked("q", "?"), row, values)


def test_refusals_are_compared_where_one_in_twenty_answerable_ones_is_refused() -> None:
    answerable = [scored(number / 100) for number in range(101)]  # the bar is .05
    others = [scored(0.01), scored(0.02), scored(0.05), scored(0.9), scored(None)]
    assert refused_at(answerable, others) == Value(0.5, None, 4)
    assert refused_at([], others) is None


def test_means_have_the_standard_error_of_a_mean() -> None:
    rows = [scored(1, hit=1.0), scored(1, hit=0.0), scored(1, hit=1.0), scored(1, hit=0.0), scored(1)]
    found = means("hit", rows)
    assert found is not None
    assert (found.value, found.count) == (0.5, 4)
    assert found.error == pytest.approx(0.2887, abs=1e-4)
    assert means("other", rows) is None


@pytest.mark.parametrize(
    ("link", "there"),
    [
        ("/a", True),
        ("/a#x", True),
        ("/a#x:~:text=some", True),
        ("/a#:~:text=some", True),
        ("/a#y", False),
        ("/b", False),
    ],
)
def test_a_link_is_there_if_its_page_and_heading_are(link: str, there: bool) -> None:
    assert is_there(link, {"/a": '<h2 id="x">X</h2>', "/b": None}) is there


def test_only_what_stands_between_the_marks_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert REPORT.read_text(encoding="utf-8").count(BEGIN) == REPORT.read_text(encoding="utf-8").count(END) == 1
    file = tmp_path / "quality.md"
    file.write_text(f"Before.\n{BEGIN}\nold\n{END}\nAfter.\n")
    monkeypatch.setattr(quality_report, "REPORT", file)
    half = {"figures": {"ndcg@10": [0.95, 0.01, 300]}, "failed": 0}
    text = report({"squad2": {"halves": {"tune": half, "held out": half}, "passages": 326, "date": "2026-01-02"}})
    write_report(text)
    written = file.read_text()
    assert written.startswith("Before.\n")
    assert written.endswith(f"{END}\nAfter.\n")
    assert "old" not in written
    assert "| squad2 | ndcg@10 | 0.950 \u00b1 0.010 | 0.950 \u00b1 0.010 | 0.94 |" in written
