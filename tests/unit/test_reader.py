"""A page put together from its chunks, as HTML that can do no harm."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from api.reader import render_page, safe_href
from shared.models import FOREVER, Chunk, Page, Part, StoredChunk, StoredPage


def chunk(text: str, *trail: str, anchor: str | None = None, overlap: int = 0) -> Chunk:
    return Chunk("guide/page.md", "Title", f"#{anchor}", anchor, trail, text, "prose", 1, overlap)


def article(*chunks: Chunk, title: str = "Title") -> str:
    stored = [StoredChunk(str(n), chunk, "", "", 1, FOREVER) for n, chunk in enumerate(chunks)]
    ids = tuple(item.id for item in stored)
    page = StoredPage("p", Page("guide/page.md", title, "", ""), ids, 1, FOREVER)
    html = render_page(page, stored[::-1])
    return html.partition('<article class="prose">')[2].partition("</article>")[0]


def headings(html: str) -> list[str]:
    return re.findall(r"<h\d[^>]*>[^<]*</h\d>", html)


def test_headings_come_from_the_trails_each_once_with_its_anchor() -> None:
    html = article(
        chunk("Intro.", "Title"),
        chunk("One.", "Title", "A", anchor="a"),
        chunk("One, continued.", "Title", "A", anchor="a"),
        chunk("Two.", "Title", "A", "B", anchor="b"),
        chunk("Three.", "Title", "C", "D", anchor="d"),
    )
    assert headings(html) == [
        "<h1>Title</h1>", '<h2 id="a">A</h2>', '<h3 id="b">B</h3>', "<h2>C</h2>", '<h3 id="d">D</h3>',
    ]  # fmt: skip


def test_a_page_whose_title_is_no_heading_starts_its_headings_at_the_second_level() -> None:
    html = article(chunk("Intro."), chunk("One.", "A", anchor="a"), chunk("Two.", "A", "B", anchor="b"))
    assert headings(html) == ["<h1>Title</h1>", '<h2 id="a">A</h2>', '<h3 id="b">B</h3>']


def test_sections_of_the_same_name_are_told_apart_by_their_anchors() -> None:
    html = article(chunk("One.", "Title", "Usage", anchor="usage"), chunk("Two.", "Title", "Usage", anchor="usage-1"))
    assert headings(html)[1:] == ['<h2 id="usage">Usage</h2>', '<h2 id="usage-1">Usage</h2>']


def test_what_two_chunks_share_is_shown_once() -> None:
    html = article(
        chunk("First. Second.", "Title", "A", anchor="a"), chunk("Second. Third.", "Title", "A", anchor="a", overlap=8)
    )
    assert html.count("Second.") == 1
    assert html.index("Second.") < html.index("Third.")


def test_a_heading_with_nothing_under_it_is_not_said_twice() -> None:
    assert article(chunk("Empty", "Title", "Empty", anchor="empty")).count("Empty") == 1


def test_small_sections_that_share_a_passage_have_their_own_headings_and_anchors() -> None:
    text = "Text.\n\n## Carried\n\n### See also!\n\n#hashtag\n\n## B"
    parts = (
        Part(text.index("## Carried"), "see-also", "#see-also", ("Title", "Carried", "See also!")),
        Part(text.index("## B"), "b", "#b", ("Title", "B")),
    )
    html = article(replace(chunk(text, "Title", "A", anchor="a"), parts=parts))
    assert headings(html)[1:] == [
        '<h2 id="a">A</h2>', "<h2>Carried</h2>", '<h3 id="see-also">See also!</h3>', '<h2 id="b">B</h2>',
    ]  # fmt: skip
    assert html.index('id="a"') < html.index("Text.") < html.index("Carried") < html.index("#hashtag")


def test_everything_is_escaped() -> None:
    evil = '"><script>alert(1)</script>'
    html = article(chunk(f"{evil}\n\n```{evil}\n{evil}\n```\n", "Title", evil, anchor=evil), title=evil)
    assert "<script" not in html
    assert 'id="&quot;&gt;' in html


def test_tables_are_aligned_by_class_because_styles_are_not_allowed() -> None:
    html = article(chunk("| a | b |\n|:-:|--:|\n| 1 | 2 |\n"))
    assert '<th class="align-center">' in html
    assert '<td class="align-right">' in html
    assert "style=" not in html


def test_images_are_shown_by_their_words() -> None:
    html = article(chunk("![a *small* diagram](https://tracker.example/p.png)"))
    assert "a small diagram" in html
    assert "tracker" not in html


def test_an_unsafe_link_is_its_words_and_the_one_after_it_still_works() -> None:
    html = article(chunk("[a](vbscript:x) [b](/root) [c](https://ok.example) [d](//evil.example)"))
    assert re.findall(r'href="([^"]*)"', html) == ["https://ok.example"]
    assert html.count("<a ") == html.count("</a>") == 1
    assert html.count("<span>") == html.count("</span>")


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("https://example.org/x?y#z", "https://example.org/x?y#z"),
        ("mailto:a@example.org", "mailto:a@example.org"),
        ("#anchor", "#anchor"),
        ("other.md", "../guide/other.md"),
        ("./other.mdx#top", "../guide/other.mdx#top"),
        ("../index.md", "../index.md"),
        ("../../../etc/passwd.md", "../etc/passwd.md"),
        ("/root.md", "../root.md"),
        ("with%20space.md", "../guide/with%20space.md"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("file:///etc/passwd", None),
        ("//evil.example/x.md", None),
        ("https://user:pass@evil.example", None),
        ("https:///nohost", None),
        ("/docs/page", None),
        ("image.png", None),
        ("", None),
        ("#", None),
        ("http://[broken", None),
    ],
)
def test_links_lead_to_the_web_or_to_other_pages(href: str, expected: str | None) -> None:
    assert safe_href(href, "guide/page.md") == expected


def test_a_hostile_page_is_rendered_in_no_time() -> None:
    article(chunk("[" * 2000), chunk("![" * 2000), chunk("> " * 1000), chunk("*a_" * 2000))
