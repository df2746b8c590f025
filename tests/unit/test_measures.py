"""The measures against cases worked out by hand and against the same formulas written another way."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.measures import (
    Comparison,
    Refusals,
    auroc,
    compare,
    hit_at,
    holds_answer,
    mean,
    ndcg_at,
    percentile,
    plain_text,
    recall_at,
    reciprocal_rank,
    refusals,
    sentences_of,
    sign_test,
)

GRADES = {"a": 1.0, "b": 1.0, "c": 0.0}


def test_recall_is_the_part_of_the_relevant_that_was_found() -> None:
    assert recall_at(["x", "a", "y", "b"], GRADES, 2) == 0.5
    assert recall_at(["x", "a", "y", "b"], GRADES, 4) == 1.0
    assert recall_at([], GRADES, 4) == 0.0


def test_a_hit_is_any_relevant_one() -> None:
    assert hit_at(["x", "a"], GRADES, 2) == 1.0
    assert hit_at(["x", "c", "a"], GRADES, 2) == 0.0


def test_the_first_relevant_one_gives_the_reciprocal_rank_and_none_beyond_the_cut() -> None:
    assert reciprocal_rank(["x", "c", "b", "a"], GRADES, 10) == pytest.approx(1 / 3)
    assert reciprocal_rank(["x", "c", "b", "a"], GRADES, 2) == 0.0


def test_ndcg_worked_out_by_hand() -> None:
    # Gains 3, 2, 0, 1 at ranks 1, 2, 3, 5, of ideally 3, 2, 1.
    grades = {"a": 3.0, "b": 2.0, "c": 1.0, "d": 0.0}
    gained = 3 / 1 + 2 / math.log2(3) + 0 + 1 / math.log2(6)
    ideal = 3 / 1 + 2 / math.log2(3) + 1 / math.log2(4)
    assert ndcg_at(["a", "b", "d", "x", "c"], grades, 10) == pytest.approx(gained / ideal)
    assert ndcg_at(["a", "b", "c"], grades, 10) == 1.0
    assert ndcg_at(["x"], grades, 10) == 0.0


def test_ndcg_at_a_cut_compares_with_the_best_that_fits_in_it() -> None:
    grades = dict.fromkeys("abcdef", 1.0)
    assert ndcg_at(["a", "b"], grades, 2) == 1.0


def test_an_id_that_comes_again_counts_once() -> None:
    assert ndcg_at(["a", "a", "a", "b"], GRADES, 2) == 1.0
    assert recall_at(["x", "x", "x", "a"], GRADES, 2) == 0.5
    assert reciprocal_rank(["x", "x", "a"], GRADES, 2) == 0.5


@pytest.mark.parametrize("grades", [{}, {"a": 0.0}, {"a": -1.0}])
def test_without_a_relevant_id_there_is_nothing_to_measure(grades: dict[str, float]) -> None:
    assert recall_at(["a"], grades, 3) is None
    assert hit_at(["a"], grades, 3) is None
    assert ndcg_at(["a"], grades, 3) is None
    assert reciprocal_rank(["a"], grades, 3) is None


@given(
    st.lists(st.sampled_from("abcdefgh"), unique=True),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3).map(float)),
    st.integers(1, 8),
)
def test_ndcg_is_that_of_the_textbook(ranking: list[str], grades: dict[str, float], k: int) -> None:
    def gain(order: list[float]) -> float:
        total = 0.0
        for place in range(min(k, len(order))):
            total += order[place] / (math.log(place + 2) / math.log(2))
        return total

    ideal = gain(sorted(grades.values(), reverse=True))
    expected = gain([grades.get(name, 0.0) for name in ranking]) / ideal if ideal else None
    found = ndcg_at(ranking, grades, k)
    assert found is None if expected is None else found == pytest.approx(expected)
    assert found is None or 0 <= found <= 1 + 1e-9


def test_refusals_worked_out_by_hand() -> None:
    # (should be refused, was): 3 of 4 refused rightly, 1 of 6 wrongly.
    pairs = [(True, True)] * 3 + [(True, False)] + [(False, True)] + [(False, False)] * 5
    assert refusals(pairs) == Refusals(precision=3 / 4, recall=3 / 4, answered=5 / 6)
    assert refusals([]) == Refusals(None, None, None)
    assert refusals([(False, False)]) == Refusals(None, None, 1.0)
    assert refusals([(True, False)]) == Refusals(None, 0.0, None)


def test_auroc_counts_ties_as_half() -> None:
    assert auroc([0.9, 0.8], [0.1, 0.2]) == 1.0
    assert auroc([0.1], [0.9]) == 0.0
    assert auroc([0.5, 0.5], [0.5]) == 0.5
    assert auroc([0.9, 0.5], [0.5, 0.1]) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert auroc([], [0.5]) is None
    assert auroc([0.5], []) is None


@given(
    st.lists(st.integers(0, 6).map(float), min_size=1, max_size=20),
    st.lists(st.integers(0, 6).map(float), min_size=1, max_size=20),
)
def test_auroc_is_the_part_of_pairs_in_the_right_order(positives: list[float], negatives: list[float]) -> None:
    won = sum(1.0 if up > down else 0.5 if up == down else 0.0 for up, down in product(positives, negatives))
    assert auroc(positives, negatives) == pytest.approx(won / (len(positives) * len(negatives)))


def test_percentiles_lie_between_neighbours() -> None:
    assert percentile([4, 1, 3, 2], 50) == 2.5
    assert percentile([1, 2, 3, 4, 5], 95) == pytest.approx(4.8)
    assert percentile([7], 95) == 7
    assert percentile([], 50) is None


def test_a_mean_is_over_what_is_there() -> None:
    assert mean([1.0, None, 0.0]) == 0.5
    assert mean([None]) is None
    assert mean([]) is None


def test_the_sign_test_is_exact() -> None:
    assert sign_test(0, 0) == 1.0
    assert sign_test(5, 5) == 1.0
    assert sign_test(0, 5) == pytest.approx(2 / 32)
    assert sign_test(8, 2) == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert sign_test(3, 9) == sign_test(9, 3)
    assert 0 <= sign_test(4000, 1000) < 1e-300


def test_the_sign_test_agrees_with_coins_that_are_thrown() -> None:
    coins = random.Random(7)
    heads = [sum(coins.random() < 0.5 for _ in range(12)) for _ in range(20_000)]
    thrown = sum(abs(count - 6) >= 3 for count in heads) / len(heads)
    assert sign_test(9, 3) == pytest.approx(thrown, abs=0.01)


def test_pairs_are_compared_where_both_were_measured() -> None:
    pairs = [(1.0, 0.0), (1.0, 1.0), (0.2, 0.3), (None, 1.0), (0.5, None), (0.9, 0.1)]
    assert compare(pairs) == Comparison(better=2, worse=1, same=1, chance=1.0)
    assert compare([(None, 1.0)]) is None
    assert compare([]) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("It was led by Rollo.", "Rollo"),
        ("in the 10th and 11th centuries", "The 10th and 11th centuries"),
        ("Set `PORT` to 7860.", "port"),
        ("the U.S. Army", "u.s. army"),
        ("wait for 1,000 years", "1,000"),
        ("caf\u00e9 na\u00efve", "CAF\u00c9"),
    ],
)
def test_an_answer_is_held_whatever_its_case_marks_and_articles(text: str, answer: str) -> None:
    assert holds_answer(text, ["something else", answer])


@pytest.mark.parametrize(("text", "answer"), [("Rollover", "Rollo"), ("17860", "7860"), ("Anything", ""), ("x", "the")])
def test_part_of_a_word_or_nothing_is_no_answer(text: str, answer: str) -> None:
    assert not holds_answer(text, [answer])


def test_sentences_are_those_a_reader_sees() -> None:
    answer = (
        "From the docs:\n\n"
        "Mr. Smith met J. R. Ewing in St. Louis. He left at 5 p.m. on Monday! "
        "[Guide - Ports](https://site.example/guide#ports)\n\n"
        "- Set `PORT=7860`. [Guide](/documents/guide_(old).md)\n"
        "1. Restart it.\n\n"
        "```sh\nlectern up\n```\n"
    )
    assert sentences_of(answer) == [
        "Mr. Smith met J. R. Ewing in St. Louis.",
        "He left at 5 p.m. on Monday!",
        "Set `PORT=7860`.",
        "Restart it.",
        "lectern up",
    ]


def test_a_citation_between_two_sentences_belongs_to_neither() -> None:
    assert sentences_of("One thing. [A](/a) Another thing. [B \\[x\\]](/b)") == ["One thing.", "Another thing."]


def test_plain_text_keeps_words_and_code() -> None:
    assert plain_text("**Run** `make up` [x](/y) ![i](/z)").split() == ["Run", "`make", "up`"]
