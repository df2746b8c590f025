from __future__ import annotations

from collections.abc import Mapping

import pytest

from worker.ingestion.markup.dialect import Dialect
from worker.ingestion.markup.includes import MAX_CHARACTERS, MAX_INCLUDES, Expanded, expand_includes, included_paths
from worker.ingestion.markup.markdown import parse_markdown


def expand(text: str, files: Mapping[str, str], dialect: Dialect, path: str = "docs/guide/page.mdx") -> Expanded:
    return expand_includes(text, path, dialect, files.get)


def text_of(text: str, files: Mapping[str, str], dialect: Dialect, path: str = "docs/guide/page.mdx") -> str:
    expanded = expand(text, files, dialect, path)
    assert expanded.faults == ()
    return expanded.text


# Docusaurus


PARTIAL = "import Part from './_part.mdx'\n\n"


@pytest.mark.parametrize("target", ["./_part.mdx", "../guide/_part.mdx", "@site/docs/guide/_part.mdx"])
def test_a_partial_stands_where_its_component_stood(target: str) -> None:
    page = f"import Part from '{target}'\n\n# Page\n\n<Part />\n\nAfter.\n"
    files = {"docs/guide/_part.mdx": "---\ntitle: x\n---\n\n## Shared\n\nText.\n"}
    sections = parse_markdown(text_of(page, files, "docusaurus"), mdx=True)
    assert [(section.trail, section.text.strip()) for section in sections] == [
        (("Page",), ""),
        (("Page", "Shared"), "Text.\n\nAfter."),
    ]


def test_a_content_root_below_the_folder_of_the_site_is_understood() -> None:
    page = "import Part from '@site/docs/_part.mdx'\n\n<Part/>\n"
    assert text_of(page, {"_part.mdx": "Text."}, "docusaurus", "page.mdx").endswith("\n\nText.\n")


def test_partials_include_partials_from_where_they_lie() -> None:
    files = {"docs/shared/_a.mdx": "import B from './_b.mdx'\n\nA\n\n<B/>\n", "docs/shared/_b.mdx": "B"}
    assert text_of("import A from '../shared/_a.mdx'\n\n<A/>\n", files, "docusaurus").split()[-2:] == ["A", "B"]


def test_a_partial_may_be_imported_with_its_table_of_contents() -> None:
    files = {"docs/guide/_part.mdx": "Text."}
    page = "import Part, {toc as partToc} from './_part.mdx'\n\n<Part />\n"
    assert text_of(page, files, "docusaurus").endswith("\n\nText.\n")


def test_a_partial_shows_the_texts_that_it_is_given() -> None:
    files = {"docs/guide/_part.mdx": "Install {props.name} in {props.other}."}
    assert text_of(PARTIAL + "<Part name='redis' />", files, "docusaurus").endswith("Install redis in {props.other}.")


def test_a_partial_is_as_deep_as_its_component() -> None:
    files = {"docs/guide/_part.mdx": "```sh\nrun\n```\n"}
    assert text_of(PARTIAL + "1. Step\n\n   <Part />\n", files, "docusaurus").endswith(
        "1. Step\n\n   ```sh\n   run\n   ```\n"
    )


@pytest.mark.parametrize(
    "code", ["```jsx\n<Part />\n```", "`<Part />`", "~~~\n<Part/>\n~~~", "> ```\n> <Part />\n> ```"]
)
def test_a_component_in_code_is_code(code: str) -> None:
    assert text_of(PARTIAL + code, {"docs/guide/_part.mdx": "Text."}, "docusaurus") == PARTIAL + code


def test_a_file_that_is_imported_as_text_is_a_listing() -> None:
    page = (
        "import Source from '!!raw-loader!./a.py'\n\n<CodeBlock language='python' title=\"a.py\">{Source}</CodeBlock>\n"
    )
    assert text_of(page, {"docs/guide/a.py": "a = '```'\n"}, "docusaurus").endswith(
        "\n\n````python title=\"a.py\"\na = '```'\n````\n"
    )


def test_other_imports_and_components_stay() -> None:
    page = "import Tabs from '@theme/Tabs'\nimport a from './a.mdx'\n\n<Tabs>\n\n<Other />\n\n</Tabs>\n"
    assert included_paths(page, "docs/page.mdx", "docusaurus") == ()
    assert text_of(page, {}, "docusaurus") == page


# MkDocs


SNIPPET = "one\n# --8<-- [start:part]\ntwo\n# --8<-- [end:part]\nthree\n"


@pytest.mark.parametrize(
    ("include", "shown"),
    [
        ('--8<-- "inc/a.txt"', "one\ntwo\nthree"),
        ("-8<- 'inc/a.txt'", "one\ntwo\nthree"),
        ('--8<-- "inc/a.txt:part"', "two"),
        ('--8<-- "inc/a.txt:1"', "one"),
        ('--8<-- "inc/a.txt:1:1,5:5"', "one\nthree"),
        ('--8<-- "inc/a.txt::1"', "one"),
        ('--8<-- "inc/a.txt:5:"', "three"),
        ('--8<-- "inc/a.txt:-1"', "three"),
        ("--8<--\ninc/a.txt:part\n; inc/no.txt\n--8<--", "two"),
        (';--8<-- "inc/a.txt"', '--8<-- "inc/a.txt"'),
        ('```\n--8<-- "inc/a.txt:part"\n```', "```\ntwo\n```"),
        ('    --8<-- "inc/a.txt:part"', "    two"),
        ('Text --8<-- "inc/a.txt"', 'Text --8<-- "inc/a.txt"'),
    ],
)
@pytest.mark.parametrize("place", ["inc/a.txt", "docs/inc/a.txt"])
def test_snippets_of_mkdocs(include: str, shown: str, place: str) -> None:
    assert text_of(f"Before.\n\n{include}\n\nAfter.", {place: SNIPPET}, "mkdocs") == f"Before.\n\n{shown}\n\nAfter."


def test_snippets_are_looked_for_in_the_folders_of_the_config_first() -> None:
    files = {"inc/a.md": 'A\n\n--8<-- "b.md"\n', "more/b.md": "B", "docs/guide/b.md": "not this one"}
    folders = ("inc", "more")
    page = '--8<-- "a.md"\n'
    expanded = expand_includes(page, "docs/guide/page.md", "mkdocs", files.get, folders)
    assert expanded == Expanded("A\n\nB\n")
    assert included_paths(page, "docs/guide/page.md", "mkdocs", folders)[:2] == ("inc/a.md", "more/a.md")
    # A name that leads out of the content root is asked for nowhere.
    assert included_paths('--8<-- "../../x.md"\n', "page.md", "mkdocs", folders) == ()


def test_code_files_of_mkdocs_are_listings_with_the_lines_that_are_asked_for() -> None:
    page = "Text:\n\n{* ../../src/app/a.py ln[1:2,4] hl[2] *}\n\n  {* ../../src/app/a.py title[a.py] *}\n"
    files = {"src/app/a.py": "one\ntwo\nthree\nfour\n"}
    assert text_of(page, files, "mkdocs", "docs/en/docs/tutorial/page.md") == (
        "Text:\n\n```python\none\ntwo\nfour\n```\n\n"
        '  ```python title="a.py"\n  one\n  two\n  three\n  four\n  ```\n'
    )  # fmt: skip


# mdBook


BOOK_FILE = (
    "fn one() {}\n// ANCHOR: two\nfn two() {}\n// ANCHOR: inner\n// ANCHOR_END: inner\n// ANCHOR_END: two\nlast\n"
)


@pytest.mark.parametrize(
    ("include", "shown"),
    [
        ("{{#include ../src/a.rs:1}}", "fn one() {}"),
        ("{{#include ../src/a.rs:two}}", "fn two() {}"),
        ("{{#include ../src/a.rs::1}}", "fn one() {}"),
        ("{{#include ../src/a.rs:7:}}", "last"),
        ("{{#include ../src/a.rs:7:99}}", "last"),
        ("{{#include ../src/a.rs:none}}", ""),
        ("{{ #include ../src/a.rs:1 }}", "fn one() {}"),
        ("{{#rustdoc_include ../src/a.rs:two}}", "fn two() {}"),
        ("{{#playground ../src/b.rs editable}}", "```rust\nfn b() {}\n```"),
        (r"\{{#include ../src/a.rs}}", "{{#include ../src/a.rs}}"),
        ("{{#title My page}}", ""),
        ("```rust\n{{#include ../src/b.rs}}\n```", "```rust\nfn b() {}\n```"),
    ],
)
def test_includes_of_mdbook(include: str, shown: str) -> None:
    files = {"docs/src/a.rs": BOOK_FILE, "docs/src/b.rs": "fn b() {}\n"}
    assert text_of(include, files, "mdbook", "docs/guide/page.md") == shown


# What cannot be included


@pytest.mark.parametrize(
    ("text", "dialect", "shown", "target"),
    [
        ('--8<-- "a.md"', "mkdocs", "a.md", "a.md"),
        ("{* a.py *}", "mkdocs", "a.py", "a.py"),
        ("{{#include a.md:3}}", "mdbook", "a.md", "a.md"),
        ("{{#include ../../../../a.md}}", "mdbook", "../../../../a.md", "../../../../a.md"),
        ("import A from './a.mdx'\n\n<A/>", "docusaurus", "import A from './a.mdx'\n\n", "./a.mdx"),
    ],
)
def test_a_missing_target_is_named_and_the_page_is_kept(text: str, dialect: Dialect, shown: str, target: str) -> None:
    expanded = expand(f"Before.\n\n{text}\n\nAfter.", {}, dialect)
    assert expanded.text == f"Before.\n\n{shown}\n\nAfter."
    (fault,) = expanded.faults
    assert fault.startswith(f"includes {target}, not found")


def test_faults_name_a_few_targets_and_count_the_rest() -> None:
    text = "\n".join(f"{{* a{n}.py *}}" for n in range(5))
    (fault,) = expand(text, {}, "mkdocs").faults
    assert fault.startswith("includes a0.py, a1.py, a2.py and 2 more, not found below the content root")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../etc/passwd", "a\0b", "x" * 1000, ".", ".."])
@pytest.mark.parametrize("dialect", ["docusaurus", "mkdocs", "mdbook"])
def test_nothing_outside_the_content_root_is_asked_for(target: str, dialect: Dialect) -> None:
    text = f"import A from '{target}.mdx'\n\n<A/>\n\n--8<-- \"{target}\"\n\n{{* {target} *}}\n\n"
    text += f"{{{{#include {target}}}}}\n"
    for path in included_paths(text, "docs/guide/page.md", dialect):
        assert not path.startswith(("/", ".."))
        assert "\0" not in path


def test_a_file_that_includes_itself_ends() -> None:
    files = {"docs/a.md": "A {{#include b.md}}", "docs/b.md": "B {{#include a.md}}"}
    expanded = expand("{{#include a.md}}", files, "mdbook", "docs/page.md")
    assert expanded.text == "A B a.md"
    (fault,) = expanded.faults
    assert "may not include itself" in fault


def test_a_page_of_bombs_is_bounded_and_stays_readable() -> None:
    files = {f"docs/{n}.md": f"{{{{#include {n + 1}.md}}}}" * 10 for n in range(20)}
    files |= {"docs/big.md": "x" * (MAX_CHARACTERS // 3)}
    deep = expand("Before.{{#include 0.md}}", files, "mdbook", "docs/page.md")
    wide = expand("Before." + "{{#include big.md}}" * 100, files, "mdbook", "docs/page.md")
    many = expand("Before." + "{{#include s.md}}" * 3 * MAX_INCLUDES, {"docs/s.md": "s"}, "mdbook", "docs/page.md")
    for expanded in (deep, wide, many):
        assert len(expanded.text) < 2 * MAX_CHARACTERS
        assert expanded.text.startswith("Before.")
        assert len(expanded.faults) == 1


def test_ranges_over_and_over_are_no_bomb() -> None:
    lines = "line\n" * 1000
    text = text_of('--8<-- "a.md:' + ",".join(["1:1000"] * 5000) + '"', {"a.md": lines}, "mkdocs", "page.md")
    assert len(text) < 3 * len(lines)


# What a page includes


def test_paths_are_those_that_expanding_asks_for() -> None:
    asked: list[str] = []

    def read(path: str) -> None:
        asked.append(path)

    for dialect, text in (
        ("docusaurus", PARTIAL + "import X from '@site/x.md'\n\n<Part/> <X/>"),
        ("mkdocs", '--8<-- "a/b.md:1:2"\n\n{* ../c.py *}'),
        ("mdbook", "{{#include a.rs}} {{#playground ../b.rs}}"),
    ):
        asked.clear()
        expand_includes(text, "docs/guide/page.mdx", dialect, read)  # type: ignore[arg-type]
        assert list(included_paths(text, "docs/guide/page.mdx", dialect)) == asked != []  # type: ignore[arg-type]


@pytest.mark.parametrize("dialect", ["docusaurus", "mkdocs", "mdbook", "plain"])
def test_a_page_without_includes_is_returned_as_it_is(dialect: Dialect) -> None:
    text = "# Page\n\nimport is a word, {braces} too.\n"
    assert included_paths(text, "page.md", dialect) == ()
    assert expand(text, {}, dialect).text is text
