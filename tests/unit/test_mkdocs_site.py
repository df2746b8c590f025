"""MkDocs sites. What is expected here is what MkDocs 1.6 made of the same folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.sites import addresses, faults, site_of, write
from worker.ingestion.front_matter import FrontMatter
from worker.ingestion.site.mkdocs import is_ignored
from worker.ingestion.site.profile import Site, SiteOptions

HEAD = "site_name: Acme\nsite_url: https://docs.acme.dev/base/\n"


def titles(site: Site, *paths: str) -> list[str | None]:
    """The title that the navigation gives, or in brackets what a page without any is called."""
    pages = [page for page in map(site.page, paths) if page]
    return [page.title or f"({page.route.name(FrontMatter(''))})" for page in pages]


def test_pages_are_where_mkdocs_publishes_them(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "mkdocs.yml": HEAD, "docs/index.md": "x", "docs/setup.md": "x", "docs/guide/README.md": "x",
            "docs/both/index.md": "x", "docs/both/README.md": "x", "docs/_under.md": "x", "docs/x.test.md": "x",
            "docs/readme.md": "x", "docs/sp ace/ü.md": "x", "docs/templates/x.md": "x", "docs/a.mdx": "x",
            "README.md": "x",
        },
    )  # fmt: skip
    base = "https://docs.acme.dev/base"
    opened = site_of(tmp_path)
    assert addresses(tmp_path, opened) == {
        "docs/index.md": f"{base}/",
        "docs/setup.md": f"{base}/setup/",
        "docs/guide/README.md": f"{base}/guide/",
        "docs/both/index.md": f"{base}/both/",
        "docs/_under.md": f"{base}/_under/",
        "docs/x.test.md": f"{base}/x.test/",
        "docs/readme.md": f"{base}/readme/",
        "docs/sp ace/ü.md": f"{base}/sp%20ace/%C3%BC/",
    }
    assert opened.profile == "MkDocs (mkdocs.yml): docs in docs, at https://docs.acme.dev/base/"
    assert opened.faults == ()
    page = opened.page("docs/setup.md")
    assert page is not None
    assert page.dialect == "mkdocs"


def test_addresses_may_be_those_of_files(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "mkdocs.yaml": f"{HEAD}use_directory_urls: false\ndocs_dir: src/md\n", "src/md/index.md": "x",
            "src/md/a/README.md": "x", "src/md/a/b.md": "x", "docs/other.md": "x",
        },
    )  # fmt: skip
    assert list(addresses(tmp_path, site_of(tmp_path)).values()) == [
        "https://docs.acme.dev/base/a/index.html",
        "https://docs.acme.dev/base/a/b.html",
        "https://docs.acme.dev/base/index.html",
    ]


def test_titles_come_from_the_navigation_first(tmp_path: Path) -> None:
    nav = (
        "nav:\n  - Start: index.md\n  - Section:\n    - plain.md\n    - Deep: ./sec/deep.md\n    - Again: sec/deep.md\n"
        "  - Later: plain.md\n  - https://x.org\n  - Link: https://x.org\n"
    )
    pages = ("docs/index.md", "docs/plain.md", "docs/sec/deep.md", "docs/a-b_c.md", "docs/Own-Name.md")
    write(tmp_path, {"mkdocs.yml": HEAD + nav, **dict.fromkeys(pages, "x")})
    assert titles(site_of(tmp_path), *pages) == ["Start", "(Plain)", "Deep", "(A b c)", "(Own Name)"]
    write(tmp_path, {"mkdocs.yml": HEAD})
    assert titles(site_of(tmp_path), "docs/index.md") == ["(Home)"]


def test_excluded_pages_and_drafts_are_none(tmp_path: Path) -> None:
    rules = "exclude_docs: |\n  drafts/*\n  !drafts/keep.md\n  # no rule\n  /todo.md\ndraft_docs: later/\n"
    paths = ("drafts/a.md", "drafts/keep.md", "todo.md", "x/todo.md", "later/a.md", "x/later/b.md", "a.md")
    write(tmp_path, {"mkdocs.yml": HEAD + rules, **{f"docs/{path}": "x" for path in paths}})
    assert sorted(addresses(tmp_path, site_of(tmp_path))) == ["docs/a.md", "docs/drafts/keep.md", "docs/x/todo.md"]


@pytest.mark.parametrize(
    ("patterns", "path", "ignored"),
    [
        (("a.md",), "x/a.md", True),
        (("/a.md",), "x/a.md", False),
        (("x/",), "y/x/a.md", True),
        (("x/",), "x", False),
        (("x/y",), "x/y/a.md", True),
        (("x/y",), "z/x/y", False),
        (("*.md", "!b.md"), "b.md", False),
        (("!b.md", "*.md"), "b.md", True),
        (("{a,b}.md",), "a.md", False),
        (("\\#a.md",), "#a.md", True),
        (("", "/", "!", "#a.md"), "#a.md", False),
        (("**/c/*",), "a/b/c/d.md", True),
    ],
)
def test_patterns_are_those_of_gitignore(patterns: tuple[str, ...], path: str, ignored: bool) -> None:
    assert is_ignored(path, patterns) is ignored


def test_tags_that_name_code_are_read_over(tmp_path: Path) -> None:
    text = (
        "site_url: !ENV [DOCS_URL, 'https://docs.acme.dev']\nuse_directory_urls: !ENV [URLS, true]\n"
        "markdown_extensions:\n  - toc:\n      slugify: !!python/object/apply:os.system ['touch owned']\n"
        "hooks: !relative $config_dir/hooks.py\ncopyright: &c Acme\nextra: {c: *c}\n"
    )
    write(tmp_path, {"mkdocs.yml": text, "docs/a.md": "x"})
    opened = site_of(tmp_path)
    assert addresses(tmp_path, opened) == {"docs/a.md": "https://docs.acme.dev/a/"}
    assert opened.faults == ()
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("url", ["", "site_url: ''\n", "site_url: null\n", "site_url: !ENV DOCS_URL\n"])
def test_an_address_that_is_not_known_is_named_and_the_reader_shows_the_pages(tmp_path: Path, url: str) -> None:
    write(tmp_path, {"mkdocs.yml": f"site_name: Acme\n{url}", "docs/a.md": "x"})
    opened = site_of(tmp_path)
    assert addresses(tmp_path, opened) == {"docs/a.md": "/documents/docs/a.md"}
    assert "set SITE_URL" in faults(opened)
    told = site_of(tmp_path, SiteOptions(site_url="https://x.dev/latest", docs_route="/manual/"))
    assert addresses(tmp_path, told) == {"docs/a.md": "https://x.dev/latest/manual/a/"}
    assert told.faults == ()


@pytest.mark.parametrize(
    "text",
    [
        "nav: [", "- a\n- b\n", "", "a: " + "[" * 5000, "\n".join(" " * n + "a:" for n in range(200)), "a: b: c",
        "\0", "a: *b",
    ],
)  # fmt: skip
def test_a_broken_config_is_named_and_the_defaults_are_taken(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"mkdocs.yml": text, "docs/a.md": "x"})
    opened = site_of(tmp_path, SiteOptions(site_url="https://x.dev"))
    assert addresses(tmp_path, opened) == {"docs/a.md": "https://x.dev/a/"}
    assert "the defaults of MkDocs are taken" in faults(opened)


def test_aliases_that_multiply_are_read_in_no_time(tmp_path: Path) -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40))
    write(tmp_path, {"mkdocs.yml": f"{HEAD}a0: &a0 [x.md]\n{levels}\nnav: *a39\n", "docs/a.md": "x"})
    assert addresses(tmp_path, site_of(tmp_path)) == {"docs/a.md": "https://docs.acme.dev/base/a/"}


def test_a_config_may_inherit_from_another_below_the_content_root(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "docs/en/mkdocs.yml": "INHERIT: ../base.yml\nsite_url: https://docs.acme.dev/\n", "docs/en/docs/a.md": "x",
            "docs/base.yml": "INHERIT: top.yml\nsite_url: https://no.dev\nuse_directory_urls: false\n",
            "docs/top.yml": "INHERIT: base.yml\nnav: [{Titled: a.md}]\n",
        },
    )  # fmt: skip
    opened = site_of(tmp_path)
    assert addresses(tmp_path, opened) == {"docs/en/docs/a.md": "https://docs.acme.dev/a.html"}
    assert titles(opened, "docs/en/docs/a.md") == ["Titled"]
    write(tmp_path, {"docs/en/mkdocs.yml": HEAD + "INHERIT: ../../../outside.yml\n"})
    assert "INHERIT: '../../../outside.yml' cannot be read" in faults(site_of(tmp_path))


def test_the_content_root_may_be_the_docs_alone(tmp_path: Path) -> None:
    write(tmp_path, {"mkdocs.yml": HEAD, "docs/a.md": "x", "other/a.md": "x"})
    opened = site_of(tmp_path / "docs")
    assert addresses(tmp_path / "docs", opened) == {"a.md": "https://docs.acme.dev/base/a/"}
    assert opened.profile == "MkDocs (../mkdocs.yml): docs in ., at https://docs.acme.dev/base/"
    assert site_of(tmp_path / "other").profile == "a folder of Markdown, address not known"


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "docs.acme.dev", "'https://x.dev/a b'", "//x.dev", "https://u:p@x.dev"]
)
def test_what_no_link_can_lead_to_is_no_address(tmp_path: Path, url: str) -> None:
    write(tmp_path, {"mkdocs.yml": f"site_url: {url}\n", "docs/a.md": "x"})
    opened = site_of(tmp_path)
    assert addresses(tmp_path, opened) == {"docs/a.md": "/documents/docs/a.md"}
    assert faults(opened) == (
        "mkdocs.yml: site_url is no address that begins with https:// or http://; set SITE_URL to what it is"
    )
    assert site_of(tmp_path, SiteOptions(site_url="https://x.dev")).faults == ()


@pytest.mark.parametrize(
    ("extensions", "folders"),
    [
        ("[{pymdownx.snippets: {base_path: includes}}]", ("includes",)),
        ("[toc, {pymdownx.snippets: {base_path: [., docs/snips, ../out]}}]", ("", "docs/snips")),
        ("{pymdownx.snippets: {base_path: !relative $config_dir/inc, check_paths: true}}", ("inc",)),
        ("[{pymdownx.snippets: {base_path: [!relative $docs_dir]}}]", ()),
        ("[pymdownx.snippets, {toc: {permalink: true}}]", ()),
        ("[{pymdownx.snippets: [base_path]}, 5, [x]]", ()),
        ("nothing", ()),
    ],
)
def test_the_folders_of_snippets_are_those_of_the_config(
    tmp_path: Path, extensions: str, folders: tuple[str, ...]
) -> None:
    write(tmp_path, {"mkdocs.yml": f"{HEAD}markdown_extensions: {extensions}\n", "docs/a.md": "x"})
    page = site_of(tmp_path).page("docs/a.md")
    assert page is not None
    assert page.include_folders == folders


def test_docs_outside_of_the_content_root_are_named(tmp_path: Path) -> None:
    write(tmp_path, {"root/mkdocs.yml": f"{HEAD}docs_dir: ../docs\n", "docs/a.md": "x"})
    assert "'../docs' lie outside of the content root" in faults(site_of(tmp_path / "root"))


NOTE = "# Title\n\n/// note\n\nText.\n\n///\n"


def test_pages_written_for_mkdocs_are_known_without_a_config(tmp_path: Path) -> None:
    write(tmp_path, {f"docs/en/docs/{name}.md": NOTE for name in ("a", "b", "guide/index")})
    opened = site_of(tmp_path, SiteOptions(site_url="https://x.dev"))
    assert opened.profile == "MkDocs (no config found): docs in docs/en/docs, at https://x.dev/"
    assert addresses(tmp_path, opened) == {
        "docs/en/docs/a.md": "https://x.dev/a/",
        "docs/en/docs/b.md": "https://x.dev/b/",
        "docs/en/docs/guide/index.md": "https://x.dev/guide/",
    }


def test_the_profile_may_be_set(tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "x"})
    opened = site_of(tmp_path, SiteOptions(profile="mkdocs", site_url="https://x.dev"))
    assert addresses(tmp_path, opened) == {"a.md": "https://x.dev/a/"}
