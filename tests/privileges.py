"""Files as a user who is not root meets them: CI runs as root, who may read everything."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Debian's `nobody`.
NOBODY = 65_534


@contextmanager
def as_nobody() -> Iterator[Path]:
    """A folder that everybody may enter, and inside the block, for root, a user without rights.

    Not below pytest's own folder, which only its owner may enter.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        if os.geteuid() != 0:
            yield Path(folder)
            return
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)
