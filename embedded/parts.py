"""The parts of the small size, and what each is told: command, environment, how to see that it is ready.

The same processes as in the real size. Only their addresses, keys and places come from here; every other
setting reaches them from the user's environment and `.env`.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from embedded.home import Home, admin_key
from embedded.ports import LOOPBACK
from embedded.probes import forget_workers, http_ready, redis_ready, worker_ready
from embedded.processes import ProcessSpec
from embedded.supervisor import Stage
from embedded.valkey import valkey_command
from shared.settings import child_environment, load_settings

FLOWER_USER = "lectern"
FLOWER_CONFIGURATION = Path(__file__).parents[1] / "worker" / "flowerconfig.py"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is decided before the first process starts."""

    home: Home
    content_root: Path
    #: Working copies of a git repository or a site, where the docs come from there.
    sources_dir: Path
    site_url: str | None
    host: str
    api_port: int
    flower_port: int
    valkey_port: int
    qdrant_port: int
    #: A Qdrant elsewhere, which takes the place of the embedded one.
    external_qdrant: str | None
    concurrency: int

    @property
    def reachable_host(self) -> str:
        """Where the API answers on this machine: the address that means "all" cannot be connected to."""
        return {"0.0.0.0": LOOPBACK, "": LOOPBACK, "::": "::1"}.get(self.host, self.host)  # noqa: S104

    @property
    def api_url(self) -> str:
        return f"http://{_bracketed(self.reachable_host)}:{self.api_port}"

    @property
    def qdrant_url(self) -> str:
        return self.external_qdrant or f"http://{LOOPBACK}:{self.qdrant_port}"

    @property
    def flower_url(self) -> str | None:
        return f"http://{LOOPBACK}:{self.flower_port}" if flower_is_installed() else None


def stages(plan: Plan) -> tuple[Stage, ...]:
    """The stores, then what uses them, then what watches: Flower's imports would slow down the others' start."""
    watching = (_flower(plan),) if flower_is_installed() else ()
    stores = (_valkey(plan),) if plan.external_qdrant else (_valkey(plan), _qdrant(plan))
    return (stores, (_api(plan), _worker(plan)), watching)


def flower_is_installed() -> bool:
    """Flower is an extra: without it everything works, unwatched."""
    return importlib.util.find_spec("flower") is not None


def _valkey(plan: Plan) -> ProcessSpec:
    password = plan.home.secret("redis.password")
    return ProcessSpec(
        name="valkey",
        argv=valkey_command(plan.home.part("valkey"), plan.valkey_port, password),
        env=child_environment({}),
        probe=redis_ready(plan.valkey_port, password),
        stop_grace=1.5,  # it syncs its file and leaves; measured under 0.1 s
    )


def _qdrant(plan: Plan) -> ProcessSpec:
    plan.home.secret("qdrant.key")
    return ProcessSpec(
        name="qdrant",
        argv=(
            *(sys.executable, "-m", "embedded.qdrant"),
            *("--data", str(plan.home.part("qdrant"))),
            *("--host", LOOPBACK),
            *("--port", str(plan.qdrant_port)),
            *("--api-key-file", str(plan.home.secret_file("qdrant.key"))),
        ),
        env=_python_environment({}),
        probe=http_ready(plan.qdrant_port, "/readyz"),
        stop_grace=3.0,  # a flush; killed before its end it loses nothing either, its log replays
    )


def _api(plan: Plan) -> ProcessSpec:
    return ProcessSpec(
        name="api",
        argv=(
            *(sys.executable, "-m", "uvicorn", "api.main:app", "--factory"),
            *("--host", plan.host, "--port", str(plan.api_port)),
            *(
                "--no-proxy-headers",
                "--no-access-log",
            ),  # the API does both itself, and knows which proxies to trust
            *("--timeout-graceful-shutdown", "5"),  # without it uvicorn waits for open streams without end
        ),
        env=_client_environment(plan, {"ADMIN_API_KEY": admin_key(plan.home)}),
        probe=http_ready(plan.api_port, "/readyz", plan.reachable_host),
        stop_grace=6.0,
    )


def _worker(plan: Plan) -> ProcessSpec:
    password = plan.home.secret("redis.password")
    return ProcessSpec(
        name="worker",
        argv=(
            *(sys.executable, "-m", "celery", "--quiet", "-A", "worker.app", "worker", "--loglevel=INFO"),
            *("--concurrency", str(plan.concurrency)),
            *("-n", "worker@%h"),
            *("--without-mingle", "--without-gossip"),  # no other worker to find; looking takes a second
        ),
        # As SIGQUIT, SIGTERM makes Celery hand running tasks back to the queue, not wait for their end.
        env=_client_environment(plan, {"REMAP_SIGTERM": "SIGQUIT"}),
        probe=worker_ready(plan.valkey_port, password),
        prepare=partial(forget_workers, plan.valkey_port, password),
        stop_grace=6.0,
    )


def _flower(plan: Plan) -> ProcessSpec:
    own = {"FLOWER_DB": str(plan.home.part("flower") / "flower")}
    if not load_settings().flower_basic_auth:
        own["FLOWER_BASIC_AUTH"] = f"{FLOWER_USER}:{plan.home.secret('flower.password')}"
    return ProcessSpec(
        name="flower",
        argv=(
            *(sys.executable, "-m", "celery", "-A", "worker.app", "flower", f"--conf={FLOWER_CONFIGURATION}"),
            *(f"--address={LOOPBACK}", f"--port={plan.flower_port}"),
            "--url-prefix=",  # it is looked for at the root
            "--logging=error",  # it warns whenever a busy worker is late to answer
        ),
        env=_client_environment(plan, own),
        probe=http_ready(plan.flower_port, "/healthcheck"),
        stop_grace=3.0,
        essential=False,
    )


def _client_environment(plan: Plan, own: dict[str, str]) -> dict[str, str]:
    """What the API, the worker and Flower need to find the stores and each other."""
    computed = {
        "QDRANT_URL": plan.qdrant_url,
        "REDIS_URL": f"redis://:{plan.home.secret('redis.password')}@{LOOPBACK}:{plan.valkey_port}/0",
        "CONTENT_ROOT": str(plan.content_root),
        "SOURCES_DIR": str(plan.sources_dir),
        "API_HOST": plan.host,
        "API_PORT": str(plan.api_port),
    }
    if not plan.external_qdrant:
        computed["QDRANT_API_KEY"] = plan.home.secret("qdrant.key")
        # Settings of a cluster say nothing about the one node that is started here.
        computed |= dict.fromkeys(("QDRANT_SHARDS", "QDRANT_REPLICAS", "QDRANT_WRITE_CONSISTENCY"), "1")
    if plan.site_url is not None:
        computed["SITE_URL"] = plan.site_url
    return _python_environment(computed | own)


def _python_environment(overrides: dict[str, str]) -> dict[str, str]:
    environment = child_environment({"PYTHONUNBUFFERED": "1", **overrides})
    # Compiled modules are kept whatever the user's shell says: without them each start takes seconds longer.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    # A proxy for the model provider must not be asked for the stores on this machine.
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = ",".join(filter(None, (environment.get(name), LOOPBACK, "localhost")))
    return environment


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
