"""What a reader sees of HTML and JSX."""

from __future__ import annotations

import pytest

from worker.ingestion.markup.markdown import parse_markdown


def body(text: str, *, mdx: bool = True) -> str:
    return "".join(section.text for section in parse_markdown(text, mdx=mdx)).strip()


def names(text: str) -> list[str]:
    return [section.heading.text for section in parse_markdown(text, mdx=True) if section.heading]


def kinds(text: str) -> list[str]:
    return [block.kind for section in parse_markdown(text, mdx=True) for block in section.blocks]


# Components


def test_tabs_become_their_labels_and_what_stands_in_them() -> None:
    text = """\
<Tabs groupId="os" values={[
  {label: 'Linux', value: 'linux'},

]}>
  <TabItem value="linux" label="On Linux">

    Install it:

    ```bash
    apt install
      --yes
    ```

  </TabItem>
  <TabItem value="mac">Use brew.</TabItem>
</Tabs>

After.
"""
    assert body(text) == (
        "**On Linux:**\nInstall it:\n\n```bash\napt install\n  --yes\n```\n\n**mac:**\nUse brew.\n\nAfter."
    )


def test_a_heading_in_a_tab_is_a_section_with_its_anchor() -> None:
    text = "## Setup\n\n<TabItem value='a'>\n\n    ### On Linux {#linux}\n\n    text\n\n</TabItem>\n\n## Next\n"
    sections = parse_markdown(text, mdx=True)
    assert [(section.trail, section.heading and section.heading.anchor) for section in sections] == [
        (("Setup",), "setup"),
        (("Setup", "On Linux"), "linux"),
        (("Next",), "next"),
    ]


def test_content_stays_in_the_list_item_that_its_component_stands_in() -> None:
    text = "1. Step\n\n   <Tabs>\n     <Tab label='A'>\n\n     ```sh\n     run\n     ```\n\n     </Tab>\n   </Tabs>"
    assert body(text) == "1. Step\n\n   **A:**\n   ```sh\n   run\n   ```"


def test_a_nested_list_keeps_its_depth_in_a_component() -> None:
    assert body("<Card>\n\n    - a\n      - b\n\n</Card>\n") == "- a\n  - b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<details>\n<summary>More <b>here</b></summary>\n\nHidden.\n\n</details>", "**More here:**\nHidden."),
        ("<details><summary>Why?</summary>Because.</details>", "**Why?**\nBecause."),
        ("<details>\n  <summary>\n    Two lines\n  </summary>\n\nText.\n</details>", "**Two lines:**\nText."),
        ('<Card title="A card" href="/x">\n\nText.\n\n</Card>', "**A card:**\nText."),
        ('<Admonition type="tip" title="Mind">\n\nText.\n\n</Admonition>', "**Tip: Mind**\nText."),
        ("<Note>\n\nText.\n\n</Note>", "**Note:**\nText."),
        ("<Unknown a={1} {...b}>\n\nText.\n\n</Unknown>", "Text."),
        ("Before <Badge /> after.", "Before  after."),
        ("<Chart data={[1, 2]} />\n\nText.", "Text."),
        ("<Foo\n  code={`\n# no heading\n\n```\n`}\n/>\n\nText.", "Text."),
        ("<>\n\nText.\n\n</>", "Text."),
        ("<Outer.Inner>Text.</Outer.Inner>", "Text."),
        ("<Link to='/docs/a'>the *docs*</Link>", "[the *docs*](/docs/a)"),
        ("<Image alt='A diagram' src={require('./a.png').default} />", "![A diagram](./a.png)"),
        ("<Image alt='A diagram' src={diagram} />", "A diagram"),
        ("<Foo a='x > y' b={a > b}>Text.</Foo>", "Text."),
    ],
)
def test_components_are_gone_and_what_they_show_stays(text: str, shown: str) -> None:
    assert body(text) == shown


def test_mdx_that_is_hidden_from_translators_is_part_of_the_page() -> None:
    text = "Text.\n\n```mdx-code-block\n<TabItem value='A'>In the tab.</TabItem>\n```\n\n```js\ncode\n```"
    assert body(text) == "Text.\n\n**A:**\nIn the tab.\n\n```js\ncode\n```"


# HTML


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Press <kbd>Ctrl</kbd>+<kbd>C</kbd>.", "Press Ctrl+C."),
        ("One.<br/>Two.<br>\nThree.", "One. Two.\nThree."),
        ('See <a href="/?a=1&amp;b=2" target="_blank">the **site**</a>.', "See [the **site**](/?a=1&b=2)."),
        ('An <a name="old"></a>anchor.', "An anchor."),
        ('<img src="/a.png" alt="A cat"/>', "![A cat](/a.png)"),
        ('<img src="/a.png"/>', ""),
        ("Run <code>a --b</code>.", "Run `a --b`."),
        ("Run\n<code>a --b</code>\nnow.", "Run\n`a --b`\nnow."),
        ("x<sup>2</sup> and H<sub>2</sub>O", "x^2 and H2O"),
        ("<p>One.</p><p>Two.</p>", "One.\n\nTwo."),
        ("<ul><li>One</li><li>Two</li></ul>", "- One\n- Two"),
        ("<ul>\n  <li>\n    One\n  </li>\n  <li>Two</li>\n</ul>", "- One\n- Two"),
        ('<div style={{color: "red"}}>\n\nText.\n\n</div>', "Text."),
        ('<iframe title="A film" src="https://x.org/v"></iframe>', "[A film](https://x.org/v)"),
        ("<h3 align='center'>Name</h3>\n\nText.", "**Name**\n\nText."),
        ("<svg viewBox='0'><path d='M0'/></svg>Text.", "Text."),
    ],
)  # fmt: skip
def test_html_becomes_markdown(text: str, shown: str) -> None:
    assert body(text, mdx=False) == shown
    assert body(text) == shown


def test_a_heading_in_html_is_a_section_if_it_has_an_id() -> None:
    sections = parse_markdown('## A\n\n<h3 id="own">Own <code>x</code></h3>\n\ntext\n\n## A\n')
    assert [(section.heading and section.heading.anchor, section.trail) for section in sections] == [
        ("a", ("A",)),
        ("own", ("A", "Own x")),
        ("a-1", ("A",)),
    ]


def test_a_table_in_html_is_a_table() -> None:
    text = """\
Before.

<table>
  <thead><tr><th>Name</th><th>What</th></tr></thead>
  <tr><td><code>a|b</code></td><td>one<br/>line</td></tr>
  <tr><td>c</td></tr>
</table>

After.
"""
    assert kinds(text) == ["prose", "table", "prose"]
    assert body(text) == (
        "Before.\n\n| Name | What |\n| --- | --- |\n| `a\\|b` | one line |\n| c |  |\n\nAfter."
    )  # fmt: skip


@pytest.mark.parametrize(
    "inner", ["<tr><td>\n\n```js\ncode\n```\n\n</td></tr>", "<tr><td>code <table><tr><td>x</td></tr></table></td></tr>"]
)
def test_a_table_that_is_more_than_rows_of_text_loses_no_text(inner: str) -> None:
    assert "code" in body(f"<table>\n{inner}\n</table>\n")


def test_two_tables_stay_two() -> None:
    table = "| a |\n|---|\n| 1 |\n"
    assert body(f"{table}\n{table}") == f"{table}\n{table}".strip()


def test_cells_of_a_table_stay_on_their_line() -> None:
    text = "| a | b |\n|---|---|\n| x<br/>y | {/* no */}<kbd>z</kbd> |\n| <p>p</p> | `<q>` |\n"
    assert body(text).split("\n") == ["| a | b |", "|---|---|", "| x y | z |", "| p | `<q>` |"]


def test_a_comment_ends_at_the_next_mark_whatever_is_read_ahead() -> None:
    assert body("a <!-- x --> b\n<a href='/y'>c <!-- z --> d</a>\ne <!-- f --> g") == "a  b\n[c d](/y)\ne  g"


# What is no element


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d",
        "Replace <name> with yours.",
        "An `Array<T>` or an Array<T>.",
        "A Map<String, Int> too.",
        "A Promise<A> of a Set<T extends string>.",
        "<https://x.org/a> and <me@x.org>",
        "`<Tabs>` and ``<b> ` <i>``",
        r"\<b> and \{a}",
        "1 <2> 3",
        "x <- y",
        "<b\n\nsome words>",
    ],
)
def test_what_only_looks_like_a_tag_stays(text: str) -> None:
    assert body(text, mdx=False) == text


@pytest.mark.parametrize(
    "text", ["Unclosed <Foo bar", "<Foo bar={a b\n\nmore", "a } b", "{unclosed", "a {b\n\nc}", "<Foo bar='x"]
)
def test_text_that_is_no_valid_mdx_stays(text: str) -> None:
    assert body(text) == text


# Expressions


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a {'string'} b", "a string b"),
        ('a {"it\'s"} b', "a it's b"),
        ("a {`template`} b", "a template b"),
        ("a{' '}b", "a b"),
        ("a {value} b", "a  b"),
        ("a {`x ${y}`} b", "a  b"),
        ("a {/* comment */} b", "a  b"),
        ("{\n  list.map(x => (\n    <b>{x}</b>\n\n  ))\n}\n\nText.", "Text."),
        ("`{code}` and text", "`{code}` and text"),
        (r"$\frac{a}{b} + x_{i}^{2}$", r"$\frac{a}{b} + x_{i}^{2}$"),
    ],
)
def test_expressions_show_strings_alone(text: str, shown: str) -> None:
    assert body(text) == shown


def test_a_page_that_may_be_plain_markdown_keeps_its_braces() -> None:
    assert body("a {value} and {'string'} b", mdx=False) == "a {value} and string b"
    assert body("a {value} b") == "a  b"


def test_other_dialects_know_no_expressions() -> None:
    for dialect in ("mkdocs", "mdbook", "plain"):
        (section,) = parse_markdown("a {value} {'x'} b", dialect=dialect)
        assert section.text == "\na {value} {'x'} b"
