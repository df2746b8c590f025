"""Slips of the finger, and the words that were meant."""

from __future__ import annotations

import pytest

from api.chat.spelling import corrected, corrections, slips_between, unknown_words
from tests.passages import BM25, passage

DOCS = [passage("The windlass lifts the anchor."), passage("Anchors and anchor chains are galvanized.")]


@pytest.mark.parametrize(
    ("one", "other", "slips"),
    [
        ("anchor", "anchor", 0),
        ("anchr", "anchor", 1),
        ("anchoor", "anchor", 1),
        ("anchir", "anchor", 1),
        ("acnhor", "anchor", 1),
        ("acnhro", "anchor", 2),
        ("", "an", 2),
        ("sail", "anchor", 3),
    ],
)
def test_slips_are_letters_too_many_missing_wrong_or_swapped(one: str, other: str, slips: int) -> None:
    assert min(slips_between(one, other, 2), 3) == slips
    assert min(slips_between(other, one, 2), 3) == slips


@pytest.mark.parametrize(
    ("question", "unknown"),
    [
        ("How is the acnhor lifted?", ["acnhor"]),
        ("Is it galvanised?", ["galvanised"]),
        ("Which anchors are lifted?", []),
        ("Which pilots land at the chair?", []),  # real words, of which the docs do not speak
        ("Wird der Anker verzinkt oder lackiert geliefert?", []),  # another language, no slips
        ("Why --windlas, /windlas, windlas.py, windlas_up or @windlas?", []),  # names are meant as they stand
    ],
)
def test_a_word_that_no_passage_holds_is_unknown(question: str, unknown: list[str]) -> None:
    assert unknown_words(question, DOCS, BM25) == unknown


def test_the_nearest_word_is_meant_and_of_those_the_most_frequent() -> None:
    assert corrections(["acnhor", "galvanised", "zeppelin"], DOCS) == {"acnhor": "anchor", "galvanised": "galvanized"}
    assert corrections(["anchurs"], DOCS) == {"anchurs": "anchors"}


def test_a_short_word_may_be_one_slip_away_and_a_long_one_two() -> None:
    assert corrections(["acnhro"], DOCS) == {}
    assert corrections(["galvanzied", "gavlanzied"], DOCS) == {"galvanzied": "galvanized", "gavlanzied": "galvanized"}


def test_only_the_words_that_were_meant_are_replaced() -> None:
    assert corrected("Acnhor, acnhor and acnhors.", {"acnhor": "anchor"}) == "Acnhor, anchor and acnhors."
