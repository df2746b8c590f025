"""What is quoted of a passage stands on its page word for word, and a browser can be sent there."""

from __future__ import annotations

import time
from urllib.parse import unquote

import pytest

from api.chat.quotes import Unit, fragment_link, rendered, text_directive, units_of

PASSAGE = """\
## Anchoring {#anchor}

Drop the **anchor** over the `bow`, see [the chart](/docs/chart). Then pay out
the chain &mdash; slowly.

- Use *four* lines.
  They hold the ship. And stay dry.
- [x] Let go.

  ```sh
  harbor moor
  ```

| option | what |
|---|---|
| `--dry-run` | only says \\| what |

```py
berth = Berth()

berth.tie_up()
```
"""


def test_a_passage_is_cut_into_what_its_page_shows() -> None:
    assert [(unit.kind, unit.text) for unit in units_of(PASSAGE)] == [
        ("heading", "Anchoring"),
        ("sentence", "Drop the anchor over the bow, see the chart."),
        ("sentence", "Then pay out the chain \u2014 slowly."),
        ("sentence", "Use four lines."),
        ("sentence", "They hold the ship."),
        ("sentence", "And stay dry."),
        ("sentence", "Let go."),
        ("code", "harbor moor"),
        ("row", "option | what"),
        ("row", "--dry-run | only says | what"),
        ("code", "berth = Berth()"),
        ("code", "berth.tie_up()"),
    ]


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("a **b** _c_ ~~d~~ `e_f` __g__", "a b c d e_f g"),
        ("snake_case and 2 * 3", "snake_case and 2 * 3"),
        ("![pic](x.png) [a](b) [c][d] <https://e.example> [^1]", "a c https://e.example"),
        ("\\*not\\* `\\*` &lt;b&gt;", "*not* \\* <b>"),
        ("`` a ` b ``", "a ` b"),
    ],
)
def test_signs_of_markdown_are_not_shown(markdown: str, shown: str) -> None:
    assert rendered(markdown) == shown


def linkable(text: str) -> Unit:
    return Unit("sentence", text, linkable=True)


def test_a_short_quote_is_named_whole_and_a_long_one_by_its_ends() -> None:
    assert text_directive("Drop the anchor now.") == "text=Drop%20the%20anchor%20now"
    assert text_directive("Drop the anchor over the bow and then pay out all the chain.") == (
        "text=Drop%20the%20anchor%20over,out%20all%20the%20chain"
    )


def test_the_signs_that_part_a_directive_are_encoded() -> None:
    directive = text_directive("Save fore-and-aft, port & starboard")
    assert directive == "text=Save%20fore%2Dand%2Daft%2C%20port%20%26%20starboard"
    assert unquote(directive.removeprefix("text=")) == "Save fore-and-aft, port & starboard"


def test_letters_of_any_script_are_encoded_as_utf_8() -> None:
    assert text_directive("Größe über alles") == "text=Gr%C3%B6%C3%9Fe%20%C3%BCber%20alles"


@pytest.mark.parametrize("text", ["Let go.", '"\'"', "It's \u201cdone\u201d -- or is it"])
def test_what_could_be_found_by_chance_or_be_set_otherwise_is_not_looked_for(text: str) -> None:
    assert text_directive(text) == ""


def test_words_with_quotes_and_dashes_are_left_out_of_the_ends() -> None:
    directive = text_directive("Drop the anchor's chain before you let the ship go, and don't leave the deck now.")
    assert directive == "text=Drop%20the,leave%20the%20deck%20now"


def test_a_fragment_goes_with_the_heading_s_anchor_or_stands_alone() -> None:
    unit = linkable("Drop the anchor now.")
    assert fragment_link("/docs/a#b", unit) == "/docs/a#b:~:text=Drop%20the%20anchor%20now"
    assert fragment_link("/docs/a", unit) == "/docs/a#:~:text=Drop%20the%20anchor%20now"
    assert fragment_link("/docs/a#b", Unit("code", "berth.tie_up()  # now")) == "/docs/a#b"


@pytest.mark.parametrize(
    "line",
    [
        "It costs {price} a night in port.",
        "A <Badge>new</Badge> harbour has opened.",
        "The formula $a^2$ says how deep it is.",
        "Footnotes[^1] are set apart from their words.",
        "See https://site.example/docs for what it costs.",
        "An anchor :anchor: holds the ship in place.",
    ],
)
def test_what_a_site_may_render_otherwise_is_not_linked_to(line: str) -> None:
    (unit,) = units_of(line)
    assert not unit.linkable


def test_a_sentence_with_code_and_links_can_be_linked_to() -> None:
    (unit,) = units_of("Drop the `{anchor}` over [the bow](x.md) slowly.")
    assert (unit.text, unit.linkable) == ("Drop the {anchor} over the bow slowly.", True)


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("Text[^`n`] run `b`.", "Text run b."),
        ('<img alt="`x`"> Use `b`.', "Use b."),
        ("![`old` shot](a.png) Use `b`, not `c`.", "Use b, not c."),
    ],
)
def test_code_that_is_taken_out_with_an_image_or_a_tag_changes_no_other(markdown: str, shown: str) -> None:
    assert rendered(markdown) == shown


def test_a_unit_knows_what_of_it_is_code() -> None:
    assert [unit.code for unit in units_of("Set `a b` and ``c`` first. Then go.\n\n| `x` | y |\n|---|---|")] == [
        ("a b", "c"), (), ("x",),
    ]  # fmt: skip


@pytest.mark.parametrize("odd", ["<!--", "<!-- a ", "[^", "{#", "<a", "**a", "`", "![](", "[a]("])
def test_hostile_text_is_rendered_as_fast_as_words(odd: str) -> None:
    began = time.process_time()
    rendered(odd * (50_000 // len(odd)))
    assert time.process_time() - began < 0.5


def test_comments_are_left_out_each_by_itself() -> None:
    assert rendered("a <!-- b --> c <!-- d <!-- e --> f") == "a c <!-- d f"
