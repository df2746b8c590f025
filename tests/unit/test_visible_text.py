"""Nothing that a reader sees is lost, nothing is made up, and no page takes long, whatever is in it."""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.ingestion.markup.dialect import Dialect
from worker.ingestion.markup.includes import expand_includes
from worker.ingestion.markup.markdown import parse_markdown

#: Words that a reader sees, and words that no reader sees.
WORD = re.compile(r"seen\d+|hidden\d+")


class Words:
    """Numbers the words of a page while it is being made up."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._hidden = 0

    def see(self) -> str:
        self.seen.append(f"seen{len(self.seen)}")
        return self.seen[-1]

    def hide(self) -> str:
        self._hidden += 1
        return f"hidden{self._hidden}"


Make = Callable[[Words, str], str]


def indented(text: str, by: str) -> str:
    return "\n".join(by + line if line else line for line in text.split("\n"))


LEAVES: list[Make] = [
    lambda w, _: f"{w.see()} and {w.see()}",
    lambda w, _: f"a <kbd>{w.see()}</kbd><br/>{w.see()} {{/* {w.hide()} */}} <Badge type='{w.hide()}' /> {w.see()}",
    lambda w, _: f"<!-- {w.hide()} --> `{w.see()}` {{'{w.see()}'}} <b {w.hide()}='x'>{w.see()}</b>",
    lambda w, _: f'[{w.see()}](x.md) <a class="{w.hide()}" href="/a">**{w.see()}**</a> ![{w.see()}](y.png)',
    lambda w, _: f'```js title="{w.see()}" {{1}}\n<{w.see()}> {{{w.see()}}}\n:::note\n# {w.see()}\n```',
    lambda w, _: f"| {w.see()} | b |\n|---|---|\n| <p>{w.see()}</p> | {w.see()} |",
    lambda w, _: f"- {w.see()}\n  - {w.see()}\n\n  {w.see()}\n- {w.see()}",
    lambda w, _: f"> {w.see()}\n> {w.see()}",
    lambda w, depth: f"{depth} {w.see()} `{w.see()}`\n\n{w.see()}",
    lambda w, _: f"<Chart\n  data={{[\n    '{w.hide()}',\n\n    {{a: 1}}]}}\n/>",
    lambda w, _: f"<table>\n<tr><th>{w.see()}</th></tr>\n<tr><td>{w.see()}</td></tr>\n</table>",
    lambda w, _: f"<pre>\n{w.see()} &lt; {w.see()}\n</pre>",
    lambda w, _: f"{{\n  {w.hide()}.map(x => <b>{w.hide()}</b>)\n}}\n\n{w.see()}",
]

WRAPS: list[Callable[[Words, Callable[[], str]], str]] = [
    lambda w, inner: (
        f"<Tabs groupId='{w.hide()}'>\n<TabItem value='{w.hide()}' label='{w.see()}'>\n\n{inner()}\n\n"
        "</TabItem>\n</Tabs>"
    ),
    lambda w, inner: "<Tabs>\n  <TabItem value='x'>\n\n" + indented(inner(), "    ") + "\n\n  </TabItem>\n</Tabs>",
    lambda w, inner: f"<details>\n<summary>{w.see()} <i>{w.see()}</i></summary>\n\n{inner()}\n\n</details>",
    lambda w, inner: f":::tip[{w.see()}]\n\n{inner()}\n\n:::",
    lambda w, inner: f":::note\n\n{inner()}\n\n:::",
    lambda w, inner: f"<div className='{w.hide()}' style={{{{a: '{w.hide()}'}}}}>\n\n{inner()}\n\n</div>",
    lambda w, inner: f"<>\n\n{inner()}\n\n</>",
    lambda w, inner: f"<Card title='{w.see()}' {{...{w.hide()}}}>\n\n{inner()}\n\n</Card>",
]  # fmt: skip


@st.composite
def pages(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A page of MDX, and the words of it that a reader sees, in order."""
    words = Words()

    def content(depth: int) -> str:
        parts = []
        for _ in range(draw(st.integers(1, 3))):
            if depth < 3 and draw(st.booleans()):
                wrap = draw(st.sampled_from(WRAPS))
                parts.append(wrap(words, lambda: content(depth + 1)))
            else:
                parts.append(draw(st.sampled_from(LEAVES))(words, "#" * draw(st.integers(1, 6))))
        return "\n\n".join(parts)

    imports = (
        f"import {{ {words.hide()} }} from './{words.hide()}'\n\nexport const {words.hide()} = {{\n  a: 1,\n}}\n\n"
    )
    return imports + content(0) + "\n", words.seen


@settings(max_examples=300, deadline=None)
@given(page=pages())
def test_the_words_of_the_sections_are_the_words_that_a_reader_sees(page: tuple[str, list[str]]) -> None:
    text, seen = page
    shown: list[str] = []
    for section in parse_markdown(text, mdx=True):
        if section.heading:
            shown += WORD.findall(section.heading.text)
        shown += WORD.findall(section.text)
    assert shown == seen


TOKENS = st.sampled_from(
    [
        "word1 ", "word2\n", "\n", "\n\n", "\n    ", "\n> ", "\n- ", "# ", "\n## ", "`", "``", "\n```\n", "<", ">",
        "</", "/>",
        "<A", "<A>", "</A>", "<b>", "<a href='", "'", '"', "{", "}", "{'", "{`", "{/*", "*/}", "<!--", "-->", "$",
        "\\", "|",
        "\n|---|\n", ":::", "\n:::note\n", "\n:::\n", "\n/// tip | a\n", "\n///\n", "\n!!! note\n    ",
        '\n=== "a"\n', "[!NOTE]",
        "<table>", "<tr><td>", "</table>", "<summary>", "</summary>", "<pre>", "</pre>", "<script>", "</script>",
        "import a from 'a'",
        "\nexport const a = {\n", "{#id}", "{ .a }", "{{#include a}}", '\n--8<-- "a"\n', "\n{* a *}\n", "![", "](",
        ")", "\t", "\u00a0",
    ]
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(
    tokens=st.lists(TOKENS, max_size=40),
    dialect=st.sampled_from(["docusaurus", "mkdocs", "mdbook", "plain"]),
    mdx=st.booleans(),
)
def test_any_order_of_marks_can_be_parsed_and_ends_in_blocks_with_text(
    tokens: list[str], dialect: Dialect, mdx: bool
) -> None:
    expanded = expand_includes("".join(tokens), "a/b.md", dialect, {"a/a": "included"}.get)
    for section in parse_markdown(expanded.text, dialect=dialect, mdx=mdx):
        for block in section.blocks:
            assert block.text
            if block.kind == "code":
                assert block.text.startswith("\n")


@settings(max_examples=200, deadline=None)
@given(words=st.lists(st.sampled_from(["a <", "b >", "c {", "d }", "e <f", "g < h", "`i`", "j'", '"k"', "<l", "m/>"])))
def test_words_between_marks_that_open_nothing_are_kept(words: list[str]) -> None:
    text = "\n".join(words)
    shown = "".join(section.text for section in parse_markdown(text, dialect="plain"))
    kept = re.findall("[a-m]", shown)
    # A name right behind a bracket may make a tag with what follows it, up to the next one that closes.
    assert kept == re.findall("[a-m]", text) or ("<f" in text or "<l" in text)


HOSTILE = [
    "<A", "<A ", "<A b='", "<A b={", "<A {...x} ", "{", "{{", "{'", "x {`", "<!-- ", "x {/* ", "`<", "`` < ` ",
    "<a href='x'>",
    "<a href=x><a>b</a>", "<summary>a</summary>", "<details>\n", ":::note\n", ":::\n", ":::a[", "<Tabs>\n  ", "</a>",
    "<table>\n", "<table><tr><td>", "<h2 id='a'>\n", "<pre>\n", "> [!NOTE]\n", "{x}", "<>",
    "| a | <b> |\n|---|---|\n", "$x_{",
    "{{#include a}}", "{{#include ", '--8<-- "a"\n', "--8<--\na\n", "{* a *}\n", "import A from './a.md'\n<A/>\n",
    "/// note\n",
    "!!! note\n    ", '=== "a"\n', "# a_1\n", "### `a\n", "export const a = {\n", "[a](b){ .c }",
    "```mdx-code-block\n", ":material-a: `", "<x-y>", "\n<li>",
    "<code>",
]  # fmt: skip
#: How much longer four times the text may take; a quadratic parser takes sixteen times as long.
GROWTH = 10


@pytest.mark.parametrize("dialect", ["docusaurus", "mkdocs", "mdbook"])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_time_grows_with_the_page_whatever_is_opened_and_not_closed(hostile: str, dialect: Dialect) -> None:
    def seconds(length: int) -> float:
        text = hostile * (length // len(hostile))
        started = time.process_time()
        expanded = expand_includes(text, "a/b.md", dialect, {"a/a": "x", "a/a.md": "x"}.get)
        parse_markdown(expanded.text, dialect=dialect, mdx=True)
        return time.process_time() - started

    # Collections would look at all that other tests have left behind.
    gc.disable()
    try:
        # Below a hundredth of a second the clock says little; a busy machine slows a run, but hardly three in a row.
        assert any(seconds(20_000) < GROWTH * max(seconds(5_000), 0.01) for _ in range(3))
    finally:
        gc.enable()


@pytest.mark.parametrize("unit", ["a", "a ", "<b>a</b> ", "`a` < ", "a{'b'} ", "&lt;"])
def test_a_page_of_one_long_line_is_read(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    (section,) = parse_markdown(text, mdx=True)
    assert len(section.text) >= 200_000 // len(unit)
