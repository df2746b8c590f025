"""Redis behind Sentinels: the primary dies, and a job, its worker and the visitors' conversations go on."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from starlette.datastructures import Headers

from api.limits import Limiter
from api.security import Keys
from embedded.home import write_private
from embedded.ports import pick_free
from embedded.valkey import valkey_binary, valkey_command
from shared.queue import KEY_PREFIX, QUEUE, make_celery
from shared.redis_clients import blocking_redis, close_redis
from shared.services import open_redis
from shared.settings import Settings, load_settings
from tests.processes import running_api, running_worker
from tests.stand_in.fixtures import Provider
from tests.stores import Stores
from tests.system import until

PASSWORD = "p:ss/word@1"
IN_URL = "p%3Ass%2Fword%401"
SENTINEL_PASSWORD = "sentinels-only"
PRIMARY = "mymaster"
#: Shards enough for a job to be in the middle of something when the primary dies.
PAGES = 40
#: Noticing takes half a second and an election another; the rest is for a machine with other work to do.
FAILOVER_SECONDS = 20
JOB_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Guarded:
    """A primary, its replica and three Sentinels."""

    url: str
    sentinel_ports: tuple[int, ...]
    primary_port: int
    primary: subprocess.Popen[bytes]

    def named_primary(self) -> int:
        """The port of the server that the Sentinels send clients to."""
        with redis.Redis(port=self.sentinel_ports[0], password=SENTINEL_PASSWORD) as sentinel:
            return int(sentinel.sentinel_get_master_addr_by_name(PRIMARY)[1])

    def failed_over(self) -> bool:
        return self.named_primary() != self.primary_port


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    primary_port, replica_port, *sentinel_ports = pick_free(5)
    with ExitStack() as stack:
        primary = stack.enter_context(server(tmp_path / "primary", primary_port))
        stack.enter_context(server(tmp_path / "replica", replica_port, "--replicaof", f"127.0.0.1 {primary_port}"))
        until(lambda: is_in_step(replica_port), FAILOVER_SECONDS)
        for port in sentinel_ports:
            stack.enter_context(sentinel(tmp_path / f"sentinel-{port}", port, primary_port))
        until(lambda: all(knows_everybody(port) for port in sentinel_ports), FAILOVER_SECONDS)
        hosts = ",".join(f"127.0.0.1:{port}" for port in sentinel_ports)
        url = f"redis+sentinel://:{IN_URL}@{hosts}/{PRIMARY}/0?sentinel_password={SENTINEL_PASSWORD}"
        yield Guarded(url, tuple(sentinel_ports), primary_port, primary)


@contextmanager
def server(folder: Path, port: int, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir()
    command = [*valkey_command(folder, port, PASSWORD), "--masterauth", PASSWORD, "--repl-diskless-sync-delay", "0"]
    with running([*command, *more], folder) as process:
        yield process


@contextmanager
def sentinel(folder: Path, port: int, primary_port: int) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir()
    lines = [
        "bind 127.0.0.1", f"port {port}", f"dir {folder}", f"requirepass {SENTINEL_PASSWORD}",
        f"sentinel sentinel-pass {SENTINEL_PASSWORD}",
        f"sentinel monitor {PRIMARY} 127.0.0.1 {primary_port} 2", f"sentinel auth-pass {PRIMARY} {PASSWORD}",
        f"sentinel down-after-milliseconds {PRIMARY} 500", f"sentinel failover-timeout {PRIMARY} 5000",
    ]  # fmt: skip
    write_private(folder / "sentinel.conf", "\n".join(lines) + "\n")
    with running([str(valkey_binary()), str(folder / "sentinel.conf"), "--sentinel"], folder) as process:
        yield process


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def is_in_step(port: int) -> bool:
    with redis.Redis(port=port, password=PASSWORD) as client:
        try:
            return bool(client.info("replication").get("master_link_status") == "up")
        except redis.RedisError:
            return False


def knows_everybody(port: int) -> bool:
    with redis.Redis(port=port, password=SENTINEL_PASSWORD) as client:
        try:
            known = client.sentinel_masters()[PRIMARY]
        except redis.RedisError:
            return False
    return int(known["num-slaves"]) == 1 and int(known["num-other-sentinels"]) == 2


def settings_on(guarded: Guarded) -> Settings:
    return load_settings(None, redis_url=guarded.url)


async def test_every_client_finds_the_primary_with_both_passwords(guarded: Guarded) -> None:
    settings = settings_on(guarded)
    client = open_redis(settings)
    await client.set("asked", "here")
    await close_redis(client)
    with blocking_redis(settings.redis_address, socket_timeout=2) as blocking:
        assert blocking.get("asked") == b"here"
    limiter = Limiter(settings, Keys(settings))
    verdict = await limiter.hit("/chat", Headers({}), "192.0.2.1")
    await limiter.close()
    assert verdict is not None
    assert verdict.remaining == settings.rate_limit_requests - 1


def test_a_queued_message_has_the_prefix_of_all_our_keys(guarded: Guarded) -> None:
    settings = settings_on(guarded)
    celery = make_celery(settings)
    celery.send_task("nobody.does", ignore_result=True)
    celery.close()
    with blocking_redis(settings.redis_address, socket_timeout=2) as client:
        assert client.llen(f"{KEY_PREFIX}{QUEUE}") == 1
        assert [key for key in client.keys("*") if not key.startswith(KEY_PREFIX.encode())] == []


def test_a_job_and_a_conversation_go_on_when_the_primary_dies(
    guarded: Guarded, stores: Stores, provider: Provider, tmp_path: Path
) -> None:
    docs = tmp_path / "docs"
    write_pages(docs)
    provider.fault("embeddings", "slow", seconds=0.3)
    variables = {
        **stores.environment, "REDIS_URL": guarded.url, "QDRANT_COLLECTION_NAME": f"test-{uuid4().hex[:8]}",
        "CONTENT_ROOT": str(docs), "OPENAI_BASE_URL": provider.base_url, "OPENAI_EMBEDDING_MODEL": "stand-in",
    }  # fmt: skip
    with running_api(tmp_path, variables) as api, running_worker(tmp_path, variables):
        job_id = api.ingest()
        until(lambda: api.job(job_id)["progress"]["files_processed"] > 0, JOB_SECONDS)
        api.ask("What is topic 3?", browser="b")
        assert api.remembered("b") == 1
        queued = api.ingest()
        until(lambda: has_reached_the_replica(guarded), FAILOVER_SECONDS)
        assert api.job(job_id)["status"] == "processing"

        guarded.primary.kill()
        guarded.primary.wait()
        took = seconds_until(guarded.failed_over, FAILOVER_SECONDS)
        until(lambda: api.client.get("/readyz").status_code == 200, FAILOVER_SECONDS)
        provider.reset()

        assert api.finished(job_id, JOB_SECONDS)["status"] == "completed"
        assert api.finished(queued, JOB_SECONDS)["status"] == "completed"
        assert api.client.get("/health").json()["documents_count"] == PAGES
        assert api.remembered("b") == 1
        api.ask("And topic 4?", browser="b")
        assert api.remembered("b") == 2
        assert took < FAILOVER_SECONDS


def write_pages(docs: Path) -> None:
    docs.mkdir()
    for number in range(PAGES):
        text = f"# Page {number}\n\n" + "".join(
            f"## Section {s}\n\n{f'Sentence {s} about topic {number}. ' * 40}\n\n" for s in range(6)
        )
        (docs / f"page-{number:02}.md").write_text(text, encoding="utf-8")


def has_reached_the_replica(guarded: Guarded) -> bool:
    """Whether the replica has everything: what it has not when the primary dies is lost, and made anew."""
    with redis.Redis(port=guarded.primary_port, password=PASSWORD) as client:
        return bool(client.wait(1, 1000))


def seconds_until(condition: Callable[[], bool], most: float) -> float:
    began = time.monotonic()
    until(condition, most)
    return time.monotonic() - began
