"""A real Valkey and a real Qdrant engine for tests, as processes on free ports."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from embedded.home import write_private
from embedded.ports import pick_free
from embedded.valkey import valkey_command
from tests import qdrant_server

PASSWORD = "test-password"


@dataclass(frozen=True, slots=True)
class Stores:
    """Addresses of running stores."""

    redis_url: str
    qdrant_url: str
    qdrant_api_key: str

    @property
    def environment(self) -> dict[str, str]:
        return {"REDIS_URL": self.redis_url, "QDRANT_URL": self.qdrant_url, "QDRANT_API_KEY": self.qdrant_api_key}


@contextmanager
def running_stores(folder: Path) -> Iterator[Stores]:
    """Start both, wait until they answer, stop them at the end. `folder` takes Valkey's data and the key file."""
    key_file = folder / "qdrant.key"
    write_private(key_file, qdrant_server.API_KEY)
    with (
        running_valkey(folder) as redis_url,
        qdrant_server.quick_folder() as data,
        qdrant_server.running(data, "--api-key-file", str(key_file)) as qdrant,
    ):
        yield Stores(redis_url, qdrant.url, qdrant_server.API_KEY)


@contextmanager
def running_valkey(folder: Path) -> Iterator[str]:
    """Start Valkey and wait until it answers. Its URL."""
    (port,) = pick_free(1)
    url = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
    (folder / "valkey").mkdir()
    with (folder / "valkey.log").open("wb") as log:
        process = subprocess.Popen(valkey_command(folder / "valkey", port, PASSWORD), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 10
        while not _answers(url):
            assert time.monotonic() < deadline, (folder / "valkey.log").read_text()
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


def _answers(url: str) -> bool:
    with redis.Redis.from_url(url, socket_connect_timeout=1) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
