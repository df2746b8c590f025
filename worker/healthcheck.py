"""`python -m worker.healthcheck`: 0 while the worker on this machine takes work, else 1 and one line that says why.

For a container's health check, which runs often: it imports nothing that takes time, and asks nobody.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

#: The worker touches it after each heartbeat that Redis has taken. One worker a machine, or a container.
ALIVE: Final = Path(tempfile.gettempdir()) / "lectern-worker.alive"
#: Three heartbeats missed.
BELIEVED_SECONDS: Final = 20


def main() -> int:
    """The exit code."""
    try:
        age = time.time() - ALIVE.stat().st_mtime
    except FileNotFoundError:
        sys.stderr.write("the worker has not reached Redis yet\n")
        return 1
    if age > BELIEVED_SECONDS:
        sys.stderr.write(f"the worker's last heartbeat was {age:.0f} seconds ago\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
