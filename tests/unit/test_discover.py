from __future__ import annotations

import os
import socket
import unicodedata
from pathlib import Path

import pytest

from tests.privileges import as_nobody
from worker.ingestion.discover import Discovery, FileRules, discover, is_wanted

ALL = FileRules()


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("# Page\n")


def paths(found: Discovery) -> list[str]:
    return [file.path for file in found.files]


def skipped(found: Discovery) -> dict[str, str]:
    return {fault.path: fault.reason for fault in found.skipped}


def test_pages_are_found_in_a_stable_order_with_their_sizes(tmp_path: Path) -> None:
    write(tmp_path, "b.md", "a/z.mdx", "a/b/c.md", "A.md", "c.MD", "image.png", "notes.md.bak", "b-1.md")
    found = discover(tmp_path, tmp_path, ALL)
    assert paths(found) == ["A.md", "a/b/c.md", "a/z.mdx", "b-1.md", "b.md", "c.MD"]
    assert {file.size for file in found.files} == {len("# Page\n")}
    assert found.skipped == ()


def test_hidden_files_and_folders_of_tools_are_left_out_silently(tmp_path: Path) -> None:
    write(tmp_path, "ok.md", "_part.md", ".git/a.md", ".hidden.md", "node_modules/lib/readme.md", "x/.y/a.md")
    found = discover(tmp_path, tmp_path, ALL)
    assert paths(found) == ["_part.md", "ok.md"]
    assert found.skipped == ()


def test_only_what_is_asked_for_is_walked(tmp_path: Path) -> None:
    write(tmp_path, "a/x.md", "a/y.md", "b/x.md")
    assert paths(discover(tmp_path, tmp_path / "a", ALL)) == ["a/x.md", "a/y.md"]
    assert paths(discover(tmp_path, tmp_path / "b" / "x.md", ALL)) == ["b/x.md"]


@pytest.mark.parametrize(
    ("globs", "wanted"),
    [
        (("guide/**",), ["guide/a.md", "guide/deep/b.md"]),
        (("guide/",), ["guide/a.md", "guide/deep/b.md"]),
        (("guide/*",), ["guide/a.md"]),
        (("a.md",), ["a.md", "guide/a.md"]),
        (("/a.md", "./guide/a.md"), ["guide/a.md", "a.md"]),
        (("**/b.md",), ["guide/deep/b.md"]),
        (("?.md",), ["a.md", "guide/a.md", "guide/deep/b.md"]),
        (("{a,intro}.{md,mdx}",), ["a.md", "guide/a.md", "intro.mdx"]),
        (("*.mdx", "guide/a.md"), ["guide/a.md", "intro.mdx"]),
    ],
)
def test_globs_choose_pages(globs: tuple[str, ...], wanted: list[str]) -> None:
    every = ["a.md", "guide/a.md", "guide/deep/b.md", "intro.mdx"]
    included = [path for path in every if is_wanted(path, FileRules(include=globs))]
    excluded = [path for path in every if is_wanted(path, FileRules(exclude=globs))]
    if globs[0] == "/a.md":
        wanted = every[:2]
    assert included == wanted
    assert excluded == [path for path in every if path not in wanted]


def test_excluding_beats_including_and_dots_are_dots() -> None:
    rules = FileRules(include=("docs/**",), exclude=("docs/old/**", "*.x.md"))
    assert is_wanted("docs/a.md", rules)
    assert not is_wanted("docs/old/a.md", rules)
    assert not is_wanted("other/a.md", rules)
    assert not is_wanted("docs/a.x.md", rules)
    assert is_wanted("docs/axx.md", rules)


def test_links_are_named_and_never_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, "real.md")
    write(tmp_path, "outside/secret.md")
    (root / "out.md").symlink_to("/etc/passwd")
    (root / "in.md").symlink_to(root / "real.md")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root)
    (root / "self.md").symlink_to(root / "self.md")
    (root / "picture.png").symlink_to("/etc/passwd")
    found = discover(root, root, ALL)
    assert paths(found) == ["real.md"]
    assert sorted(skipped(found)) == ["folder", "in.md", "loop", "out.md", "self.md"]
    assert all("symbolic link" in reason for reason in skipped(found).values())


def test_pipes_and_sockets_with_a_pages_name_are_skipped_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.md"))
        found = discover(tmp_path, tmp_path, ALL)
    assert paths(found) == []
    assert all("not a regular file" in reason for reason in skipped(found).values())
    assert sorted(skipped(found)) == ["pipe.md", "socket.md"]


def test_a_folder_that_is_named_like_a_page_is_a_folder(tmp_path: Path) -> None:
    write(tmp_path, "x.md/inner.md")
    assert paths(discover(tmp_path, tmp_path, ALL)) == ["x.md/inner.md"]


def test_strange_names_are_names(tmp_path: Path) -> None:
    names = ['new\nline "quoted".md', "<script>.md", "\u202eright-to-left.md", "a b&c#d?.md"]
    write(tmp_path, *names)
    assert sorted(paths(discover(tmp_path, tmp_path, ALL))) == sorted(names)


def test_names_that_look_alike_are_different_pages(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é.md") for form in ("NFC", "NFD"))
    write(tmp_path, "A.md", "a.md", composed, decomposed)
    assert sorted(paths(discover(tmp_path, tmp_path, ALL))) == sorted(["A.md", "a.md", composed, decomposed])


def test_a_name_that_is_not_utf_8_is_reported_in_printable_form(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.md")).write_text("# Page")
    found = discover(tmp_path, tmp_path, ALL)
    assert paths(found) == []
    assert skipped(found) == {"caf\ufffd.md": "its name is not valid UTF-8; rename the file"}


def test_the_longest_name_is_found(tmp_path: Path) -> None:
    write(tmp_path, "n" * 252 + ".md")
    assert len(paths(discover(tmp_path, tmp_path, ALL))) == 1


def test_a_folder_without_permission_is_named() -> None:
    with as_nobody() as folder:
        write(folder, "closed/a.md", "b.md")
        (folder / "closed").chmod(0)
        found = discover(folder, folder, ALL)
        (folder / "closed").chmod(0o755)
    assert paths(found) == ["b.md"]
    assert "permissions" in skipped(found)["closed"]
    assert found.unreadable_folders == ("closed",)


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    found = discover(tmp_path, tmp_path / "gone", ALL)
    assert list(skipped(found)) == ["gone"]
    assert found.unreadable_folders == ("gone",)


def test_folders_may_be_nested_deeper_than_functions(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(900):
        deep /= "d"
    os.makedirs(deep)
    (deep / "a.md").write_text("# Deep")
    assert len(paths(discover(tmp_path, tmp_path, ALL))) == 1
