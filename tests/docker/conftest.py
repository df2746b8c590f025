"""A clone of the working tree, its images, and one running project for all tests of this folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from embedded.ports import pick_free
from tests.docker.compose import Compose, build, copy_tree, docker
from tests.stand_in.control import Provider
from tests.stand_in.fixtures import provider_process

#: Seen nowhere but in `.env` and the containers' own folders: what is looked for in images and logs.
SECRETS: Final = {
    "ADMIN_API_KEY": "admin-canary-0123456789abcdef",
    "REDIS_PASSWORD": "redis-canary/with?odd@characters",
    "QDRANT_API_KEY": "qdrant-canary-0123456789abcdef",
    "FLOWER_BASIC_AUTH": "admin:flower-canary-0123456789",
    "OPENAI_API_KEY": "sk-canary-0123456789abcdef",
}


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("clone"))


@dataclass(frozen=True)
class Host:
    """This machine as containers see it, with a model server on it."""

    address: str
    provider: Provider


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    """`host.docker.internal` is the default bridge's gateway."""
    network = json.loads(docker("network", "inspect", "bridge"))[0]
    address = str(network["IPAM"]["Config"][0]["Gateway"])
    with provider_process(address) as (provider, _):
        yield Host(address, provider)


@pytest.fixture(scope="session")
def compose(clone: Path, host: Host) -> Iterator[Compose]:
    """The project, with every setting that an owner has to choose; nothing runs yet. Gone after the tests."""
    project = Compose(clone, "lectern-test", *pick_free(2))
    project.write_env(
        **SECRETS,
        COMPOSE_PROFILES="flower",
        CONTENT_ROOT="content",
        INGEST_ON_START="false",
        SITE_URL="https://site.example",
        DOCS_ROUTE="/",
        # A chat model on the machine itself; the local model embeds.
        OPENAI_BASE_URL=host.provider.base_url.replace(host.address, "host.docker.internal"),
        CHAT_MODEL="stand-in",
    )
    project.run("down", "--volumes", "--timeout", "5", "--remove-orphans")
    try:
        yield project
    finally:
        (clone / "compose.log").write_text(project.run("logs", "--no-color", check=False).stdout)
        project.run("--profile", "flower", "down", "--volumes", "--timeout", "5", "--remove-orphans", check=False)
        project.close()


@pytest.fixture(scope="session")
def images(compose: Compose) -> Compose:
    """The project with its images built."""
    build(compose.clone, "Dockerfile", "lectern")
    compose.run("build", "--quiet", seconds=600)
    return compose
