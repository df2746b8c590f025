"""`lectern export` and `lectern import` with files: what is written, what is replaced, what is said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from shared.services import open_services
from shared.settings import Settings
from tests.by_hand import by_hand, ingest
from tests.stand_in.control import Provider


class Commands:
    """Commands in one Lectern's environment, as a container has it."""

    def __init__(self, settings: Settings, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        assert settings.qdrant_api_key is not None
        environment = {
            "QDRANT_URL": settings.qdrant_url,
            "QDRANT_API_KEY": settings.qdrant_api_key.get_secret_value(),
            "QDRANT_COLLECTION_NAME": settings.collection,
            "REDIS_URL": settings.redis_url.get_secret_value(),
            "OPENAI_BASE_URL": settings.openai_base_url or "",
            "OPENAI_EMBEDDING_MODEL": "stand-in",
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        self._patch = patch

    def run(self, *words: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(app, [*words, "--home", str(self.folder / "no-home")], input=stdin)

    def move_to_another_lectern(self) -> None:
        self._patch.setenv("QDRANT_COLLECTION_NAME", f"{self.folder.name[:40]}-second")


@pytest.fixture
def commands(
    make_settings: Callable[..., Settings], provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Commands:
    """A Lectern with one release, in a folder of its own."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Kites\n\nA kite flies in the wind.\n\n## Tails\n\nA tail keeps it steady.\n")
    monkeypatch.chdir(tmp_path)
    settings = make_settings(openai_base_url=provider.base_url, openai_embedding_model="stand-in")

    async def index() -> None:
        async with open_services(settings) as services:
            await ingest(by_hand(services)[0])

    asyncio.run(index())
    return Commands(settings, tmp_path, monkeypatch)


def test_a_file_is_written_and_imported_elsewhere(commands: Commands) -> None:
    exported = commands.run("export", "site.lectern")
    assert (exported.exit_code, exported.stdout) == (0, "")
    assert exported.stderr.startswith("lectern: release 1 exported: 1 page, ")
    commands.move_to_another_lectern()
    imported = commands.run("import", "site.lectern")
    assert (
        imported.exit_code,
        imported.stdout.startswith("release 1 is live, from site.lectern (1 passage written in "),
    ) == (
        0,
        True,
    )
    again = commands.run("import", "site.lectern")
    assert (again.exit_code, again.stdout.startswith("nothing has changed")) == (0, True)


def test_standard_output_and_input_hold_the_archive_and_nothing_else(commands: Commands) -> None:
    archive = commands.run("export", "-").stdout_bytes
    commands.move_to_another_lectern()
    imported = commands.run("import", "-", stdin=archive)
    assert (imported.exit_code, imported.stdout.startswith("release 1 is live, from standard input")) == (0, True)


def test_a_file_that_is_there_is_replaced_only_by_force(commands: Commands) -> None:
    file = commands.folder / "site.lectern"
    file.write_bytes(b"mine")
    refused = commands.run("export", "site.lectern")
    assert (refused.exit_code, file.read_bytes()) == (2, b"mine")
    assert refused.stderr == "lectern: site.lectern is there already; name another file, or replace it with --force\n"
    assert commands.run("export", "site.lectern", "--force").exit_code == 0
    assert commands.run("import", "site.lectern").stdout.startswith("nothing has changed")


def test_a_failed_export_leaves_the_old_file_and_no_half_of_a_new_one(commands: Commands) -> None:
    file = commands.folder / "site.lectern"
    file.write_bytes(b"mine")
    failed = commands.run("export", "site.lectern", "--force", "--release", "7")
    assert (failed.exit_code, failed.stderr) == (2, "lectern: there is no release 7; 1 are kept\n")
    assert file.read_bytes() == b"mine"
    assert {each.name for each in commands.folder.iterdir() if each.is_file()} == {"site.lectern"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["import", "gone.lectern"], 2, "gone.lectern: No such file or directory"),
        (["import", "docs/a.md"], 2, "the file is not a Lectern archive"),
        (["export", "no/such/folder/site.lectern"], 2, "No such file or directory"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(commands: Commands, words: list[str], code: int, said: str) -> None:
    result = commands.run(*words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_cut_off_is_refused(commands: Commands) -> None:
    file = commands.folder / "site.lectern"
    commands.run("export", "site.lectern")
    file.write_bytes(file.read_bytes()[:-20])
    refused = commands.run("import", "site.lectern")
    assert refused.exit_code == 2
    assert "lectern: the file is cut off before its end; copy it again, or export again\n" in refused.stderr
