"""What an entry of the question log is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from api.chat.events import Finished, Found, Question, Started
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
    assert dollars_of(answer, settings(**prices)) == dollars


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
