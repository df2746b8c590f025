"""Whether files may have changed is told from what the file system says of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared.content_mark import content_mark, mark_of
from shared.settings import load_settings


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    for name in ("a.md", "guide/b.mdx", "guide/_part.md", "code/sample.py"):
        file = tmp_path / "docs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("text")
    return tmp_path / "docs"


def test_what_has_not_changed_keeps_its_mark(docs: Path) -> None:
    assert content_mark(docs) == content_mark(docs) != ""


@pytest.mark.parametrize("name", ["a.md", "guide/_part.md", "code/sample.py"])
def test_an_edited_file_changes_it_whatever_kind_of_file_it_is(docs: Path, name: str) -> None:
    before = content_mark(docs)
    (docs / name).write_text("TEXT")
    assert content_mark(docs) != before


def test_a_file_that_is_touched_added_moved_or_deleted_changes_it(docs: Path) -> None:
    marks = [content_mark(docs)]
    os.utime(docs / "a.md", ns=(1, 1))
    marks.append(content_mark(docs))
    (docs / "c.md").write_text("text")
    marks.append(content_mark(docs))
    (docs / "c.md").rename(docs / "d.md")
    marks.append(content_mark(docs))
    (docs / "d.md").unlink()
    (docs / "a.md").unlink()
    marks.append(content_mark(docs))
    assert len(set(marks)) == len(marks)


def test_what_no_page_comes_from_is_passed_over(docs: Path) -> None:
    before = content_mark(docs)
    for folder in (".git", "node_modules"):
        (docs / folder).mkdir()
        (docs / folder / "index.md").write_text("text")
    assert content_mark(docs) == before


def test_a_folder_that_is_not_there_and_a_remote_source_have_no_mark(tmp_path: Path) -> None:
    assert content_mark(tmp_path / "missing") == ""
    settings = load_settings(None, content_root=tmp_path, source_git_url="https://example.org/docs.git")
    assert mark_of(settings) == ""
