"""Windows of passages: none too long, none needlessly short, nothing lost."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from shared.local_model import WINDOW
from shared.tokens import TOKENIZER_FILE, count_tokens
from shared.windows import SPECIAL_TOKENS, split_windows

TRAIL = "Guide > Install > Linux"
SENTENCE = "Number {n} opens the valve and waits until the needle stands still. "


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(TOKENIZER_FILE))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def sentences(count: int) -> str:
    return "".join(SENTENCE.format(n=n) for n in range(count)).strip()


def size(window: str) -> int:
    return count_tokens(window) + SPECIAL_TOKENS


def test_a_passage_that_fits_is_one_window_as_it_stands() -> None:
    text = "Run `make`.\n\n\tIndented  twice."
    assert split_windows(TRAIL, text, WINDOW) == [f"{TRAIL}\n\n{text}"]


def test_a_passage_that_fits_exactly_is_not_cut() -> None:
    text = "word " * (WINDOW - SPECIAL_TOKENS - count_tokens(TRAIL))
    assert split_windows(TRAIL, text, WINDOW) == [f"{TRAIL}\n\n{text}"]
    assert len(split_windows(TRAIL, text + "more", WINDOW)) == 2


def test_every_window_begins_with_the_trail_and_fits() -> None:
    windows = split_windows(TRAIL, sentences(60), WINDOW)
    assert len(windows) > 4
    assert all(window.startswith(f"{TRAIL}\n\nNumber ") for window in windows)
    assert all(size(window) <= WINDOW for window in windows)


def test_windows_are_cut_at_ends_of_sentences() -> None:
    for window in split_windows(TRAIL, sentences(60), WINDOW):
        assert window.endswith("stands still.")


def test_a_passage_without_sentences_is_cut_at_ends_of_lines() -> None:
    code = "\n".join(f"    value_{n} = compute(value_{n - 1}, factor={n})" for n in range(1, 80))
    for window in split_windows(TRAIL, code, WINDOW):
        lines = window.removeprefix(f"{TRAIL}\n\n").splitlines()
        assert all(re.fullmatch(r" *value_\d+ = compute\(value_\d+, factor=\d+\)", line) for line in lines)


def test_no_window_is_a_tiny_rest() -> None:
    for count in range(12, 80):
        sizes = [size(window) for window in split_windows(TRAIL, sentences(count), WINDOW)]
        assert max(sizes) - min(sizes) < WINDOW / 3


def test_a_window_repeats_the_last_sentence_of_the_one_before() -> None:
    windows = split_windows(TRAIL, sentences(40), WINDOW)
    for before, after in pairwise(windows):
        first_after = after.removeprefix(f"{TRAIL}\n\n").split(". ")[0]
        assert first_after.rstrip(".") in before


def test_a_long_sentence_is_not_repeated() -> None:
    long = " ".join(f"clause{n}" for n in range(40)) + ". "
    windows = split_windows("", long * 4, WINDOW)
    assert sum(window.count("clause7 ") for window in windows) == 4


def test_of_an_endless_trail_the_end_is_kept() -> None:
    trail = " > ".join(f"Section number {n}" for n in range(200))
    windows = split_windows(trail, sentences(40), WINDOW)
    assert all("Section number 199\n\nNumber" in window for window in windows)
    assert all(size(window) <= WINDOW for window in windows)


def test_without_a_trail_a_window_begins_with_the_text() -> None:
    assert split_windows("", "Just this.", WINDOW) == ["Just this."]


@pytest.mark.parametrize(
    "text",
    [
        "a" * 5000,
        "日本語のテストです。" * 200,
        "한국어문서입니다" * 200,
        "https://example.org/" + "part-9/" * 900,
        "\N{ROCKET}" * 2000,
        "word " * 3000,
        "0123456789abcdef" * 400,
    ],
    ids=["letters", "japanese", "korean", "address", "emoji", "words", "hash"],
)
def test_what_has_no_place_to_cut_still_fits(text: str) -> None:
    windows = split_windows(TRAIL, text, WINDOW)
    assert all(size(window) <= WINDOW for window in windows)
    kept = "".join(window.removeprefix(f"{TRAIL}\n\n") for window in windows)
    assert len(re.sub(r"\s", "", kept)) >= len(re.sub(r"\s", "", text))


def test_an_end_that_the_model_does_not_read_is_kept() -> None:
    unread = "\x80"
    assert count_tokens(unread) == 0
    windows = split_windows("0:0", f"0:0: 0:0:0 0000000000ȴ {unread}", 24)
    assert windows[-1].endswith(unread)


@settings(max_examples=150, deadline=None)
@given(trail=st.text(max_size=100), text=st.lists(st.text(max_size=40), max_size=60).map(" ".join))
def test_the_models_own_tokenizer_finds_no_window_too_long(tokenizer: Tokenizer, trail: str, text: str) -> None:
    for window in split_windows(trail, text, WINDOW):
        assert len(tokenizer.encode(window).ids) <= WINDOW


@settings(max_examples=150, deadline=None)
@given(
    trail=st.text(max_size=300),
    text=st.lists(st.text(max_size=40), max_size=60).map(" ".join),
    limit=st.integers(min_value=24, max_value=256),
)
def test_windows_of_any_text_fit_and_lose_nothing(trail: str, text: str, limit: int) -> None:
    windows = split_windows(trail, text, limit)
    assert windows
    assert all(size(window) <= limit for window in windows)
    words = " ".join(windows)
    for word in text.split():
        if count_tokens(word) < limit // 4:
            assert word in words
