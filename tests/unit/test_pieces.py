"""A passage falls into pieces that can be quoted by themselves, word for word."""

from __future__ import annotations

import pytest

from api.chat.pieces import WHOLE, Piece, quotable, split_pieces
from api.chat.sentences import split_sentences


def kinds(text: str) -> list[tuple[str, str]]:
    return [(piece.kind, piece.text) for piece in split_pieces(text)]


@pytest.mark.parametrize(
    ("paragraph", "sentences"),
    [
        ("One. Two! Three? four", ["One.", "Two!", "Three? four"]),
        ("Use e.g. Redis. It is fast.", ["Use e.g. Redis.", "It is fast."]),
        ("Dr. Who met J. Smith. They spoke.", ["Dr. Who met J. Smith.", "They spoke."]),
        ("Call `a.b. C` first. Then go.", ["Call `a.b. C` first.", "Then go."]),
        ("Version 1.2 is out. See 3.4.", ["Version 1.2 is out.", "See 3.4."]),
        ('He said "Stop." She did.', ['He said "Stop."', "She did."]),
        ("一。二。", ["一。", "二。"]),
        ("No full stop", ["No full stop"]),
    ],
)
def test_sentences_end_where_a_reader_would_say_so(paragraph: str, sentences: list[str]) -> None:
    assert split_sentences(paragraph) == sentences


def test_a_paragraph_falls_into_sentences_across_its_lines() -> None:
    assert kinds("One two\nthree. Four\nfive.\n\nSix.") == [
        ("sentence", "One two three."),
        ("sentence", "Four five."),
        ("sentence", "Six."),
    ]


def test_a_sentence_that_announces_a_list_or_code_belongs_to_it() -> None:
    text = "It is easy. Do this:\n\n1. Go\n2. Stop\n\nThen run:\n\n```sh\nmake\n\nmake up\n```\nDone."
    assert kinds(text) == [
        ("sentence", "It is easy."),
        ("list", "Do this:\n\n1. Go\n2. Stop"),
        ("code", "Then run:\n\n```sh\nmake\n\nmake up\n```"),
        ("sentence", "Done."),
    ]


def test_a_list_keeps_what_is_indented_below_its_items() -> None:
    text = "- one\n  more\n\n  ```\n  code\n  ```\n- two\n\nAfter."
    assert kinds(text) == [("list", "- one\n  more\n\n  ```\n  code\n  ```\n- two"), ("sentence", "After.")]


def test_a_long_list_falls_into_its_items_and_a_long_table_into_its_rows() -> None:
    items = [f"- {'word ' * 30}{i}" for i in range(8)]
    assert [piece.text for piece in split_pieces("\n".join(items))] == items
    rows = [f"| {i} | {'word ' * 30}|" for i in range(8)]
    table = split_pieces("\n".join(("| a | b |", "|---|---|", *rows)))
    assert [(piece.above, piece.text) for piece in table] == [("| a | b |\n|---|---|\n", row) for row in rows]


def test_what_announces_a_long_list_stands_above_each_of_its_items() -> None:
    items = [f"- {'word ' * 30}{i}" for i in range(8)]
    pieces = split_pieces("\n".join(("Mind this:", "", *items)))
    assert [piece.whole for piece in pieces] == [f"Mind this:\n\n{item}" for item in items]


def test_a_long_item_falls_into_the_items_below_it() -> None:
    nested = [f"    * {'word ' * 60}{i}" for i in range(5)]
    pieces = split_pieces("\n".join(("* **Speed**:", *nested, "* short")))
    assert [piece.whole for piece in pieces] == [*(f"* **Speed**:\n{item}" for item in nested), "* short"]


def test_steps_stay_together_where_other_lists_would_not() -> None:
    steps = "\n".join(f"{i}. {'word ' * 30}end" for i in range(1, 9))
    assert len(steps) > WHOLE
    assert [(piece.text, piece.ordered) for piece in split_pieces(steps)] == [(steps, True)]


def test_code_that_a_list_announces_belongs_to_it() -> None:
    assert kinds("- Build it:\n\n```sh\nmake\n```\n\nDone.") == [
        ("list", "- Build it:\n\n```sh\nmake\n```"), ("sentence", "Done."),
    ]  # fmt: skip


def test_half_a_pair_of_bold_signs_and_the_path_of_an_included_file_are_left_out() -> None:
    assert kinds("**Never do that. It breaks.**\n\n../../src/app.py\n\n`a.b.C`") == [
        ("sentence", "Never do that."), ("sentence", "It breaks."),
    ]  # fmt: skip


def test_long_code_is_cut_at_a_line_s_end_and_closed() -> None:
    (piece,) = split_pieces("```py\n" + "x = 1\n" * 1000 + "```")
    assert len(piece.text) < WHOLE + 20
    assert piece.text.endswith("x = 1\n...\n```")


def test_a_list_of_links_goes_with_what_announces_it() -> None:
    text = "Read on.\n\nAs well as these posts:\n\n- [One](a.md)\n- **[Two](b.md)**\n- <https://site.example>\n\nDone."
    assert kinds(text) == [("sentence", "Read on."), ("sentence", "Done.")]


def test_items_that_say_something_beside_their_links_stay() -> None:
    text = "- [One](a.md): how it begins\n- [Two](b.md)\n- plain"
    assert kinds(text) == [("list", "- One: how it begins\n- plain")]


def test_a_piece_knows_the_heading_it_stands_under_and_whether_it_opens_its_paragraph() -> None:
    pieces = split_pieces("One. Two.\n\n### `set` up {#set-up}\n\nThree.\n\n```sh\n# no heading\n```\nFour.")
    assert [(piece.heading, piece.opens) for piece in pieces] == [
        ("", True), ("", False), ("`set` up", True), ("`set` up", False), ("`set` up", True),
    ]  # fmt: skip


def test_what_announces_a_list_under_the_next_heading_stays_where_it_is() -> None:
    assert kinds("See below:\n\n## Steps\n\n1. Go") == [("sentence", "See below:"), ("list", "1. Go")]


def test_scaffolding_is_not_quoted() -> None:
    text = (
        "import Tabs from '@theme/Tabs'\n\n## Heading\n\n:::note\nMind this.\n:::\n\n<Tabs>\n<TabItem>\nIn a tab.\n"
        "</TabItem>\n</Tabs>\n\n/// tip\nTake it.\n///\n\n---\n\n> Quoted\n> text."
    )
    assert [text for _, text in kinds(text)] == ["Mind this.", "In a tab.", "Take it.", "Quoted text."]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("See [the guide](./guide.md) and ![a](b.png).", "See the guide and a."),
        ("See [the guide][ref].", "See the guide."),
        ("Use [`arr[0]` here](./a.md) and `b`.", "Use `arr[0]` here and `b`."),
        ("A \U00100000 in `text`.", "A  in `text`."),
        ("As in [1], press <kbd>Esc</kbd>.", "As in \\[1], press Esc."),
        ("Use `arr[0]` and `<b>` and ``a ` [1]``.", "Use `arr[0]` and `<b>` and ``a ` [1]``."),
        ("Escaped \\[1] stays.", "Escaped \\[1] stays."),
    ],
)
def test_links_tags_and_marks_lose_their_meaning_outside_code(text: str, shown: str) -> None:
    assert quotable(text) == shown


def test_code_stays_as_it_was_written() -> None:
    assert split_pieces("```py\nx[1] = '<b>[a](b)'\n```") == [Piece("code", "```py\nx[1] = '<b>[a](b)'\n```")]


@pytest.mark.parametrize("text", ["", "\n\n", "# Only a heading", "```", "|", "- ", "> "])
def test_odd_passages_make_no_trouble(text: str) -> None:
    assert all(piece.text.strip() for piece in split_pieces(text))


# What means something only where it stood


def test_a_sentence_that_only_points_to_another_page_is_left_out() -> None:
    text = "Chains rust. [Ropes](rope.md) tells more about them. The [bow](bow.md) is in front."
    assert [piece.text for piece in split_pieces(text)] == ["Chains rust.", "The bow is in front."]
    item = "- Chains rust, as [iron](iron.md) does. [Ropes](rope.md) says why."
    assert [piece.text for piece in split_pieces(item)] == ["- Chains rust, as iron does."]


@pytest.mark.parametrize("line", ["{!../src/anchor.py!}", "{* ../src/anchor.py hl[3] *}", "--8<-- 'anchor.py'"])
def test_a_listing_that_names_a_file_and_shows_nothing_is_left_out(line: str) -> None:
    assert split_pieces(f"```py\n{line}\n```") == []
    assert len(split_pieces(f"```py\n{line}\nanchor.drop()\n```")) == 1


def test_the_colours_of_a_terminal_are_left_out_and_tags_in_other_code_stay() -> None:
    coloured = '$ make\n<span style="color: green;">done</span>'
    assert split_pieces(f"```console\n{coloured}\n```")[0].text == "```console\n$ make\ndone\n```"
    assert coloured in split_pieces(f"```html\n{coloured}\n```")[0].text


def test_a_reply_to_the_question_in_the_heading_is_left_out() -> None:
    assert [piece.text for piece in split_pieces("Yes. Anchors rust.")] == ["Anchors rust."]
    assert [piece.text for piece in split_pieces("No. `anchor` is gone.")] == ["`anchor` is gone."]
    assert [piece.text for piece in split_pieces("No chain rusts.")] == ["No chain rusts."]


def test_items_that_are_sentences_are_pieces_where_no_list_is_wanted() -> None:
    one, other = (f"- The {name} goes over the bow, where its chain is." for name in ("anchor", "hook"))
    assert len(split_pieces(f"{one}\n{other}")) == 1
    parts = split_pieces(f"On deck:\n\n{one}\n{other}", whole_lists=False)
    assert [(piece.above, piece.text, piece.part) for piece in parts] == [
        ("On deck:\n\n", one, True), ("On deck:\n\n", other, True),
    ]  # fmt: skip
    two, short = f"There are two things on deck:\n\n{one}\n{other}", "- anchor\n- hook"
    steps = "1. Drop the anchor over the bow.\n2. Take the engine out of gear and wait for it."
    assert [len(split_pieces(whole, whole_lists=False)) for whole in (two, short, steps)] == [1, 1, 1]


def test_code_belongs_to_the_bold_line_that_announces_it() -> None:
    text = "**In short:**\n\n```\nmake\n```"
    assert [piece.text for piece in split_pieces(text)] == [text]
