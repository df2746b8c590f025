"""Keyword weights: what counts as a word in documentation."""

from __future__ import annotations

import pytest

from shared.bm25 import Bm25Encoder
from shared.errors import ConfigurationError
from shared.models import SparseVector

ENCODER = Bm25Encoder()


def found(question: str, passage: str, encoder: Bm25Encoder = ENCODER) -> float:
    """What share of the question's terms stands in the passage."""
    asked = set(encoder.encode_query(question).indices)
    assert asked
    return len(asked & set(encoder.encode_document(passage).indices)) / len(asked)


@pytest.mark.parametrize(
    ("question", "passage"),
    [
        ("create slice", "Call `createSlice` with a name."),
        ("createSlice", "Call `createSlice` with a name."),
        ("createslice", "Call `createSlice` with a name."),
        ("snake case", "The setting `snake_case_names` is off."),
        ("max_page_bytes", "Set MAX_PAGE_BYTES to a number."),
        ("Foo.bar", "The method `Foo.bar()` returns None."),
        ("bar", "The method `Foo.bar()` returns None."),
        ("--no-ingest", "Start with `--no-ingest` to skip it."),
        ("ingest", "Start with `--no-ingest` to skip it."),
        ("what does -v do", "-v: says more"),
        ("C++", "The C++ client is generated."),
        ("C#", "There is a C# client too."),
        ("v1.2.3", "Since v1.2.3 this is the default."),
        ("naive resume", "A naïve résumé."),
        ("running", "It runs; run it again."),
        ("port 8080", "Listens on http://localhost:8080/api, the usual port"),
    ],
)
def test_a_passage_is_found_by_the_names_in_it(question: str, passage: str) -> None:
    assert found(question, passage) > 0


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        ("--no-cache", "Give `--no-cache` to forget.", "Give `--cache` to remember."),
        ("C++", "The C++ client.", "The C client."),
        ("C#", "The C# client.", "The C++ client."),
        ("useEffect", "Call useEffect in it.", "Use it to great effect."),
    ],
)
def test_a_name_is_told_from_its_neighbours(question: str, right: str, wrong: str) -> None:
    assert found(question, right) == 1
    assert found(question, wrong) < 1


def test_a_dash_between_words_or_a_list_mark_is_no_flag() -> None:
    plain = ENCODER.encode_query("well known item")
    assert set(ENCODER.encode_query("- well-known item").indices) == set(plain.indices)


def test_a_question_gives_each_of_its_terms_the_weight_of_one() -> None:
    vector = ENCODER.encode_query("anchor anchor chain")
    assert sorted(vector.values) == [1.0, 1.0]
    assert len(set(vector.indices)) == 2


def test_a_term_weighs_more_the_more_often_it_stands_in_a_passage_and_the_shorter_that_is() -> None:
    def weight(text: str) -> float:
        (anchor,) = ENCODER.encode_query("anchor").indices
        vector = ENCODER.encode_document(text)
        return dict(zip(vector.indices, vector.values, strict=True))[anchor]

    assert weight("anchor anchor chain") > weight("anchor chain chain")
    assert weight("anchor chain") > weight("anchor " + "chain " * 300)


def test_a_text_without_words_has_no_terms() -> None:
    assert ENCODER.encode_document("... !!") == SparseVector([], [])
    assert ENCODER.encode_query("the of and") == SparseVector([], [])


def test_equal_texts_have_equal_terms_in_every_process() -> None:
    assert ENCODER.encode_query("anchor").indices == Bm25Encoder().encode_query("anchor").indices == [1551853031]


def test_another_language_has_its_own_stop_words_and_stems() -> None:
    german = Bm25Encoder("german")
    assert german.encode_query("der die das") == SparseVector([], [])
    assert found("Häuser", "Das Haus am See.", german) == 1


@pytest.mark.parametrize(
    ("language", "question", "passage"),
    [("japanese", "ファイルを開く", "設定ファイルを開きます。"), ("chinese", "数据库", "请连接数据库并查询。")],
)
def test_languages_without_spaces_are_cut_into_words(language: str, question: str, passage: str) -> None:
    assert found(question, passage, Bm25Encoder(language)) > 0


def test_an_unknown_language_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigurationError, match="klingon"):
        Bm25Encoder("klingon")
