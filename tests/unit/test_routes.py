from __future__ import annotations

import pytest

from worker.ingestion.front_matter import FrontMatter
from worker.ingestion.routes import SiteRules, anchored, base_id, page_url

SITE = SiteRules("https://example.org")
DOCS_ONLY = SiteRules("https://example.org", docs_route="/")
UNDER_A_PATH = SiteRules("https://user.github.io/book/", docs_route="docs")


def front(**values: str | bool | int) -> FrontMatter:
    return FrontMatter("", values)


@pytest.mark.parametrize(
    ("path", "values", "permalink"),
    [
        ("intro.md", {}, "intro"),
        ("guide/install.mdx", {}, "guide/install"),
        ("guide/index.md", {}, "guide/"),
        ("guide/README.md", {}, "guide/"),
        ("guide/Guide.mdx", {}, "guide/"),
        ("index.md", {}, ""),
        ("README.md", {"slug": "welcome"}, "welcome"),
        ("guide/index.md", {"id": "start"}, "guide/"),
        ("01-intro.md", {}, "intro"),
        ("02 - guide/03. install.md", {}, "guide/install"),
        ("01-guide/guide.md", {}, "guide/guide"),
        ("guide/01-guide.md", {}, "guide/guide"),
        ("01-guide/01-guide.md", {}, "guide/"),
        ("2021-11-01-news.md", {}, "2021-11-01-news"),
        ("7.0-notes.md", {}, "7.0-notes"),
        ("01-intro.md", {"parse_number_prefixes": False}, "01-intro"),
        ("01-guide/02-a.md", {"parse_number_prefixes": False}, "01-guide/02-a"),
        ("guide/install.md", {"id": "setup"}, "guide/setup"),
        ("guide/install.md", {"slug": "/start"}, "start"),
        ("guide/install.md", {"slug": "/"}, ""),
        ("guide/install.md", {"slug": "start"}, "guide/start"),
        ("guide/install.md", {"slug": "../start"}, "start"),
        ("guide/install.md", {"slug": "./start/"}, "guide/start/"),
        ("01-guide/index.md", {"slug": "start"}, "guide/start"),
        ("FAQ.md", {}, "FAQ"),
        ("release.notes.md", {}, "release.notes"),
        ("über uns/a#b?.md", {}, "%C3%BCber%20uns/a%23b%3F"),
        ("100%.md", {}, "100%25"),
    ],
)
def test_a_page_is_where_docusaurus_publishes_it(path: str, values: dict[str, str | bool], permalink: str) -> None:
    assert page_url(path, front(**values), SITE) == f"https://example.org/docs/{permalink}"
    assert page_url(path, front(**values), DOCS_ONLY) == f"https://example.org/{permalink}"
    assert page_url(path, front(**values), UNDER_A_PATH) == f"https://user.github.io/book/docs/{permalink}"


def test_the_docs_route_may_have_several_parts_and_stray_slashes() -> None:
    assert page_url("a.md", front(), SiteRules("https://x.org/", "/en/docs/")) == "https://x.org/en/docs/a"


def test_a_slug_cannot_climb_out_of_the_site() -> None:
    assert page_url("a.md", front(slug="../../../b"), SITE) == "https://example.org/docs/b"


def test_without_a_site_the_api_shows_the_page() -> None:
    assert page_url("über uns/01-a.md", front(slug="/x"), SiteRules()) == "/documents/%C3%BCber%20uns/01-a.md"


def test_an_anchor_is_escaped_as_a_fragment() -> None:
    assert anchored("https://x.org/a", "größe") == "https://x.org/a#gr%C3%B6%C3%9Fe"
    assert anchored("https://x.org/a", "a#b c") == "https://x.org/a#a%23b%20c"
    assert anchored("https://x.org/a", None) == "https://x.org/a"


def test_a_numeric_id_or_slug_is_taken_as_text() -> None:
    assert page_url("a.md", front(slug=404), SITE) == "https://example.org/docs/404"
    assert base_id("01-a.md", front(id=7)) == "7"
    assert base_id("guide/01-a.md", front()) == "a"
