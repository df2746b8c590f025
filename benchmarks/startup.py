"""From nothing to the first cited answer: `python -m benchmarks.startup`.

Clones this repository into an empty folder and runs the README's first command there (the package cache is warm if
this machine has installed Lectern before), then stops it and starts it again. The clock stops at the first `citation`
event of an answer, as a visitor would see it. Everything runs on loopback ports of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from embedded.ports import pick_free
from tests.system import environment

QUESTION = "Which embedding model is used without an API key?"
#: A cold package cache downloads about 250 MB.
LONGEST = 600
ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def running(folder: Path, command: list[str]) -> Iterator[None]:
    """Run a command in a process group of its own; end it as Ctrl-C in a terminal does."""
    with (folder / "up.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment({}), stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=20)


def first_citation(url: str, began: float) -> float:
    """Seconds until an answer cites; asks again until the index holds something to cite."""
    while time.perf_counter() - began < LONGEST:
        try:
            with httpx.stream("POST", f"{url}/chat", json={"question": QUESTION}, timeout=30) as response:
                for line in response.iter_lines():
                    if line.startswith("data: ") and json.loads(line[6:])["type"] == "citation":
                        return time.perf_counter() - began
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise TimeoutError(f"no cited answer within {LONGEST} seconds")


def ready(url: str, began: float) -> float:
    """Seconds until every part answers."""
    while time.perf_counter() - began < LONGEST:
        try:
            if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                return time.perf_counter() - began
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"not ready within {LONGEST} seconds")


def main() -> None:
    table = Table(title="Start-up")
    for column in ("what", "ready, s", "first cited answer, s"):
        table.add_column(column)
    port, flower_port = pick_free(2)
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / "lectern"
        began = time.perf_counter()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        with running(clone, ["make", "up", f"PORT={port}"]):
            table.add_row("fresh clone, make up", f"{ready(url, began):.1f}", f"{first_citation(url, began):.1f}")
        again = [".venv/bin/lectern", "up", "--port", str(port), "--flower-port", str(flower_port)]
        began = time.perf_counter()
        with running(clone, again):
            table.add_row("second start", f"{ready(url, began):.1f}", f"{first_citation(url, began):.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
