"""Faults by name. Each strikes the cluster once; what holds for a while is over when its function returns."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

import redis

from tests.faults.cluster import Cluster, Part, refill
from tests.faults.proxy import Mode
from tests.stand_in.plan import Step

#: How long the stand-in takes for each text, where a test says nothing else: a shard takes some seconds.
SECONDS_PER_TEXT: Final = 0.15

Strike = Callable[[Cluster, random.Random], bool]


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault that was injected, and when, by the monotonic clock."""

    name: str
    at: float
    #: False where there was nothing to strike: a process that was away already.
    struck: bool


def steadily(cluster: Cluster, *first: Step, per_text: float = SECONDS_PER_TEXT) -> None:
    """Let the provider do these steps first, then take its time for each text."""
    cluster.provider.plan("embeddings", *first, Step("slow", None, {"per_text": per_text}))


def strike(cluster: Cluster, name: str, chance: random.Random) -> Injection:
    at = time.monotonic()
    return Injection(name, at, FAULTS[name](cluster, chance))


# Processes


def kill_child(cluster: Cluster, chance: random.Random) -> bool:
    children = chance.choice(cluster.workers).children()
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    return bool(children)


def kill_worker(cluster: Cluster, chance: random.Random) -> bool:
    return chance.choice(cluster.workers).kill()


def stop_worker(cluster: Cluster, chance: random.Random) -> bool:
    return chance.choice(cluster.workers).send(signal.SIGTERM)


def kill_qdrant(cluster: Cluster, _: random.Random) -> bool:
    return cluster.qdrant.kill()


def kill_redis(cluster: Cluster, _: random.Random) -> bool:
    return cluster.valkey.kill()


def kill_api(cluster: Cluster, _: random.Random) -> bool:
    return cluster.api.kill()


def _frozen(part: Part, seconds: float) -> bool:
    if not part.send(signal.SIGSTOP):
        return False
    try:
        time.sleep(seconds)
    finally:
        part.send(signal.SIGCONT)
    return True


def freeze_redis(cluster: Cluster, chance: random.Random) -> bool:
    return _frozen(cluster.valkey, chance.uniform(0.5, 3))


def freeze_qdrant(cluster: Cluster, chance: random.Random) -> bool:
    return _frozen(cluster.qdrant, chance.uniform(0.5, 3))


# What stores hold


def empty_redis(cluster: Cluster, _: random.Random) -> bool:
    with suppress(redis.RedisError), cluster.redis() as client:
        return bool(client.flushall())
    return False


def fill_redis(cluster: Cluster, chance: random.Random) -> bool:
    with suppress(redis.RedisError):
        with cluster.redis() as client:
            client.config_set("maxmemory", "1mb")
        try:
            time.sleep(chance.uniform(0.5, 2))
        finally:
            with suppress(redis.RedisError):  # killed meanwhile: it comes back with the room that it had
                refill(cluster)
        return True
    return False


# Networks


def _network(
    store: Literal["redis", "qdrant"], least: float, most: float, mode: Mode = "open", delay: float = 0
) -> Strike:
    """The way to a store is `mode`, or takes `delay` seconds more, for some seconds between `least` and `most`."""

    def misbehave(cluster: Cluster, chance: random.Random) -> bool:
        proxy = cluster.redis_proxy if store == "redis" else cluster.qdrant_proxy
        with proxy.behaving(mode, delay=delay):
            time.sleep(chance.uniform(least, most))
        return True

    return misbehave


# The provider


def _provider(behaviour: str, times: int = 1, **options: object) -> Strike:
    def misbehave(cluster: Cluster, _: random.Random) -> bool:
        steadily(cluster, Step(behaviour, times, options))
        return True

    return misbehave


#: One reply of a kind that must not be believed: a second one in a row would, rightly, end the job.
UNBELIEVABLE: Final = ("missing_one", "one_more", "wrong_size", "nan", "null_vector", "not_json", "same_index")

KILLS: Final[dict[str, Strike]] = {
    "worker's child killed": kill_child,
    "worker killed": kill_worker,
    "Qdrant killed": kill_qdrant,
    "Redis killed": kill_redis,
    "API killed": kill_api,
}
FAULTS: Final[dict[str, Strike]] = {
    **KILLS,
    "worker told to stop": stop_worker,
    "Redis emptied": empty_redis,
    "Redis out of memory": fill_redis,
    "Redis frozen": freeze_redis,
    "Redis slow": _network("redis", 0.5, 2, delay=0.2),
    "Redis cut off": _network("redis", 0.1, 1.5, "cut"),
    "Redis silent": _network("redis", 0.5, 3, "silent"),
    "Qdrant frozen": freeze_qdrant,
    "Qdrant slow": _network("qdrant", 0.5, 2, delay=0.3),
    "Qdrant cut off": _network("qdrant", 0.1, 1.5, "cut"),
    "Qdrant silent": _network("qdrant", 0.5, 3, "silent"),
    "Qdrant answers 500": _network("qdrant", 0.5, 2, "failing"),
    "provider limits the rate": _provider("rate_limited", 2, retry_after=1),
    "provider answers 500": _provider("server_error", 2),
    "provider answers 408": _provider("timeout"),
    "provider breaks connections": _provider("reset", 2),
    "provider breaks off a reply": _provider("cut"),
    "provider answers out of order": _provider("reversed", 4),
    **{f"provider answers with {spoilt.replace('_', ' ')}": _provider(spoilt) for spoilt in UNBELIEVABLE},
}
