from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.models import Heading
from worker.ingestion.markup.markdown import Section, parse_markdown
from worker.ingestion.markup.scan import MAX_HEADING


def headings(text: str, *, mdx: bool = False) -> list[tuple[int, str, str | None]]:
    found = [section.heading for section in parse_markdown(text, mdx=mdx)]
    return [(heading.level, heading.text, heading.anchor) for heading in found if heading]


def names(text: str, *, mdx: bool = False) -> list[str]:
    return [text for _, text, _ in headings(text, mdx=mdx)]


def body(text: str, *, mdx: bool = False) -> str:
    return "".join(section.text for section in parse_markdown(text, mdx=mdx)).strip()


def kinds(text: str) -> list[str]:
    return [block.kind for section in parse_markdown(text) for block in section.blocks]


# Sections


def test_a_page_becomes_sections_with_trails_and_anchors() -> None:
    sections = parse_markdown(
        "Before.\n\n# Book\n\nIntro.\n\n## Part\n\nText.\n\n#### Deep\n\n### Mid\n\nMore.\n## Next\n"
    )
    assert [(section.heading, section.trail, section.text.strip()) for section in sections] == [
        (None, (), "Before."),
        (Heading(1, "Book", None), ("Book",), "Intro."),
        (Heading(2, "Part", "part"), ("Book", "Part"), "Text."),
        (Heading(4, "Deep", "deep"), ("Book", "Part", "Deep"), ""),
        (Heading(3, "Mid", "mid"), ("Book", "Part", "Mid"), "More."),
        (Heading(2, "Next", "next"), ("Book", "Next"), ""),
    ]


@pytest.mark.parametrize("text", ["", "\n\n  \n\t\n", "<!-- nothing -->\n", "import A from 'a'\n"])
def test_a_page_without_text_has_no_sections(text: str) -> None:
    assert parse_markdown(text) == ()


def test_no_h1_has_an_anchor_but_each_takes_its_id() -> None:
    assert headings("# Same\n# Same\n## Same\n") == [(1, "Same", None), (1, "Same", None), (2, "Same", "same-2")]


def test_an_id_that_the_author_wrote_is_not_counted_among_the_others() -> None:
    text = "## A {#b}\n## B\n## B\n## C {/* #c-1 */}\n## C <!-- #d -->\n## E { #e }\n"
    assert [anchor for _, _, anchor in headings(text)] == ["b", "b", "b-1", "c-1", "d", "e"]
    assert names(text) == ["A", "B", "B", "C", "C", "E"]


@pytest.mark.parametrize(
    ("line", "heading"),
    [
        ("# One", (1, "One")),
        ("###### Six", (6, "Six")),
        ("   ## Indented", (2, "Indented")),
        ("## Closed ##", (2, "Closed")),
        ("## Closed ##   ", (2, "Closed")),
        ("## C#", (2, "C#")),
        ("##\tTab", (2, "Tab")),
        ("## `code` and [link](x.md) and **bold**", (2, "code and link and bold")),
        ("Setext\n===", (1, "Setext")),
        ("Setext\n---", (2, "Setext")),
        ("Two\nlines\n------", (2, "Two lines")),
        ("  Setext\n   -", (2, "Setext")),
    ],
)
def test_headings_in_all_their_forms(line: str, heading: tuple[int, str]) -> None:
    found = headings(f"text\n\n{line}\n\ntext\n")
    assert [(level, text) for level, text, _ in found] == [heading]


@pytest.mark.parametrize(
    "text",
    [
        "#hashtag",
        "####### Seven",
        "    ## Indented code",
        "\t# Indented code",
        "#",
        "## ##",
        "- item\n---",
        "> quote\n---",
        "| a | b |\n---",
        "text\n\n---\n\ntext",
        "***",
        "a\nb\nc\nd\n---",
        "## " + "x" * (MAX_HEADING + 1),
    ],
)
def test_what_only_looks_like_a_heading_stays_text(text: str) -> None:
    assert headings(text) == []
    assert body(text).split() == text.split()


def test_a_heading_in_mdx_may_be_indented_within_its_component() -> None:
    text = "<TabItem>\n\n    ## Linux\n\n</TabItem>\n"
    assert names(text, mdx=True) == ["Linux"]
    assert names(text) == []


@pytest.mark.parametrize("marked", ["> ##### Note", "- ## Note", "1. ### Note"])
def test_a_heading_within_a_quote_or_item_takes_an_id_and_opens_no_section(marked: str) -> None:
    text = f"## A\n\n{marked}\n> more\n\n## Note\n"
    assert headings(text) == [(2, "A", "a"), (2, "Note", "note-1")]
    assert marked in body(text)
    first, _ = parse_markdown(text)
    assert [(heading.text, heading.anchor) for heading in first.nested] == [("Note", "note")]


@pytest.mark.parametrize("line", [":::note", "<div>", "</Tabs>"])
def test_a_mark_above_a_rule_is_no_heading(line: str) -> None:
    assert headings(f"text\n\n{line}\n---\n") == []


def test_every_dialect_but_docusaurus_gives_an_h1_its_id() -> None:
    for dialect in ("mkdocs", "mdbook", "plain"):
        (section,) = parse_markdown("# Title\n", dialect=dialect)
        assert section.heading == Heading(1, "Title", "title")


def test_mkdocs_headings_need_no_blank_behind_their_marks() -> None:
    sections = parse_markdown("#Title\n\n##Part\n\ntext\n", dialect="mkdocs")
    assert [section.trail for section in sections] == [("Title",), ("Title", "Part")]


# Listings


@pytest.mark.parametrize(
    "listing",
    [
        "```python\n# comment\n```",
        "~~~\n# comment\n~~~",
        "````md\n```\n# inner\n```\n````",
        "```\n# a\n``` not closed\n# b\n```",
        "```\n# a\n~~~\n# b\n```",
        "- item\n\n  ```sh\n  # comment\n  ```",
        "1. item\n\n    ```sh\n# comment\n    ```",
        "- ```sh\n  # comment\n  ```",
        "> ```sh\n> # comment\n> ```",
        "   ```\n# comment\n  ```",
        "```\n# a\n    ```\n# b\n```",
        "```js title='a'\n# comment\n`````",
        "```\n<!-- \n# comment\n```",
        "```\nSetext\n===\n```",
        "```\n| a |\n|---|\n```",
    ],
)
def test_nothing_within_a_listing_is_a_heading(listing: str) -> None:
    text = f"## Before\n\n{listing}\n\n## After\n"
    assert names(text) == ["Before", "After"]
    assert "code" in kinds(text)
    assert listing.split() == body(text).split()


def test_backticks_in_the_opening_line_are_a_code_span() -> None:
    assert names("```not a fence```\n\n## Heading\n") == ["Heading"]


def test_an_unclosed_listing_is_code_to_the_end_and_is_closed() -> None:
    text = "## A\n\n```js\nlet a\n\n## not a heading\n" + "line()\n" * 50_000
    (section,) = parse_markdown(text)
    assert section.text.endswith("\n```")
    assert section.text.count("line()") == 50_000


def test_a_listing_in_a_quote_ends_with_the_quote() -> None:
    text = "> ```js\n> let a\n\n## Heading\n"
    assert names(text) == ["Heading"]
    assert body(text) == "> ```js\n> let a\n> ```"


def test_a_listing_in_a_list_item_is_closed_at_its_own_depth() -> None:
    (section,) = parse_markdown("- ```js\n  let a\n")
    assert section.text == "\n- ```js\n  let a\n  ```"


# Tables


def test_a_table_goes_from_its_header_to_its_last_row() -> None:
    text = "Before.\n\n| a | b |\n|:--|--:|\n| 1 | 2 |\n| 3 | 4 |\n\nAfter.\n"
    (section,) = parse_markdown(text)
    assert [(block.kind, block.text.strip()) for block in section.blocks] == [
        ("prose", "Before."),
        ("table", "| a | b |\n|:--|--:|\n| 1 | 2 |\n| 3 | 4 |"),
        ("prose", "After."),
    ]


@pytest.mark.parametrize("text", ["a | b\n--- | ---\n1 | 2", "|a|\n|-|\n", "> | a | b |\n> |---|---|\n> | 1 | 2 |"])
def test_tables_come_in_several_forms(text: str) -> None:
    assert kinds(text) == ["table"]


@pytest.mark.parametrize("text", ["| a | b |\n\n|---|---|\n", "a\n:--\n", "|---|---|\n"])
def test_a_row_of_dashes_alone_is_no_table(text: str) -> None:
    assert "table" not in kinds(text)


# MDX and HTML


def test_imports_and_exports_are_left_out() -> None:
    text = """import Tabs from '@theme/Tabs'
import TabItem from "@theme/TabItem";
import {
  a,
  b,
} from './c'
import './style.css'
import * as All from 'all'

export const toc = [
  {a: 1},

  {b: 2},
]

# Title

Text.
"""
    assert names(text, mdx=True) == ["Title"]
    assert body(text, mdx=True) == "Text."


@pytest.mark.parametrize(
    "text",
    [
        "import is a word that prose may begin with.",
        "export controls apply.\n\nMore.",
        "import things from 'somewhere' and go on.",
        "To start,\nimport a from 'a'\nas shown.",
        "```js\nimport a from 'a'\nexport default a\n```",
        "> import a from 'a'",
        "import a\n\nimport b",
    ],
)
def test_prose_and_listings_about_imports_stay(text: str) -> None:
    assert body(text, mdx=True) == text


def test_an_export_that_never_closes_takes_only_its_paragraph() -> None:
    assert body("export const a = {\n  b: 1\n\nText.\n\nMore.\n" + "\n\nAnd more." * 60).startswith("Text.")


def test_comments_are_left_out_and_hide_their_headings() -> None:
    text = "a\n\n<!--\n# hidden\n-->\n\nb <!-- x --> c\n\n{/* # hidden\n\nmore */}\n\nd {/* x */} e\n"
    assert names(text, mdx=True) == []
    assert body(text, mdx=True).split() == ["a", "b", "c", "d", "e"]


def test_text_on_the_line_of_a_comment_stays() -> None:
    assert body("a\n<!-- x --> b\n- <!-- y --> c\n").split() == ["a", "b", "-", "c"]


@pytest.mark.parametrize("text", ["Write `<!-- x -->` so.", "Or `{/* x */}` so.", "```html\n<!-- x -->\n```"])
def test_comments_in_code_are_code(text: str) -> None:
    assert body(text) == text


@pytest.mark.parametrize("opener", ["<!-- ", "{/* ", "x <!-- ", "x {/* ", "<Foo a={", "{ "])
def test_what_is_opened_and_never_closed_is_text(opener: str) -> None:
    text = f"{opener}a\n" * 5_000 + "\n## Heading\n"
    assert names(text) == ["Heading"]
    assert body(text).count(opener.strip()) == 5_000


@pytest.mark.parametrize(
    "opener", ["<script>", "<style>", "<pre>", "<div>", "<summary>", "<a href='x'>", "<Foo a='b'>"]
)
def test_an_element_that_is_never_closed_hides_no_text(opener: str) -> None:
    text = f"{opener}a\n" * 5_000 + "\n## Heading\n"
    assert names(text) == ["Heading"]
    assert body(text).split() == ["a"] * 5_000


def test_scripts_and_styles_are_left_out() -> None:
    text = "<style>\n# h1 {}\n</style>\n\n<script>\n// # x\n</script>\n\ntext\n"
    assert names(text) == []
    assert body(text) == "text"


def test_preformatted_text_is_a_listing() -> None:
    text = '<pre><code class="language-js">\n# a &lt; <b>b</b>\n\n```\n</code></pre>\n'
    assert kinds(text) == ["code"]
    assert body(text) == "````js\n# a < b\n\n```\n````"
    assert body("- <pre>a\n  b</pre>\n- c\n") == "- ```\n  a\n  b\n  ```\n- c"
    assert body("> <pre>a\n> b</pre>\n") == "> ```\n> a\n> b\n> ```"


# Hostile pages


@pytest.mark.parametrize(
    "text",
    [
        "`" * 20_000,
        "[" * 50_000,
        "# " + "[" * 50_000,
        "![" * 20_000,
        "[a](" * 20_000,
        "*a_" * 30_000,
        " " * 60_000 + "$",
        "> " * 5_000 + "b",
        "".join("  " * n + "- a\n" for n in range(1_000)),
        "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 20_000,
        "|".join("h" * 5_000) + "\n" + "|".join("-" * 5_000) + "\n" + "|".join("c" * 5_000),
        "a\n---\n" * 5_000,
        "- a\n---\n" * 20_000,
        "a|b\n-|-\n" * 20_000,
        "-|" * 50_000,
        "* " * 50_000,
        "1. " * 50_000,
        "> ```\n" * 10_000,
        "``` a ` b\n" * 10_000,
        "import a,\n\n" * 5_000,
        "<Foo \n" * 20_000,
        "a" + "\n" * 200_000 + "b",
        "a" * 200_000,
        "## A\n" * 10_000,
    ],
    ids=lambda text: f"{text[:12]!r}x{len(text)}",
)
def test_hostile_pages_lose_nothing_and_do_not_hang(text: str) -> None:
    sections = parse_markdown(text)
    shown = sum(len(section.text.split()) + _heading_words(section) for section in sections)
    assert shown >= len([word for word in text.split() if word.strip("#-")]) - 1


def _heading_words(section: Section) -> int:
    return len(section.heading.text.split()) if section.heading else 0


LINES = st.sampled_from(
    [
        "", "text", "more text", "# A", "## B {#b}", "### `c`", "===", "---", "```", "```js", "````", "~~~", "> quote",
        "> ```", "- item", "1. item", "  - ```", "| a | b |", "|---|---|", "<!--", "-->", "<!-- x -->", "{/*", "*/}",
        "<Foo />", "<Foo", "/>", "<pre>", "</pre>", "import a from 'a'", "export const a = {", "}", "    code",
        ":::note",
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(lines=st.lists(LINES, max_size=30), mdx=st.booleans())
def test_any_order_of_lines_keeps_its_words_and_its_listings_closed(lines: list[str], mdx: bool) -> None:
    sections = parse_markdown("\n".join(lines), mdx=mdx)
    for section in sections:
        for block in section.blocks:
            assert block.text.strip()
            if block.kind == "code":
                opened, closed = block.text.strip("\n").split("\n")[0], block.text.split("\n")[-1]
                fence = closed.lstrip(" >")
                assert fence[:3] in ("```", "~~~")
                assert fence[:3] in opened
    shown = " ".join(section.text for section in sections)
    hiding = {"<!--", "{/*", "<pre>", "export const a = {", "<Foo"} & set(lines)
    if not hiding:
        assert shown.count("text") == sum(line.count("text") for line in lines) - _in_headings(sections, "text")


def _in_headings(sections: tuple[Section, ...], word: str) -> int:
    return sum(section.heading.text.count(word) for section in sections if section.heading)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=300), mdx=st.booleans())
def test_any_text_can_be_parsed(text: str, mdx: bool) -> None:
    for section in parse_markdown(text, mdx=mdx):
        assert section.heading is None or section.trail[-1] == section.heading.text
