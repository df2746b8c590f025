"""A prompt holds the question always, passages whole while they fit, and the conversation where there is room."""

from __future__ import annotations

import re

import pytest

from api.chat.events import Question, Turn
from api.chat.prompt import MESSAGE_TOKENS, Prompt, build_prompt, cut
from shared.models import Passage
from shared.tokens import count_tokens
from tests.passages import passage

#: One token each.
PLACES = ("harbor", "island", "river", "mountain", "forest")


def words(count: int, word: str = "word") -> str:
    """`count` tokens."""
    return " ".join([word] * count)


def passages(*sizes: int) -> list[Passage]:
    """Passages of so many tokens under `Section 0`, `Section 1`..."""
    return [passage(words(size, PLACES[i]), heading=f"Section {i}") for i, size in enumerate(sizes)]


def last(prompt: Prompt) -> str:
    assert prompt.messages[-1].role == "user"
    return prompt.messages[-1].content


def test_the_question_stands_last_after_the_numbered_passages() -> None:
    prompt = build_prompt(Question("How do I install it?"), passages(5, 5), 1000)
    text = last(prompt)
    assert text.endswith("Question: How do I install it?")
    assert re.findall(r'<passage-\w+ number="(\d)">\nGuide > Section (\d)\n\n', text) == [("1", "0"), ("2", "1")]
    assert prompt.messages[0].role == "system"


def test_five_passages_of_the_usual_size_are_not_thrown_away_in_a_window_of_4000() -> None:
    found = passages(600, 600, 600, 600, 600)
    prompt = build_prompt(Question("How?", context_window=4000), found, 1000)
    assert list(prompt.passages) == found[:4]


@pytest.mark.parametrize("window", [1000, 2000, 4000, 8000])
@pytest.mark.parametrize("selection", [None, words(900)])
def test_prompt_and_answer_stay_within_the_context_window(window: int, selection: str | None) -> None:
    history = tuple(Turn(words(200), words(400)) for _ in range(6))
    question = Question(words(100), selection, history, context_window=window)
    prompt = build_prompt(question, passages(500, 900, 400, 900, 100), 1000)
    assert prompt.tokens + prompt.answer_tokens <= window
    assert prompt.tokens == sum(count_tokens(m.content) + MESSAGE_TOKENS for m in prompt.messages)
    assert len(prompt.passages) >= 1


def test_passages_are_shown_whole_and_a_later_one_that_still_fits_is_not_lost() -> None:
    found = passages(400, 800, 50)
    prompt = build_prompt(Question("How?", context_window=1600), found, 400)
    assert list(prompt.passages) == [found[0], found[2]]
    for number, shown in enumerate(prompt.passages, 1):
        assert f'number="{number}">' in last(prompt)
        assert shown.chunk.chunk.text in last(prompt)


def test_the_only_passage_is_cut_when_it_is_too_long() -> None:
    found = passages(3000)
    prompt = build_prompt(Question("How?", context_window=1000), found, 1000)
    assert list(prompt.passages) == found
    assert "harbor harbor" in last(prompt)
    assert prompt.tokens <= 750


def test_recent_turns_are_kept_before_older_ones() -> None:
    history = tuple(Turn(f"question {i}", f"answer {i} {words(100)}") for i in range(8))
    prompt = build_prompt(Question("And then?", history=history, context_window=4000), passages(50), 1000)
    kept = prompt.messages[1:-1]
    assert 0 < len(kept) < 16
    assert kept[-2].content == history[-1].question
    assert [m.role for m in kept] == ["user", "assistant"] * (len(kept) // 2)
    assert kept[0].content == history[-len(kept) // 2].question


def test_a_question_longer_than_the_window_is_cut_and_still_there() -> None:
    prompt = build_prompt(Question(words(4000), context_window=1000), passages(50), 1000)
    assert "Question: word word" in last(prompt)
    assert prompt.tokens <= 1000


def test_the_selection_is_shown_to_the_model_as_data() -> None:
    prompt = build_prompt(Question("What does this mean?", selection="the anchor holds"), passages(5), 1000)
    assert re.search(r"<selection-(\w+)>\nthe anchor holds\n</selection-\1>", last(prompt))


def test_fences_differ_from_prompt_to_prompt_so_that_no_page_can_close_them() -> None:
    one, two = (build_prompt(Question("How?"), passages(5), 1000) for _ in range(2))
    fence = re.compile(r"</passage-(\w+)>")
    assert fence.findall(last(one)) != fence.findall(last(two))
    nonce = fence.findall(last(one))[0]
    assert nonce in one.messages[0].content


def test_links_of_earlier_answers_are_not_shown_or_the_model_would_copy_them() -> None:
    history = (Turn("How?", "So [Guide - Install](https://site.example/docs/guide#install)."),)
    prompt = build_prompt(Question("And then?", history=history), passages(5), 1000)
    assert prompt.messages[2].content == "So Guide - Install."


def test_the_answer_takes_at_most_a_quarter_of_a_small_window() -> None:
    assert build_prompt(Question("How?", context_window=1000), passages(5), 1000).answer_tokens == 250
    assert build_prompt(Question("How?", context_window=8000), passages(5), 1000).answer_tokens == 1000


def test_what_no_passage_mentions_is_said_before_the_question() -> None:
    prompt = build_prompt(Question("How?"), passages(5), 1000, missing=["Kubernetes", "v9"])
    assert last(prompt).endswith(
        'No passage mentions "Kubernetes", "v9". Where the question depends on that, say so.\nQuestion: How?'
    )


def test_a_doubtful_search_is_said_to_be_one() -> None:
    prompt = build_prompt(Question("How?"), passages(5), 1000, doubtful=True)
    assert prompt.doubtful
    assert last(prompt).endswith("If they do not, say so.\nQuestion: How?")


def test_the_prompt_counts_what_its_passages_take() -> None:
    prompt = build_prompt(Question("How?"), passages(50, 50), 1000)
    assert 100 < prompt.context_tokens < prompt.tokens


def test_text_is_cut_at_a_word_s_end() -> None:
    text = " ".join(f"word{i}" for i in range(100))
    short = cut(text, 20)
    assert text.startswith(short.removesuffix(" …"))
    assert count_tokens(short) <= 21
    assert cut("a b c", 20) == "a b c"
    assert count_tokens(cut("x" * 10_000, 20)) <= 30
