from __future__ import annotations

import pytest

from worker.ingestion.inline import plain_text
from worker.ingestion.slug import Slugger, slugify, split_explicit_id


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
