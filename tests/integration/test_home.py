"""What `lectern up` refuses before it starts anything, and what the home directory keeps."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.home import Running, find_running, open_home
from embedded.ports import LOOPBACK, pick_free, require_free
from embedded.up import UpOptions, up
from shared.errors import ConfigurationError
from shared.settings import load_settings

HOLD_THE_LOCK = """
import sys
from pathlib import Path
from embedded.home import open_home
with open_home(Path(sys.argv[1])).lock("http://127.0.0.1:7860"):
    print("locked", flush=True)
    sys.stdin.read()
"""
NOBODY = 65534


async def announce(running: Running) -> None:
    raise AssertionError(f"{running} must not start")


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UpOptions:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    return UpOptions(docs=tmp_path / "docs", home=tmp_path / "home", port=0, flower_port=0)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def other_instance(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, str(tmp_path / "home")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield process
        process.kill()


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that was printed."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err.removeprefix("lectern | ").rstrip()


def with_options(options: UpOptions, **changes: object) -> UpOptions:
    fields = {name: getattr(options, name) for name in UpOptions.__slots__}
    return UpOptions(**{**fields, **changes})


async def test_an_api_port_that_is_in_use_is_named_with_the_option_that_chooses_another(
    options: UpOptions, taken_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await up(with_options(options, port=taken_port), announce) == 2
    line = refusal(capsys)
    assert line == f"port {taken_port} on 127.0.0.1 is in use by another program; choose another with --port"


async def test_a_flower_port_that_is_in_use_is_named_with_its_own_option(
    options: UpOptions, taken_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await up(with_options(options, flower_port=taken_port), announce) == 2
    assert refusal(capsys).endswith("choose another with --flower-port")


async def test_flowers_port_comes_from_its_setting_where_the_option_is_not_given(
    options: UpOptions, taken_port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWER_PORT", str(taken_port))
    assert await up(with_options(options, flower_port=None), announce) == 2
    assert refusal(capsys).startswith(f"port {taken_port} on 127.0.0.1 is in use")


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("127.0.0.1", 70_000, "port 70000 does not exist"),
        ("192.0.2.1", 7860, "192.0.2.1 is not an address of this machine"),
        ("no such host", 7860, "no such host is not an address of this machine"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_explained(host: str, port: int, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        require_free(host, port, "--port")


async def test_a_home_that_is_in_use_is_refused_with_the_process_and_address_of_its_user(
    options: UpOptions, other_instance: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await up(options, announce) == 2
    line = refusal(capsys)
    assert f"already runs in {options.home}" in line
    assert f"(process {other_instance.pid}, http://127.0.0.1:7860)" in line
    assert "--home" in line


def test_the_lock_of_a_killed_instance_is_free(options: UpOptions, other_instance: subprocess.Popen[bytes]) -> None:
    assert open_home(options.home).is_locked()
    other_instance.send_signal(signal.SIGKILL)
    other_instance.wait()
    assert not open_home(options.home).is_locked()
    with open_home(options.home).lock("http://127.0.0.1:1"):
        pass


@pytest.mark.parametrize("path", ["file", "file/below"])
async def test_a_home_that_is_a_file_is_refused(
    options: UpOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    (tmp_path / "file").write_text("")
    assert await up(with_options(options, home=tmp_path / path), announce) == 2
    assert refusal(capsys).endswith("is not a directory, or a file is in its way; choose another directory with --home")


def test_a_home_without_permission_is_refused(tmp_path: Path) -> None:
    """Root may write anywhere, so root becomes somebody else for a moment."""
    parent = tmp_path / "owned"
    parent.mkdir(mode=0o500)
    is_root = os.geteuid() == 0
    if is_root:
        for directory in (parent, *parent.parents):  # on the way there pytest lets only its own user pass
            if directory.stat().st_uid == 0 and directory.name.startswith("pytest-"):
                directory.chmod(0o711)
        tmp_path.chmod(0o711)
        os.seteuid(NOBODY)
    try:
        with pytest.raises(ConfigurationError, match="no permission to write"):
            open_home(parent / "home")
    finally:
        if is_root:
            os.seteuid(0)


def read_only_directories() -> Iterator[Path]:
    mounts = Path("/proc/mounts")
    for line in mounts.read_text().splitlines() if mounts.exists() else ():
        _, directory, _, options, *_ = line.split()
        if "ro" in options.split(",") and Path(directory).is_dir():
            yield Path(directory)


def test_a_home_on_a_read_only_disk_is_refused() -> None:
    directory = next(read_only_directories(), None)
    if directory is None:
        pytest.skip("no file system of this machine is mounted read-only")
    with pytest.raises(ConfigurationError, match="read-only disk; choose another directory with --home"):
        open_home(directory / "lectern-home")


async def test_docs_that_are_not_there_are_refused(
    options: UpOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await up(with_options(options, docs=tmp_path / "nowhere"), announce) == 2
    assert refusal(capsys) == (f"{tmp_path}/nowhere is not there; say where the Markdown of the site is with --docs")


async def test_docs_that_are_a_file_are_refused(
    options: UpOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.md").write_text("# Page")
    assert await up(with_options(options, docs=tmp_path / "page.md"), announce) == 2
    assert "is a file, not a directory of pages" in refusal(capsys)


async def test_an_option_is_held_to_the_rules_of_its_setting(
    options: UpOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await up(with_options(options, site_url="example.org"), announce) == 2
    assert refusal(capsys).startswith("SITE_URL: must be an http:// or https:// address")


async def test_a_refused_start_leaves_the_home_free_and_starts_nothing(options: UpOptions, taken_port: int) -> None:
    assert await up(with_options(options, port=taken_port), announce) == 2
    assert not open_home(options.home).is_locked()
    assert sorted(path.name for path in options.home.iterdir()) == ["up.lock"]


def test_secrets_are_generated_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    names = ("admin.key", "redis.password", "qdrant.key", "flower.password")
    first = {name: open_home(tmp_path / "home").secret(name) for name in names}
    second = {name: open_home(tmp_path / "home").secret(name) for name in names}
    assert first == second
    assert len(set(first.values())) == len(names)
    assert all(re.fullmatch(r"[\w-]{43}", secret) for secret in first.values())
    directory = tmp_path / "home" / "secrets"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE((directory / name).stat().st_mode) for name in names} == {0o600}
    assert sorted(path.name for path in directory.iterdir()) == sorted(names)


def test_a_secret_whose_file_was_opened_to_others_is_closed_again(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    secret = home.secret("admin.key")
    home.secret_file("admin.key").chmod(0o644)
    assert home.secret("admin.key") == secret
    assert stat.S_IMODE(home.secret_file("admin.key").stat().st_mode) == 0o600


def test_a_secret_whose_file_is_empty_is_generated_anew(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    home.part("secrets")
    home.secret_file("qdrant.key").write_text("")
    assert len(home.secret("qdrant.key")) == 43


def running_in(home: Path) -> Running:
    return Running(
        home=home,
        pid=os.getpid(),
        api_url="http://127.0.0.1:7860",
        flower_url=None,
        qdrant_url="http://127.0.0.1:20001",
        valkey_port=20002,
        content_root=home / "docs",
        admin_key=open_home(home).secret("admin.key"),
    )


def test_other_commands_find_the_running_instance(options: UpOptions) -> None:
    home = open_home(options.home)
    running = running_in(home.path)
    with home.lock(running.api_url):
        assert find_running(options.home) is None, "it is not ready yet"
        home.publish(running)
        assert find_running(options.home) == running
        assert running.admin_key not in (home.path / "state.json").read_text()
        home.withdraw()
        assert find_running(options.home) is None


def test_the_note_of_an_instance_that_was_killed_is_not_believed(options: UpOptions) -> None:
    home = open_home(options.home)
    home.publish(running_in(home.path))
    assert json.loads((home.path / "state.json").read_text())["pid"] == os.getpid()
    assert find_running(options.home) is None


def test_there_is_no_instance_where_there_is_no_home(tmp_path: Path) -> None:
    assert find_running(tmp_path / "nothing") is None
    assert not (tmp_path / "nothing").exists()


def test_the_admin_key_of_the_settings_wins(options: UpOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    home = open_home(options.home)
    running = running_in(home.path)
    monkeypatch.setenv("ADMIN_API_KEY", "chosen-by-the-owner-0123")
    assert load_settings().admin_api_key is not None
    with home.lock(running.api_url):
        home.publish(running)
        found = find_running(options.home)
    assert found is not None
    assert found.admin_key == "chosen-by-the-owner-0123"
    assert "chosen-by-the-owner-0123" not in repr(found)


def test_picked_ports_differ_and_stay_clear_of_those_of_outgoing_connections() -> None:
    ports = pick_free(4)
    assert len(set(ports)) == 4
    assert all(20_000 <= port < 32_000 for port in ports)
