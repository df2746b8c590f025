from __future__ import annotations

import codecs
import errno
import os
import socket
from pathlib import Path

import pytest

from shared.errors import PageError
from tests.privileges import as_nobody
from worker.ingestion.read import decode_page, read_page

CAP = 1024


def test_a_page_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.md").write_bytes(b"x" * CAP)
    assert read_page(tmp_path, "a/b.md", CAP) == b"x" * CAP


def test_a_page_over_the_limit_is_refused_by_its_size(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"x" * (CAP + 1))
    with pytest.raises(PageError, match=r"too large: 1,025 bytes, where 1,024 are allowed; .*MAX_PAGE_BYTES"):
        read_page(tmp_path, "a.md", CAP)


def test_a_sparse_giant_is_refused_without_reading_it(tmp_path: Path) -> None:
    with (tmp_path / "a.md").open("wb") as file:
        file.truncate(50 * 2**30)
    with pytest.raises(PageError, match="too large"):
        read_page(tmp_path, "a.md", CAP)


def test_a_page_that_grows_while_it_is_read_is_read_as_far_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "a.md"
    page.write_bytes(b"x" * 100)
    read = os.read

    def append_and_read(descriptor: int, count: int) -> bytes:
        with page.open("ab") as file:
            file.write(b"y" * 100)
        return read(descriptor, min(count, 7))

    monkeypatch.setattr(os, "read", append_and_read)
    assert read_page(tmp_path, "a.md", CAP) == b"x" * 100


def test_a_page_that_shrinks_while_it_is_read_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "a.md"
    page.write_bytes(b"x" * 100)
    read = os.read

    def truncate_and_read(descriptor: int, count: int) -> bytes:
        os.truncate(page, 10)
        return read(descriptor, count)

    monkeypatch.setattr(os, "read", truncate_and_read)
    assert read_page(tmp_path, "a.md", CAP) == b"x" * 10


def test_a_socket_is_no_page(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "a.md"))
        with pytest.raises(PageError, match="cannot be read"):
            read_page(tmp_path, "a.md", CAP)


def test_a_link_to_itself_does_not_hang(tmp_path: Path) -> None:
    (tmp_path / "a.md").symlink_to(tmp_path / "a.md")
    (tmp_path / "b").symlink_to(tmp_path / "b")
    for path in ("a.md", "b/a.md"):
        with pytest.raises(PageError, match="symbolic link"):
            read_page(tmp_path, path, CAP)


def test_a_name_that_no_disk_takes_is_said_to_be_unreadable(tmp_path: Path) -> None:
    with pytest.raises(PageError, match="cannot be read"):
        read_page(tmp_path, f"{'a' * 300}.md", CAP)


@pytest.mark.parametrize("name", ["a\nb.md", "<script>.md", "\u202egpj.md", "a\udcffb.md"])
def test_a_strange_name_is_read_like_any_other(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert read_page(tmp_path, name, CAP) == b"x"


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.md")
    with pytest.raises(PageError, match="not a regular file"):
        read_page(tmp_path, "a.md", CAP)


def test_a_folder_is_no_page(tmp_path: Path) -> None:
    (tmp_path / "a.md").mkdir()
    with pytest.raises(PageError, match="not a regular file"):
        read_page(tmp_path, "a.md", CAP)


def test_a_link_is_not_followed_wherever_it_stands(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.md").write_text("secret")
    (root / "a.md").symlink_to(tmp_path / "secret.md")
    (root / "folder").symlink_to(tmp_path)
    for path in ("a.md", "folder/secret.md"):
        with pytest.raises(PageError, match="symbolic link"):
            read_page(root, path, CAP)


def test_a_page_that_vanished_is_said_to_have(tmp_path: Path) -> None:
    for path in ("gone.md", "gone/gone.md"):
        with pytest.raises(PageError, match="vanished"):
            read_page(tmp_path, path, CAP)


def test_a_page_without_permission_is_named() -> None:
    with as_nobody() as folder:
        (folder / "a.md").write_text("x")
        (folder / "a.md").chmod(0)
        with pytest.raises(PageError, match="permission denied"):
            read_page(folder, "a.md", CAP)


@pytest.mark.parametrize(
    ("number", "says"), [(errno.EACCES, "permission denied"), (errno.EIO, "cannot be read: Input/output error")]
)
def test_what_the_disk_refuses_becomes_the_pages_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PageError, match=says):
        read_page(tmp_path, "a.md", CAP)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c.md").write_text("x")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        read_page(tmp_path, "a/b/c.md", CAP)
        with pytest.raises(PageError):
            read_page(tmp_path, "a/b/none.md", CAP)
        with pytest.raises(PageError):
            read_page(tmp_path, "a/none/c.md", CAP)
        with pytest.raises(PageError):
            read_page(tmp_path, "a/b", CAP)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    "data",
    [
        "# Grüße\n\nText\n".encode(),
        codecs.BOM_UTF8 + "# Grüße\n\nText\n".encode(),
        codecs.BOM_UTF16_LE + "# Grüße\n\nText\n".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "# Grüße\n\nText\n".encode("utf-16-be"),
        "# Grüße\n\nText\n".encode("utf-32"),
        "# Grüße\r\n\r\nText\r\n".encode(),
        "# Grüße\r\rText\r".encode(),
        "# Grüße\u2028\u2029Text\x85".encode(),
    ],
)
def test_encodings_and_line_ends_make_no_difference(data: bytes) -> None:
    assert decode_page(data) == "# Grüße\n\nText\n"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"caf\xe9 au lait", "byte 0xe9 at offset 3; save the file with the encoding UTF-8"),
        (codecs.BOM_UTF8 + b"caf\xe9", "byte 0xe9 at offset 6"),
        (b"a\x01\x02\xff", "byte 0xff at offset 3"),
        (b"\xed\xa0\xbd\xed\xb8\x80", "byte 0xed at offset 0"),
        (b"\xc0\xaf", "byte 0xc0 at offset 0"),
        (b"\xc3\x01\xa9", "byte 0xc3 at offset 0"),
        (b"PNG\0\0\1", "NUL byte at offset 3"),
        ("plain".encode("utf-16-le"), "NUL byte at offset 1"),
        (codecs.BOM_UTF16_LE + b"a\0b", "UTF-16 but breaks"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8a\0", "UTF-16 but breaks"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "git lfs pull"),
    ],
)
def test_what_is_not_text_is_refused_rather_than_guessed(data: bytes, says: str) -> None:
    with pytest.raises(PageError, match=says):
        decode_page(data)


def test_control_characters_are_gone_and_page_breaks_are_blanks() -> None:
    assert decode_page(b"a\x01b\x1bc\x7f d\x0ce\x0bf\tg") == "abc d e f\tg"
    assert decode_page("a\x00b\x01".encode("utf-16")) == "ab"


def test_an_image_written_into_the_page_is_taken_out() -> None:
    data = b"![x](data:image/png;base64," + b"iVBORw0KGgo" * 400_000 + b") after"
    assert decode_page(data) == "![x](data:image/png;base64,) after"


def test_an_empty_page_is_empty_text() -> None:
    assert decode_page(b"") == ""
    assert decode_page(codecs.BOM_UTF8) == ""
