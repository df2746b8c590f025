"""An API with paced answers, and nginx before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from tests.proxy.servers import Api, Certificate, Proxy, running_apis, running_nginx, self_signed
from tests.stores import Stores

#: nginx before the API, or before other ports, with changes in its configuration's text.
StartNginx = Callable[..., AbstractContextManager[Proxy]]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def api(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_apis(stores, tmp_path_factory.mktemp("api"), 1) as (running,):
        yield running


@pytest.fixture
def start_nginx(api: Api, certificate: Certificate, tmp_path: Path) -> StartNginx:
    def start(
        changes: Mapping[str, str] | None = None, upstreams: list[int] | None = None
    ) -> AbstractContextManager[Proxy]:
        return running_nginx(tmp_path / "nginx", certificate, upstreams or [api.port], changes)

    return start


@pytest.fixture(scope="session")
def nginx(api: Api, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running_nginx(tmp_path_factory.mktemp("nginx") / "shipped", certificate, [api.port]) as running:
        yield running


@pytest.fixture
def visitor(nginx: Proxy) -> Iterator[httpx.Client]:
    with nginx.client() as client:
        yield client
