"""The Valkey of the small size under the real supervisor."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError

from embedded.console import Console
from embedded.home import open_home
from embedded.parts import Plan, stages
from embedded.ports import LOOPBACK, pick_free
from embedded.supervisor import Supervisor
from embedded.up import UpOptions, plan_of


def make_plan(tmp_path: Path) -> Plan:
    api, flower, valkey, qdrant = pick_free(4)
    return Plan(
        home=open_home(tmp_path / "a home with spaces and \"quotes'"),
        content_root=tmp_path,
        sources_dir=tmp_path / "sources",
        site_url=None,
        host=LOOPBACK,
        api_port=api,
        flower_port=flower,
        valkey_port=valkey,
        external_qdrant=None,
        qdrant_port=qdrant,
        concurrency=1,
    )


async def with_valkey(plan: Plan, use: Callable[[Redis], Awaitable[None]]) -> None:
    """Start Valkey alone, use it, stop it as Ctrl-C does."""
    valkey = next(spec for stage in stages(plan) for spec in stage if spec.name == "valkey")

    async def on_ready() -> None:
        async with Redis(port=plan.valkey_port, password=plan.home.secret("redis.password")) as client:
            await use(client)
        os.kill(os.getpid(), signal.SIGINT)

    console = Console(io.StringIO())
    async with asyncio.timeout(15):
        assert await Supervisor(((valkey,),), console).run(on_ready) == 0


async def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    async def store(client: Redis) -> None:
        await client.set("lectern:test", "kept")

    async def read(client: Redis) -> None:
        assert await client.get("lectern:test") == b"kept"

    await with_valkey(make_plan(tmp_path), store)
    await with_valkey(make_plan(tmp_path), read)


async def test_it_wants_its_password_syncs_each_second_and_evicts_nothing(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)

    async def check(client: Redis) -> None:
        settings = await client.config_get("append*", "maxmemory-policy", "save", "bind")
        assert settings["appendonly"] == "yes"
        assert settings["appendfsync"] == "everysec"
        assert settings["maxmemory-policy"] == "noeviction"
        assert settings["save"] == ""
        assert settings["bind"] == LOOPBACK
        async with Redis(port=plan.valkey_port, retry=Retry(NoBackoff(), 0)) as stranger:
            with pytest.raises(AuthenticationError):
                await stranger.ping()

    await with_valkey(plan, check)


def test_no_secret_shows_in_the_arguments_of_any_part(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    names = ("admin.key", "redis.password", "qdrant.key", "flower.password")
    arguments = [argument for stage in stages(plan) for spec in stage for argument in spec.argv]
    for secret in map(plan.home.secret, names):
        assert not any(secret in argument for argument in arguments)
    configuration = plan.home.path / "valkey" / "valkey.conf"
    assert plan.home.secret("redis.password") in configuration.read_text()
    assert stat.S_IMODE(configuration.stat().st_mode) == 0o600


def test_parts_keep_compiled_modules_and_reach_each_other_past_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("NO_PROXY", "internal.example")
    plan = make_plan(tmp_path)
    api = next(spec for stage in stages(plan) for spec in stage if spec.name == "api")
    assert "PYTHONDONTWRITEBYTECODE" not in api.env
    assert api.env["NO_PROXY"] == "internal.example,127.0.0.1,localhost"
    assert api.env["QDRANT_URL"] == plan.qdrant_url
    assert api.env["ADMIN_API_KEY"] == plan.home.secret("admin.key")


@pytest.mark.parametrize(
    ("url", "external"),
    [
        ("https://cluster.example.org:6333", "https://cluster.example.org:6333"),
        ("http://10.0.0.9:6333", "http://10.0.0.9:6333"),
        ("http://localhost:6333", None),
        ("http://127.0.0.1:7000", None),
    ],
)
def test_a_qdrant_on_another_machine_takes_the_place_of_the_embedded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, external: str | None
) -> None:
    monkeypatch.setenv("QDRANT_URL", url)
    monkeypatch.setenv("QDRANT_API_KEY", "its-key")
    plan = plan_of(UpOptions(docs=tmp_path, home=tmp_path / "home"))
    parts = {spec.name: spec for stage in stages(plan) for spec in stage}
    assert plan.external_qdrant == external
    assert ("qdrant" in parts) is (external is None)
    for part in ("api", "worker"):
        assert parts[part].env["QDRANT_URL"] == plan.qdrant_url
        assert (parts[part].env["QDRANT_API_KEY"] == "its-key") is (external is not None)


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:"), ("::", "http://[::1]:"), ("10.0.0.5", "http://10.0.0.5:")],
)
def test_the_announced_address_is_one_that_answers(tmp_path: Path, host: str, url: str) -> None:
    plan = make_plan(tmp_path)
    fields = {name: getattr(plan, name) for name in Plan.__slots__}
    assert Plan(**{**fields, "host": host}).api_url == f"{url}{plan.api_port}"
