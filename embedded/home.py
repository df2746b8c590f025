"""The home directory: where the small size keeps its data, its secrets, and the note of where it runs.

.lectern/
  valkey/ qdrant/ flower/   the parts' data
  secrets/                  one file each; generated once, readable by the owner alone
  up.lock                   held (flock) while an instance runs; says who holds it
  state.json                where the running instance answers; there while it is ready
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from shared.errors import ConfigurationError
from shared.settings import load_settings

#: 32 random bytes: out of reach of guessing.
SECRET_BYTES: Final = 32
LOCK_ATTEMPTS: Final = 3
ANOTHER_HOME: Final = "choose another directory with --home"


@dataclass(frozen=True, slots=True)
class Running:
    """An instance that answers: what `state.json` holds, and the key to its admin routes."""

    home: Path
    pid: int
    api_url: str
    flower_url: str | None
    qdrant_url: str
    valkey_port: int
    content_root: Path
    admin_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Home:
    """The directory's layout. `open_home` makes one that exists and can be written."""

    path: Path

    def part(self, name: str) -> Path:
        """The directory of one part's data, made if it is not there."""
        directory = self.path / name
        with _explained(directory):
            directory.mkdir(mode=0o700, exist_ok=True)
        return directory

    def secret_file(self, name: str) -> Path:
        return self.path / "secrets" / name

    def secret(self, name: str) -> str:
        """The secret in the file of that name, generated the first time."""
        file = self.secret_file(name)
        self.part("secrets").chmod(0o700)
        with suppress(FileNotFoundError):
            if stored := file.read_text(encoding="ascii").strip():
                file.chmod(0o600)
                return stored
        generated = secrets.token_urlsafe(SECRET_BYTES)
        write_private(file, generated + "\n")
        return generated

    @contextmanager
    def lock(self, api_url: str) -> Iterator[None]:
        """Hold the home for this process. Raises ConfigurationError naming the holder if another has it."""
        file = self.path / "up.lock"
        with _explained(file):
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with _explained(file):
                if not _lock(descriptor):
                    raise ConfigurationError(self._held_by(os.pread(descriptor, 4096, 0)))
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "api_url": api_url}).encode(), 0)
            yield
            # The file itself stays: were it removed, two others could each lock one, the old and a new.
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def is_locked(self) -> bool:
        """Whether an instance runs in this home now."""
        try:
            descriptor = os.open(self.path / "up.lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def publish(self, running: Running) -> None:
        """Write `state.json` in one step."""
        state = {
            "pid": running.pid,
            "api_url": running.api_url,
            "flower_url": running.flower_url,
            "qdrant_url": running.qdrant_url,
            "valkey_port": running.valkey_port,
            "content_root": str(running.content_root),
        }
        write_private(self.path / "state.json", json.dumps(state, indent=2) + "\n")

    def withdraw(self) -> None:
        (self.path / "state.json").unlink(missing_ok=True)

    def _held_by(self, note: bytes) -> str:
        try:
            holder: dict[str, Any] = json.loads(note)
            who = f" (process {holder['pid']}, {holder['api_url']})"
        except (ValueError, KeyError, TypeError):
            who = ""  # It holds the lock and has not written its note yet.
        return f"Lectern already runs in {self.path}{who}; stop it, or {ANOTHER_HOME}"


def _lock(descriptor: int) -> bool:
    """Lock the open file for this process alone. `is_locked` holds it for an instant; that is waited for."""
    for _ in range(LOCK_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False


def open_home(path: Path) -> Home:
    """The home at `path`, made if need be. Raises ConfigurationError, one line, when it cannot be used."""
    home = path.absolute()
    with _explained(home):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Home(home)


def find_running(path: Path) -> Running | None:
    """The instance that is ready in this home, or None. What a killed one left behind is not believed."""
    home = Home(path.absolute())
    if not home.is_locked():
        return None
    try:
        state: dict[str, Any] = json.loads((home.path / "state.json").read_text(encoding="utf-8"))
        return Running(
            home=home.path,
            pid=state["pid"],
            api_url=state["api_url"],
            flower_url=state["flower_url"],
            qdrant_url=state["qdrant_url"],
            valkey_port=state["valkey_port"],
            content_root=Path(state["content_root"]),
            admin_key=admin_key(home),
        )
    except (OSError, ValueError, KeyError):
        return None


def admin_key(home: Home) -> str:
    """ADMIN_API_KEY where it is set, else the one that this home keeps."""
    configured = load_settings().admin_api_key
    return configured.get_secret_value() if configured else home.secret("admin.key")


def write_private(file: Path, text: str) -> None:
    """Replace `file` in one step by one that only its owner can read."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    with _explained(file):
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn the system's refusals to use `path` into one line that says what to do."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{_fault(error, path)}; {ANOTHER_HOME}") from error


def _fault(error: OSError, path: Path) -> str:
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return f"{path} is not a directory, or a file is in its way"
    if error.errno == errno.EROFS:
        return f"{path} is on a read-only disk"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"no permission to write {path}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left for {path}"
    return f"{path} cannot be used ({error.strerror})"
