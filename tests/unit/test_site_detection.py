from __future__ import annotations

from pathlib import Path

import pytest

from tests.privileges import as_nobody
from tests.unit.sites import addresses, faults, site_of, write
from worker.ingestion.site.profile import ProfileName, SiteOptions

DOCUSAURUS = {"docusaurus.config.js": "module.exports = {url: 'https://d.dev', baseUrl: '/', presets: ['classic']}"}
MKDOCS = {"mkdocs.yml": "site_url: https://m.dev\n"}
MDBOOK = {
    "book.toml": "[output.html]\nsite-url = 'https://b.dev/'\n",
    "src/SUMMARY.md": "- [A](a.md)\n",
    "src/a.md": "x",
}
PAGES = {"docs/a.md": "# A\n"}


@pytest.mark.parametrize(
    ("profile", "dialect", "address"),
    [
        ("docusaurus", "docusaurus", "https://d.dev/docs/a"),
        ("mkdocs", "mkdocs", "https://m.dev/a/"),
        ("mdbook", "mdbook", None),
        ("plain", "plain", "/documents/docs/a.md"),
    ],
)
def test_the_setting_chooses_among_several(
    tmp_path: Path, profile: ProfileName, dialect: str, address: str | None
) -> None:
    write(tmp_path, {**DOCUSAURUS, **MKDOCS, **MDBOOK, **PAGES})
    opened = site_of(tmp_path, SiteOptions(profile=profile))
    assert addresses(tmp_path, opened).get("docs/a.md") == address
    page = opened.page("docs/a.md") or opened.page("src/a.md")
    assert page is not None
    assert page.dialect == dialect


def test_a_folder_without_a_config_is_plain(tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "# A\n", "b/c.md": "x", "_part.md": "x", "b/_x/c.md": "x", "d.test.md": "x"})
    opened = site_of(tmp_path, SiteOptions(site_url="https://x.dev"))
    assert opened.profile == "a folder of Markdown: pages at /docs"
    assert addresses(tmp_path, opened) == {"a.md": "https://x.dev/docs/a", "b/c.md": "https://x.dev/docs/b/c"}
    assert opened.faults == ()
    assert site_of(tmp_path).profile == "a folder of Markdown, address not known"


@pytest.mark.parametrize(
    "text",
    ["import Tabs from '@theme/Tabs'\n", ":::note\n\nx\n\n:::\n", "---\nsidebar_position: 1\n---\n# A\n"],
)
def test_pages_written_for_docusaurus_are_known_without_a_config(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"a.md": text, "b.md": text, "c.md": "x"})
    opened = site_of(tmp_path)
    assert opened.profile == "Docusaurus (no config found), address not known"
    page = opened.page("c.md")
    assert page is not None
    assert page.dialect == "docusaurus"


@pytest.mark.parametrize(
    "pages",
    [
        {"a.md": "!!! note\n    x\n", "b.md": "x"},
        {"a.md": "```\n!!! note\n```\n", "b.md": "~~~\n--8<-- 'x'\n~~~\n", "c.md": "    text\n"},
        {"a.md": ":::note\n:::\n", "b.md": "x"},
        {"a.md": "\0", "b.md": "\0"},
        {},
    ],
)
def test_what_one_page_or_a_listing_looks_like_decides_nothing(tmp_path: Path, pages: dict[str, str]) -> None:
    write(tmp_path, pages)
    assert site_of(tmp_path).profile == "a folder of Markdown, address not known"


def test_pages_that_look_like_both_are_not_laid_out_by_mkdocs(tmp_path: Path) -> None:
    both = "!!! note\n    x\n\n:::note\n:::\n"
    write(tmp_path, {"a.md": both, "b.md": both})
    assert site_of(tmp_path).profile == "Docusaurus (no config found), address not known"


@pytest.mark.parametrize("files", [DOCUSAURUS, MKDOCS, {"book.toml": ""}])
def test_a_config_beside_the_content_root_counts_only_as_a_real_file(tmp_path: Path, files: dict[str, str]) -> None:
    write(tmp_path, {f"elsewhere/{name}": text for name, text in files.items()})
    write(tmp_path, {"docs/a.md": "x"})
    for name in files:
        (tmp_path / name).symlink_to(tmp_path / "elsewhere" / name)
    opened = site_of(tmp_path / "docs")
    assert (opened.profile, faults(opened)) == ("a folder of Markdown, address not known", "")


def test_a_parent_that_may_not_be_looked_into_says_nothing() -> None:
    with as_nobody() as folder:
        write(folder, {"closed/docs/a.md": "x"})
        (folder / "closed").chmod(0o111)
        opened = site_of(folder / "closed" / "docs")
        (folder / "closed").chmod(0o755)
    assert (opened.profile, opened.faults) == ("a folder of Markdown, address not known", ())
