"""golden.yaml: questions with their places, and whatever else may stand in such a file."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from shared.golden import MAX_BYTES, MAX_QUESTIONS, Place, golden_file, parse_golden, read_golden

GOOD = """\
# What the docs must go on answering.
- question: How do I reef?
  expect: guide/rigging.md#reefing
- question: Where is the port?
  expect: [guide/run.md, ./intro.md]
  must_contain: [7860, port]
- question: Which licence?
  must_contain: MIT
"""


def test_each_question_has_its_places_words_and_line() -> None:
    golden = parse_golden("golden.yaml", GOOD)
    assert golden.faults == ()
    first, second, third = golden.questions
    assert (first.text, first.expected, first.line) == (
        "How do I reef?",
        (Place("guide/rigging.md", "reefing"),),
        2,
    )
    assert (second.expected, second.must_contain) == ((Place("guide/run.md"), Place("intro.md")), ("7860", "port"))
    assert (third.expected, third.must_contain, third.line) == ((), ("MIT",), 7)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no question"),
        ("# nothing\n", "holds no question"),
        ("question: one\nexpect: a.md\n", "line 1: it must be a list"),
        ("just words", "line 1: it must be a list"),
        ("- question: a\n  expect: [b\n", "line"),
        ("- question: 'a\n", "line"),
        ("- a: b: c\n", "line 1"),
        ("\t- x", "line 1"),
        ("- &a question\n- *a\n", "line 1: anchors"),
        ("a: &a [x]\nb: &b [*a, *a]\n", "line 1: anchors"),
        ("[" * 50_000, "nested deeper"),
        ("- " * 50_000, "nested deeper"),
        ("{" * 10_000, "nested deeper"),
        ("--- a\n--- b\n", "line"),
        ("- question: \x00\n", ""),
    ],
)
def test_a_file_that_is_no_list_of_questions_has_a_fault_and_no_question(text: str, says: str) -> None:
    started = time.monotonic()
    golden = parse_golden("golden.yaml", text)
    assert time.monotonic() - started < 2
    assert golden.questions == ()
    assert len(golden.faults) == 1
    assert says in golden.faults[0]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("just words", "not a question"),
        ("question: a", "`expect` is missing"),
        ("{question: [a, b], expect: c.md}", "`question` must be one text"),
        ("{expect: c.md}", "`question` must be one text"),
        ("{question: '', expect: c.md}", "`question` must be a text"),
        ("{question: a, expect: {b: c}}", "`expect` must be a text"),
        ("{question: a, expect: [[b]]}", "`expect` must be a text"),
        ("{question: a, expects: b.md}", "'expects' is not a field"),
        ("{question: a, expect: b.md, must_contain: {}}", "`must_contain` must be a text"),
        (f"{{question: {'a' * 3000}, expect: b.md}}", "longer than"),
    ],
)
def test_a_broken_question_is_named_with_its_line_and_the_others_are_asked(entry: str, says: str) -> None:
    golden = parse_golden("golden.yaml", f"{GOOD}- {entry}\n- {{question: last, expect: z.md}}\n")
    assert [question.text for question in golden.questions][-1] == "last"
    assert len(golden.questions) == 4
    (fault,) = golden.faults
    assert fault.startswith("line 9: ")
    assert says in fault


def test_tags_that_would_build_objects_are_read_as_text() -> None:
    golden = parse_golden("golden.yaml", "- {question: !!python/object/apply:os.system [echo], expect: a.md}\n")
    assert golden.questions[0].text == "echo"


def test_more_questions_than_are_asked_are_counted() -> None:
    text = "".join(f"- {{question: q{number}, expect: a.md}}\n" for number in range(MAX_QUESTIONS + 3))
    golden = parse_golden("golden.yaml", text)
    assert len(golden.questions) == MAX_QUESTIONS
    assert f"first {MAX_QUESTIONS} of its {MAX_QUESTIONS + 3}" in golden.faults[0]


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"\xff\xfe-\x00", "not UTF-8"), (b"- question: caf\xe9\n", "not UTF-8"), (b"#" * (MAX_BYTES + 1), "larger than")],
)
def test_a_file_that_cannot_be_read_as_text_has_a_fault(tmp_path: Path, data: bytes, says: str) -> None:
    file = tmp_path / "golden.yaml"
    file.write_bytes(data)
    assert says in read_golden(file).faults[0]


def test_a_missing_file_that_was_named_is_a_fault_and_one_that_nobody_named_is_none(tmp_path: Path) -> None:
    named = golden_file(tmp_path, tmp_path / "nowhere.yaml")
    assert named is not None
    assert "GOLDEN_FILE" in read_golden(named).faults[0]
    assert golden_file(tmp_path, None) is None


def test_a_folder_in_place_of_the_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "golden.yaml").mkdir()
    file = golden_file(tmp_path, None)
    assert file is not None
    assert len(read_golden(file).faults) == 1


def test_a_byte_order_mark_is_no_part_of_the_first_question() -> None:
    assert read_golden_text("\ufeff" + GOOD) == 3


def test_a_pipe_or_a_folder_of_that_name_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "golden.yaml")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("golden.yaml", "folder.yaml"):
        assert read_golden(tmp_path / name).faults == ("it is not a file",)


def read_golden_text(text: str) -> int:
    return len(parse_golden("golden.yaml", text.encode().decode("utf-8-sig")).questions)


FULL = """\
- question: And in a storm?
  expect: guide/rigging.md#reefing
  answer: [two reefs, "2"]
  filters: {version: "2.0", path: guide/}
  history:
    - question: How do I reef?
      answer: Slowly.
    - question: Why?
- question: What does it cost in Mordor?
  refuse: true
- question: Which port?
  answer: "7860"
  refuse: false
"""


def test_a_question_may_say_what_the_answer_holds_what_came_before_and_that_there_is_none() -> None:
    golden = parse_golden("golden.yaml", FULL)
    assert golden.faults == ()
    storm, mordor, port = golden.questions
    assert storm.answers == ("two reefs", "2")
    assert storm.filters == (("version", "2.0"), ("path", "guide/"))
    assert storm.history == (("How do I reef?", "Slowly."), ("Why?", ""))
    assert (mordor.refuse, mordor.expected, mordor.line) == (True, (), 9)
    assert (port.answers, port.refuse) == (("7860",), False)


def test_the_gate_asks_only_what_a_plain_search_can_answer() -> None:
    questions = [*parse_golden("golden.yaml", GOOD).questions, *parse_golden("golden.yaml", FULL).questions]
    assert [question.is_for_the_gate for question in questions] == [True, True, True, False, False, False]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("{question: a, refuse: true, expect: b.md}", "`refuse` says that the docs do not answer it"),
        ("{question: a, refuse: maybe}", "`refuse` must be true or false"),
        ("{question: a, refuse: [true]}", "`refuse` must be true or false"),
        ("{question: a, refuse: false}", "`expect` is missing"),
        ("{question: a, answer: [], expect: []}", "`expect` is missing"),
        ("{question: a, answer: " + "x" * 300 + "}", "`answer` is longer than 200 characters"),
        ("{question: a, expect: b.md, filters: {colour: red}}", "'colour' is not a field"),
        ("{question: a, expect: b.md, filters: en}", "`filters` must have a name"),
        ("{question: a, expect: b.md, filters: {page: [a, b]}}", "`page` must be one text"),
        ("{question: a, expect: b.md, history: b}", "`history` must be a list"),
        ("{question: a, expect: b.md, history: [b]}", "`history` must have a name"),
        ("{question: a, expect: b.md, history: [{answer: b}]}", "needs a `question`"),
        ("{question: a, expect: b.md, history: [{asked: b}]}", "'asked' is not a field"),
        ("{question: a, expect: b.md, history: [" + "{question: b}," * 21 + "]}", "more than 20 exchanges"),
    ],
)
def test_what_the_newer_fields_cannot_be_is_named_with_its_line(entry: str, says: str) -> None:
    (fault,) = parse_golden("golden.yaml", f"{GOOD}- {entry}\n").faults
    assert fault.startswith("line 9: ")
    assert says in fault
