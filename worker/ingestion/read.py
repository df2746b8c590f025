"""Reads a page from disk, safely, as text. Whatever can go wrong is a PageError whose message is the reason."""

from __future__ import annotations

import codecs
import errno
import os
import re
import stat
from pathlib import Path
from typing import Final

from shared.errors import PageError

#: Refuses links, and returns at once from a pipe that nobody writes to.
_OPEN_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN_FOLDER: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
#: What the kernel says to a link where a file, or where a folder, was to be opened.
_LINK_REFUSED: Final = (errno.ELOOP, errno.ENOTDIR)

#: UTF-32 first: its little-endian mark starts with the one of UTF-16.
_WIDE_ENCODINGS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LFS_POINTER: Final = b"version https://git-lfs.github.com/spec/"

_VERTICAL_SPACE: Final = b"\x0b\x0c"
_CONTROLS: Final = bytes(c for c in (*range(32), 127) if c not in b"\t\n\r" + _VERTICAL_SPACE)
_SPACED: Final = bytes.maketrans(_VERTICAL_SPACE, b"  ")
#: Next line, line separator, paragraph separator.
_RARE_LINE_ENDS: Final = ("\x85", "\u2028", "\u2029")
#: An image written into the page; no reader sees these characters.
_INLINE_DATA: Final = re.compile(r";base64,[A-Za-z0-9+/=]{100,}+")


def read_page(root: Path, path: str, max_bytes: int) -> bytes:
    """The bytes of the page at `path` below `root`, at most `max_bytes`. Follows no symbolic link on the way."""
    *folders, name = path.split("/")
    try:
        at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for folder in folders:
                at = _step_into(folder, at)
            descriptor = os.open(name, _OPEN_FILE, dir_fd=at)
        finally:
            os.close(at)
        try:
            return _read_regular(descriptor, max_bytes)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise PageError("vanished while the job was running; it will be gone from the next release") from error
    except PermissionError as error:
        raise PageError("permission denied; let the worker's user read the file") from error
    except OSError as error:
        if error.errno in _LINK_REFUSED:
            raise PageError("is, or lies in, a symbolic link, which is not followed; put the real file here") from error
        raise PageError(f"cannot be read: {error.strerror}") from error


def _step_into(folder: str, at: int) -> int:
    inner = os.open(folder, _OPEN_FOLDER, dir_fd=at)
    os.close(at)
    return inner


def _read_regular(descriptor: int, max_bytes: int) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise PageError("is not a regular file (a pipe, socket or device)")
    if status.st_size > max_bytes:
        raise PageError(
            f"is too large: {status.st_size:,} bytes, where {max_bytes:,} are allowed; "
            "split the page or raise MAX_PAGE_BYTES"
        )
    # Bounded by the size at opening: a file that is being appended to would never end.
    parts = []
    missing = status.st_size
    while missing and (part := os.read(descriptor, missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def decode_page(data: bytes) -> str:
    """The page as text: line ends are "\\n", control characters and inlined images gone. Never guesses an encoding."""
    if data.startswith(_LFS_POINTER):
        raise PageError("is a Git LFS pointer, not the page itself; run `git lfs pull`")
    wide = next((encoding for mark, encoding in _WIDE_ENCODINGS if data.startswith(mark)), None)
    text = _decode_wide(data, wide) if wide else _decode_utf8(data)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii():
        for line_end in _RARE_LINE_ENDS:
            text = text.replace(line_end, "\n")
    if ";base64," in text:
        text = _INLINE_DATA.sub(";base64,", text)
    return text


def _decode_utf8(data: bytes) -> str:
    if b"\0" in data:
        raise PageError(
            f"is not text: a NUL byte at offset {data.index(0)}; remove the file, or save it as UTF-8 if it is a page"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec counts from behind the mark.
        offset = error.start + (len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0)
        raise PageError(
            f"is not UTF-8: byte 0x{data[offset]:02x} at offset {offset}; save the file with the encoding UTF-8"
        ) from None
    clean = data.translate(_SPACED, _CONTROLS)
    return text if clean == data else clean.decode("utf-8-sig")


def _decode_wide(data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise PageError(
            f"starts as {encoding.upper()} but breaks at offset {error.start}; save the file with the encoding UTF-8"
        ) from None
    return text.encode("utf-8").translate(_SPACED, _CONTROLS + b"\0").decode("utf-8")
