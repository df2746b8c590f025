from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from shared.settings import load_settings
from tests.unit.sites import write
from worker.ingestion.content import Content


def content(root: Path, **settings: object) -> Content:
    return Content.of(load_settings(None, content_root=root, **settings))


def test_a_plain_folder_is_found_and_read(tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "# A\n\nText.\n", "x/b.mdx": "# B\n\nText.\n", "_part.md": "x", "x/a.test.md": "x"})
    found = content(tmp_path, site_url="https://x.dev").find(".")
    assert (found.scope, found.profile) == (".", "a folder of Markdown: pages at /docs")
    assert [page.path for page in found.pages] == ["a.md", "x/b.mdx"]
    pages, faults = content(tmp_path, site_url="https://x.dev").read(["a.md", "x/b.mdx"])
    assert [page.page.url for page in pages] == ["https://x.dev/docs/a", "https://x.dev/docs/x/b"]
    assert [page.page.revision for page in pages] == [page.revision for page in found.pages]
    assert faults == []


def test_only_the_pages_of_the_site_are_found(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "mkdocs.yml": "site_url: https://docs.acme.dev\n", "docs/a.md": "# A\n\nText.\n", "README.md": "# R\n",
            "docs/x/b.md": "# B\n\nText.\n",
        },
    )  # fmt: skip
    everything = content(tmp_path).find(".")
    assert [page.path for page in everything.pages] == ["docs/a.md", "docs/x/b.md"]
    assert everything.profile == "MkDocs (mkdocs.yml): docs in docs, at https://docs.acme.dev/"
    assert [page.path for page in content(tmp_path).find("docs/x").pages] == ["docs/x/b.md"]
    assert content(tmp_path).find("README.md").pages == ()
    chosen = content(tmp_path, content_exclude=("docs/x/",)).find(".")
    assert [page.path for page in chosen.pages] == ["docs/a.md"]


def test_what_is_wrong_with_the_sites_config_is_said_with_what_was_skipped(tmp_path: Path) -> None:
    write(tmp_path, {"mkdocs.yml": "nav: [", "docs/a.md": "# A\n"})
    (tmp_path / "docs" / "b.md").symlink_to(tmp_path / "docs" / "a.md")
    assert [fault.path for fault in content(tmp_path).find(".").skipped] == ["mkdocs.yml", "mkdocs.yml", "docs/b.md"]


def test_the_settings_come_before_what_is_detected(tmp_path: Path) -> None:
    write(tmp_path, {"mkdocs.yml": "site_url: https://docs.acme.dev\n", "docs/a.md": "# A\n\nText.\n"})
    found = content(tmp_path, site_profile="plain", site_url="https://x.dev", docs_route="/").find(".")
    assert found.profile == "a folder of Markdown: pages at /"
    pages, _ = content(tmp_path, site_profile="plain", site_url="https://x.dev", docs_route="/").read(["docs/a.md"])
    assert [page.page.url for page in pages] == ["https://x.dev/docs/a"]


def test_a_page_that_the_site_has_no_more_is_named_and_stays_for_this_time(tmp_path: Path) -> None:
    write(tmp_path, {"book.toml": "", "src/SUMMARY.md": "- [A](a.md)\n", "src/a.md": "# A\n\nText.\n", "src/b.md": "x"})
    pages, faults = content(tmp_path).read(["src/a.md", "src/b.md"])
    assert [page.page.title for page in pages] == ["A"]
    (fault,) = faults
    assert fault.path == "src/b.md"
    assert "no page of the site any more" in fault.reason


def test_files_of_other_formats_are_published_as_they_are_beside_any_site(tmp_path: Path) -> None:
    html = "<html><body><main><h2 id='x'>H</h2><p>Text.</p></main></body></html>"
    write(tmp_path, {"mkdocs.yml": "site_url: https://docs.acme.dev\n", "files/a b.html": html, "_files/c.html": html})
    reads = replace(content(tmp_path, site_url="https://x.dev/base"), formats=(".html",))
    assert [page.path for page in reads.find(".").pages] == ["files/a b.html"]
    assert content(tmp_path).find(".").pages == ()
    pages, faults = reads.read(["files/a b.html", "_files/c.html"])
    assert [chunk.url for page in pages for chunk in page.chunks] == ["https://x.dev/base/files/a%20b.html#x"]
    assert [fault.path for fault in faults] == ["_files/c.html"]


def including(root: Path, target: str) -> None:
    """A page that shows another file."""
    write(root, {"docs/a.mdx": f"import Part from '{target}'\n\n# A\n\n<Part />\n\nText.\n"})


def test_a_changed_include_changes_the_revision_of_the_page_that_shows_it(tmp_path: Path) -> None:
    write(tmp_path, {"docs/_part.mdx": "Before.\n", "docs/b.mdx": "# B\n", "docusaurus.config.js": "export default {}"})
    write(tmp_path, {"docusaurus.config.js": "export default {presets: ['classic']}"})
    including(tmp_path, "./_part.mdx")
    before = {page.path: page.revision for page in content(tmp_path).find(".").pages}
    write(tmp_path, {"docs/_part.mdx": "After.\n"})
    after = {page.path: page.revision for page in content(tmp_path).find(".").pages}
    assert before["docs/a.mdx"] != after["docs/a.mdx"]
    assert before["docs/b.mdx"] == after["docs/b.mdx"]
    (page,), faults = content(tmp_path).read(["docs/a.mdx"])
    assert "After." in page.chunks[0].text
    assert (page.page.revision, page.faults, faults) == (after["docs/a.mdx"], (), [])


@pytest.mark.parametrize(
    "target", ["../../secret.mdx", "./_link.mdx", "./_folder/secret.mdx", "./_pipe.mdx", "./_big.mdx"]
)
def test_nothing_outside_of_the_content_root_is_included(tmp_path: Path, target: str) -> None:
    write(tmp_path, {"secret.mdx": "Secret.\n", "other/secret.mdx": "Secret.\n"})
    root = tmp_path / "root"
    write(root, {"docusaurus.config.js": "export default {presets: ['classic']}", "docs/_big.mdx": "Secret. " * 500})
    including(root, target)
    (root / "docs" / "_link.mdx").symlink_to(tmp_path / "secret.mdx")
    (root / "docs" / "_folder").symlink_to(tmp_path / "other")
    os.mkfifo(root / "docs" / "_pipe.mdx")
    (page,), _ = content(root, max_page_bytes=2048).read(["docs/a.mdx"])
    assert "Secret" not in "".join(chunk.text for chunk in page.chunks)
    assert "Text." in page.chunks[-1].text
    # What is imported from elsewhere is taken for a component, and nobody misses that.
    named = [] if target.startswith("..") else [target.removeprefix("./")]
    assert [name for name in named if not any(name in fault.reason for fault in page.faults)] == []
