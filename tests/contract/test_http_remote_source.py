"""What changes outside of the worker when the docs are fetched from elsewhere: there is no folder to look into."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.address import Target
from cli.doctor import check_content
from embedded.up import UpOptions, plan_of
from shared.content import remote_content_path
from shared.errors import ConfigurationError, InvalidInput
from shared.settings import Settings
from tests.http_api import ADMIN, Client, serving

MakeSettings = Callable[..., Settings]
URL = "https://git.example.org/docs.git"


@pytest.fixture
def client(make_settings: MakeSettings, tmp_path: Path) -> Iterator[Client]:
    with serving(make_settings(source_git_url=URL, content_root=tmp_path / "not there")) as client:
        yield client


@pytest.mark.parametrize(("asked", "path"), [(None, "."), ("guide", "guide"), ("./guide/", "guide"), ("", ".")])
def test_an_ingest_of_a_remote_source_needs_no_folder_here(client: Client, asked: str | None, path: str) -> None:
    reply = client.post("/ingest", json={} if asked is None else {"content_path": asked}, headers=ADMIN)
    assert reply.status_code == 202
    job = client.get(reply.headers["location"], headers=ADMIN).json()
    assert job["content_path"] == path


@pytest.mark.parametrize("path", ["../x", "/etc", "a\\b", "https://x", "~", "a\0b", "x" * 300])
def test_a_path_that_leads_out_of_a_remote_source_is_refused(client: Client, path: str) -> None:
    assert client.post("/ingest", json={"content_path": path}, headers=ADMIN).status_code == 422
    with pytest.raises(InvalidInput):
        remote_content_path(path)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without docs, and settings that name a repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_GIT_URL", URL)
    return tmp_path


def test_one_command_starts_without_a_folder_of_docs_and_keeps_copies_in_its_home(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = UpOptions(home=elsewhere / "home", port=0, flower_port=0)
    assert plan_of(options).sources_dir == elsewhere / "home" / "sources"
    monkeypatch.setenv("SOURCES_DIR", "copies")
    assert plan_of(options).sources_dir == elsewhere / "copies"


def test_a_folder_and_a_repository_are_two_sources(elsewhere: Path) -> None:
    with pytest.raises(ConfigurationError, match="--docs"):
        plan_of(UpOptions(home=elsewhere / "home", docs=elsewhere, port=0, flower_port=0))


def test_the_doctor_looks_for_no_pages_of_a_remote_source(elsewhere: Path) -> None:
    check = check_content(Target("http://127.0.0.1:1", None, elsewhere / "docs", "a test"))
    assert (check.ok, check.found) == (True, f"fetched from {URL}")
