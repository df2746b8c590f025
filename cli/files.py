"""Files that commands write."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from cli.errors import BadInput

#: In place of a file: standard output, or standard input.
STANDARD: Final = "-"


@contextmanager
def written_whole(file: str, *, overwrite: bool) -> Iterator[BinaryIO]:
    """The file to write: there at its end, whole, or not at all. Raises BadInput if there is one already."""
    if file == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(file)
    if path.exists() and not overwrite:
        raise BadInput(f"{file} is there already; name another file, or replace it with --force")
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with fresh.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(path)
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
