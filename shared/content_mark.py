"""Whether a folder may have changed, told from its files' names, sizes and times: cheap, and wrong on one side only."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from shared.settings import Settings

#: Folders that no page comes from, and that may hold more files than all the others.
PASSED_OVER: Final = frozenset({"node_modules"})


def mark_of(settings: Settings) -> str:
    """The mark of everything that an ingest may read; "" for a remote source, which nobody can tell cheaply. Blocking.

    All of the content root, whatever part of it is asked for: pages include files from elsewhere in it.
    """
    return "" if settings.remote_source else content_mark(settings.content_root)


def content_mark(root: Path) -> str:
    """A digest that changes with any file at or below `root`; "" if it cannot be read. Blocking.

    Machines that have copies of their own may see different marks for equal content: then there is only more to do.
    """
    digest = hashlib.sha256()
    try:
        for folder, folders, names in os.walk(root, onerror=_raise):
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in PASSED_OVER)
            for name in sorted(names):
                status = os.lstat(os.path.join(folder, name))
                line = f"{folder}\0{name}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}\n"
                digest.update(line.encode("utf-8", "surrogateescape"))
    except OSError:
        return ""
    return digest.hexdigest()


def _raise(error: OSError) -> None:
    raise error
