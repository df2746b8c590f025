"""What every test may ask for: real stores, a stand-in provider, and services opened on them."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import pytest
import redis

from shared.services import Services, open_services
from shared.settings import Settings, load_settings, variables_of
from tests.stand_in.fixtures import provider, provider_server
from tests.stores import Stores, running_stores

__all__ = ["provider", "provider_server"]

# The check before a change lands tries the same examples each time, so that it fails for the change and not by chance;
# `make explore` looks for new ones.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.register_profile("explore")
hypothesis.settings.load_profile("same")

# A run in the background is made to ignore Ctrl-C, and so would be every process that a test starts and stops with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

OpenServices = Callable[..., AbstractAsyncContextManager[Services]]


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_machine() -> Iterator[None]:
    """The owner's environment decides nothing in a test; answers are kept only where a test asks for it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in Settings.model_fields:
            for variable in variables_of(name):
                patch.delenv(variable, raising=False)
        patch.setenv("ANSWER_CACHE_MINUTES", "0")
        yield


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """One Valkey and one Qdrant engine for the whole run; `make_settings` keeps tests apart on them."""
    with running_stores(tmp_path_factory.mktemp("stores")) as running:
        yield running


@pytest.fixture
def make_settings(stores: Stores, tmp_path: Path) -> Callable[..., Settings]:
    """Settings on the running stores with a collection of their own, an empty Redis, and what the test adds."""
    with redis.Redis.from_url(stores.redis_url) as client:
        client.flushall()
    collection = f"test-{uuid4().hex[:8]}"

    def make(**overrides: Any) -> Settings:
        ours = {
            "redis_url": stores.redis_url,
            "qdrant_url": stores.qdrant_url,
            "qdrant_api_key": stores.qdrant_api_key,
            "collection": collection,
            "content_root": tmp_path / "docs",
            "admin_api_key": "test-admin-key-0123456789",
        }
        return load_settings(None, **{**ours, **overrides})

    return make


@pytest.fixture
def opened(make_settings: Callable[..., Settings]) -> OpenServices:
    """Open services on the running stores: `async with opened(chunk_size=200) as services`."""

    @asynccontextmanager
    async def open_(**overrides: Any) -> AsyncIterator[Services]:
        async with open_services(make_settings(**overrides)) as services:
            yield services

    return open_
