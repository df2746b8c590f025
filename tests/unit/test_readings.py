"""The question back after a question of one word."""

from __future__ import annotations

from api.chat.citations import citation
from api.chat.readings import question_back
from tests.passages import passage

SAILS = passage("Hoist the main sail first.", heading="Sails", path="rigging.md")
REEFING = passage("Reef the main sail in strong wind.", heading="Reefing", path="weather.md")
CITED = [citation(1, SAILS)]


def test_one_word_is_answered_with_the_other_sections_that_speak_of_it() -> None:
    text = question_back("sail", [SAILS, REEFING], CITED)
    assert "know about sail?" in text
    assert "Reefing" in text
    assert "Sails]" not in text


def test_a_whole_question_gets_none() -> None:
    assert question_back("Which sail goes up first?", [SAILS, REEFING], CITED) == ""


def test_one_word_with_one_reading_gets_none() -> None:
    assert question_back("sail", [SAILS], CITED) == ""


def test_an_answer_that_names_nothing_gets_none() -> None:
    assert question_back("sail", [SAILS, REEFING], []) == ""


def test_the_word_cannot_become_a_link() -> None:
    assert question_back("[x](http://evil.example)", [SAILS, REEFING], CITED) == ""
