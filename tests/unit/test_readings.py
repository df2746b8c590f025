"""The question back after a question of one word."""

from __future__ import annotations

from api.chat.citations import citation
from api.chat.events import Question, Turn
from api.chat.readings import question_back
from tests.passages import passage

SAILS = passage("Hoist the main sail first.", heading="Sails", path="rigging.md")
REEFING = passage("Reef the main sail in strong wind.", heading="Reefing", path="weather.md")
CITED = [citation(1, SAILS)]


def test_one_word_is_answered_with_the_other_sections_that_speak_of_it() -> None:
    text = question_back(Question("sail"), [SAILS, REEFING], CITED)
    assert "know about sail?" in text
    assert "Reefing" in text
    assert "Sails]" not in text


def test_a_whole_question_gets_none() -> None:
    assert question_back(Question("Which sail goes up first?"), [SAILS, REEFING], CITED) == ""


def test_one_word_with_one_reading_gets_none() -> None:
    assert question_back(Question("sail"), [SAILS], CITED) == ""


def test_an_answer_that_names_nothing_gets_none() -> None:
    assert question_back(Question("sail"), [SAILS, REEFING], []) == ""


def test_the_word_cannot_become_a_link() -> None:
    assert question_back(Question("[x](http://evil.example)"), [SAILS, REEFING], CITED) == ""


def test_a_word_that_is_about_what_was_said_or_marked_gets_none() -> None:
    history = (Turn("Which sail goes up first?", "The main sail."),)
    assert question_back(Question("sail", history=history), [SAILS, REEFING], CITED) == ""
    assert question_back(Question("sail", selection="Hoist the main sail."), [SAILS, REEFING], CITED) == ""


def test_a_word_that_only_asks_gets_none() -> None:
    assert question_back(Question("Why?"), [SAILS, REEFING], CITED) == ""
