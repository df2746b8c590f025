from __future__ import annotations

import time

import pytest

from worker.ingestion.globs import MAX_EXPANDED, anchored, floating


@pytest.mark.parametrize(
    ("glob", "fits", "fits_not"),
    [
        ("**/*.{md,mdx}", ["a.md", "x/y/a.mdx"], ["a.txt", "md"]),
        ("{api,faq}/**/*.md", ["api/a.md", "faq/x/a.md"], ["a.md", "other/a.md", "x/api/a.md"]),
        ("{a/b,c{1,2}}/*", ["a/b/x", "c1/x", "c2/x"], ["a/x", "c/x", "c3/x"]),
        ("FAQ.md", ["FAQ.md"], ["x/FAQ.md", "faq.md", "FAQxmd"]),
        ("**/_*/**", ["_a/x", "x/_a/y/z"], ["_a", "x/_a", "x/a_/y"]),
        ("a/**/b/**/c", ["a/b/c", "a/x/b/y/z/c"], ["a/c", "a/b", "x/a/b/c"]),
        ("*a*b", ["ab", "xaxb", "aabb"], ["ba", "a/b", "abx"]),
        ("a*a", ["aa", "axa"], ["a"]),
        ("?.md", ["a.md"], [".md", "ab.md", "/.md"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "x"]),
        ("[!a]x", ["bx"], ["ax", "x"]),
        ("[", ["["], ["a"]),
        ("{a", ["{a"], ["a"]),
        ("a{}b", ["ab"], ["a{}b"]),
        ("./docs/", ["docs/a", "docs/a/b"], ["docs", "x/docs/a"]),
        ("**", ["a", "a/b"], []),
        ("a.b", ["a.b"], ["axb"]),
    ],
)
def test_a_glob_fits_these_paths_and_no_others(glob: str, fits: list[str], fits_not: list[str]) -> None:
    globs = anchored((glob,))
    assert [path for path in fits if not globs.match(path)] == []
    assert [path for path in fits_not if globs.match(path)] == []


def test_a_glob_without_a_slash_may_float() -> None:
    assert floating(("a.md",)).match("x/y/a.md")
    assert floating(("/a.md",)).match("a.md")
    assert not floating(("/a.md",)).match("x/a.md")
    assert not floating(("x/a.md",)).match("y/x/a.md")


def test_brackets_are_names_where_people_write_the_globs() -> None:
    assert floating(("[slug].md",)).match("x/[slug].md")
    assert not floating(("[slug].md",)).match("x/s.md")


def test_no_globs_fit_nothing() -> None:
    assert not anchored(()).match("a")


def test_one_of_several_globs_is_enough() -> None:
    assert anchored(("a", "b")).match("b")


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*a" * 1000 + "b", "a" * 4000),
        ("**/a/" * 500 + "b", "/".join("a" * 2000)),
        ("{a,b}" * 700, "a" * 700),
        ("{" * 4000, "x"),
        ("{" * 2000 + "}" * 2000, "x"),
        ("[" * 4000, "x"),
    ],
)
def test_a_glob_that_is_meant_to_hang_does_not(glob: str, path: str) -> None:
    started = time.monotonic()
    anchored((glob,)).match(path)
    assert time.monotonic() - started < 5


def test_braces_stand_for_a_bounded_number_of_globs() -> None:
    folders = 100
    assert len(anchored(("{a,b}" * folders,)).patterns) * folders <= 2 * MAX_EXPANDED
    assert len(anchored((f"{{{','.join('abcdefghij')}}}" * 2,)).patterns) == 100
