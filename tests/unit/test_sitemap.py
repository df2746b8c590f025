"""Reading sitemaps, and where their pages are kept."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigurationError
from shared.settings import load_settings
from worker.ingestion.front_matter import read_front_matter
from worker.ingestion.site.profile import SiteOptions
from worker.ingestion.site.website import open_website
from worker.ingestion.sources.listing import choose
from worker.ingestion.sources.manifest import MANIFEST, ManifestPage, read_manifest, revision_of, write_manifest
from worker.ingestion.sources.page_paths import page_paths
from worker.ingestion.sources.robots import Robots
from worker.ingestion.sources.sitemap import parse_sitemap
from worker.ingestion.sources.web import Unfetched

NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"


def pages(xml: str, most: int = 100) -> list[str]:
    return parse_sitemap(xml.encode(), most).pages


def test_only_the_address_of_a_page_counts() -> None:
    xml = f"""<?xml version="1.0" encoding="UTF-8"?><!-- made by hand -->
      <urlset xmlns="{NAMESPACE}" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
        <url><loc> https://h/a?x=1&amp;y=2 </loc><lastmod>2026-01-01</lastmod>
          <image:image><image:loc>https://h/a.png</image:loc></image:image></url>
        <url><loc><![CDATA[https://h/b]]></loc></url>
      </urlset>"""
    assert pages(xml) == ["https://h/a?x=1&y=2", "https://h/b"]


def test_a_sitemap_without_its_namespace_is_read_too() -> None:
    assert pages("<urlset><url><loc>https://h/a</loc></url></urlset>") == ["https://h/a"]


def test_an_index_names_sitemaps() -> None:
    xml = f'<sitemapindex xmlns="{NAMESPACE}"><sitemap><loc>https://h/s.xml.gz</loc></sitemap></sitemapindex>'
    assert parse_sitemap(xml.encode(), 10).sitemaps == ["https://h/s.xml.gz"]


def test_several_gzips_in_one_file_are_one_sitemap() -> None:
    whole = b"<urlset><url><loc>https://h/a</loc></url></urlset>"
    assert parse_sitemap(gzip.compress(whole[:20]) + gzip.compress(whole[20:]), 10).pages == ["https://h/a"]


def test_reading_stops_once_there_are_too_many() -> None:
    assert len(pages("<urlset>" + "<url><loc>https://h/a</loc></url>" * 1000 + "<broken", most=10)) == 11


@pytest.mark.parametrize(
    "xml",
    [
        '<!DOCTYPE lolz [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd"><urlset><url><loc>https://h/a</loc></url></urlset>',
        "<urlset><url><loc>https://h/a</loc></url>", "", "{}", "<html><body>Not found</body></html>",
        "<urlset>" * 100_000, "<rss><channel><link>https://h/a</link></channel></rss>",
    ],
    ids=lambda xml: xml[:30],
)  # fmt: skip
def test_what_is_no_sitemap_is_refused_with_a_reason(xml: str) -> None:
    with pytest.raises(Unfetched) as refusal:
        pages(xml)
    assert refusal.value.reason


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with suppress(Unfetched):
        parse_sitemap(data, 10)


def test_the_files_of_pages_are_named_like_the_pages() -> None:
    names = {
        "https://h/": "index.html",
        "https://h/docs/": "docs/index.html",
        "https://h/docs/intro": "docs/intro.html",
        "https://h/docs/guide.html": "docs/guide.html",
        "https://h/Docs/B%C3%BCcher%20und%20mehr": "Docs/Bücher und mehr.html",
        "https://h/v1.2/x": "v1.2/x.html",
    }
    assert page_paths(names) == names


@pytest.mark.parametrize(
    "url",
    [
        "https://h/../../etc/passwd", "https://h/%2e%2e/%2e%2e/x", "https://h/a%2f..%2f..%2fx", "https://h/%00",
        "https://h/_x/y",
        "https://h/.git/config", f"https://h/{'x' * 300}", f"https://h/{'a/' * 200}b", "https://h/a%5c..%5cb", "https://h/~x",
        "https://h/%ff%fe", "https://h/node_modules/x", "https://h/.html", "https://h/con:fig?x=1",
        "https://h/a.html/b", "https://h/%0a",
    ],
)  # fmt: skip
def test_no_address_leads_a_file_elsewhere_or_hides_it(url: str) -> None:
    path = page_paths([url])[url]
    parts = path.split("/")
    assert path.endswith(".html")
    assert all(part[0].isalnum() and len(part.encode()) < 255 for part in parts)
    assert not {"..", ".", "", "node_modules"} & set(parts)
    assert not set("\\\0\n:") & set(path)


@given(st.lists(st.text(min_size=1, max_size=20), max_size=30))
def test_every_page_has_a_file_of_its_own(tails: list[str]) -> None:
    urls = {f"https://h/{tail}" for tail in tails}
    paths = page_paths(urls)
    assert set(paths) == urls
    files = [path.lower() for path in paths.values()]
    assert len(set(files)) == len(files)
    folders = {"/".join(file.split("/")[:depth]) for file in files for depth in range(1, file.count("/") + 1)}
    assert not folders & set(files)


def test_the_list_says_what_it_leaves_out_and_why() -> None:
    listed = [
        "https://h/a#x",
        "https://h/a",
        "https://other/b",
        "https://third/c",
        "nonsense",
        "https://h/" + "x" * 3000,
    ]
    listing = choose(listed, "h", Robots())
    assert listing.pages == ("https://h/a",)
    assert [fault.reason.partition(" ")[0] for fault in listing.faults] == ["https://other/b", "nonsense"]
    assert "and 1 more" in listing.faults[0].reason


def test_a_revision_depends_on_the_pages_alone() -> None:
    one = {"a.html": ManifestPage("https://h/a", "A", "1"), "b.html": ManifestPage("https://h/b", "B", "2")}
    assert revision_of(one) == revision_of(dict(reversed(one.items())))
    assert revision_of(one) != revision_of({**one, "a.html": ManifestPage("https://h/a", "A", "3")})


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = {"ü.html": ManifestPage("https://h/%C3%BC", "“Ü” & more", "1")}
    write_manifest(tmp_path, written)
    assert read_manifest(tmp_path) == written


@pytest.mark.parametrize("damage", ["", "[]", "null", '{"a": 1}', '{"a": {"url": 1}}', "\udcff"])
def test_a_manifest_that_is_damaged_is_none(tmp_path: Path, damage: str) -> None:
    (tmp_path / MANIFEST).write_bytes(damage.encode("utf-8", "surrogateescape"))
    assert read_manifest(tmp_path) is None


def test_a_fetched_site_is_known_by_its_manifest(tmp_path: Path) -> None:
    write_manifest(
        tmp_path,
        {"a.html": ManifestPage("https://h/a", "A page", "1"), "b.html": ManifestPage("https://h/b/", "", "2")},
    )
    site = open_website(tmp_path, SiteOptions(profile="website"))
    assert site is not None
    assert site.profile == "Website: 2 pages of h"
    page, unnamed = site.page("a.html"), site.page("b.html")
    assert page is not None
    assert unnamed is not None
    front = read_front_matter("")
    assert (page.route.url(front), page.route.name(front)) == ("https://h/a", "A page")
    assert unnamed.route.name(front) == "b"
    assert site.page("c.html") is None


def test_a_folder_is_no_fetched_site_unless_the_settings_say_so(tmp_path: Path) -> None:
    assert open_website(tmp_path, SiteOptions()) is None
    write_manifest(tmp_path, {"a.html": ManifestPage("https://elsewhere/", "A page", "1")})
    assert open_website(tmp_path, SiteOptions()) is None
    (tmp_path / MANIFEST).unlink()
    named = open_website(tmp_path, SiteOptions(profile="website"))
    assert named is not None
    assert "SOURCE_SITEMAP_URL" in named.faults[0].reason


def test_two_sources_are_one_too_many() -> None:
    with pytest.raises(ConfigurationError, match="there is one source"):
        load_settings(None, source_git_url="https://h/x", source_sitemap_url="https://h/y")
    assert load_settings(None, source_git_url="https://h/x").remote_source
    assert not load_settings(None).remote_source
