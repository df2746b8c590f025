"""Clients of Redis for an address: of the server itself, or of the primary that Sentinels name at the moment."""

from __future__ import annotations

from typing import Any, Final

import redis
from redis import asyncio as redis_asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from shared.redis_address import RedisAddress, sentinel_options, server_options

#: Commands that a process may have under way: each takes a connection for itself, and redis-py refuses what is beyond.
#: As many as visitors whom one process can serve.
MAX_CONNECTIONS: Final = 1000


def async_redis(address: RedisAddress, **options: Any) -> redis_asyncio.Redis:
    """A client for the running event loop; `options` are redis-py's. Close it with `close_redis`."""
    options = {"max_connections": MAX_CONNECTIONS, **options}
    if address.primary is None:
        ((host, port),) = address.hosts
        return redis_asyncio.Redis(host=host, port=port, **server_options(address), **options)
    sentinels = AsyncSentinel(  # type: ignore[no-untyped-call]
        address.hosts,
        sentinel_kwargs={**sentinel_options(address), **_of_sockets(options), "retry": AsyncRetry(NoBackoff(), 0)},
    )
    client: redis_asyncio.Redis = sentinels.master_for(address.primary, **server_options(address), **options)
    return client


async def close_redis(client: redis_asyncio.Redis) -> None:
    """Close a client of `async_redis` with its connections, those to Sentinels too."""
    await client.aclose()
    pool = client.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        await pool.sentinel_manager.aclose()


def blocking_redis(address: RedisAddress, **options: Any) -> redis.Redis:
    """A client for a thread."""
    if address.primary is None:
        ((host, port),) = address.hosts
        return redis.Redis(host=host, port=port, **server_options(address), **options)
    sentinels: Any = Sentinel(  # type: ignore[no-untyped-call]
        address.hosts, sentinel_kwargs=blocking_sentinel_options(address, **options)
    )
    client: redis.Redis = sentinels.master_for(address.primary, **server_options(address), **options)
    return client


def blocking_sentinel_options(address: RedisAddress, **options: Any) -> dict[str, Any]:
    """How a blocking client asks the Sentinels: each one once, because there is another one to ask."""
    return {**sentinel_options(address), **_of_sockets(options), "retry": Retry(NoBackoff(), 0)}


def _of_sockets(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name.startswith("socket_")}
