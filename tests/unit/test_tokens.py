from __future__ import annotations

import hashlib
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from shared.tokens import MAX_REMEMBERED, TOKENIZER_FILE, _word_counts, count_tokens

READABLE = st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn")), max_size=200)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(TOKENIZER_FILE))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def reference_count(tokenizer: Tokenizer, text: str) -> int | None:
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return None if tokenizer.token_to_id("[UNK]") in ids else len(ids)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "word",
        "Unbelievably, tokenization isn't magic.",
        "snake_case and CamelCase and a.b.c(d)[e]{f}",
        "déjà vu, naïve café — “quoted” … done",
        "Größenänderung über Straßenverkehrsordnung",
        "日本の文。中文",
        "한국어 문서",
        "Документация и примеры",
        "non\u00a0breaking\u2003spaces\u3000count",
        "https://example.org/a?b=c&d=%20#frag",
        "\t\tindented\n\n\ncode\r\n",
    ],
)
def test_counts_are_those_of_the_models_own_tokenizer(tokenizer: Tokenizer, text: str) -> None:
    assert count_tokens(text) == reference_count(tokenizer, text)


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(READABLE, st.text(string.printable.replace("\x0b", "").replace("\x0c", ""), max_size=300)))
def test_any_readable_text_counts_as_the_models_tokenizer_counts_it(tokenizer: Tokenizer, text: str) -> None:
    expected = reference_count(tokenizer, text)
    assert count_tokens(text) == expected or expected is None


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(st.text(max_size=40), max_size=5))
def test_counts_of_texts_joined_by_whitespace_add_up(parts: list[str]) -> None:
    assert count_tokens("\n".join(parts)) == sum(map(count_tokens, parts))


def test_a_word_that_the_vocabulary_cannot_spell_counts_its_characters() -> None:
    assert count_tokens("😀" * 10) == 10
    assert count_tokens("a" * 200) == 200
    assert count_tokens("é" * 300) >= 300


def test_the_count_is_not_cut_off_at_the_models_window() -> None:
    assert count_tokens("word " * 5000) == 5000


def test_an_endless_word_is_counted_without_being_remembered() -> None:
    known = len(_word_counts())
    # A word that is cut to be counted may come out a little larger, never smaller.
    assert 2_000_000 <= count_tokens("ab+" * 1_000_000) < 2_000_100
    assert len(_word_counts()) <= known + 1


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.tokens.MAX_REMEMBERED", 100)
    _word_counts().clear()
    assert count_tokens(" ".join(f"w{n}" for n in range(1000))) == sum(count_tokens(f"w{n}") for n in range(1000))
    assert len(_word_counts()) <= 100 < MAX_REMEMBERED


def test_the_vocabulary_is_the_file_that_the_notice_describes() -> None:
    digest = hashlib.sha256(TOKENIZER_FILE.read_bytes()).hexdigest()
    assert digest in (TOKENIZER_FILE.parent / "NOTICE.md").read_text()
