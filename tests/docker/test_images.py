"""What the images hold, how large they are, and what a change costs."""

from __future__ import annotations

import json
import re
import subprocess
import time
from typing import Any, Final

import pytest

from tests.docker.compose import Compose, build, docker
from tests.docker.conftest import SECRETS

MEGABYTE: Final = 10**6
#: Megabytes over the base image, which is others' work.
LIMITS: Final = {"lectern-api": 450 - 80, "lectern-worker": 500 - 80, "lectern-flower": 450 - 80, "lectern": 500 - 80}
BASE: Final = "python:3.13-slim"
WARM_BUILD_SECONDS: Final = 60


def inspect(image: str) -> dict[str, Any]:
    return dict(json.loads(docker("image", "inspect", image))[0])


@pytest.mark.parametrize(("image", "limit"), LIMITS.items())
def test_an_image_is_small(images: Compose, image: str, limit: int) -> None:
    size = (inspect(image)["Size"] - inspect(BASE)["Size"]) / MEGABYTE
    print(f"{image}: {size:.0f} MB over its base of {inspect(BASE)['Size'] / MEGABYTE:.0f} MB, limit {limit} MB")
    assert size <= limit


@pytest.mark.parametrize("image", LIMITS)
def test_an_image_starts_its_program_itself_as_a_plain_user(images: Compose, image: str) -> None:
    config = inspect(image)["Config"]
    assert config["User"] == "1000:1000"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["Cmd"][0] in ("uvicorn", "celery", "lectern")
    assert not config.get("Entrypoint")
    assert config["Labels"]["org.opencontainers.image.title"] == image


@pytest.mark.parametrize("image", LIMITS)
def test_an_image_holds_no_secret_and_no_index_host(images: Compose, image: str) -> None:
    told = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image) + json.dumps(inspect(image)["Config"])
    assert not [name for name, value in SECRETS.items() if value in told]
    assert not re.search(r"https?://", told)


def files_in(image: str, *folders: str) -> set[str]:
    listing = (
        "import os, sys; print(*(os.path.join(d, f) for r in sys.argv[1:] for d, _, fs in os.walk(r) for f in fs))"
    )
    return set(docker("run", "--rm", "--network", "none", image, "python", "-c", listing, *folders).split())


def test_the_images_hold_the_packages_that_each_needs(images: Compose) -> None:
    owned = {image: {name.split("/")[2] for name in files_in(image, "/app")} for image in LIMITS}
    code = {image: {name for name in names if "dist-info" not in name} for image, names in owned.items()}
    assert code == {
        "lectern-api": {"api", "cli", "embedded", "shared", "bin"},
        "lectern-worker": {"shared", "worker"},
        "lectern-flower": {"shared", "worker"},
        "lectern": {"api", "cli", "embedded", "shared", "worker", "bin"},
    }


@pytest.mark.parametrize("image", LIMITS)
def test_every_module_is_compiled_beforehand(images: Compose, image: str) -> None:
    files = files_in(image, "/app", "/venv/lib")
    modules = [name for name in files if name.endswith(".py") and "/tests/" not in name and "/testing/" not in name]
    compiled = {re.sub(r"/__pycache__/([^/]+)\.cpython-\d+\.pyc$", r"/\1.py", name) for name in files}
    missing = [name for name in modules if name not in compiled]
    assert len(modules) > 500
    # Templates that are named like modules and are none.
    assert len(missing) < len(modules) / 100, missing[:20]


def test_a_change_of_the_code_makes_one_layer_anew_in_under_a_minute(images: Compose) -> None:
    for image, file in (("lectern-api", "Dockerfile.api"), ("lectern-worker", "Dockerfile.worker")):
        before = inspect(image)["RootFS"]["Layers"]
        changed = images.clone / "shared" / "queue.py"
        original = changed.read_text()
        changed.write_text(original + "\n# a change\n")
        try:
            started = time.monotonic()
            build(images.clone, file, f"{image}-changed")
            seconds = time.monotonic() - started
        finally:
            changed.write_text(original)
        after = inspect(f"{image}-changed")["RootFS"]["Layers"]
        print(f"{image}: rebuilt after a change of the code in {seconds:.1f} s")
        assert after[:-1] == before[:-1]
        assert after[-1] != before[-1]
        assert seconds < WARM_BUILD_SECONDS


@pytest.mark.parametrize("image", ["lectern-worker", "lectern"])
def test_the_images_that_index_have_a_git_that_fetches_over_https(images: Compose, image: str) -> None:
    asked = ["docker", "run", "--rm", "--network", "none", image, "git", "ls-remote", "https://127.0.0.1:9/docs.git"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    # No repository is there; but git has looked, which needs its helper and that one's libraries.
    assert "Failed to connect to 127.0.0.1 port 9" in done.stderr
