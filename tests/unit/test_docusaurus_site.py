"""Docusaurus sites. What is expected here is what Docusaurus 3.9 made of the same folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.sites import addresses, faults, site_of, version_and_locale, write
from worker.ingestion.site.docusaurus import DocusaurusSite
from worker.ingestion.site.docusaurus_layout import MAX_EDITIONS
from worker.ingestion.site.profile import SiteOptions

#: The parts of a config that every site has.
HEAD = "title: 't', url: 'https://docs.acme.dev', baseUrl: '/base/',"
I18N = "docusaurus-plugin-content-docs"


def config(docs: str = "{}", more: str = "", head: str = HEAD) -> str:
    return f"module.exports = {{{head} presets: [['classic', {{docs: {docs}}}]], {more}}};"


def site(root: Path, files: dict[str, str], docs: str = "{}", more: str = "", head: str = HEAD) -> None:
    write(root, {"docusaurus.config.js": config(docs, more, head), **files})


def test_pages_are_where_docusaurus_publishes_them(tmp_path: Path) -> None:
    site(
        tmp_path,
        {
            "docs/01-intro.md": "x", "docs/02-guide/index.md": "x", "docs/02-guide/01-install.mdx": "x",
            "docs/02-guide/02 - deep.md": "---\nid: deeper\n---\n", "docs/api/api.md": "x",
            "docs/02-guide/03-raw.md": "---\nparse_number_prefixes: false\n---\n",
            "docs/api/slug.md": "---\nslug: /custom/place\n---\n", "docs/api/up.md": "---\nslug: ../up/\n---\n",
            "docs/2021-11-01-news.md": "x", "docs/x/release.notes.md": "x", "docs/a.test.md": "x",
            "docs/_part.md": "x", "docs/_hidden/a.md": "x", "docs/x/__tests__/a.md": "x", "README.md": "x",
            "blog/post.md": "x", "src/pages/page.md": "x", "docs/_category_.json": "{}", "docs/a.txt": "x",
        },
    )  # fmt: skip
    base = "https://docs.acme.dev/base/docs"
    opened = site_of(tmp_path)
    assert addresses(tmp_path, opened) == {
        "docs/01-intro.md": f"{base}/intro",
        "docs/02-guide/index.md": f"{base}/guide/",
        "docs/02-guide/01-install.mdx": f"{base}/guide/install",
        "docs/02-guide/02 - deep.md": f"{base}/guide/deeper",
        "docs/02-guide/03-raw.md": f"{base}/02-guide/03-raw",
        "docs/api/api.md": f"{base}/api/",
        "docs/api/slug.md": f"{base}/custom/place",
        "docs/api/up.md": f"{base}/up/",
        "docs/2021-11-01-news.md": f"{base}/2021-11-01-news",
        "docs/x/release.notes.md": f"{base}/x/release.notes",
        "docs/a.test.md": f"{base}/a.test",
    }
    assert opened.profile == "Docusaurus (docusaurus.config.js): docs at /docs"
    assert opened.faults == ()
    page = opened.page("docs/01-intro.md")
    assert page is not None
    assert (page.dialect, page.version, page.locale) == ("docusaurus", "", "")


@pytest.mark.parametrize(
    ("options", "root_page", "folder", "page"),
    [
        ("", "/base/", "/base/guide/", "/base/guide/a"),
        ("trailingSlash: true,", "/base/", "/base/guide/", "/base/guide/a/"),
        ("trailingSlash: false,", "/base/", "/base/guide", "/base/guide/a"),
    ],
)
def test_slashes_stand_at_the_end_as_the_config_says(
    tmp_path: Path, options: str, root_page: str, folder: str, page: str
) -> None:
    site(
        tmp_path,
        {"docs/index.md": "x", "docs/guide/index.md": "x", "docs/guide/a.md": "x"},
        "{routeBasePath: '/'}",
        options,
    )
    found = addresses(tmp_path, site_of(tmp_path))
    assert found["docs/index.md"] == f"https://docs.acme.dev{root_page}"
    assert found["docs/guide/index.md"] == f"https://docs.acme.dev{folder}"
    assert found["docs/guide/a.md"] == f"https://docs.acme.dev{page}"


def test_the_setting_for_slashes_comes_before_the_config(tmp_path: Path) -> None:
    site(tmp_path, {"docs/a.md": "x"}, more="trailingSlash: false,")
    opened = site_of(tmp_path, SiteOptions(trailing_slash=True))
    assert addresses(tmp_path, opened)["docs/a.md"].endswith("/a/")


def test_the_options_choose_the_pages(tmp_path: Path) -> None:
    site(
        tmp_path,
        {f"content/{path}": "x" for path in ("FAQ.md", "x/FAQ.md", "api/a.mdx", "api/b.txt.md", "01-n.md", "_p.md")},
        "{path: 'content', include: ['api/**/*.{md,mdx}', 'FAQ.md', '*n.md', '_p.md'], exclude: ['**/*.txt.md'], "
        "numberPrefixParser: false}",
    )
    assert sorted(addresses(tmp_path, site_of(tmp_path)).items()) == [
        ("content/01-n.md", "https://docs.acme.dev/base/docs/01-n"),
        ("content/FAQ.md", "https://docs.acme.dev/base/docs/FAQ"),
        ("content/_p.md", "https://docs.acme.dev/base/docs/_p"),
        ("content/api/a.mdx", "https://docs.acme.dev/base/docs/api/a"),
    ]


def versioned(root: Path, docs: str = "{}", more: str = "") -> None:
    site(
        root,
        {
            "docs/a.md": "next", "docs/new.md": "next", "versioned_docs/version-2.1/a.md": "2.1",
            "versioned_docs/version-1.0/a.md": "1.0", "versions.json": '["2.1", "1.0"]',
        },
        docs,
        more,
    )  # fmt: skip


def test_only_the_version_that_visitors_get_first_is_indexed(tmp_path: Path) -> None:
    versioned(tmp_path)
    opened = site_of(tmp_path)
    assert addresses(tmp_path, opened) == {"versioned_docs/version-2.1/a.md": "https://docs.acme.dev/base/docs/a"}
    assert version_and_locale(opened, "versioned_docs/version-2.1/a.md") == ("2.1", "")
    assert opened.profile == "Docusaurus (docusaurus.config.js): docs at /docs, version 2.1 of 3"


def test_every_version_has_its_place(tmp_path: Path) -> None:
    versioned(tmp_path)
    opened = site_of(tmp_path, SiteOptions(versions=("all",)))
    assert addresses(tmp_path, opened) == {
        "docs/a.md": "https://docs.acme.dev/base/docs/next/a",
        "docs/new.md": "https://docs.acme.dev/base/docs/next/new",
        "versioned_docs/version-2.1/a.md": "https://docs.acme.dev/base/docs/a",
        "versioned_docs/version-1.0/a.md": "https://docs.acme.dev/base/docs/1.0/a",
    }
    assert version_and_locale(opened, "docs/a.md") == ("current", "")
    assert opened.profile.endswith("versions current, 2.1, 1.0 of 3")


@pytest.mark.parametrize("asked", ["1.0", "One", "old"])
def test_a_version_is_asked_for_by_its_name_label_or_path(tmp_path: Path, asked: str) -> None:
    versioned(tmp_path, "{versions: {'1.0': {label: 'One', path: 'old'}}}")
    opened = site_of(tmp_path, SiteOptions(versions=(asked,)))
    assert addresses(tmp_path, opened) == {"versioned_docs/version-1.0/a.md": "https://docs.acme.dev/base/docs/old/a"}


def test_a_version_that_there_is_not_is_named(tmp_path: Path) -> None:
    versioned(tmp_path)
    opened = site_of(tmp_path, SiteOptions(versions=("3.0",)))
    assert addresses(tmp_path, opened) == {}
    assert "DOCS_VERSIONS names no version of it; there are current, 2.1, 1.0" in faults(opened)


@pytest.mark.parametrize(
    ("docs", "expected"),
    [
        ("{lastVersion: 'current'}", {"docs/a.md": "a", "versioned_docs/version-2.1/a.md": "2.1/a"}),
        (
            "{lastVersion: 'current', versions: {current: {path: 'dev'}, '2.1': {path: ''}}}",
            {"docs/a.md": "dev/a", "versioned_docs/version-2.1/a.md": "a"},
        ),
        ("{includeCurrentVersion: false}", {"versioned_docs/version-2.1/a.md": "a"}),
        ("{onlyIncludeVersions: ['current', '1.0']}", {"docs/a.md": "next/a", "versioned_docs/version-1.0/a.md": "a"}),
        ("{disableVersioning: true}", {"docs/a.md": "a"}),
    ],
)
def test_the_options_for_versions_are_heeded(tmp_path: Path, docs: str, expected: dict[str, str]) -> None:
    versioned(tmp_path, docs)
    found = addresses(tmp_path, site_of(tmp_path, SiteOptions(versions=("all",))))
    named = {path: found.get(path) for path in expected}
    assert named == {path: f"https://docs.acme.dev/base/docs/{url}" for path, url in expected.items()}
    if "includeCurrent" in docs or "onlyInclude" in docs or "disable" in docs:
        assert not found.keys() - expected.keys() - {"versioned_docs/version-1.0/a.md", "docs/new.md"}


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '"2.1"', "[" * 50_000])
def test_a_broken_list_of_versions_is_named(tmp_path: Path, text: str) -> None:
    site(tmp_path, {"docs/a.md": "x", "versions.json": text})
    opened = site_of(tmp_path)
    assert addresses(tmp_path, opened) == {"docs/a.md": "https://docs.acme.dev/base/docs/a"}
    assert "versions.json beside it is no list of versions" in faults(opened)


LOCALES = "i18n: {defaultLocale: 'en', locales: ['en', 'fr', 'de'], localeConfigs: {fr: {path: 'french'}}},"


def localized(root: Path) -> None:
    site(
        root,
        {
            "docs/a.md": "en", "docs/b.md": "en", f"i18n/french/{I18N}/current/a.md": "fr",
            f"i18n/french/{I18N}/current/only-here.md": "fr", f"i18n/de/{I18N}/current/b.md": "de",
        },
        more=LOCALES,
    )  # fmt: skip


def test_only_the_default_locale_is_indexed(tmp_path: Path) -> None:
    localized(tmp_path)
    opened = site_of(tmp_path)
    assert addresses(tmp_path, opened) == {
        "docs/a.md": "https://docs.acme.dev/base/docs/a",
        "docs/b.md": "https://docs.acme.dev/base/docs/b",
    }
    assert version_and_locale(opened, "docs/a.md") == ("", "en")
    assert opened.profile == "Docusaurus (docusaurus.config.js): docs at /docs, locale en of 3"


def test_translations_are_pages_of_their_own_and_what_is_not_translated_is_indexed_once(tmp_path: Path) -> None:
    localized(tmp_path)
    opened = site_of(tmp_path, SiteOptions(locales=("all",)))
    assert addresses(tmp_path, opened) == {
        "docs/a.md": "https://docs.acme.dev/base/docs/a",
        "docs/b.md": "https://docs.acme.dev/base/docs/b",
        f"i18n/french/{I18N}/current/a.md": "https://docs.acme.dev/base/fr/docs/a",
        f"i18n/de/{I18N}/current/b.md": "https://docs.acme.dev/base/de/docs/b",
    }
    assert version_and_locale(opened, f"i18n/de/{I18N}/current/b.md") == ("", "de")


def test_a_locale_without_the_default_one_shows_its_pages_where_a_translation_is_missing(tmp_path: Path) -> None:
    localized(tmp_path)
    opened = site_of(tmp_path, SiteOptions(locales=("fr",)))
    assert addresses(tmp_path, opened) == {
        "docs/b.md": "https://docs.acme.dev/base/fr/docs/b",
        f"i18n/french/{I18N}/current/a.md": "https://docs.acme.dev/base/fr/docs/a",
    }
    assert version_and_locale(opened, "docs/b.md") == ("", "fr")


def test_a_locale_may_have_an_address_of_its_own(tmp_path: Path) -> None:
    more = (
        "i18n: {defaultLocale: 'en', locales: ['en', 'fr', 'de'], localeConfigs: "
        "{fr: {url: 'https://fr.acme.dev', baseUrl: '/'}, de: {translate: false}}},"
    )
    translations = {f"i18n/fr/{I18N}/current/a.md": "x", f"i18n/de/{I18N}/current/a.md": "x"}
    site(tmp_path, {"docs/a.md": "x", **translations}, more=more)
    assert addresses(tmp_path, site_of(tmp_path, SiteOptions(locales=("fr",)))) == {
        f"i18n/fr/{I18N}/current/a.md": "https://fr.acme.dev/docs/a"
    }
    assert addresses(tmp_path, site_of(tmp_path, SiteOptions(locales=("de",)))) == {
        "docs/a.md": "https://docs.acme.dev/base/de/docs/a"
    }


def test_a_locale_that_there_is_not_is_named(tmp_path: Path) -> None:
    localized(tmp_path)
    opened = site_of(tmp_path, SiteOptions(locales=("it",)))
    assert addresses(tmp_path, opened) == {}
    assert "DOCS_LOCALES names no locale of it; there are en, fr, de" in faults(opened)


def test_further_sets_of_docs_have_folders_routes_and_versions_of_their_own(tmp_path: Path) -> None:
    plugin = "['@docusaurus/plugin-content-docs', {id: 'community', path: 'community', routeBasePath: 'c/o'}]"
    site(
        tmp_path,
        {
            "docs/a.md": "x", "community/team.md": "x", "community_versions.json": '["1"]',
            "community_versioned_docs/version-1/team.md": "x",
            f"i18n/fr/{I18N}-community/version-1/team.md": "x",
        },
        more=f"plugins: [{plugin}, false, ['other', {{path: 'blog'}}]], i18n: {{locales: ['en', 'fr']}},",
    )  # fmt: skip
    opened = site_of(tmp_path, SiteOptions(versions=("all",), locales=("all",)))
    assert addresses(tmp_path, opened) == {
        "docs/a.md": "https://docs.acme.dev/base/docs/a",
        "community/team.md": "https://docs.acme.dev/base/c/o/next/team",
        "community_versioned_docs/version-1/team.md": "https://docs.acme.dev/base/c/o/team",
        f"i18n/fr/{I18N}-community/version-1/team.md": "https://docs.acme.dev/base/fr/c/o/team",
    }
    assert site_of(tmp_path).profile == (
        "Docusaurus (docusaurus.config.js): docs at /docs, community at /c/o, versions current, 1 of 2, locale en of 2"
    )


def test_docs_of_the_preset_may_be_switched_off(tmp_path: Path) -> None:
    plugin = "plugins: [[require.resolve('@docusaurus/plugin-content-docs'), {path: 'guide', routeBasePath: '/'}]],"
    site(tmp_path, {"docs/a.md": "x", "guide/b.md": "x"}, "false", plugin)
    assert addresses(tmp_path, site_of(tmp_path)) == {"guide/b.md": "https://docs.acme.dev/base/b"}
    write(tmp_path, {"docusaurus.config.js": config("false")})
    opened = site_of(tmp_path)
    assert addresses(tmp_path, opened) == {}
    assert "has no docs" in faults(opened)


def test_the_settings_come_before_the_config(tmp_path: Path) -> None:
    localized(tmp_path)
    opened = site_of(tmp_path, SiteOptions(site_url="https://mirror.dev/x", docs_route="/", locales=("all",)))
    found = addresses(tmp_path, opened)
    assert found["docs/a.md"] == "https://mirror.dev/x/a"
    assert found[f"i18n/french/{I18N}/current/a.md"] == "https://mirror.dev/x/fr/a"


def test_a_label_that_cannot_be_read_is_not_missed(tmp_path: Path) -> None:
    versioned(tmp_path, "{versions: {'1.0': {label: `${one} x`}}}")
    opened = site_of(tmp_path, SiteOptions(versions=("1.0",)))
    assert list(addresses(tmp_path, opened)) == ["versioned_docs/version-1.0/a.md"]
    assert opened.faults == ()


def test_a_config_that_leaves_the_address_open_is_named_and_the_reader_shows_the_pages(tmp_path: Path) -> None:
    site(tmp_path, {"docs/a.md": "x"}, head="url: process.env.URL, baseUrl: '/',")
    opened = site_of(tmp_path)
    assert addresses(tmp_path, opened) == {"docs/a.md": "/documents/docs/a.md"}
    assert faults(opened) == ("docusaurus.config.js: url cannot be read without running it; set SITE_URL to what it is")
    assert site_of(tmp_path, SiteOptions(site_url="https://docs.acme.dev")).faults == ()


@pytest.mark.parametrize("head", ["baseUrl: '/',", "url: 'https://your-docusaurus-site.example.com', baseUrl: '/',"])
def test_an_address_that_is_nobodys_is_none(tmp_path: Path, head: str) -> None:
    site(tmp_path, {"docs/a.md": "x"}, head=head)
    opened = site_of(tmp_path)
    assert addresses(tmp_path, opened) == {"docs/a.md": "/documents/docs/a.md"}
    assert "set SITE_URL" in faults(opened)


@pytest.mark.parametrize("url", ["javascript:alert(1)//", "docs.acme.dev", "https://x.dev/<script>", "https://"])
def test_what_no_link_can_lead_to_is_no_address(tmp_path: Path, url: str) -> None:
    site(tmp_path, {"docs/a.md": "x"}, head=f"url: '{url}', baseUrl: '/',")
    opened = site_of(tmp_path)
    assert addresses(tmp_path, opened) == {"docs/a.md": "/documents/docs/a.md"}
    assert faults(opened).endswith("url is no address that begins with https:// or http://; set SITE_URL to what it is")


def test_more_sets_of_docs_and_languages_than_fit_into_memory_are_cut(tmp_path: Path) -> None:
    plugins = ", ".join(f"['@docusaurus/plugin-content-docs', {{id: 'i{n}', path: 'docs'}}]" for n in range(2000))
    locales = ", ".join(f"'l{n}'" for n in range(2000))
    config = f"export default {{url: 'https://x.dev', i18n: {{defaultLocale: 'en', locales: [{locales}]}}, "
    write(tmp_path, {"docusaurus.config.js": f"{config}plugins: [{plugins}]}}", "docs/a.md": "x"})
    opened = site_of(tmp_path, SiteOptions(locales=("all",)))
    assert isinstance(opened, DocusaurusSite)
    assert sum(len(shelf.editions) for shelf in opened.shelves) <= MAX_EDITIONS
    assert faults(opened).count("name those that matter in DOCS_VERSIONS and DOCS_LOCALES") == 1
    assert addresses(tmp_path, opened) == {"docs/a.md": "https://x.dev/docs/a"}


@pytest.mark.parametrize(
    ("docs", "more", "says"),
    [
        ("{routeBasePath: route()}", "", "docs.routeBasePath cannot be read without running it; set DOCS_ROUTE"),
        ("{...shared}", "", "docs.path cannot be read without running it, and Docusaurus's default is taken"),
        ("{include: list}", "", "docs.include cannot be read without running it; set CONTENT_INCLUDE"),
        ("{numberPrefixParser: (name) => name}", "", "docs.numberPrefixParser cannot be read"),
        ("{}", "trailingSlash: slash(),", "set SITE_TRAILING_SLASH"),
        ("{}", "i18n: {locales: all()},", "i18n.locales cannot be read"),
        ("make()", "", "docs cannot be read"),
        ("{versions: {current: {path: path()}}}", "", "docs.versions.current.path cannot be read"),
    ],
)
def test_each_value_that_cannot_be_read_is_named(tmp_path: Path, docs: str, more: str, says: str) -> None:
    site(tmp_path, {"docs/a.md": "x"}, docs, more)
    opened = site_of(tmp_path)
    assert addresses(tmp_path, opened) == {"docs/a.md": "https://docs.acme.dev/base/docs/a"}
    assert says in faults(opened)


@pytest.mark.parametrize("text", ["", "export default make()", "export default {", "\0\0", "\xff\xfe"])
def test_a_config_that_cannot_be_read_at_all_is_named_and_the_defaults_are_taken(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"docs/a.md": "x", "b.md": "x"})
    (tmp_path / "docusaurus.config.ts").write_bytes(text.encode("latin-1"))
    opened = site_of(tmp_path, SiteOptions(site_url="https://docs.acme.dev"))
    assert addresses(tmp_path, opened) == {"docs/a.md": "https://docs.acme.dev/docs/a"}
    assert opened.profile == "Docusaurus (docusaurus.config.ts): docs at /docs"
    assert "docusaurus.config.ts: " in faults(opened)
    assert "the defaults of Docusaurus are taken" in faults(opened)


def test_a_config_behind_a_link_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, {"outside/config.js": config(), "root/docs/a.md": "x"})
    (tmp_path / "root" / "docusaurus.config.js").symlink_to(tmp_path / "outside" / "config.js")
    opened = site_of(tmp_path / "root")
    assert "symbolic link" in faults(opened)
    assert "acme" not in addresses(tmp_path / "root", opened)["docs/a.md"]


def test_the_content_root_may_be_a_repository_with_a_site_in_it(tmp_path: Path) -> None:
    write(tmp_path, {"website/docusaurus.config.ts": config("{path: '../docs'}"), "docs/a.md": "x", "README.md": "x"})
    opened = site_of(tmp_path)
    assert addresses(tmp_path, opened) == {"docs/a.md": "https://docs.acme.dev/base/docs/a"}
    assert opened.profile == "Docusaurus (website/docusaurus.config.ts): docs at /docs"


@pytest.mark.parametrize(("place", "path"), [("", "docs"), ("website/", "../docs")])
def test_the_content_root_may_be_the_docs_alone(tmp_path: Path, place: str, path: str) -> None:
    write(
        tmp_path, {f"{place}docusaurus.config.js": config(f"{{path: '{path}', routeBasePath: 'd'}}"), "docs/a.md": "x"}
    )
    opened = site_of(tmp_path / "docs")
    assert addresses(tmp_path / "docs", opened) == {"a.md": "https://docs.acme.dev/base/d/a"}
    assert opened.profile == f"Docusaurus (../{place}docusaurus.config.js): docs at /d"


def test_docs_alone_that_are_not_released_are_indexed_and_that_is_said(tmp_path: Path) -> None:
    versioned(tmp_path)
    opened = site_of(tmp_path / "docs")
    assert addresses(tmp_path / "docs", opened)["a.md"] == "https://docs.acme.dev/base/docs/next/a"
    assert "holds the docs of 'Next' only" in faults(opened)
    asked = site_of(tmp_path / "docs", SiteOptions(versions=("2.1",)))
    assert addresses(tmp_path / "docs", asked) == {}
    assert "2.1 lies outside of the content root" in faults(asked)


def test_a_config_beside_the_content_root_that_is_about_another_folder_is_not_used(tmp_path: Path) -> None:
    write(tmp_path, {"docusaurus.config.js": config(), "docs/a.md": "x", "other/a.md": "x"})
    opened = site_of(tmp_path / "other", SiteOptions(site_url="https://x.dev"))
    assert opened.profile == "a folder of Markdown: pages at /docs"
    assert opened.faults == ()
    forced = site_of(tmp_path / "other", SiteOptions(profile="docusaurus", site_url="https://x.dev"))
    assert forced.profile == "Docusaurus (no config found): docs at /docs"
    assert addresses(tmp_path / "other", forced) == {"a.md": "https://x.dev/docs/a"}


def test_docs_outside_of_the_content_root_are_named(tmp_path: Path) -> None:
    write(tmp_path, {"website/docusaurus.config.js": config("{path: '../docs'}"), "docs/a.md": "x"})
    opened = site_of(tmp_path / "website")
    assert opened.profile == "Docusaurus (docusaurus.config.js): no docs below the content root"
    assert "'../docs' lie outside of the content root" in faults(opened)


def test_a_docs_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    site(tmp_path, {"guide/a.md": "x"})
    assert "there is no folder 'docs'" in faults(site_of(tmp_path))


def test_unlisted_pages_are_hidden_unless_the_settings_say_so(tmp_path: Path) -> None:
    site(tmp_path, {"docs/a.md": "x"})
    hidden = [site_of(tmp_path, SiteOptions(index_unlisted=wanted)).page("docs/a.md") for wanted in (False, True)]
    assert [page.hidden_by for page in hidden if page] == [("draft", "unlisted"), ("draft",)]
