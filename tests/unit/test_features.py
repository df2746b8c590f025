"""What tells from a question and its passages whether they answer it."""

from __future__ import annotations

import pytest

from api.chat.features import Features, asked_words, features
from api.chat.scores import LEAST_SUBJECT, confidence_of, subject_score
from tests.passages import BM25, passage

NORMANS = passage(
    "In 1066 Duke William II of Normandy conquered England. He was not crowned in Rouen.\n\n"
    "The Norman dynasty had a major impact on medieval Europe.",
    title="Normans",
    heading="History",
)
SAILS = passage("Hoist the main sail before the jib, and reef early.", title="Sailing", heading="Sails")


def read(question: str, meaning: float | None = 1.0) -> Features:
    return features(question, [NORMANS, SAILS], meaning, BM25)


def test_the_words_that_count_are_those_that_say_what_is_asked_about() -> None:
    words = asked_words("How many times did Duke William II's army land in 1066?", BM25)
    assert [word.text for word in words] == ["times", "Duke", "William", "II", "army", "land", "1066"]
    assert [word.text for word in words if word.named] == ["Duke", "William", "II", "1066"]
    assert [word.text for word in words if word.number] == ["1066"]


def test_a_sentence_that_says_the_question_s_words_in_their_order_speaks_of_it() -> None:
    asked = read("When was England conquered by Duke William II of Normandy?")
    other = read("When did Normandy conquer the duke of England?")
    assert asked.together == other.together == pytest.approx(1.0)
    assert asked.ordered > other.ordered
    assert asked.missing == asked.unnamed == 0


def test_words_names_and_numbers_that_stand_nowhere_count_each_for_itself() -> None:
    asked = read("When did Harold of Bavaria conquer the towers of England in 1067?")
    assert asked.missing == pytest.approx(4 / 6)
    assert asked.unnamed == 2
    assert asked.other_number
    assert not read("When was the conquest of England in 1066?").other_number


def test_a_name_that_stands_there_with_another_number_is_another_name() -> None:
    assert read("Where was Duke William I crowned?").other_name
    assert not read("Where was Duke William II crowned?").other_name
    assert not read("Duke William II was crowned where?").other_name


def test_a_question_for_what_is_not_so_wants_a_sentence_that_says_what_is_not_so() -> None:
    assert read("What did the Norman dynasty not have a major impact on?").negated
    assert not read("Was he not crowned in Rouen?").negated


@pytest.mark.parametrize(
    "polite", ["Didn't the Norman dynasty have an impact?", "Why did the dynasty not have an impact?"]
)
def test_a_negation_that_only_asks_politely_or_for_a_cause_takes_nothing_back(polite: str) -> None:
    assert not read(polite).negated


def test_the_contrary_in_a_word_s_place_is_noticed() -> None:
    assert read("Should the main sail be hoisted after the jib early?").contrary is False
    assert features("What is hoisted late?", [passage("The jib is hoisted early.")], 1.0, BM25).contrary
    assert not features("What is hoisted early?", [passage("The jib is hoisted early.")], 1.0, BM25).contrary


def test_without_vectors_the_words_stand_in_for_the_meaning() -> None:
    assert read("When was England conquered?", None).meaning > read("When was Bavaria lost?", None).meaning


@pytest.mark.parametrize(
    "question", ["", "?", "Why is that?", "so what", "[" * 3000, "a" * 5000, "\u0000 \U0001f600 \u202e"]
)
def test_no_question_is_too_odd_to_be_read(question: str) -> None:
    read(question)
    features(question, [], None, BM25)


def test_scores_rise_with_what_speaks_for_an_answer() -> None:
    good = read("When did Duke William II conquer England?")
    near_miss = read("When did Duke William II not conquer Normandy?")
    far = read("What is the best recipe for chocolate cookies?", meaning=0.1)
    assert subject_score(good) > LEAST_SUBJECT > subject_score(far)
    assert subject_score(near_miss) > LEAST_SUBJECT, "its subject is right"
    sure, unsure, no = (confidence_of(each, LEAST_SUBJECT) for each in (good, near_miss, far))
    assert 0 <= no < unsure < 0.5 < sure <= 1


def test_a_blank_passage_without_a_heading_holds_nothing() -> None:
    blank = passage("\n", title="", heading=None)
    assert features("Where is the anchor?", [blank], 0.5, BM25).together == 0.0
