"""An answer as it is written: words flow, each sentence is proven at its end, and what is missing is put there."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.chat.answer_writer import NOT_FOUND, AnswerWriter
from api.chat.citations import link_to
from api.chat.events import Claim
from tests.passages import BM25, SITE, passage
from tests.unit.test_citations import hostile, rendered

LINES = passage("A ship ties up with four lines. Each line holds 30 tonnes.", heading="Lines")
WEATHER = passage(
    "The coast guard is asked for the forecast every 10 minutes. Storms close the harbour.", heading="Weather"
)
CODE = passage("Run this:\n\n```sh\nharbor moor --line-count 4\n```\n\nIt ties the ship up.", heading="Commands")
TABLE = passage("| option | default |\n|---|---|\n| `--max-load` | 30 |\n| `--fenders` | 6 |", heading="Options")
PASSAGES = [LINES, WEATHER, CODE, TABLE]
L, W, C, T = map(link_to, PASSAGES)


def written(text: str, *cuts: int, mends: bool = True) -> tuple[str, list[Claim]]:
    writer = AnswerWriter(PASSAGES, BM25, mends=mends)
    bounds = [0, *sorted(cuts), len(text)]
    pieces = [writer.feed(text[start:end]) for start, end in pairwise(bounds)]
    pieces.append(writer.finish())
    assert [one for piece in pieces for one in piece.cited] == writer.cited
    return "".join(piece.text for piece in pieces), writer.claims


def shown(text: str) -> str:
    return written(text)[0]


def test_a_sentence_without_a_mark_is_linked_to_the_passage_that_supports_it() -> None:
    assert shown("A ship ties up with four lines.") == f"A ship ties up with four lines. {L}"
    assert shown("Storms close the harbour. Then wait.") == f"Storms close the harbour. {W} Then wait."


def test_a_sentence_with_its_mark_stays_as_it_is() -> None:
    for text in ("A ship ties up with four lines [1].", "A ship ties up with four lines. [1] Storms come [2]."):
        plain = text.replace("[1]", L).replace("[2]", W)
        assert shown(text) == plain


def test_a_paragraph_is_linked_once_to_a_passage() -> None:
    out = shown("A ship ties up with four lines. Each line holds 30 tonnes. Storms close the harbour.")
    assert out == f"A ship ties up with four lines. {L} Each line holds 30 tonnes. Storms close the harbour. {W}"
    assert shown("A ship ties up with four lines.\n\nEach line holds 30 tonnes.").count(L) == 2


def test_a_wrong_mark_is_followed_by_the_right_link() -> None:
    assert shown("Storms close the harbour [1]. Wait.") == f"Storms close the harbour {L}. {W} Wait."


def test_a_sentence_that_no_passage_supports_is_marked() -> None:
    text = "Penguins breed on the ice shelves of Antarctica in the winter. A ship ties up with four lines [1]."
    assert shown(text) == text.replace("winter.", f"winter. {NOT_FOUND}").replace("[1]", L)
    assert NOT_FOUND in shown("Each line holds 99 tonnes [1].")


@pytest.mark.parametrize(
    "text",
    [
        "# Penguins and their ice shelves of Antarctica\n\nHello!",
        "**Penguins of the Antarctic ice shelves**\n\nHere is how they do it:",
        "Do penguins breed on the ice shelves of Antarctica?",
        "The passages do not say whether penguins breed on the ice shelves.",
        "Sure! Here are the steps:",
        "I could not find anything about penguins in Antarctica.",
    ],
)
def test_what_claims_nothing_is_left_alone(text: str) -> None:
    assert written(text) == (text, [])


def test_items_rows_and_code_are_sentences_of_their_own() -> None:
    text = (
        "Do this:\n\n- Tie the ship up with four lines\n- Close the harbour in storms.\n\n"
        "```sh\nharbor moor --line-count 4\n```\n\n| option | default |\n|---|---|\n| `--max-load` | 30 |\n"
        "| `--fenders` | 6 |\n\nThat is all."
    )
    out, claims = written(text)
    assert out == (
        f"Do this:\n\n- Tie the ship up with four lines {L}\n- Close the harbour in storms. {W}\n\n"
        f"```sh\nharbor moor --line-count 4\n```\n\n{C}\n\n| option | default |\n|---|---|\n| `--max-load` | 30 |\n"
        f"| `--fenders` | 6 |\n\n{T}\n\nThat is all."
    )
    assert [(claim.support, claim.numbers) for claim in claims] == [
        ("supported", (1,)), ("supported", (2,)), ("supported", (3,)), ("supported", (4,)), ("supported", (4,)),
    ]  # fmt: skip


def test_a_mark_on_a_line_of_its_own_belongs_to_the_block_before_it() -> None:
    text = "```sh\nharbor moor --line-count 4\n```\n\n[3]\n\nA ship ties up with four lines [1]."
    out, claims = written(text)
    assert out == text.replace("[3]", C).replace("[1]", L)
    assert [claim.numbers for claim in claims] == [(3,), (1,)]


def test_quotes_are_left_as_they_are_and_supported_by_their_passage() -> None:
    text = "A ship ties up with four lines. [1]\n\nStorms close the harbour. [2]\n\n- Penguins breed on the ice shelves"
    out, claims = written(text, mends=False)
    assert out == text.replace("[1]", L).replace("[2]", W)
    assert [claim.support for claim in claims[:2]] == ["supported", "supported"]


def test_claims_are_given_in_plain_words_in_reading_order() -> None:
    _, claims = written("A **ship** ties up with `four` lines [1]. Storms close the [harbour](/docs/harbour).")
    assert claims == [
        Claim("A ship ties up with four lines.", "supported", (1,)),
        Claim("Storms close the harbour.", "supported", (2,)),
    ]


def test_the_grounded_share_counts_supported_claims() -> None:
    writer = AnswerWriter(PASSAGES, BM25)
    assert writer.grounded is None
    writer.feed("A ship ties up with four lines [1]. Penguins breed on the ice shelves of Antarctica in winter.")
    writer.finish()
    assert writer.grounded == 0.5


def test_a_link_that_the_model_writes_to_a_passage_counts_as_its_mark() -> None:
    text = f"Storms close the harbour, see [there]({SITE}/guide#weather)."
    out, claims = written(text)
    assert out == text
    assert claims[0].numbers == (2,)


def test_a_citation_carries_the_words_it_rests_on_and_the_way_to_them() -> None:
    writer = AnswerWriter(PASSAGES, BM25)
    writer.feed("The forecast is read every 10 minutes [2]. See [4].")
    writer.finish()
    weather, options = writer.cited
    assert weather.quote == "The coast guard is asked for the forecast every 10 minutes."
    assert weather.quote_url == f"{weather.url}:~:text=The%20coast%20guard%20is,forecast%20every%2010%20minutes"
    assert (options.quote, options.quote_url) == ("", options.url)


def test_words_are_not_held_back() -> None:
    writer = AnswerWriter(PASSAGES, BM25)
    for word in ("What", " a", " ship", " is", " tied", " to?", " Then"):
        assert writer.feed(word).text == word


def test_only_the_space_behind_a_sentence_waits_for_the_next_one() -> None:
    writer = AnswerWriter(PASSAGES, BM25)
    assert writer.feed("A ship ties up with four lines.\n").text == "A ship ties up with four lines."
    assert writer.feed("\n").text == ""
    assert writer.feed("Storms").text == f" {L}\n\nStorms"


@pytest.mark.parametrize(
    "text",
    [
        "Version 3.11.2 is out, e.g. `a. B` and U.S. ships at https://site.example/docs/x.Y. Done",
        "one line\ngoes on. And 2.5 more",
        "1. First\n2. Second\n   goes on\n\n3. Third",
        "a\n\n\n\nb\n",
        "",
        "\n",
        "- ",
        "text\n-",
        '**bold. Still bold** and (aside. More) "quoted. Also"',
    ],
)
def test_everything_that_was_written_comes_out_in_order(text: str) -> None:
    assert written(text, mends=False)[0] == text


ANSWER = (
    "Sure! A ship ties up with **four** lines. Storms close the harbour [1]. (Each line holds 99 tonnes.)\n\n"
    "1. Run `harbor moor`.\n2. Penguins breed on ice shelves in the cold winter\n\n"
    "```sh\nharbor moor --line-count 4\n```\n"
    "[3]\n| option | default |\n|---|---|\n| `--max-load` | 30 |\nEnd. [2]"
)


def test_the_outcome_does_not_depend_on_where_an_answer_is_cut() -> None:
    whole = written(ANSWER)
    for position in range(1, len(ANSWER)):
        assert written(ANSWER, position) == whole
    assert written(ANSWER, *range(1, len(ANSWER))) == whole


@pytest.mark.parametrize(
    "odd", ["a. ", "`a. ", "a_", "Ab", "x-", "/a", "*", "a.b", "\n- ", "| ", "1 ", "(", "aB. C", "A. ", "\n"]
)
def test_long_runs_of_odd_characters_take_no_longer_than_words(odd: str) -> None:
    text = odd * (40_000 // len(odd))
    began = time.process_time()
    out, _ = written(text, *range(5, len(text), 5), mends=False)
    assert time.process_time() - began < 4
    assert len(out) >= 0.8 * len(text)


prose = st.lists(
    st.sampled_from([
        "A ship ties up with four lines", "Storms close the harbour", "Penguins breed on ice shelves in winter", ".",
        ". ", "? ", "\n", "\n\n", " ", "- ", "1. ", "| ", " |", "|---|", "[1]", " [2]", "[9]", "`a. B`", "**", "# ",
        "```\n", "\n```\n", ":", "(", ")", "30", "e.g. ", "_", "*", '"', f"[x]({SITE}/guide#lines)",
    ]),
    max_size=16,
).map("".join)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(st.one_of(prose, hostile), st.data())
def test_no_text_comes_out_otherwise_for_being_cut(text: str, data: st.DataObject) -> None:
    expected = written(text)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    assert written(text, *cuts) == expected
    assert written(text, *range(1, len(text))) == expected


@settings(max_examples=120, deadline=None)
@given(st.one_of(prose, hostile))
def test_a_markdown_reader_finds_no_image_html_or_foreign_link_in_it(text: str) -> None:
    out = shown(text)
    for token in rendered(out):
        assert token.type not in ("image", "html_inline", "html_block"), out
        if token.type == "link_open":
            assert re.match(rf"{re.escape(SITE)}|/(?!/)|#", str(token.attrs["href"])), out


@settings(max_examples=80, deadline=None)
@given(prose)
def test_every_link_that_is_put_in_leads_to_a_passage_that_was_shown(text: str) -> None:
    writer = AnswerWriter(PASSAGES, BM25)
    out = writer.feed(text).text + writer.finish().text
    places = {one.chunk.chunk.url for one in PASSAGES}
    assert {str(token.attrs["href"]) for token in rendered(out) if token.type == "link_open"} <= places
    assert all(1 <= number <= len(PASSAGES) for claim in writer.claims for number in claim.numbers)


def test_passages_can_be_read_before_the_first_word_and_change_nothing() -> None:
    text = "A ship ties up with four lines. Storms close the harbour."
    writer = AnswerWriter(PASSAGES, BM25)
    assert len(list(writer.read_ahead())) == len(PASSAGES)
    assert writer.feed(text).text + writer.finish().text == written(text)[0]


def test_a_word_is_sent_on_at_once_whether_its_space_stands_before_or_behind_it() -> None:
    writer = AnswerWriter(PASSAGES, BM25)
    writer.feed("A")
    assert [writer.feed(piece).text for piece in (" ship", " with", " four", " lines,")] == [
        " ship", " with", " four", " lines,",
    ]  # fmt: skip
    assert [writer.feed(piece).text for piece in (" ", "held ", "fast ", "here ")] == ["", " held", " fast", " here"]


@pytest.mark.parametrize("mark", ["(passage 2)", "\u30102\u2020source\u3011", "[^2]", "[source 2]"])
def test_a_mark_in_another_spelling_counts_for_its_sentence(mark: str) -> None:
    text = f"Storms close the harbour {mark}. Wait."
    assert written(text) == written(text.replace(mark, "[2]"))
    assert written(text, *range(1, len(text))) == written(text)


def test_quotes_of_a_page_are_not_searched_for_marks_in_words() -> None:
    assert written("Storms close the harbour (source 1).", mends=False)[0] == "Storms close the harbour (source 1)."
