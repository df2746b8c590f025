from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared.content import resolve_content_path
from shared.errors import ContentNotFound, InvalidInput


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "book"
    (root / "guide").mkdir(parents=True)
    (root / "guide" / "install.mdx").write_text("# Install")
    (root / "notes.txt").write_text("not a page")
    (tmp_path / "secret.md").write_text("# Secret")
    return root


@pytest.mark.parametrize("requested", ["", ".", "./", "././"])
def test_nothing_or_a_dot_is_the_whole_root(root: Path, requested: str) -> None:
    assert resolve_content_path(root, requested) == root


@pytest.mark.parametrize("requested", ["guide", "./guide/", "guide//", "guide/."])
def test_a_folder_inside_is_found_however_it_is_spelt(root: Path, requested: str) -> None:
    assert resolve_content_path(root, requested) == root / "guide"


def test_a_page_inside_is_found(root: Path) -> None:
    assert resolve_content_path(root, "guide/install.mdx") == root / "guide" / "install.mdx"


def test_an_absolute_path_inside_the_root_is_found(root: Path) -> None:
    assert resolve_content_path(root, str(root / "guide")) == root / "guide"
    assert resolve_content_path(root, str(root)) == root


@pytest.mark.parametrize(
    ("requested", "configured", "found"),
    [
        ("./book_content", "./book_content", "."),
        ("book_content", "./book_content/", "."),
        ("./book_content/", "book_content", "."),
        ("./book_content/guide", "./book_content", "guide"),
        ("/srv/book", "/srv/book", "."),
        ("/srv/book/guide", "/srv/book", "guide"),
        ("guide", "./book_content", "guide"),
    ],
)
def test_the_root_may_be_named_as_its_owner_writes_it(root: Path, requested: str, configured: str, found: str) -> None:
    assert resolve_content_path(root, requested, configured) == (root / found).resolve()


def test_a_folder_with_the_roots_own_name_comes_first(root: Path) -> None:
    (root / "book_content").mkdir()
    assert resolve_content_path(root, "book_content", "./book_content") == root / "book_content"


def test_the_root_itself_may_be_reached_through_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(root)
    assert resolve_content_path(tmp_path / "current", "guide") == root / "guide"


@pytest.mark.parametrize(
    ("requested", "says"),
    [
        ("..", "'..'"),
        ("../secret.md", "'..'"),
        ("guide/../../secret.md", "'..'"),
        ("guide/../guide", "'..'"),
        ("/etc/passwd", "outside the content folder"),
        ("/", "outside the content folder"),
        ("guide\0/x", "NUL"),
        ("~/book", "starts with ~"),
        ("~root", "starts with ~"),
        ("guide\\install.mdx", "backslash"),
        ("\\\\?\\C:\\book", "backslash"),
        ("file:///etc/passwd", "is an address"),
        ("a" * 256, "too long"),
        ("a/" * 2100, "too long"),
        ("ä" * 128, "too long"),
        ("guide\ud800", "not valid text"),
        ("notes.txt", "neither a folder nor a page"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_reason(root: Path, requested: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        resolve_content_path(root, requested)
    assert not isinstance(refused.value, ContentNotFound)
    assert str(root.parent) not in refused.value.message


@pytest.mark.parametrize("requested", ["nothing", "guide/none.md", "guide/install.mdx/x", "_%2e%2e"])
def test_a_path_inside_with_nothing_there_is_not_found(root: Path, requested: str) -> None:
    with pytest.raises(ContentNotFound):
        resolve_content_path(root, requested)


@pytest.mark.parametrize("link", ["file.md", "folder"])
def test_a_link_that_leads_out_is_refused(root: Path, tmp_path: Path, link: str) -> None:
    (root / link).symlink_to(tmp_path / "secret.md" if link == "file.md" else tmp_path)
    requested = link if link == "file.md" else f"{link}/secret.md"
    with pytest.raises(InvalidInput, match="symbolic link"):
        resolve_content_path(root, requested)


def test_a_sibling_that_starts_with_the_roots_name_is_outside(root: Path, tmp_path: Path) -> None:
    (tmp_path / "book2").mkdir()
    with pytest.raises(InvalidInput, match="outside"):
        resolve_content_path(root, str(tmp_path / "book2"))


def test_a_link_that_leads_to_itself_is_refused(root: Path) -> None:
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(InvalidInput):
        resolve_content_path(root, "loop")


def test_a_pipe_is_no_page(root: Path) -> None:
    os.mkfifo(root / "pipe.md")
    with pytest.raises(InvalidInput, match="neither"):
        resolve_content_path(root, "pipe.md")


def test_a_root_that_is_missing_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(ContentNotFound, match="CONTENT_ROOT"):
        resolve_content_path(tmp_path / "none", "")
