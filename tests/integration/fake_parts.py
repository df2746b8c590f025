"""Runs the real supervisor over fake parts, as a process of its own that can be sent real signals.

`python -m tests.integration.fake_parts DIRECTORY PLAN`: PLAN is JSON, a list of stages, each a list of parts with the
fields of `ProcessSpec` that differ from the usual and the part's Python `code`. A part is ready when it has made
the file `NAME.ready`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from embedded.console import Console
from embedded.processes import ProcessSpec, RestartPolicy
from embedded.supervisor import Supervisor

#: What every part's code can use; bare Python, so that a part starts in 10 ms.
PRELUDE = """
import os, signal, subprocess, sys, time
directory, name = sys.argv[1:3]

def note(event):
    with open(f"{directory}/events", "a") as events:
        events.write(f"{event} {name}\\n")

def ready():
    note("ready")
    open(f"{directory}/{name}.ready", "w").close()

def stop(*_):
    note("stop")
    sys.exit(0)

def starts():
    with open(f"{directory}/events") as events:
        return events.read().count(f"start {name}\\n")

signal.signal(signal.SIGTERM, stop)
with open(f"{directory}/pids", "a") as pids:
    pids.write(f"{os.getpid()}\\n")
note("start")
"""


def fake_spec(directory: Path, part: dict[str, Any]) -> ProcessSpec:
    name, code = part.pop("name"), part.pop("code")
    ready_file = directory / f"{name}.ready"

    async def probe() -> bool:
        return ready_file.exists()

    async def prepare() -> None:
        ready_file.unlink(missing_ok=True)

    argv = (sys.executable, "-I", "-S", "-u", "-c", PRELUDE + code, str(directory), name)
    return ProcessSpec(name, argv, dict(os.environ), probe, prepare=prepare, **part)


async def main(directory: Path, plan: dict[str, Any]) -> int:
    stages = tuple(tuple(fake_spec(directory, part) for part in stage) for stage in plan["stages"])
    supervisor = Supervisor(stages, Console(), RestartPolicy(**plan["policy"]))

    async def on_ready() -> None:
        with (directory / "events").open("a") as events:
            events.write("announced all\n")
        if plan["announcing_fails"]:
            raise ValueError("no answer")

    return await supervisor.run(on_ready)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[2]))))
