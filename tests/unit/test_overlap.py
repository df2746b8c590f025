"""Terms are those of keyword search, and rare ones weigh more."""

from __future__ import annotations

import pytest

from api.chat.overlap import share, terms_of, topic_of, weigh
from shared.bm25 import Bm25Encoder
from tests.passages import BM25


@pytest.mark.parametrize(
    "text",
    [
        "How do I create a slice with createSlice?",
        "Pass --no-cache or -v to `npm install`; see C++ and C#.",
        "snake_case, kebab-case,CamelCase/path.to(file) 3.14\n\ttabs",
        "Größe naïve 安装 指南 \U0001f600",
        "",
    ],
)
def test_the_terms_of_a_text_are_those_that_keyword_search_makes_of_it(text: str) -> None:
    for bm25 in (BM25, Bm25Encoder("german"), Bm25Encoder("chinese")):
        assert terms_of(text, bm25) == frozenset(bm25.encode_query(text).indices)


def test_a_word_that_few_texts_hold_counts_for_more_of_the_question() -> None:
    question = terms_of("anchor windlass", BM25)
    texts = [terms_of(text, BM25) for text in ("the anchor", "an anchor", "anchors", "a windlass")]
    weights = weigh(question, texts)
    assert share(weights, texts[3]) > 2 * share(weights, texts[0]) > 0
    assert share(weights, question) == pytest.approx(1)


def test_a_question_without_terms_is_held_by_nothing() -> None:
    assert share(weigh(terms_of("how is it?", BM25), []), terms_of("anchor", BM25)) == 0


@pytest.mark.parametrize(
    ("question", "topic"),
    [("How does streaming work?", "streaming"), ("Which anchor do I need?", "anchor"), ("Does it work?", "work")],
)
def test_the_topic_is_what_is_asked_about_not_how_it_is_asked(question: str, topic: str) -> None:
    assert topic_of(question, BM25) == terms_of(topic, BM25)
