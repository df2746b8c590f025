"""robots.txt as RFC 9309 reads it."""

from __future__ import annotations

import time

import pytest

from worker.ingestion.sources.robots import parse_robots

HOST = "https://example.org"


@pytest.mark.parametrize(
    ("rules", "path", "allowed"),
    [
        ("", "/x", True),
        ("Disallow:", "/x", True),
        ("Disallow: /", "/x", False),
        ("Disallow: /", "/", False),
        ("Disallow: /docs", "/docs/x", False),
        ("Disallow: /docs", "/documents", True),
        ("Disallow: /docs/", "/docs", True),
        ("Disallow: /a\nAllow: /a/b", "/a/b/c", True),
        ("Allow: /a/b\nDisallow: /a", "/a/c", False),
        ("Disallow: /a\nAllow: /a", "/a", True),
        ("Disallow: /*.pdf$", "/x/y.pdf", False),
        ("Disallow: /*.pdf$", "/x/y.pdf?v=1", True),
        ("Disallow: /*.pdf", "/x/y.pdf?v=1", False),
        ("Disallow: /*?", "/x?q=1", False),
        ("Disallow: /*?", "/x", True),
        ("Disallow: /a*b*c", "/a-b-c-d", False),
        ("Disallow: /a*b*c$", "/a-b-c-d", True),
        ("Disallow: /a*b*c$", "/abc", False),
        ("Disallow: /aba*ba$", "/aba", True),
        ("Disallow: /x$", "/x", False),
        ("Disallow: /x$", "/xy", True),
        ("Disallow: *", "/x", False),
        ("Disallow: /%7ejoe/", "/~joe/x", True),
        ("Disallow: /%e4", "/%E4x", False),
        ("Disallow: /ü", "/%C3%BC", False),
        ("Disallow: /x # a remark", "/x", False),
        ("DISALLOW:/x", "/x", False),
        ("Disallow /x", "/x", True),
    ],
)
def test_the_longest_rule_that_fits_decides(rules: str, path: str, allowed: bool) -> None:
    assert parse_robots(f"User-agent: *\n{rules}\n").allow(HOST + path) is allowed


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("User-agent: *\nDisallow: /\n\nUser-agent: Lectern\nDisallow: /private\n", True),
        ("User-agent: lectern/1.0\nDisallow: /\n", False),
        ("User-agent: Lectern\nUser-agent: Other\nDisallow: /\n", False),
        ("User-agent: Other\nDisallow: /\n", True),
        ("User-agent: LecternX\nDisallow: /\n", True),
        ("User-agent: *\nDisallow: /\nUser-agent: Lectern\n", True),
        ("User-agent: Lectern\nDisallow: /a\nUser-agent: *\nDisallow: /b\nUser-agent: lectern\nDisallow: /x\n", False),
        ("\ufeffUser-agent: *\r\nDisallow: /\r\n", False),
        ("Disallow: /\n", True),
        ("<html>User-agent: *</html>\nDisallow: /", True),
        ("\0\xff:::\n:::", True),
    ],
)
def test_a_group_that_names_us_comes_before_the_one_for_all(text: str, allowed: bool) -> None:
    assert parse_robots(text).allow(f"{HOST}/x") is allowed


@pytest.mark.parametrize(("value", "seconds"), [("2", 2), ("0.5", 0.5), ("-1", 0), ("nan", 0), ("1e9", 0), ("", 0)])
def test_a_pause_is_a_plain_number(value: str, seconds: float) -> None:
    assert parse_robots(f"User-agent: *\nCrawl-delay: {value}\n").delay == seconds


def test_a_hostile_file_costs_no_time() -> None:
    rules = "".join(f"Disallow: /{'*a' * 200}b{number}$\n" for number in range(1000))
    started = time.perf_counter()
    robots = parse_robots(f"User-agent: *\n{rules}")
    assert robots.allow(f"{HOST}/{'a' * 2000}")
    assert time.perf_counter() - started < 2
