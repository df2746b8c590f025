from __future__ import annotations

import pytest

from worker.ingestion.markup.dialect import Dialect
from worker.ingestion.markup.inline import plain_text
from worker.ingestion.markup.slug import Slugger, Title, heading_ids, slugify, split_explicit_id


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("Getting Started", "getting-started"),
        ("dispatch(action)", "dispatchaction"),
        ("API & CLI", "api--cli"),
        ("What\u2019s new?", "whats-new"),
        ("snake_case stays", "snake_case-stays"),
        ("0.106.0 (2023-12-25)", "01060-2023-12-25"),
        ("Für Größen", "für-größen"),
        ("中文 标题", "中文-标题"),
        ("हिन्दी शीर्षक", "हिन्दी-शीर्षक"),
        ("👋 Hello", "-hello"),
        ("a — b", "a--b"),
        ("tab\there", "tabhere"),
        ("Ⓐ circled", "ⓐ-circled"),
        ("x² and ½", "x-and-"),
        ("e\u0301 combined", "e\u0301-combined"),
        ("ΑΣ", "ας"),
    ],
)
def test_ids_are_those_of_github_slugger(text: str, slug: str) -> None:
    assert slugify(text) == slug


def test_a_repeated_id_is_numbered_and_a_numbered_one_is_not_given_twice() -> None:
    slugger = Slugger()
    assert [slugger.slug(text) for text in ("Foo", "Foo", "Foo 1", "Foo", "foo")] == [
        "foo",
        "foo-1",
        "foo-1-1",
        "foo-2",
        "foo-3",
    ]


def test_ten_thousand_equal_headings_get_ten_thousand_ids() -> None:
    slugger = Slugger()
    assert len({slugger.slug("Example") for _ in range(10_000)}) == 10_000


def test_an_empty_heading_has_an_empty_id_first() -> None:
    slugger = Slugger()
    assert [slugger.slug("!"), slugger.slug("?")] == ["", "-1"]


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("Title {#my-id}", ("Title", "my-id")),
        ("Title { #my-id }", ("Title", "my-id")),
        ("Title {: #my-id .class}", ("Title", "my-id")),
        ("Title {/* #my-id */}", ("Title", "my-id")),
        ("Title <!-- #my-id -->", ("Title", "my-id")),
        ("Title {#a} {#b}", ("Title {#a}", "b")),
        ("Using {braces}", ("Using {braces}", None)),
        ("Title {#my-id} more", ("Title {#my-id} more", None)),
        ("Plain", ("Plain", None)),
    ],
)
def test_an_id_that_the_author_wrote_is_found_at_the_headings_end(
    heading: str, expected: tuple[str, str | None]
) -> None:
    assert split_explicit_id(heading) == expected


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("`getState()`", "getState()"),
        ("`` a`b ``", "a`b"),
        ("The `a_b_c` and `*` marks", "The a_b_c and * marks"),
        ("See [the `docs`](https://x.org/a_(b)) now", "See the docs now"),
        ("[text][ref] and [collapsed][]", "text and collapsed"),
        ("![logo](a.png) Name", "logo Name"),
        ("**Bold** and *it* and ***both***", "Bold and it and both"),
        ("_it_ and __init__ but snake_case_name", "it and init but snake_case_name"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        (r"\_private\_ and \*", "_private_ and *"),
        ("a &amp; b &lt; c", "a & b < c"),
        ("Props <Badge type='x'>New</Badge>", "Props New"),
        ("Line<br/>break", "Linebreak"),
        ("<https://x.org>", "https://x.org"),
        ("~~old~~ new", "old new"),
        ("Note[^1]", "Note"),
        ("Title {/* hidden */}<!-- too -->", "Title "),
        ("Generic `Map<K, V>`", "Generic Map<K, V>"),
        ("\ufdd07\ufdd1 `code`", "7\ufdd1 code"),
    ],
)
def test_a_headings_text_is_what_a_reader_sees(markdown: str, text: str) -> None:
    assert plain_text(markdown) == text


@pytest.mark.parametrize("hostile", ["[" * 290, "` [a", "**a " * 2, "_a" * 140, "[a](" * 70, "<a " * 90, "![" * 140])
def test_marks_that_never_close_stay_as_they_are(hostile: str) -> None:
    assert plain_text(hostile) == hostile


# What each generator makes of a page's headings


def ids(dialect: Dialect, *texts: str) -> list[str]:
    return heading_ids([Title(*split_explicit_id(text)) for text in texts], dialect)


def test_docusaurus_does_not_count_ids_that_an_author_wrote() -> None:
    assert ids("docusaurus", "Setup", "Setup {#setup-1}", "Setup", "Setup") == [
        "setup",
        "setup-1",
        "setup-1",
        "setup-2",
    ]


def test_mkdocs_ids_are_those_of_pythons_markdown() -> None:
    # What `markdown` 3.10 gives with the extensions `toc` and `attr_list`.
    texts = [
        "Über uns",
        "Foo",
        "Foo",
        "foo",
        "Bar { #foo }",
        "!",
        "?",
        "Foo 1",
        "a_1",
        "a_1",
        "a_1",
        "A -- b  c",
        "中文",
    ]
    assert ids("mkdocs", *texts) == [
        "uber-uns", "foo_1", "foo_2", "foo_3", "foo", "_1", "_2", "foo-1", "a_1", "a_2", "a_3", "a-b-c", "_3",
    ]  # fmt: skip


def test_mkdocs_ids_make_way_for_one_that_is_written_further_down() -> None:
    assert ids("mkdocs", "Install", "Later { .cls #install }") == ["install_1", "install"]


def test_mdbook_ids_keep_capitals_that_ascii_does_not_have() -> None:
    texts = ["Über Straßen", "a b  c", "a b  c", "`--passes`: more", "Emoji ⚠️ here", "हिन्दी", "x² Ⓐ", "A {#a-b-}"]
    assert ids("mdbook", *texts) == [
        "Über-straßen", "a-b--c", "a-b--c-1", "--passes-more", "emoji--here", "हिनदी", "x²-Ⓐ", "a-b-",
    ]  # fmt: skip


def test_plain_markdown_has_the_ids_of_github() -> None:
    assert ids("plain", "A & B", "A & B") == ["a--b", "a--b-1"]


@pytest.mark.parametrize("dialect", ["docusaurus", "mkdocs", "mdbook"])
@pytest.mark.parametrize("text", ["Example", "a_1", "!"])
def test_many_equal_headings_get_as_many_ids(dialect: Dialect, text: str) -> None:
    assert len(set(ids(dialect, *[text] * 10_000))) == 10_000
