from __future__ import annotations

import pytest

from worker.ingestion.markup.dialect import Dialect
from worker.ingestion.markup.listing import show_listing


@pytest.mark.parametrize(
    ("info", "shown"),
    [
        ("js", "js"),
        ("", ""),
        ('js title="src/a b.js" {1,3-4} showLineNumbers', 'js title="src/a b.js"'),
        ("js {1,3-4} title='a.js'", "js title='a.js'"),
        ("js{1,3}", "js"),
        ("bash npm2yarn", "bash"),
        ("jsx live noInline", "jsx"),
        ('python hl_lines="1 2" linenums="1" title="a.py"', 'python title="a.py"'),
        ('{.python .annotate title="a.py"}', 'python title="a.py"'),
        ('{ .py hl_lines="3" }', "py"),
        ("c++", "c++"),
        ("title='a.js'", "title='a.js'"),
        ("mermaid", "mermaid"),
        ("text what the author says about it", "text what the author says about it"),
    ],
)
def test_the_opening_line_keeps_language_and_title_and_no_drawing_instructions(info: str, shown: str) -> None:
    assert show_listing(f"\n```{info}\ncode\n```", "docusaurus") == f"\n```{shown}\ncode\n```"


def test_marks_of_quotes_and_items_stay_in_front() -> None:
    assert show_listing("\n> - ```js {1}\n>   a\n>   ```", "docusaurus") == "\n> - ```js\n>   a\n>   ```"


def test_docusaurus_takes_lines_out_that_say_what_to_highlight() -> None:
    text = "\n```js\n// highlight-start\na\n  /* highlight-end */\n# highlight-next-line\nb // highlight-next-line\n```"
    assert show_listing(text, "docusaurus") == "\n```js\na\nb // highlight-next-line\n```"
    assert show_listing(text, "plain") == text


def test_mdbook_hides_lines_of_rust() -> None:
    text = "\n```rust,editable\n# fn main() {\n#\nlet a = 1;\n    # hidden\n#[derive]\n## kept\n# }\n```"
    assert show_listing(text, "mdbook") == "\n```rust\nlet a = 1;\n#[derive]\n# kept\n```"
    assert "# comment" in show_listing("\n```sh\n# comment\n```", "mdbook")


def test_colours_of_a_played_back_terminal_are_gone() -> None:
    text = '\n```console\n$ <font color="#4E9A06">fastapi</font> <b>[</b>&apos;a&apos;<b>]</b>\n```'
    assert show_listing(text, "mkdocs") == "\n```console\n$ fastapi ['a']\n```"


@pytest.mark.parametrize("dialect", ["docusaurus", "mkdocs", "mdbook", "plain"])
def test_code_is_shown_as_it_is(dialect: Dialect) -> None:
    text = "\n```html\n<b>{x}</b>  \n\n<!-- c -->\n:::note\n```"
    assert show_listing(text, dialect) == text
