"""What a model thinks aloud is no part of its answer, however the network cuts it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.chat.thoughts import Thoughts


def told(*pieces: str) -> str:
    thoughts = Thoughts()
    return "".join(map(thoughts.feed, pieces)) + thoughts.finish()


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ("Reef early.", "Reef early."),
        ("<think>Reefs... wind.</think>\n\nReef early.", "Reef early."),
        ("\n<think>\n\n</think>\n\nReef early.", "Reef early."),
        ("<think>never ends", ""),
        ("<thin line> is drawn", "<thin line> is drawn"),
        ("<thi", "<thi"),
        ("Write <think>x</think> in a prompt.", "Write <think>x</think> in a prompt."),
        ("<think>a</think>Use <think> with care</think>", "Use <think> with care</think>"),
        ("  indented", "  indented"),
        ("", ""),
    ],
)
@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=20))
def test_the_answer_alone_is_told(sent: str, answer: str, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    assert told(*(sent[a:b] for a, b in pairwise(bounds))) == answer


def test_an_answer_without_thoughts_is_not_held_up() -> None:
    thoughts = Thoughts()
    assert thoughts.feed("Reef") == "Reef"
    assert thoughts.over


def test_long_thoughts_are_not_kept() -> None:
    thoughts = Thoughts()
    for _ in range(1000):
        assert thoughts.feed("<think>" + "hm " * 100) == ""
    assert thoughts.feed("</think>Yes.") == "Yes."
