"""What an entry of the question log is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from api.chat.events import Finished, Found, Question, Started
from api.chat.spending import Spending
from api.question_entry import LISTED, TEXT_KEPT, Course, dollars_of, entry_of, feedback_entry
from shared.settings import Settings, load_settings
from tests.http_api import CITATION, finished

PRICED = {"chat_price_input": 0.5, "chat_price_output": 2.0}


def settings(**overrides: Any) -> Settings:
    return load_settings(None, **overrides)


@pytest.mark.parametrize(
    ("changes", "prices", "dollars"),
    [
        ({}, PRICED, 0.004), ({}, {}, None), ({}, {"chat_price_input": 0.5}, None), ({"cached": True}, PRICED, 0.0),
        ({"cached": True}, {}, 0.0), ({"model": "extractive"}, {}, 0.0), ({"tokens_used": 0}, {}, 0.0),
    ],
)  # fmt: skip
def test_an_answer_costs_what_its_tokens_cost_if_anybody_has_said_so(
    changes: dict[str, Any], prices: dict[str, float], dollars: float | None
) -> None:
    answer: Finished = replace(finished(prompt_tokens=4000, answer_tokens=1000), **changes)
    assert dollars_of(answer, Spending(), settings(**prices)) == dollars


REWRITTEN = Spending(rewrite_prompt=200, rewrite_reply=20)
EMBEDDED = Spending(embedding=1_000_000)
OPENAI = {"openai_api_key": "sk-x"}


@pytest.mark.parametrize(
    ("spent", "changes", "prices", "dollars"),
    [
        (REWRITTEN, {}, PRICED, 0.00414), (REWRITTEN, {"tokens_used": 0}, PRICED, 0.00014),
        (REWRITTEN, {"tokens_used": 0}, {}, None), (EMBEDDED, {"tokens_used": 0}, PRICED, 0.0),
        (EMBEDDED, {"model": "extractive"}, OPENAI, 0.02), (EMBEDDED, {}, {**OPENAI, **PRICED}, 0.024),
        (EMBEDDED, {"cached": True}, {**OPENAI, "embedding_price": 3.0}, 3.0),
        (EMBEDDED, {}, {**PRICED, "openai_base_url": "http://a.example", "openai_embedding_model": "own"}, 0.004),
    ],
)  # fmt: skip
def test_rewriting_and_embedding_a_question_cost_what_their_tokens_do(
    spent: Spending, changes: dict[str, Any], prices: dict[str, Any], dollars: float | None
) -> None:
    answer: Finished = replace(finished(prompt_tokens=4000, answer_tokens=1000), **changes)
    assert dollars_of(answer, spent, settings(**prices)) == pytest.approx(dollars)


def test_an_entry_has_what_was_spent_even_if_the_visitor_left_before_the_answer() -> None:
    course = Course("sse", "left", None, 0.2, None, None, Spending(200, 20, 12))
    entry = entry_of(Question("How?"), course, settings(**PRICED))
    assert (entry["rewrite_tokens"], entry["embedding_tokens"], entry["dollars"]) == (220, 12, None)


def test_an_entry_is_bounded_whatever_was_asked_and_found() -> None:
    found = tuple(Found(str(number), "u", 1.0, None) for number in range(100))
    answer = finished(sources=(CITATION,) * 100)
    course = Course("sse", "answered", 0.1, 1.0, Started((), 100, 1, found), answer)
    entry = entry_of(Question("x" * 9000, page="p" * 9000), course, settings())
    assert [len(entry[name]) for name in ("question", "page")] == [TEXT_KEPT] * 2
    assert [len(entry[name]) for name in ("found", "cited")] == [LISTED] * 2
    said = feedback_entry("m", "bad", "q" * 9000, "a" * 9000)
    assert [len(said[name]) for name in ("question", "answer")] == [TEXT_KEPT] * 2


def test_a_question_that_never_began_to_be_answered_has_an_entry_too() -> None:
    course = Course("json", "dependency_down", None, 0.01, None, None)
    entry = entry_of(Question("How?"), course, settings())
    assert entry["outcome"] == "dependency_down"
    assert [entry[name] for name in ("release", "model", "dollars")] == [None] * 3
