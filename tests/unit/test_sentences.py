"""A full stop ends a sentence, unless it stands in code, a number, an abbreviation or an address."""

from __future__ import annotations

from time import process_time

import pytest

from api.chat.sentences import sentence_ends, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Drop it. Then wait.", ["Drop it.", "Then wait."]),
        ("Drop it! (Then wait.) Now?", ["Drop it!", "(Then wait.)", "Now?"]),
        ("Use `a. B` here. Then go.", ["Use `a. B` here.", "Then go."]),
        ("Call it. `drop()` waits.", ["Call it.", "`drop()` waits."]),
        ("Python 3.11 is used, e.g. Debian's. It is new.", ["Python 3.11 is used, e.g. Debian's.", "It is new."]),
        ("See docs.example.com for it. Go.", ["See docs.example.com for it.", "Go."]),
        ("**It is so.** *Really.* Yes.", ["**It is so.**", "*Really.*", "Yes."]),
        ("终了。开始。", ["终了。", "开始。"]),
        ("no end", ["no end"]),
    ],
)
def test_sentences_of_a_line(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


def test_an_end_stands_before_the_space_and_the_next_sentence_behind_it() -> None:
    text = 'He said "drop it."  Then he left.'
    ((end, following),) = sentence_ends(text)
    assert (text[:end], text[following:]) == ('He said "drop it."', "Then he left.")


def test_ends_are_looked_for_from_a_place_on() -> None:
    assert sentence_ends("1. Drop it. Wait.", 3) == [(11, 12)]


def test_a_line_of_nothing_but_abbreviations_or_backticks_takes_no_time() -> None:
    started = process_time()
    assert len(split_sentences("A. " * 10_000)) == 1
    assert len(split_sentences("`" * 20_000)) == 1
    assert process_time() - started < 1


def test_a_longer_run_of_backticks_does_not_open_the_shorter_one_s_span() -> None:
    assert split_sentences("``Drop it. Then` wait.") == ["``Drop it.", "Then` wait."]
