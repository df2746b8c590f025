"""A built site as the source: a real server on loopback, and what a hostile one may try."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from shared.errors import JobFailed
from shared.models import PageFault
from shared.settings import Settings, load_settings
from tests.site_server import Page, SiteServer, certificate_for, html, site_server, sitemap, speaking_tls
from worker.ingestion.sources import web
from worker.ingestion.sources.addresses import AddressRefused
from worker.ingestion.sources.manifest import MANIFEST, read_manifest
from worker.ingestion.sources.source import checkout, fetch
from worker.ingestion.sources.web import Unfetched, Web
from worker.ingestion.sources.website import checkout_website, fetch_website

MakeSettings = Callable[..., Settings]
#: An address of the public internet, which no test connects to.
PUBLIC = "8.8.8.8"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PAGE_SECONDS", 2.0)
    monkeypatch.setattr(web, "DEFAULT_PAUSE", 0.05)


@pytest.fixture
def site() -> Iterator[SiteServer]:
    """Three pages with entity tags."""
    with site_server() as site:
        for path in ("/", "/docs/intro", "/docs/guide/"):
            site.pages[path] = Page(html(f"Page {path}"), headers={"ETag": f'"{path}-1"'})
        site.lists("/", "/docs/intro", "/docs/guide/")
        yield site


@pytest.fixture
def settings_for(tmp_path: Path) -> MakeSettings:
    def make(site: SiteServer, **overrides: Any) -> Settings:
        given = {
            "source_sitemap_url": site.sitemap_url, "source_allow_private": True, "sources_dir": tmp_path / "sources",
            "source_timeout": 60, **overrides,
        }  # fmt: skip
        return load_settings(None, **given)

    return make


def pages_of(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.html"))


def fault_of(faults: Sequence[PageFault], path: str) -> str:
    return next(fault.reason for fault in faults if fault.path.endswith(path))


# What it is for


async def test_the_listed_pages_become_files_with_their_addresses(site: SiteServer, settings_for: MakeSettings) -> None:
    fetched = await fetch(settings_for(site))
    assert pages_of(fetched.root) == ["docs/guide/index.html", "docs/intro.html", "index.html"]
    assert "Page /docs/intro" in (fetched.root / "docs/intro.html").read_text()
    manifest = read_manifest(fetched.root)
    assert manifest is not None
    assert (manifest["docs/guide/index.html"].url, manifest["docs/guide/index.html"].title) == (
        f"{site.url}/docs/guide/", "Page /docs/guide/",
    )  # fmt: skip
    assert fetched.root.name == fetched.revision
    assert (fetched.changed, fetched.faults) == (None, ())
    assert "3 pages, 3 new or changed, 0 unchanged, 0 failed, 0 gone" in fetched.note


async def test_unchanged_pages_are_not_sent_again(site: SiteServer, settings_for: MakeSettings) -> None:
    first = await fetch(settings_for(site))
    site.answered.clear()
    second = await fetch(settings_for(site), since=first.revision)
    assert site.answered.count(304) == 3
    assert (second.revision, second.root, second.changed) == (first.revision, first.root, frozenset())
    assert "0 new or changed, 3 unchanged" in second.note


async def test_a_date_serves_where_there_is_no_entity_tag(site: SiteServer, settings_for: MakeSettings) -> None:
    site.pages["/docs/intro"] = Page(html("x"), headers={"Last-Modified": "Wed, 21 Oct 2026 07:28:00 GMT"})
    await fetch(settings_for(site))
    site.answered.clear()
    await fetch(settings_for(site))
    assert site.answered.count(304) == 3


async def test_what_changed_is_named(site: SiteServer, settings_for: MakeSettings) -> None:
    first = await fetch(settings_for(site))
    site.pages["/docs/intro"] = Page(html("New"), headers={"ETag": '"2"'})
    site.pages["/docs/more"] = Page(html("More"))
    site.lists("/", "/docs/intro", "/docs/more")
    second = await fetch(settings_for(site), since=first.revision)
    assert second.changed == frozenset({"docs/intro.html", "docs/more.html", "docs/guide/index.html"})
    assert pages_of(second.root) == ["docs/intro.html", "docs/more.html", "index.html"]
    assert len(pages_of(first.root)) == 3, "what a job may still read is left alone"
    assert "1 gone" in second.note


async def test_a_page_that_fails_keeps_its_last_good_copy(site: SiteServer, settings_for: MakeSettings) -> None:
    first = await fetch(settings_for(site))
    site.pages["/docs/intro"] = Page("oops", status=500)
    del site.pages["/docs/guide/"]
    second = await fetch(settings_for(site))
    assert second.revision == first.revision
    assert fault_of(second.faults, "/docs/intro") == "answered with status 500; its last good copy stays"
    assert fault_of(second.faults, "/docs/guide/") == "answered with status 404; its last good copy stays"


async def test_a_page_that_was_never_there_is_a_fault_and_the_others_are_fetched(
    site: SiteServer, settings_for: MakeSettings
) -> None:
    site.lists("/", "/missing")
    fetched = await fetch(settings_for(site))
    assert pages_of(fetched.root) == ["index.html"]
    assert fault_of(fetched.faults, "/missing") == "answered with status 404; there is no earlier copy of it"


async def test_what_is_no_html_is_left_out_and_counted(site: SiteServer, settings_for: MakeSettings) -> None:
    site.pages["/a.pdf"] = Page(b"%PDF", "application/pdf")
    site.lists("/", "/a.pdf")
    fetched = await fetch(settings_for(site))
    assert pages_of(fetched.root) == ["index.html"]
    assert "1 of the listed addresses are no HTML pages" in fault_of(fetched.faults, "sitemap")


async def test_only_a_few_pages_are_asked_for_at_a_time(site: SiteServer, settings_for: MakeSettings) -> None:
    paths = [f"/p{number}" for number in range(20)]
    site.pages |= {path: Page(html(path), delay=0.03) for path in paths}
    site.lists(*paths)
    fetched = await fetch(settings_for(site))
    assert len(pages_of(fetched.root)) == 20
    assert 2 <= site.most_at_once <= 4


async def test_requests_say_who_asks_and_for_whom(site: SiteServer, settings_for: MakeSettings) -> None:
    await fetch(settings_for(site))
    for _, headers in site.asked:
        assert headers["user-agent"].startswith("Lectern/")
        assert headers["host"] == f"127.0.0.1:{site.port}"
        assert not {"authorization", "cookie", "referer"} & set(headers)


async def test_an_index_leads_to_packed_and_plain_sitemaps(site: SiteServer, settings_for: MakeSettings) -> None:
    site.pages["/sitemap.xml"] = Page(
        sitemap(f"{site.url}/one.xml.gz", f"{site.url}/two.txt", kind="sitemapindex"), "application/xml"
    )
    site.lists("/docs/intro", at="/one.xml.gz", packed=True)
    site.pages["/two.txt"] = Page(f"{site.url}/\r\n{site.url}/docs/guide/\n", "text/plain")
    assert len(pages_of((await fetch(settings_for(site))).root)) == 3


async def test_two_addresses_that_lead_to_one_page_are_that_page_once(
    site: SiteServer, settings_for: MakeSettings
) -> None:
    site.pages["/old"] = Page(status=301, headers={"Location": "/docs/intro"})
    site.lists("/old", "/docs/intro")
    fetched = await fetch(settings_for(site))
    assert pages_of(fetched.root) == ["docs/intro.html"]


async def test_a_page_in_another_charset_is_kept_in_utf_8(site: SiteServer, settings_for: MakeSettings) -> None:
    text = '<html><head><meta charset="iso-8859-1"><title>Über</title></head><body>Größe</body></html>'
    site.pages["/"] = Page(text.encode("latin-1"), "text/html; charset=ISO-8859-1")
    fetched = await fetch(settings_for(site))
    kept = (fetched.root / "index.html").read_text(encoding="utf-8")
    assert "Größe" in kept
    assert 'charset="utf-8"' in kept
    assert (read_manifest(fetched.root) or {})["index.html"].title == "Über"


@pytest.mark.parametrize(
    "charset", ["utf-8", "UTF8", "zlib", "hex", "punycode", "idna", "nonsense", "a\0b", "", "rot13"]
)
async def test_what_is_no_charset_of_pages_changes_nothing(
    site: SiteServer, settings_for: MakeSettings, charset: str
) -> None:
    page = html("Größe").encode()
    packed = zlib.compress(page) if charset == "zlib" else page
    site.pages["/"] = Page(packed, f"text/html; charset={charset.replace(chr(0), '_')}")
    fetched = await fetch(settings_for(site))
    assert (fetched.root / "index.html").read_bytes() == packed


async def test_a_fetch_that_runs_out_of_time_goes_on_where_it_stopped(
    site: SiteServer, settings_for: MakeSettings
) -> None:
    paths = [f"/p{number}" for number in range(12)]
    site.pages |= {path: Page(html(path), delay=0.3, headers={"ETag": f'"{path}"'}) for path in paths}
    site.lists(*paths)
    with pytest.raises(JobFailed, match="SOURCE_TIMEOUT"):
        async with asyncio.timeout(5):
            await fetch(settings_for(site).model_copy(update={"source_timeout": 0.7}))
    site.pages |= {path: Page(html(path), headers={"ETag": f'"{path}"'}) for path in paths}
    site.answered.clear()
    assert len(pages_of((await fetch(settings_for(site))).root)) == 12
    assert site.answered.count(304) >= 4


async def test_a_revision_that_is_there_is_checked_out_without_the_site(
    site: SiteServer, settings_for: MakeSettings
) -> None:
    fetched = await fetch(settings_for(site))
    site.asked.clear()
    assert await checkout(settings_for(site), fetched.revision) == fetched.root
    assert site.asked == []


async def test_another_machine_reads_the_site_as_it_is_then(
    site: SiteServer, settings_for: MakeSettings, tmp_path: Path
) -> None:
    fetched = await fetch(settings_for(site))
    elsewhere = settings_for(site, sources_dir=tmp_path / "other-machine")
    assert (await checkout(elsewhere, fetched.revision)).name == fetched.revision
    site.pages["/"] = Page(html("Meanwhile"))
    later = settings_for(site, sources_dir=tmp_path / "third-machine")
    assert "Meanwhile" in (await checkout(later, fetched.revision) / "index.html").read_text()


async def test_a_damaged_state_costs_a_fetch_and_nothing_else(
    site: SiteServer, settings_for: MakeSettings, tmp_path: Path
) -> None:
    first = await fetch(settings_for(site))
    (state,) = (tmp_path / "sources").glob("*/state.json")
    for damage in ("", "{", "[]", '{"x": {"y": 1}}', "null"):
        state.write_text(damage)
        assert (await fetch(settings_for(site))).revision == first.revision
    for body in (state.parent / "bodies").iterdir():
        body.unlink()
    assert (await fetch(settings_for(site))).revision == first.revision


async def test_copies_of_pages_that_are_gone_are_not_kept_for_ever(
    site: SiteServer, settings_for: MakeSettings, tmp_path: Path
) -> None:
    for number in range(4):
        site.pages["/"] = Page(html(f"Version {number}"))
        await fetch(settings_for(site))
    (bodies,) = (tmp_path / "sources").glob("*/bodies")
    assert len(list(bodies.iterdir())) == 3
    assert len([entry for entry in bodies.parent.iterdir() if (entry / MANIFEST).exists()]) == 2


# What the site asks of robots


async def test_what_robots_may_not_read_is_left_out(site: SiteServer, settings_for: MakeSettings) -> None:
    site.pages["/robots.txt"] = Page("User-agent: *\nDisallow: /docs/*\nAllow: /docs/guide/\n", "text/plain")
    fetched = await fetch(settings_for(site))
    assert pages_of(fetched.root) == ["docs/guide/index.html", "index.html"]
    assert "not allowed by the site's robots.txt" in fault_of(fetched.faults, "sitemap")
    assert "/docs/intro" not in site.paths()


async def test_a_redirect_leads_to_nothing_that_robots_may_not_read(
    site: SiteServer, settings_for: MakeSettings
) -> None:
    site.pages["/robots.txt"] = Page("User-agent: *\nDisallow: /private\n", "text/plain")
    site.pages["/docs/intro"] = Page(status=302, headers={"location": "/private/x"})
    site.pages["/private/x"] = Page(html("Private"))
    fetched = await fetch(settings_for(site))
    assert "robots.txt does not allow" in fault_of(fetched.faults, f"{site.url}/docs/intro")
    assert "/private/x" not in site.paths()


async def test_a_pause_between_pages_is_made(site: SiteServer, settings_for: MakeSettings) -> None:
    site.pages["/robots.txt"] = Page("User-agent: Lectern\nCrawl-delay: 0.2\n", "text/plain")
    started = asyncio.get_running_loop().time()
    await fetch(settings_for(site))
    assert asyncio.get_running_loop().time() - started >= 0.6
    assert site.most_at_once == 1


async def test_a_pause_that_no_job_can_make_is_said_at_once(site: SiteServer, settings_for: MakeSettings) -> None:
    site.pages["/robots.txt"] = Page("User-agent: *\nCrawl-delay: 60\n", "text/plain")
    with pytest.raises(JobFailed, match="Crawl-delay"):
        await fetch(settings_for(site))


async def test_a_site_that_cannot_say_what_robots_may_do_is_not_fetched(
    site: SiteServer, settings_for: MakeSettings
) -> None:
    site.pages["/robots.txt"] = Page(status=500)
    with pytest.raises(JobFailed, match=r"robots\.txt answered with status 500"):
        await fetch(settings_for(site))
    assert site.paths() == ["/robots.txt"]


# What fails


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (Page(status=404), "answered with status 404"),
        (Page("<html>", "text/html"), "is not a sitemap: its XML breaks"),
        (Page(sitemap(), "text/xml"), "lists no address"),
        (Page('<!DOCTYPE x [<!ENTITY a "b">]><urlset><url><loc>&a;</loc></url></urlset>'), "document type"),
        (Page(gzip.compress(b"x" * 1000)[:-20]), "breaks off"),
        (Page(b"\x1f\x8b not gzip"), "is not"),
        (Page(zlib.compress(b"x"), headers={"Content-Encoding": "deflate"}), "compressed as deflate"),
        (Page(b"x", headers={"Content-Encoding": "gzip"}), "breaks off"),
        (Page(b"not gzip at all", headers={"Content-Encoding": "gzip"}), "says that it is gzip"),
    ],
    ids=str,
)
async def test_a_sitemap_that_is_none_fails_the_job(
    site: SiteServer, settings_for: MakeSettings, page: Page, reason: str
) -> None:
    site.pages["/sitemap.xml"] = page
    with pytest.raises(JobFailed, match=reason) as failure:
        await fetch(settings_for(site))
    assert "nothing was changed" in failure.value.message


async def test_a_sitemap_of_a_hundred_thousand_pages_is_refused_before_one_is_fetched(
    site: SiteServer, settings_for: MakeSettings
) -> None:
    site.lists(*(f"/p{number}" for number in range(100_000)))
    with pytest.raises(JobFailed, match=r"more than 10,000 pages.*SOURCE_MAX_PAGES"):
        await fetch(settings_for(site))
    assert site.paths() == ["/robots.txt", "/sitemap.xml"]


async def test_a_sitemap_that_leads_to_itself_ends(site: SiteServer, settings_for: MakeSettings) -> None:
    site.pages["/sitemap.xml"] = Page(sitemap(site.sitemap_url, kind="sitemapindex"))
    with pytest.raises(JobFailed, match="lists no page"):
        await fetch(settings_for(site))


async def test_indexes_without_end_are_refused(site: SiteServer, settings_for: MakeSettings) -> None:
    for number in range(10):
        site.pages[f"/s{number}"] = Page(sitemap(f"{site.url}/s{number + 1}", kind="sitemapindex"))
    with pytest.raises(JobFailed, match="index of indexes"):
        await fetch(settings_for(site, source_sitemap_url=f"{site.url}/s0"))
    many = (f"{site.url}/x{number}" for number in range(500))
    site.pages["/sitemap.xml"] = Page(sitemap(*many, kind="sitemapindex"))
    with pytest.raises(JobFailed, match="more than 200 sitemaps"):
        await fetch(settings_for(site))


async def test_a_site_that_goes_away_is_left_and_its_copies_stay(
    site: SiteServer, settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "PAGE_SECONDS", 0.2)
    paths = [f"/p{number}" for number in range(60)]
    site.pages |= {path: Page(html(path)) for path in paths}
    site.lists(*paths)
    first = await fetch(settings_for(site))
    site.pages |= {path: Page(html(path), delay=5) for path in paths}
    site.asked.clear()
    with pytest.raises(JobFailed, match="stopped answering"):
        await fetch(settings_for(site))
    assert len(site.asked) < 30
    assert len(pages_of(first.root)) == 60


async def test_a_busy_server_is_asked_once_more(site: SiteServer, settings_for: MakeSettings) -> None:
    site.pages["/"] = Page(status=503, headers={"Retry-After": "0"})
    fetched = await fetch(settings_for(site))
    assert site.paths().count("/") == 2
    assert "503" in fault_of(fetched.faults, "/")


async def test_a_site_of_which_nothing_can_be_read_fails_the_job(site: SiteServer, settings_for: MakeSettings) -> None:
    site.lists("/missing", "/gone")
    with pytest.raises(JobFailed, match=r"no page of .* can be read"):
        await fetch(settings_for(site))


# What a hostile site may try


async def test_a_small_answer_that_stands_for_gigabytes_is_cut_off(
    site: SiteServer, settings_for: MakeSettings
) -> None:
    bomb = gzip.compress(b"\0" * 200_000_000, 9)
    site.pages["/"] = Page(bomb, headers={"Content-Encoding": "gzip"})
    fetched = await fetch(settings_for(site, max_page_bytes=100_000))
    assert "larger than 100,000 bytes" in fault_of(fetched.faults, "/")
    site.pages["/sitemap.xml"] = Page(bomb, "application/gzip")
    with pytest.raises(JobFailed, match="larger than 52,428,800 bytes"):
        await fetch(settings_for(site))


async def test_a_page_without_end_is_cut_off(site: SiteServer, settings_for: MakeSettings) -> None:
    site.pages["/"] = Page(endless=True)
    fetched = await fetch(settings_for(site, max_page_bytes=1_000_000))
    assert "larger than 1,000,000 bytes" in fault_of(fetched.faults, "/")


async def test_a_page_that_takes_for_ever_is_cut_off(site: SiteServer, settings_for: MakeSettings) -> None:
    site.pages["/"] = Page(html("x"), delay=30)
    fetched = await fetch(settings_for(site))
    assert "took longer than 2 seconds" in fault_of(fetched.faults, "/")


async def test_a_page_that_is_cut_off_is_not_kept(site: SiteServer, settings_for: MakeSettings) -> None:
    site.pages["/"] = Page(html("x"), headers={"Content-Length": "100000"})
    fetched = await fetch(settings_for(site))
    assert fault_of(fetched.faults, "/").startswith(("the connection broke off", "took longer"))
    assert "index.html" not in pages_of(fetched.root)


async def test_pages_that_are_too_large_together_end_the_job(site: SiteServer, settings_for: MakeSettings) -> None:
    site.pages |= {path: Page(html("x", "x" * 50_000)) for path in ("/", "/docs/intro", "/docs/guide/")}
    with pytest.raises(JobFailed, match="SOURCE_MAX_BYTES"):
        await fetch(settings_for(site, source_max_bytes=100_000))


async def test_redirects_are_followed_on_the_same_host_and_not_without_end(
    site: SiteServer, settings_for: MakeSettings
) -> None:
    for number in range(10):
        site.pages[f"/r{number}"] = Page(status=302, headers={"Location": f"/r{number + 1}"})
    site.pages["/r10"] = Page(html("end"))
    site.lists("/r7", "/r2", "/docs/intro")
    fetched = await fetch(settings_for(site))
    assert pages_of(fetched.root) == ["docs/intro.html", "r10.html"]
    assert "more than 3 redirects" in fault_of(fetched.faults, "/r2")


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/", "//169.254.169.254/", "http://localhost:{port}/", "http://0:{port}/",
        "http://2130706433:{port}/", "http://0x7f.1:{port}/", "http://[::1]:{port}/", "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/", "http://user:secret@127.0.0.1:{port}/", "http://[", "http://127.0.0.1:99999/", "",
    ],
)  # fmt: skip
async def test_a_redirect_that_leads_away_is_not_followed(
    site: SiteServer, settings_for: MakeSettings, target: str
) -> None:
    with site_server() as canary:
        site.pages["/"] = Page(status=302, headers={"Location": target.format(port=canary.port)})
        fetched = await fetch(settings_for(site))
        assert canary.asked == []
    assert fault_of(fetched.faults, "/")
    assert "index.html" not in pages_of(fetched.root)


async def test_pages_of_other_hosts_are_not_fetched(site: SiteServer, settings_for: MakeSettings) -> None:
    with site_server() as canary:
        site.lists("/", f"http://localhost:{canary.port}/x", "http://169.254.169.254/", "javascript:alert(1)", "/a\tb")
        fetched = await fetch(settings_for(site))
        assert canary.asked == []
    assert "another host than the sitemap" in fault_of(fetched.faults, "sitemap")


async def test_without_the_owner_s_word_nothing_on_this_machine_is_asked(
    site: SiteServer, settings_for: MakeSettings
) -> None:
    url = site.sitemap_url.replace("http://", "https://")
    with pytest.raises(AddressRefused, match=r"127\.0\.0\.1.*SOURCE_ALLOW_PRIVATE"):
        await fetch(settings_for(site, source_sitemap_url=url, source_allow_private=False))
    assert site.asked == []


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return certificate_for("docs.example.test", tmp_path)


@pytest.fixture
def secure_site(certificate: Path) -> Iterator[SiteServer]:
    with site_server(speaking_tls(certificate)) as site:
        site.pages["/"] = Page(html("Home"))
        yield site


class Resolver:
    """A name server that gives one answer after the other, the last one for ever."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return [self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]]


async def test_tls_is_for_the_name_while_the_connection_is_to_the_checked_address(
    secure_site: SiteServer, settings_for: MakeSettings, certificate: Path
) -> None:
    base = f"https://docs.example.test:{secure_site.port}"
    secure_site.lists(f"{base}/")
    settings = settings_for(secure_site, source_sitemap_url=f"{base}/sitemap.xml", source_ca_file=certificate)
    resolver = Resolver("127.0.0.1")
    fetched = await fetch_website(settings, lookup=resolver)
    assert pages_of(fetched.root) == ["index.html"]
    assert resolver.asked == 1
    assert {headers["host"] for _, headers in secure_site.asked} == {f"docs.example.test:{secure_site.port}"}


async def test_a_certificate_for_another_name_is_refused(
    secure_site: SiteServer, settings_for: MakeSettings, certificate: Path
) -> None:
    url = f"https://other.example.test:{secure_site.port}/sitemap.xml"
    settings = settings_for(secure_site, source_sitemap_url=url, source_ca_file=certificate)
    with pytest.raises(JobFailed, match="certificate that is not trusted"):
        await fetch_website(settings, lookup=Resolver("127.0.0.1"))
    with pytest.raises(JobFailed, match="SOURCE_CA_FILE"):
        await fetch_website(settings.model_copy(update={"source_ca_file": None}), lookup=Resolver("127.0.0.1"))


async def test_a_name_that_is_public_first_and_inner_later_gains_nothing(site: SiteServer) -> None:
    """The second answer would lead to this machine. It is never asked for: who connects is handed the first."""
    connected_to: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        connected_to.append(request.url.host)
        return httpx2.Response(302, headers={"Location": "/again"})

    resolver = Resolver(PUBLIC, "127.0.0.1")
    url = f"https://rebind.example.test:{site.port}/sitemap.xml"
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        asking = Web(client, "rebind.example.test", allow_private=False, lookup=resolver)
        for _ in range(3):
            with pytest.raises(Unfetched, match="more than 3 redirects"):
                await asking.get(url, 1000)
    assert set(connected_to) == {PUBLIC}
    assert resolver.asked == 1
    assert site.asked == []


async def test_a_name_with_one_inner_address_among_others_is_refused(
    site: SiteServer, settings_for: MakeSettings
) -> None:
    async def both(host: str, port: int) -> list[str]:
        return [PUBLIC, "10.0.0.1"]

    url = "https://docs.example.test/sitemap.xml"
    with pytest.raises(AddressRefused, match=r"leads to 10\.0\.0\.1"):
        await checkout_website(
            settings_for(site, source_sitemap_url=url, source_allow_private=False), "a" * 64, lookup=both
        )


async def test_a_proxy_of_the_environment_is_not_used(
    site: SiteServer, settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site_server() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert len(pages_of((await fetch(settings_for(site))).root)) == 3
        assert proxy.asked == []
