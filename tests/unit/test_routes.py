from __future__ import annotations

import pytest

from worker.ingestion.front_matter import FrontMatter
from worker.ingestion.routes import DocusaurusRoute, FixedRoute, anchored, joined

HOME = "https://example.org"


def route(path: str, home: str | None = HOME, docs_route: str = "docs", **options: bool | None) -> DocusaurusRoute:
    return DocusaurusRoute(path=f"content/{path}", source=path, home=home, route=docs_route, **options)  # type: ignore[arg-type]


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
    assert route(path).url(front(**values)) == f"https://example.org/docs/{permalink}"
    assert route(path, docs_route="/").url(front(**values)) == f"https://example.org/{permalink}"
    book = route(path, home="https://user.github.io/book/")
    assert book.url(front(**values)) == f"https://user.github.io/book/docs/{permalink}"


def test_the_docs_route_may_have_several_parts_and_stray_slashes() -> None:
    assert route("a.md", "https://x.org/", "/en/docs/").url(front()) == "https://x.org/en/docs/a"


def test_a_slug_cannot_climb_out_of_the_site() -> None:
    assert route("a.md").url(front(slug="../../../b")) == "https://example.org/docs/b"


@pytest.mark.parametrize(
    ("path", "docs_route", "with_slash", "without"),
    [
        ("a/b.md", "docs", "/docs/a/b/", "/docs/a/b"),
        ("a/index.md", "docs", "/docs/a/", "/docs/a"),
        ("index.md", "docs", "/docs/", "/docs"),
        ("index.md", "/", "/", "/"),
    ],
)
def test_slashes_at_the_end_are_as_the_site_wants_them(
    path: str, docs_route: str, with_slash: str, without: str
) -> None:
    assert route(path, docs_route=docs_route, trailing_slash=True).url(front()) == HOME + with_slash
    assert route(path, docs_route=docs_route, trailing_slash=False).url(front()) == HOME + without


def test_number_prefixes_may_belong_to_the_name() -> None:
    kept = route("01-guide/02-a.md", strips_prefixes=False)
    assert kept.url(front()) == "https://example.org/docs/01-guide/02-a"
    assert kept.name(front()) == "02-a"


def test_without_a_site_the_api_shows_the_page() -> None:
    shown = route("über uns/01-a.md", home=None)
    assert shown.url(front(slug="/x")) == "/documents/content/%C3%BCber%20uns/01-a.md"


def test_a_fixed_route_is_not_moved_by_front_matter() -> None:
    fixed = FixedRoute("https://example.org/a.html", "a")
    assert (fixed.url(front(slug="/x")), fixed.name(front(id="y"))) == ("https://example.org/a.html", "a")


def test_an_address_is_joined_from_parts_with_stray_slashes() -> None:
    assert joined("https://x.org/", "/a/", "b c") == "https://x.org/a/b%20c"
    assert joined("https://x.org", "") == "https://x.org/"
    assert joined("https://x.org", "a", "b/") == "https://x.org/a/b/"


def test_an_anchor_is_escaped_as_a_fragment() -> None:
    assert anchored("https://x.org/a", "größe") == "https://x.org/a#gr%C3%B6%C3%9Fe"
    assert anchored("https://x.org/a", "a#b c") == "https://x.org/a#a%23b%20c"
    assert anchored("https://x.org/a", None) == "https://x.org/a"


def test_a_numeric_id_or_slug_is_taken_as_text() -> None:
    assert route("a.md").url(front(slug=404)) == "https://example.org/docs/404"
    assert route("01-a.md").name(front(id=7)) == "7"
    assert route("guide/01-a.md").name(front()) == "a"
