from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.unit.sites import addresses, faults, site_of, write
from worker.ingestion.site.mdbook import read_summary
from worker.ingestion.site.profile import SiteOptions

SUMMARY = """# Summary

[Preface](preface.md)

# The first part

- [Start `here`](README.md)
    - [Deep *down*](deep/chapter.md)
        * [Deeper](<deep/with space.md>)
- [Encoded](deep/%C3%BC.md)
- [A draft]()

---

1. [Numbered](numbered.md "Hover")
2. [Twice](numbered.md)
<!-- - [Commented](commented.md) -->

[Afterword (the end)](after_(word).md)
"""
ANSWERS = SiteOptions(site_url="https://book.acme.dev/v1")


def test_only_the_chapters_of_the_summary_are_pages(tmp_path: Path) -> None:
    pages = (
        "preface", "README", "deep/chapter", "deep/with space", "deep/ü", "numbered", "after_(word)", "commented",
        "unlisted",
    )  # fmt: skip
    write(tmp_path, {"book.toml": "[book]\ntitle = 't'\n", "src/SUMMARY.md": SUMMARY, "README.md": "x"})
    write(tmp_path, {f"src/{page}.md": "x" for page in pages})
    opened = site_of(tmp_path, ANSWERS)
    base = "https://book.acme.dev/v1"
    assert addresses(tmp_path, opened) == {
        "src/preface.md": f"{base}/preface.html",
        "src/README.md": f"{base}/index.html",
        "src/deep/chapter.md": f"{base}/deep/chapter.html",
        "src/deep/with space.md": f"{base}/deep/with%20space.html",
        "src/deep/ü.md": f"{base}/deep/%C3%BC.html",
        "src/numbered.md": f"{base}/numbered.html",
        "src/after_(word).md": f"{base}/after_(word).html",
    }
    named = {path: page.title for path in addresses(tmp_path, opened) if (page := opened.page(path))}
    assert named["src/README.md"] == "Start here"
    assert named["src/deep/chapter.md"] == "Deep down"
    assert named["src/numbered.md"] == "Numbered"
    assert named["src/after_(word).md"] == "Afterword (the end)"
    assert opened.profile == "mdBook (book.toml): 7 chapters and 1 draft in src, at https://book.acme.dev/v1/"
    page = opened.page("src/numbered.md")
    assert page is not None
    assert page.dialect == "mdbook"


@pytest.mark.parametrize(
    ("root", "config", "folder"),
    [("", "", "src"), ("", "[book]\nsrc = 'text/de'\n", "text/de"), ("book/", "", "book/src")],
)
def test_the_book_lies_where_its_config_says(tmp_path: Path, root: str, config: str, folder: str) -> None:
    write(tmp_path, {f"{root}book.toml": config, f"{folder}/SUMMARY.md": "- [A](a.md)\n", f"{folder}/a.md": "x"})
    assert addresses(tmp_path, site_of(tmp_path, ANSWERS)) == {f"{folder}/a.md": "https://book.acme.dev/v1/a.html"}


def test_the_content_root_may_be_the_chapters_alone(tmp_path: Path) -> None:
    write(tmp_path, {"book.toml": "", "src/SUMMARY.md": "- [A](a.md)\n", "src/a.md": "x", "other/a.md": "x"})
    opened = site_of(tmp_path / "src", ANSWERS)
    assert addresses(tmp_path / "src", opened) == {"a.md": "https://book.acme.dev/v1/a.html"}
    assert opened.profile.startswith("mdBook (../book.toml): 1 chapter in .")
    assert site_of(tmp_path / "other").profile == "a folder of Markdown, address not known"


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("https://book.acme.dev/x/", "https://book.acme.dev/x/a.html"),
        ("/x/", "/documents/src/a.md"),
        ("", "/documents/src/a.md"),
    ],
)
def test_the_address_is_that_of_the_config_if_it_is_a_whole_one(tmp_path: Path, written: str, address: str) -> None:
    config = f"[output.html]\nsite-url = '{written}'\n"
    write(tmp_path, {"book.toml": config, "src/SUMMARY.md": "- [A](a.md)\n", "src/a.md": "x"})
    opened = site_of(tmp_path)
    assert addresses(tmp_path, opened) == {"src/a.md": address}
    assert ("set SITE_URL" in faults(opened)) is address.startswith("/documents/")


@pytest.mark.parametrize("text", ["[book", "src = ]", "\0", "a = 1\na = 2", "a = " + "[" * 5000])
def test_a_broken_config_is_named_and_the_defaults_are_taken(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"book.toml": text, "src/SUMMARY.md": "- [A](a.md)\n", "src/a.md": "x"})
    opened = site_of(tmp_path, ANSWERS)
    assert addresses(tmp_path, opened) == {"src/a.md": "https://book.acme.dev/v1/a.html"}
    if text != "\0":
        assert "the defaults of mdBook are taken" in faults(opened)


def test_a_book_without_a_summary_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"book.toml": "", "src/a.md": "x"})
    opened = site_of(tmp_path, ANSWERS)
    assert addresses(tmp_path, opened) == {}
    assert faults(opened) == (
        "book.toml: src/SUMMARY.md is not there; mdBook publishes what it lists, so that no page is indexed"
    )


def test_chapters_outside_of_the_content_root_are_named(tmp_path: Path) -> None:
    write(tmp_path, {"root/book.toml": "[book]\nsrc = '../src'\n"})
    assert "lie outside of the content root" in faults(site_of(tmp_path / "root"))


def test_chapters_without_a_file_are_named(tmp_path: Path) -> None:
    listed = "- [A](a.md)\n" + "".join(f"- [{name}]({name}.md)\n" for name in "bcdef")
    write(tmp_path, {"book.toml": "", "src/SUMMARY.md": listed, "src/a.md": "x"})
    assert faults(site_of(tmp_path, ANSWERS)) == (
        "book.toml: SUMMARY.md lists b.md, c.md, d.md and 2 more, and there is no such file; correct the list, or put "
        "the file there"
    )


def test_the_profile_may_be_set_where_there_is_no_config(tmp_path: Path) -> None:
    write(tmp_path, {"src/SUMMARY.md": "- [A](a.md)\n", "src/a.md": "x"})
    forced = SiteOptions(profile="mdbook", site_url="https://x.dev")
    assert addresses(tmp_path, site_of(tmp_path, forced)) == {"src/a.md": "https://x.dev/a.html"}
    assert addresses(tmp_path / "src", site_of(tmp_path / "src", forced)) == {"a.md": "https://x.dev/a.html"}


@pytest.mark.parametrize("repeated", ["<!--", "- [", "[a](", "[[", "\\", "(", "- [a](a.md) "])
def test_a_summary_is_read_in_time_that_is_proportional_to_it(repeated: str) -> None:
    started = time.monotonic()
    for text in (repeated * 100_000, f"- [{repeated * 100_000}", f"- [a]({repeated * 100_000}"):
        read_summary(text)
    assert time.monotonic() - started < 10
