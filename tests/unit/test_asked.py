"""What kind of answer a question asks for is read off its words."""

from __future__ import annotations

import pytest

from api.chat.asked import defines, holds_what_is_asked, is_bare, read_question
from api.chat.overlap import terms_of
from tests.passages import BM25


@pytest.mark.parametrize(
    ("question", "subject"),
    [
        ("What is a thunk?", "thunk"),
        ("what's `createSlice`", "createslice"),
        ("What does dependency injection mean?", "dependency injection"),
        ("Explain the event loop", "event loop"),
        ("middleware", "middleware"),
        ("What is the capital of France?", ""),
        ("What is the difference between a and b?", ""),
        ("How do I install it?", ""),
        ("is it fast", ""),
    ],
)
def test_the_thing_that_is_to_be_explained_is_known_by_its_name(question: str, subject: str) -> None:
    assert read_question(question, BM25).subject == subject


@pytest.mark.parametrize(
    ("question", "sides"),
    [
        ("What is the difference between anchors and buoys?", ("anchors", "buoys")),
        ("sloop vs. ketch", ("sloop", "ketch")),
        ("How is a sloop different from a ketch?", ("sloop", "ketch")),
        ("Should I use chain or rope?", ("chain", "rope")),
        ("Is chain heavier than rope?", ("chain", "rope")),
        ("How do I hoist the sail and drop the anchor?", ("hoist sail", "drop anchor")),
    ],
)
def test_the_sides_of_a_question_are_told_apart(question: str, sides: tuple[str, str]) -> None:
    assert [side.terms for side in read_question(question, BM25).sides] == [terms_of(side, BM25) for side in sides]


@pytest.mark.parametrize("question", ["When did France and Spain fight?", "How do I sail?", "compare", ""])
def test_a_question_about_one_thing_has_no_sides(question: str) -> None:
    assert read_question(question, BM25).sides == ()


@pytest.mark.parametrize(
    ("question", "text", "held"),
    [
        ("When did it sink?", "It sank in 1912.", True),
        ("When did it sink?", "It sank with 1,500 people.", False),
        ("How many boats are in port 7?", "There are 12 boats.", True),
        ("How many boats are in port 7?", "Boats lie in port 7.", False),
        ("Who built the Mary Rose?", "It was built by Peter Pett.", True),
        ("Who built the Mary Rose?", "They built the Mary Rose.", False),
        ("Why did it sink?", "It sank in 1912 near Peter.", False),
    ],
)
def test_a_number_a_date_or_a_name_is_recognised_where_it_is_asked_for(question: str, text: str, held: bool) -> None:
    assert holds_what_is_asked(text, read_question(question, BM25)) == held


@pytest.mark.parametrize(
    ("text", "so"),
    [
        ("A _thunk_ is a function.", True),
        ('The word "thunk" means delayed work.', True),
        ("Thunks in Redux are functions.", True),
        ("Use a thunk, which is a function.", False),
        ("Thunk middleware was written long ago by people whose name is lost.", False),
    ],
)
def test_a_definition_begins_with_the_thing_and_says_what_it_is(text: str, so: bool) -> None:
    assert defines(text, read_question("What is a thunk?", BM25)) == so


def test_a_long_story_is_read_in_no_time_and_only_its_first_line_is_a_question() -> None:
    assert read_question("how do I sail " * 2000 + "and anchor", BM25).sides == ()
    assert read_question("What is a thunk?\nHow do I compare chain and rope?", BM25).subject == "thunk"
    assert read_question("What is a thunk?\nHow do I compare chain and rope?", BM25).sides == ()


@pytest.mark.parametrize(
    ("question", "fact", "task"),
    [
        ("What is a sloop?", True, False),
        ("Is chain heavier than rope?", True, False),
        ("How long is the chain?", True, False),
        ("How do I drop the anchor?", False, True),
        ("How do I not drop the anchor?", False, False),
        ("List the parts of an anchor", False, False),
    ],
)
def test_a_question_asks_for_a_fact_or_for_how_it_is_done(question: str, fact: bool, task: bool) -> None:
    asked = read_question(question, BM25)
    assert (asked.fact, asked.task) == (fact, task)


def test_a_name_or_a_command_asks_nothing() -> None:
    assert all(map(is_bare, ("anchor", "lectern up", "--force")))
    assert not any(map(is_bare, ("", "anchor?", "what anchor", "drop the main anchor")))
