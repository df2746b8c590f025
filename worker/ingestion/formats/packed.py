"""Documents that are ZIP files inside: read without unpacking more than a page may hold."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from shared.errors import PageError

#: Unpacked, all entries together: a book of text has a few; pictures are not read.
MAX_UNPACKED_BYTES: Final = 200 * 2**20
MAX_ENTRIES: Final = 20_000
_ENCRYPTED: Final = 0x1


@contextmanager
def opened(data: bytes, kind: str) -> Iterator[zipfile.ZipFile]:
    """The ZIP file in `data`. Raises PageError for one that is broken, locked or far larger than it looks."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
                raise PageError(f"unpacks to more than {MAX_UNPACKED_BYTES // 2**20} MiB, which no {kind} file should")
            if any(entry.flag_bits & _ENCRYPTED for entry in entries):
                raise PageError("is protected by a password; save it without one")
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise PageError(f"is not a {kind} file, or is damaged; save it anew") from error


def entry(archive: zipfile.ZipFile, name: str) -> bytes | None:
    """An entry's bytes, or None if there is none. What unpacks to more than its entry says is refused by `zipfile`."""
    try:
        return archive.read(name)
    except KeyError:
        return None
