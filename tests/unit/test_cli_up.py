"""What `lectern up` says and refuses; that the parts run is held by the integration tests."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import jobs
from cli.address import Target
from cli.client import Api
from cli.errors import BadInput
from cli.main import app
from cli.up import addresses, index, require_pages
from embedded.console import Console
from embedded.home import Running
from tests.unit.scripted_api import ScriptedApi, as_json, running_api
from tests.unit.test_cli_ingest import DONE, task


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.01)


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with running_api() as scripted:
        scripted.on("POST", "/ingest", as_json({"task_id": "job_1"}, 202))
        yield scripted


@pytest.mark.parametrize(
    ("docs", "said"), [("missing", "is not there"), ("file.md", "is a file"), ("empty", "holds no .md or .mdx file")]
)
def test_docs_that_cannot_be_read_are_one_line_and_bad_input(tmp_path: Path, docs: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.md").write_text("# Page")
    result = CliRunner().invoke(app, ["up", "--docs", docs, "--home", str(tmp_path / "home")])
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert said in result.output
    assert "--docs" in result.output


def test_a_folder_of_other_formats_alone_has_pages_if_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "manual.PDF").write_bytes(b"x")
    require_pages(tmp_path, (".md", ".mdx", ".pdf"))
    with pytest.raises(BadInput, match=r"holds no \.md or \.mdx file, nor one that CONTENT_FORMATS names"):
        require_pages(tmp_path, (".md", ".mdx", ".txt"))


def test_without_an_option_the_content_root_of_the_settings_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTENT_ROOT", "website")
    result = CliRunner().invoke(app, ["up", "--home", str(tmp_path / "home")])
    assert (result.exit_code, "website is not there" in result.output) == (2, True)


@pytest.mark.parametrize("option", ["--port", "--flower-port"])
def test_a_port_that_does_not_exist_is_bad_input(tmp_path: Path, option: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A")
    result = CliRunner().invoke(app, ["up", option, "99999", "--home", str(tmp_path / "home")])
    assert result.exit_code == 2
    assert result.output.count("\n") == 1


def running(home: Path, flower_url: str | None) -> Running:
    return Running(
        home, 1, "http://127.0.0.1:7860", flower_url, "http://127.0.0.1:1", 2, home / "docs", "the-key-itself"
    )


def test_the_addresses_name_the_keys_files_and_never_the_keys(tmp_path: Path) -> None:
    text = "\n".join(addresses(running(tmp_path, "http://127.0.0.1:5555"), key_is_kept=True, login_is_kept=True))
    for shown in ("http://127.0.0.1:7860/", "http://127.0.0.1:7860/docs", "http://127.0.0.1:5555", "user lectern"):
        assert shown in text
    assert str(tmp_path / "secrets" / "admin.key") in text
    assert str(tmp_path / "secrets" / "flower.password") in text
    assert "lectern ask" in text
    assert "the-key-itself" not in text


def test_a_part_that_does_not_run_is_not_announced(tmp_path: Path) -> None:
    text = "\n".join(addresses(running(tmp_path, None), key_is_kept=True, login_is_kept=True))
    assert "Flower" not in text


def test_the_addresses_name_the_settings_where_the_owner_has_chosen_the_keys(tmp_path: Path) -> None:
    text = "\n".join(addresses(running(tmp_path, "http://127.0.0.1:5555"), key_is_kept=False, login_is_kept=False))
    assert "admin key in ADMIN_API_KEY" in text
    assert "(user in FLOWER_BASIC_AUTH)" in text
    assert "flower.password" not in text


async def indexed(api: ScriptedApi) -> list[str]:
    stream = io.StringIO()
    async with Api(Target(api.url, "key", Path(), "a test")) as client:
        await index(client, Console(stream))
    return [line.removeprefix("lectern | ") for line in stream.getvalue().splitlines()]


async def test_the_first_ingest_is_shown_as_it_goes_on(api: ScriptedApi) -> None:
    api.on("GET", "/ingest/status", as_json(task()), as_json({**DONE, "errors": ["a.md: is not UTF-8"]}))
    first, last, faults = await indexed(api)
    assert first == "ingest: indexing: 12 of 40 pages, 130 passages, 4 s left"
    assert last.startswith("ingest: release 3 is live: 40 pages")
    assert faults == "ingest: 1 fault, the first: a.md: is not UTF-8; `lectern status job_1` lists them"


async def test_unchanged_docs_are_said_to_be_unchanged(api: ScriptedApi) -> None:
    api.on("GET", "/ingest/status", as_json({**DONE, "release": None, "reason": "nothing has changed"}))
    assert (await indexed(api))[-1].startswith("ingest: nothing has changed: 40 pages")


async def test_a_failed_first_ingest_is_said_and_ends_nothing(api: ScriptedApi) -> None:
    api.on("GET", "/ingest/status", as_json(task("failed", reason="no page could be indexed")))
    assert await indexed(api) == ["ingest: failed: no page could be indexed; mend it, then run `lectern ingest`"]


async def test_an_api_that_refuses_the_ingest_is_said_and_ends_nothing(api: ScriptedApi) -> None:
    api.on("POST", "/ingest", as_json({"message": "Qdrant does not answer"}, 503))
    assert await indexed(api) == ["ingest: Qdrant does not answer"]
