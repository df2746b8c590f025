"""Ties a process to the supervisor's life: `python -I -S tether.py SUPERVISOR_PID PROGRAM [ARGUMENT...]`.

On Linux the kernel kills the process when the supervisor dies in whatever way, `kill -9` included, so that
no orphan holds the ports or the data. The request is made here, between fork and exec, and not in a
`preexec_fn`: Python code in a forked child can deadlock on a lock that another thread of the parent held. It
imports next to nothing because each start of a part pays for it (10 ms).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(arguments: list[str]) -> None:
    supervisor, command = int(arguments[0]), arguments[1:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:
        sys.exit(0)  # It died before the request was made: there is nobody left to run for.
    # Python ignores SIGPIPE, and what is ignored stays so across exec: give the program a shell's defaults.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 -- the whole point
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
