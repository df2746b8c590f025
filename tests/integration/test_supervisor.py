"""The supervisor with real processes and real signals; the parts are fakes of a few lines of Python."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

GOOD = "ready(); signal.pause()"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); time.sleep(60)"
#: Fast enough for a test, slow enough that the order of the delays shows.
POLICY = {"first_delay": 0.1}


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Zombies do not count: whether somebody has collected them is not the supervisor's doing."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            return stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@dataclass
class Run:
    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def output(self) -> str:
        return (self.directory / "output").read_text()

    @property
    def events(self) -> list[str]:
        file = self.directory / "events"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def alive(self) -> list[int]:
        file = self.directory / "pids"
        pids = [int(line) for line in file.read_text().split()] if file.exists() else []
        return [pid for pid in pids if is_alive(pid)]

    def wait_for(self, event: str) -> None:
        wait_until(lambda: event in self.events)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_code(self, seconds: float = 10) -> int:
        return self.process.wait(seconds)


Start = Callable[..., Run]


def part(name: str, code: str = GOOD, **fields: Any) -> dict[str, Any]:
    return {"name": name, "code": code, **fields}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    runs: list[Run] = []

    def start_supervisor(
        *stages: list[dict[str, Any]], policy: dict[str, Any] | None = None, announcing_fails: bool = False
    ) -> Run:
        plan = {"stages": stages, "policy": policy or POLICY, "announcing_fails": announcing_fails}
        with (tmp_path / "output").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.fake_parts", str(tmp_path), json.dumps(plan)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        runs.append(Run(tmp_path, process))
        return runs[-1]

    yield start_supervisor
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()
        for pid in run.alive:
            os.kill(pid, signal.SIGKILL)


def test_stages_start_in_order_each_when_the_one_before_is_ready_and_stop_in_reverse(start: Start) -> None:
    run = start([part("store", "time.sleep(0.3); " + GOOD)], [part("api")])
    run.wait_for("announced all")
    run.send(signal.SIGINT)
    assert run.exit_code() == 0
    assert run.events == [
        "start store", "ready store", "start api", "ready api", "announced all", "stop api", "stop store",
    ]  # fmt: skip
    assert run.alive == []


def test_output_is_passed_on_line_by_line_with_the_name_of_the_part(start: Start) -> None:
    run = start([part("api", "print('hello'); print('trouble', file=sys.stderr); " + GOOD)])
    run.wait_for("announced all")
    wait_until(lambda: "trouble" in run.output)
    lines = run.output.splitlines()
    assert "api     | hello" in lines
    assert "api     | trouble" in lines
    assert any(line.startswith("lectern | api is ready (") for line in lines)


def test_bytes_that_are_no_text_and_a_line_without_end_do_not_stop_the_output(start: Start) -> None:
    endless = "sys.stdout.buffer.write(b'\\xff' + b'x' * 300_000 + b'\\nafter\\n'); sys.stdout.flush(); "
    run = start([part("api", endless + GOOD)])
    wait_until(lambda: "api     | after" in run.output.splitlines())
    assert run.output.count("x") >= 300_000


def test_a_part_that_ends_is_started_again_and_the_reason_is_told(start: Start) -> None:
    code = "ready(); time.sleep(0.2); n = starts()\nif n == 1: sys.exit(3)\nif n == 2: os.kill(os.getpid(), 9)\n"
    run = start([part("worker", code + "signal.pause()")])
    wait_until(lambda: run.events.count("ready worker") == 3)
    assert "worker ended with exit code 3; starting it again in 0.1 s" in run.output
    assert "worker was killed by SIGKILL; starting it again in 0.2 s" in run.output
    assert run.events.count("announced all") == 1
    run.send(signal.SIGTERM)
    assert run.exit_code() == 0


def test_a_part_that_was_healthy_long_enough_starts_over_with_the_shortest_delay(start: Start) -> None:
    code = "ready(); time.sleep(0.3); sys.exit(1) if starts() < 4 else signal.pause()"
    run = start([part("worker", code)], policy={"first_delay": 0.1, "healthy_after": 0.1})
    wait_until(lambda: run.events.count("ready worker") == 4)
    assert run.output.count("starting it again in 0.1 s") == 3


def test_a_part_that_fails_five_times_without_ever_being_ready_ends_the_run(start: Start) -> None:
    broken = part("api", "print('no such setting: COLOUR'); sys.exit(4)")
    run = start([part("store")], [broken], policy={"first_delay": 0.01})
    assert run.exit_code() == 1
    assert run.events.count("start api") == 5
    assert "announced all" not in run.events
    assert run.events[-1] == "stop store"
    end = run.output[run.output.index("5 times in a row") :]
    assert "api     | no such setting: COLOUR" in end
    assert run.alive == []


def test_a_part_that_is_not_ready_in_time_is_killed_and_started_again(start: Start) -> None:
    slow = part("api", "time.sleep(60) if starts() == 1 else ready(); signal.pause()", ready_timeout=0.5)
    run = start([slow])
    run.wait_for("announced all")
    assert "api was not ready within 0.5 s; starting it again in 0.1 s" in run.output
    assert len(run.alive) == 1


def test_a_part_that_is_not_essential_may_fail_for_good(start: Start) -> None:
    run = start([part("api"), part("flower", "sys.exit(1)", essential=False)], policy={"first_delay": 0.01})
    run.wait_for("announced all")
    wait_until(lambda: "flower ended with exit code 1 5 times; going on without it" in run.output)
    assert run.process.poll() is None
    run.send(signal.SIGTERM)
    assert run.exit_code() == 0


def test_a_part_that_is_not_essential_takes_no_time_from_the_stop_of_the_others(start: Start) -> None:
    flower = part("flower", STUBBORN, essential=False, stop_grace=2)
    run = start([part("api")], [flower])
    run.wait_for("ready flower")
    run.send(signal.SIGTERM)
    run.wait_for("stop api")
    assert len(run.alive) == 1
    assert run.exit_code() == 0
    assert run.alive == []


def test_a_program_that_is_not_there_is_named(start: Start) -> None:
    run = start([part("api", "os.execvp('/no/such/program', ['x'])")], policy={"first_delay": 0.01})
    assert run.exit_code() == 1
    assert "No such file or directory" in run.output


def test_a_part_that_ignores_the_request_to_stop_is_killed_with_its_children(start: Start) -> None:
    child = (
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open(f'{directory}/pids', 'a').write(f'{child.pid}\\n')\n"
    )
    run = start([part("worker", child + STUBBORN, stop_grace=0.5)])
    run.wait_for("announced all")
    assert len(run.alive) == 2
    run.send(signal.SIGINT)
    assert run.exit_code() == 0
    assert "worker did not stop within 0.5 s; killing it" in run.output
    assert run.alive == []


def test_children_that_a_part_leaves_behind_are_killed_before_it_starts_again(start: Start) -> None:
    code = (
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open(f'{directory}/pids', 'a').write(f'{child.pid}\\n')\n"
        "ready(); sys.exit(1)"
    )
    run = start([part("worker", code)], policy={"first_delay": 15})
    wait_until(lambda: "starting it again in 15 s" in run.output)
    assert run.alive == []


def test_a_second_ctrl_c_kills_at_once(start: Start) -> None:
    run = start([part("worker", STUBBORN, stop_grace=30)])
    run.wait_for("announced all")
    run.send(signal.SIGINT)
    wait_until(lambda: "stopping" in run.output)
    assert run.process.poll() is None
    run.send(signal.SIGINT)
    assert run.exit_code(2) == 0
    assert run.alive == []


def test_a_repeated_sigterm_does_not_cut_the_stop_short(start: Start) -> None:
    slow_to_stop = "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), stop())); ready(); signal.pause()"
    run = start([part("worker", slow_to_stop)])
    run.wait_for("announced all")
    run.send(signal.SIGHUP)
    wait_until(lambda: "stopping" in run.output)
    run.send(signal.SIGTERM)
    assert run.exit_code() == 0
    assert run.events[-1] == "stop worker"


def test_ctrl_c_works_while_parts_are_starting(start: Start) -> None:
    run = start([part("store", "signal.pause()"), part("api")], [part("worker")])
    run.wait_for("start store")
    run.send(signal.SIGINT)
    assert run.exit_code(5) == 0
    assert "start worker" not in run.events
    assert run.alive == []


def test_ctrl_c_works_while_waiting_to_start_a_part_again(start: Start) -> None:
    run = start([part("api", "sys.exit(1)")], policy={"first_delay": 15})
    wait_until(lambda: "starting it again in 15 s" in run.output)
    run.send(signal.SIGINT)
    assert run.exit_code(5) == 0


def test_everything_stops_within_ten_seconds_however_stubborn_the_parts(start: Start) -> None:
    run = start(
        *([part(name, STUBBORN, stop_grace=6)] for name in ("valkey", "qdrant", "api")),
    )
    run.wait_for("announced all")
    asked = time.monotonic()
    run.send(signal.SIGTERM)
    assert run.exit_code(15) == 0
    assert time.monotonic() - asked < 10
    assert run.alive == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a child to its parent's life")
def test_no_part_survives_the_kill_9_of_the_supervisor(start: Start) -> None:
    run = start([part("valkey"), part("worker", STUBBORN)], [part("api")])
    run.wait_for("announced all")
    assert len(run.alive) == 3
    run.send(signal.SIGKILL)
    run.exit_code()
    wait_until(lambda: run.alive == [], seconds=3)


def test_when_announcing_fails_the_parts_are_stopped_and_the_error_is_shown(start: Start) -> None:
    run = start([part("api")], announcing_fails=True)
    assert run.exit_code() == 1
    assert "ValueError: no answer" in run.output
    assert run.alive == []
