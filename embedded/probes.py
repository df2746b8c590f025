"""Is a part ready? Each probe asks once, in well under a second, and says yes or no."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from embedded.ports import LOOPBACK

Probe = Callable[[], Awaitable[bool]]

#: A part on the same machine that takes longer is not ready to serve.
PROBE_TIMEOUT: Final = 1.0
#: Each worker process keeps one key of this pattern alive while it consumes.
WORKER_HEARTBEATS: Final = "lectern:worker:*"


def http_ready(port: int, path: str, host: str = LOOPBACK) -> Probe:
    """Ready when `GET path` answers 200. By hand: an HTTP client would heed the user's proxy variables."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()

    async def probe() -> bool:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    writer.write(request)
                    status_line = await reader.readline()
                finally:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
        except (OSError, TimeoutError):
            return False
        return status_line.split(b" ")[1:2] == [b"200"]

    return probe


def redis_ready(port: int, password: str) -> Probe:
    """Ready when PING is answered, which Valkey does only after it has loaded its append-only file."""

    async def probe() -> bool:
        try:
            async with _client(port, password) as client:
                return bool(await client.ping())
        except (RedisError, OSError, TimeoutError):
            return False

    return probe


def worker_ready(port: int, password: str) -> Probe:
    """Ready when a worker's heartbeat is there."""

    async def probe() -> bool:
        try:
            async with _client(port, password) as client:
                return bool(await client.keys(WORKER_HEARTBEATS))
        except (RedisError, OSError, TimeoutError):
            return False

    return probe


async def forget_workers(port: int, password: str) -> None:
    """Delete the heartbeats of workers that are gone: they outlive a killed worker by their time to live."""
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        async with _client(port, password) as client:
            if keys := await client.keys(WORKER_HEARTBEATS):
                await client.delete(*keys)


def _client(port: int, password: str) -> Redis:
    # No retries: the supervisor asks again by itself.
    return Redis(
        host=LOOPBACK,
        port=port,
        password=password,
        socket_timeout=PROBE_TIMEOUT,
        socket_connect_timeout=PROBE_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )
