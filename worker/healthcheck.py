"""`python -m worker.healthcheck FILE`: 0 while the worker that touches the file takes work, else 1 and why.

The file is that of `WORKER_ALIVE_FILE`. For a container's health check, which runs often: it imports nothing that takes
time, and asks nobody.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

#: Three heartbeats missed.
BELIEVED_SECONDS: Final = 20


def main(arguments: list[str]) -> int:
    """The exit code."""
    [file] = arguments
    try:
        age = time.time() - Path(file).stat().st_mtime
    except FileNotFoundError:
        sys.stderr.write("the worker has not reached Redis yet\n")
        return 1
    if age > BELIEVED_SECONDS:
        sys.stderr.write(f"the worker's last heartbeat was {age:.0f} seconds ago\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
