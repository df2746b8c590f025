"""Remarks, tabs and other containers of each kind of site."""

from __future__ import annotations

import pytest

from worker.ingestion.markup.dialect import Dialect
from worker.ingestion.markup.markdown import parse_markdown


def body(text: str, dialect: Dialect) -> str:
    return "".join(section.text for section in parse_markdown(text, dialect=dialect)).strip()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (":::note\n\nText.\n\n:::\n\nAfter.", "**Note:**\nText.\n\nAfter."),
        (":::tip[Mind `this`]\nText.\n:::", "**Tip: Mind `this`**\nText."),
        (":::tip[**Very** bold]\nText.\n:::", "**Tip: Very bold**\nText."),
        (":::note Legacy title\nText.\n:::", "**Note: Legacy title**\nText."),
        (":::info[Info]\nText.\n:::", "**Info:**\nText."),
        (":::warning{.big}\nText.\n:::", "**Warning:**\nText."),
        (":::note\n- a\n- b\n:::", "**Note:**\n- a\n- b"),
        ("::: details Why\nText.\n:::", "**Why:**\nText."),
        ("::: {.callout-note}\nText.\n:::", "**Callout note:**\nText."),
        (
            "::::tip\n\nOuter.\n\n:::note\n\nInner.\n\n:::\n\n::::\n\nEnd.",
            "**Tip:**\nOuter.\n\n**Note:**\nInner.\n\nEnd.",
        ),
        ("- item\n\n  :::note\n\n  Text.\n\n  :::\n", "- item\n\n  **Note:**\n  Text."),
        (":::note\n\n```js\n:::tip\n```\n\n:::", "**Note:**\n```js\n:::tip\n```"),
        ("Text.\n:::", "Text.\n:::"),
        (":::note\nNever closed.", "**Note:**\nNever closed."),
        ("`:::note` is written so.", "`:::note` is written so."),
    ],
)  # fmt: skip
def test_colons_make_remarks_with_kind_and_title(text: str, shown: str) -> None:
    assert body(text, "docusaurus") == shown


def test_a_heading_in_a_remark_is_a_section() -> None:
    sections = parse_markdown("## A\n\n:::tip[Title]\n\n### Inside\n\nText.\n\n:::\n")
    assert [(section.trail, section.text.strip()) for section in sections] == [
        (("A",), "**Tip: Title**"),
        (("A", "Inside"), "Text."),
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("> [!NOTE]\n> Text.\n\nAfter.", "> **Note:**\n> Text.\n\nAfter."),
        ("> [!WARNING] Take care\n> Text.", "> **Warning: Take care**\n> Text."),
        ("[!NOTE] is no alert", "[!NOTE] is no alert"),
        ("> ![image](a.png)", "> ![image](a.png)"),
    ],
)
@pytest.mark.parametrize("dialect", ["docusaurus", "mkdocs", "mdbook", "plain"])
def test_alerts_keep_their_kind(text: str, shown: str, dialect: Dialect) -> None:
    assert body(text, dialect) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('!!! note "A `title`"\n\n    Text.\n\n    More.\n\nAfter.', "**Note: A `title`**\nText.\n\nMore.\n\nAfter."),
        ("!!! note\n    Text.", "**Note:**\nText."),
        ('??? tip "Closed"\n    Text.', "**Tip: Closed**\nText."),
        ("???+ tip\n    Text.", "**Tip:**\nText."),
        ('!!! danger ""\n    Text.', "Text."),
        ("!!! note inline end\n    Text.", "**Note:**\nText."),
        (
            '=== "Linux"\n\n    ```sh\n    apt\n      -y\n    ```\n\n=== "Mac"\n\n    brew',
            "**Linux:**\n```sh\napt\n  -y\n```\n\n**Mac:**\nbrew",
        ),
        (
            '!!! note\n    === "A"\n        Text.\n\n        !!! tip\n            Deep.\n\n    Outer.',
            "**Note:**\n\n**A:**\nText.\n\n**Tip:**\nDeep.\n\nOuter.",
        ),
        ('1. item\n\n    === "A"\n\n        Text.\n\n    More.', "1. item\n\n    **A:**\n    Text.\n\n    More."),
        ("!!! note\n    ```py\n    !!! x\n      y\n    ```\n", "**Note:**\n```py\n!!! x\n  y\n```"),
        ("!!! note\n    ```py\n    never closed\n\nAfter.", "**Note:**\n```py\nnever closed\n\n```\nAfter."),
        ("```\n!!! note\n    code\n```", "```\n!!! note\n    code\n```"),
        ("Wow!!! note this", "Wow!!! note this"),
        ("::: package.module.Class\n    options:\n        members: true\n\nAfter.", "`package.module.Class`\n\nAfter."),
        ("    indented code", "indented code"),
    ],
)  # fmt: skip
def test_indented_blocks_of_mkdocs_are_at_the_depth_of_the_text_around_them(text: str, shown: str) -> None:
    assert body(text, "mkdocs") == shown


def test_a_heading_in_an_indented_block_is_a_section_with_its_id() -> None:
    sections = parse_markdown("# A\n\n!!! note\n\n    ## Inside\n\n    Text.\n\n## Inside\n", dialect="mkdocs")
    assert [section.heading and section.heading.anchor for section in sections] == ["a", "inside", "inside_1"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/// tip | A title\n\nText.\n\n///\n\nAfter.", "**Tip: A title**\nText.\n\nAfter."),
        ("/// note\n\nText.\n\n///", "**Note:**\nText."),
        ("/// details | Why\n    type: info\n    open: True\n\nText.\n\n///", "**Why:**\nText."),
        (
            "//// tab | One\n\n/// note\n\nText.\n\n///\n\n////\n\n//// tab | Two\n\nMore.\n\n////",
            "**One:**\n\n**Note:**\nText.\n\n**Two:**\nMore.",
        ),
        ("/// note of prose", "/// note of prose"),
        ("Text.\n\n///", "Text.\n\n///"),
    ],
)  # fmt: skip
def test_slashes_make_remarks_and_tabs_in_mkdocs(text: str, shown: str) -> None:
    assert body(text, "mkdocs") == shown


def test_marks_of_one_dialect_are_text_in_another() -> None:
    assert body("/// note\n\nText.\n\n///", "docusaurus") == "/// note\n\nText.\n\n///"
    assert body('!!! note "x"\n\nText.', "plain") == '!!! note "x"\n\nText.'


def test_attribute_lists_of_mkdocs_are_gone() -> None:
    text = "[a](b){ .md-button target=_blank } ![c](d){: .right } `{code}` {x} *e*{ .f }"
    assert body(text, "mkdocs") == "[a](b) ![c](d) `{code}` {x} *e*"
    assert body(text, "plain") == text


def test_templates_of_mkdocs_are_gone_where_a_page_has_statements() -> None:
    assert body("{% for a in b %}\n- {{ a }}\n{% endfor %}\n\nText.", "mkdocs").split() == ["-", "Text."]
    assert body("Write {{ a }} so.", "mkdocs") == "Write {{ a }} so."


def test_icons_of_mkdocs_are_gone() -> None:
    text = "[:octicons-heart-fill-24:{ .mdx-heart } Insiders](a.md) :material-check: yes `:simple-x:`"
    assert body(text, "mkdocs").split() == ["[", "Insiders](a.md)", "yes", "`:simple-x:`"]
