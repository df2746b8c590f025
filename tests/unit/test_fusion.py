"""Scores of two searches on one scale."""

from __future__ import annotations

import pytest

from shared.fusion import comparable, fuse


def test_scores_are_told_by_their_distance_from_the_mean() -> None:
    made = comparable({"a": 3.0, "b": 2.0, "c": 1.0})
    assert made == {"a": pytest.approx(2 / 3), "b": 0.5, "c": pytest.approx(1 / 3)}
    assert made == comparable({"a": 30.0, "b": 20.0, "c": 10.0})


@pytest.mark.parametrize("scores", [{}, {"a": 7.0}, {"a": 7.0, "b": 7.0}])
def test_scores_that_do_not_differ_are_a_half_each(scores: dict[str, float]) -> None:
    assert comparable(scores) == dict.fromkeys(scores, 0.5)


def test_what_one_side_has_not_brought_up_gets_nothing_from_it() -> None:
    cosine, bm25 = {"a": 0.9, "b": 0.5, "c": 0.1}, {"b": 9.0, "d": 3.0, "e": 1.0}
    fused = fuse(cosine, bm25)
    assert set(fused) == {"a", "b", "c", "d", "e"}
    assert fused["a"] == comparable(cosine)["a"]
    assert fused["b"] == comparable(cosine)["b"] + comparable(bm25)["b"]


def test_the_one_passage_that_holds_a_word_stands_out_among_those_that_do_not() -> None:
    cosine = {str(number): 0.3 + number / 1000 for number in range(50)}
    fused = fuse(cosine, {"rare": 4.0})
    assert max(fused, key=fused.__getitem__) == "rare"
    assert fused["rare"] <= 1
