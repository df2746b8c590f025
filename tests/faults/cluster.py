"""The real size in small: stores, two workers and an API as processes, proxies between workers and stores, and somebody
who starts again whatever ends, as a container engine does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import redis

from embedded.home import write_private
from embedded.ports import LOOPBACK, pick_free
from embedded.processes import tethered
from embedded.valkey import MAX_MEMORY, valkey_command
from tests.faults.proxy import Proxy
from tests.http_api import ADMIN, ADMIN_KEY
from tests.processes import WORKER_READY
from tests.qdrant_server import API_KEY, quick_folder
from tests.stand_in.control import Provider
from tests.stores import PASSWORD
from tests.system import START_SECONDS, TERMINAL, descendants, environment, until

#: As the supervisor's first delay.
RESTART_SECONDS: Final = 0.5
#: Its `sitecustomize` makes a page with a certain text deadly.
POISON: Final = Path(__file__).parent / "poison"
COLLECTION: Final = "chaos"
#: Passages of one request to the provider.
REQUEST_PASSAGES: Final = 8
SITE_URL: Final = "https://site.example"


@dataclass(slots=True)
class Part:
    """A process that is started again when it ends."""

    name: str
    command: tuple[str, ...]
    variables: Mapping[str, str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    ended_at: float = 0.0
    starts: int = 0
    #: Where in its log the last start's lines begin.
    log_begins: int = 0
    #: It stays away for as long as this is set.
    is_held_down: bool = False

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.log_begins = log.tell()
            # In the folder of the logs: no .env of the machine's owner is read from there. Tethered, so that a run that
            # is itself killed leaves nothing behind.
            self.process = subprocess.Popen(
                tethered(self.command), cwd=self.folder, env=environment(self.variables), stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.starts += 1

    def send(self, number: signal.Signals) -> bool:
        """To the process itself, not to its children. False if it is not running."""
        if self.process is None or self.process.poll() is not None:
            return False
        self.process.send_signal(number)
        return True

    def kill(self) -> bool:
        """With all its children. False if it is not running."""
        if self.process is None or self.process.poll() is not None:
            return False
        kill_group(self.process)
        return True

    def children(self) -> list[int]:
        return [] if self.process is None else descendants(self.process.pid)

    def revive(self) -> None:
        """Start it again if it has been away long enough."""
        if self.process is None or self.process.poll() is None:
            return
        if not self.ended_at:
            kill_group(self.process)  # what it has left behind
            self.ended_at = time.monotonic()
        elif time.monotonic() - self.ended_at > RESTART_SECONDS and not self.is_held_down:
            self.start()
            self.ended_at = 0.0


def kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass(slots=True)
class Cluster:
    """Everything that runs. `running_cluster` makes one."""

    docs: Path
    provider: Provider
    valkey: Part
    qdrant: Part
    workers: tuple[Part, ...]
    api: Part
    redis_proxy: Proxy
    qdrant_proxy: Proxy
    client: httpx.Client
    redis_url: str
    qdrant_url: str
    qdrant_folder: Path

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.valkey, self.qdrant, *self.workers, self.api)

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url, decode_responses=True, socket_timeout=5)

    # The API

    def post_ingest(self, key: str | None = None, **body: Any) -> str:
        """Ask for an ingest until the API takes it; the job's id. It says 503 while Qdrant is away."""
        headers = {**ADMIN, **({} if key is None else {"Idempotency-Key": key})}
        deadline = time.monotonic() + START_SECONDS
        while True:
            with suppress(httpx.HTTPError):
                response = self.client.post("/ingest", json=body, headers=headers)
                if response.status_code == 202:
                    return str(response.json()["task_id"])
                assert response.status_code in (409, 503), response.text
            assert time.monotonic() < deadline, "nobody takes the ingest"
            time.sleep(0.2)

    def job(self, job_id: str) -> dict[str, Any]:
        """As the status route shows it; {} while it cannot."""
        with suppress(httpx.HTTPError):
            response = self.client.get("/ingest/status", params={"task_id": job_id}, headers=ADMIN)
            if response.status_code == 200:
                found: dict[str, Any] = response.json()
                return found
            assert response.status_code == 503, response.text
        return {}

    def has_ended(self, job_id: str) -> bool:
        return self.job(job_id).get("status") in TERMINAL

    def finished(self, job_id: str, seconds: float = 120) -> dict[str, Any]:
        until(lambda: self.has_ended(job_id), seconds)
        return self.job(job_id)

    def jobs(self) -> list[dict[str, Any]]:
        response = self.client.get("/ingest/status", params={"limit": 1000}, headers=ADMIN)
        found: list[dict[str, Any]] = response.json()["tasks"]
        return found

    def search(self, question: str) -> dict[str, Any]:
        """As a visitor does, who must be answered."""
        response = self.client.get("/search", params={"q": question})
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    # Keeping it up

    @contextmanager
    def held_down(self, *parts: Part) -> Iterator[None]:
        """Kill these, and let none of them come back before the end."""
        for part in parts:
            part.is_held_down = True
            part.kill()
        try:
            yield
        finally:
            for part in parts:
                part.is_held_down = False

    def wait_until_well(self, seconds: float = START_SECONDS) -> None:
        """Everything answers, and each worker has said since its last start that it takes messages."""
        deadline = time.monotonic() + seconds
        while unwell := [part.name for part in self.parts if not self._is_well(part)]:
            assert time.monotonic() < deadline, f"{unwell} had not come back after {seconds} s"
            time.sleep(0.1)

    def _is_well(self, part: Part) -> bool:
        if part.process is None or part.process.poll() is not None:
            return False
        if part in self.workers:
            return WORKER_READY.encode() in part.log.read_bytes()[part.log_begins :]
        with suppress(httpx.HTTPError, redis.RedisError):
            if part is self.valkey:
                with self.redis() as client:
                    return bool(client.ping())
            url = self.qdrant_url if part is self.qdrant else str(self.client.base_url)
            return httpx.get(f"{url}/readyz", timeout=2, trust_env=False).status_code == 200
        return False

    @contextmanager
    def kept_up(self) -> Iterator[None]:
        """Start again whatever ends, from a thread."""
        over = threading.Event()

        def keep() -> None:
            while not over.wait(0.05):
                for part in self.parts:
                    part.revive()

        thread = threading.Thread(target=keep, name="keeper", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            for part in reversed(self.parts):
                part.kill()


@contextmanager
def running_cluster(
    folder: Path, provider: Provider, qdrant_folder: Path | None = None, **settings: str
) -> Iterator[Cluster]:
    """Start everything and wait until it is well. `folder` takes logs, Valkey's data and the docs."""
    valkey_port, qdrant_port, api_port = pick_free(3)
    docs = folder / "docs"
    for name in ("docs", "valkey"):
        (folder / name).mkdir(parents=True)
    key_file = folder / "qdrant.key"
    write_private(key_file, API_KEY)
    with ExitStack() as stack:
        data = qdrant_folder or stack.enter_context(quick_folder())
        to_redis = stack.enter_context(Proxy(valkey_port))
        to_qdrant = stack.enter_context(Proxy(qdrant_port))

        def variables(redis_port: int, qdrant_port: int) -> dict[str, str]:
            return {
                "REDIS_URL": f"redis://:{PASSWORD}@{LOOPBACK}:{redis_port}/0",
                "QDRANT_URL": f"http://{LOOPBACK}:{qdrant_port}",
                "QDRANT_API_KEY": API_KEY,
                "QDRANT_COLLECTION_NAME": COLLECTION,
                "CONTENT_ROOT": str(docs),
                "OPENAI_BASE_URL": provider.base_url,
                "OPENAI_EMBEDDING_MODEL": "stand-in",
                "ADMIN_API_KEY": ADMIN_KEY,
                # Several requests a shard and two at a time, as a large page at a provider of small requests.
                "EMBED_BATCH_SIZE": str(REQUEST_PASSAGES),
                "MAX_CONCURRENT_REQUESTS": "2",
                "SITE_URL": SITE_URL,
                "RATE_LIMIT_REQUESTS": "1000000",
                **settings,
            }

        direct = variables(valkey_port, qdrant_port)
        proxied = variables(to_redis.port, to_qdrant.port) | {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(POISON), os.environ.get("PYTHONPATH")))),
            "REMAP_SIGTERM": "SIGQUIT",
        }
        python = sys.executable
        workers = tuple(
            Part(
                f"worker-{number}",
                (
                    *(python, "-m", "celery", "-A", "worker.app", "worker", "--loglevel=INFO"),
                    *("-n", f"worker@{number}", "--concurrency", "1", "--without-mingle", "--without-gossip"),
                ),
                proxied,
                folder,
            )
            for number in (1, 2)
        )
        cluster = Cluster(
            docs=docs,
            provider=provider,
            valkey=Part("valkey", valkey_command(folder / "valkey", valkey_port, PASSWORD), {}, folder),
            qdrant=Part(
                "qdrant",
                (
                    *(python, "-m", "embedded.qdrant", "--data", str(data)),
                    *("--port", str(qdrant_port), "--api-key-file", str(key_file)),
                ),
                {},
                folder,
            ),
            workers=workers,
            api=Part(
                "api",
                (
                    *(python, "-m", "uvicorn", "api.main:app", "--factory", "--no-proxy-headers", "--no-access-log"),
                    *("--host", LOOPBACK, "--port", str(api_port), "--timeout-graceful-shutdown", "5"),
                ),
                direct,
                folder,
            ),
            redis_proxy=to_redis,
            qdrant_proxy=to_qdrant,
            client=stack.enter_context(
                httpx.Client(base_url=f"http://{LOOPBACK}:{api_port}", timeout=30, trust_env=False)
            ),
            redis_url=direct["REDIS_URL"],
            qdrant_url=direct["QDRANT_URL"],
            qdrant_folder=data,
        )
        stack.enter_context(cluster.kept_up())
        for part in cluster.parts:
            part.start()
        cluster.wait_until_well()
        yield cluster


def refill(cluster: Cluster) -> None:
    """Give Redis the room back that `CONFIG SET maxmemory` took from it."""
    with cluster.redis() as client:
        client.config_set("maxmemory", MAX_MEMORY)
