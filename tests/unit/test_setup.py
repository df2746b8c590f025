"""The secrets that containers share."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from cli.setup import main, write_secrets
from shared.errors import ConfigurationError
from shared.settings import load_settings

CHOSEN = {
    "ADMIN_API_KEY": "an-admin-key-of-mine",
    "REDIS_PASSWORD": "p@ss/w?rd#\"'\\%",
    "QDRANT_API_KEY": 'a"key',
    "FLOWER_BASIC_AUTH": "me:secret",
}


def text_of(folder: Path, name: str) -> str:
    return (folder / name).read_text().strip()


def test_what_nobody_chose_is_generated_once_and_kept(tmp_path: Path) -> None:
    write_secrets(tmp_path, {})
    first = {file.name: file.read_text() for file in tmp_path.iterdir()}
    write_secrets(tmp_path, {})
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == first
    assert len({text_of(tmp_path, name) for name in ("ADMIN_API_KEY", "QDRANT_API_KEY", "REDIS_PASSWORD")}) == 3
    assert text_of(tmp_path, "FLOWER_BASIC_AUTH").startswith("lectern:")


def test_the_generated_admin_key_is_shown_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_secrets(tmp_path, {})
    key = text_of(tmp_path, "ADMIN_API_KEY")
    assert capsys.readouterr().out.count(key) == 1
    write_secrets(tmp_path, {})
    assert capsys.readouterr().out == ""


def test_a_key_that_somebody_chose_is_never_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_secrets(tmp_path, CHOSEN)
    assert capsys.readouterr().out == ""


def test_what_is_chosen_later_takes_the_place_of_what_was_generated(tmp_path: Path) -> None:
    write_secrets(tmp_path, {})
    write_secrets(tmp_path, CHOSEN)
    assert {name: text_of(tmp_path, name) for name in CHOSEN} == CHOSEN


def test_each_reader_gets_the_same_password_whatever_its_characters(tmp_path: Path) -> None:
    write_secrets(tmp_path, CHOSEN)
    url = urlsplit(text_of(tmp_path, "REDIS_URL"))
    assert unquote(url.password or "") == CHOSEN["REDIS_PASSWORD"]
    assert (url.hostname, url.port) == ("redis", 6379)
    assert yaml.safe_load(text_of(tmp_path, "qdrant.yaml")) == {"service": {"api_key": CHOSEN["QDRANT_API_KEY"]}}
    quoted = text_of(tmp_path, "redis.conf").removeprefix("requirepass ")
    assert yaml.safe_load(quoted) == CHOSEN["REDIS_PASSWORD"]


def test_only_the_owner_can_read_them(tmp_path: Path) -> None:
    write_secrets(tmp_path, {})
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_settings_are_read_from_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_secrets(tmp_path, CHOSEN)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    settings = load_settings(None)
    assert settings.admin_api_key is not None
    assert settings.admin_api_key.get_secret_value() == CHOSEN["ADMIN_API_KEY"]
    assert settings.redis_url.get_secret_value() == text_of(tmp_path, "REDIS_URL")
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:6379/0")
    assert load_settings(None).redis_url.get_secret_value() == "redis://elsewhere:6379/0"


def test_a_secrets_folder_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS_DIR", "/nowhere")
    with pytest.raises(ConfigurationError, match="SECRETS_DIR: /nowhere is not a folder"):
        load_settings(None)


@pytest.mark.parametrize(
    ("environment", "missing"),
    [
        ({"BIND_ADDRESS": "0.0.0.0"}, "ADMIN_API_KEY"),
        ({"BIND_ADDRESS": "10.0.0.5", "FLOWER_BASIC_AUTH": "me:x"}, "ADMIN_API_KEY"),
        ({"FLOWER_BIND_ADDRESS": "0.0.0.0", "ADMIN_API_KEY": "an-admin-key-of-mine"}, "FLOWER_BASIC_AUTH"),
    ],
)
def test_an_open_port_needs_a_key_that_somebody_chose(
    tmp_path: Path, environment: dict[str, str], missing: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"so {missing} has to be set; put it into .env"):
        write_secrets(tmp_path, environment)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("environment", [{}, {"BIND_ADDRESS": "127.0.0.1"}, {"BIND_ADDRESS": "::1"}])
def test_a_port_for_this_machine_needs_none(tmp_path: Path, environment: dict[str, str]) -> None:
    write_secrets(tmp_path, environment)
    assert text_of(tmp_path, "ADMIN_API_KEY")


def test_a_secret_with_a_space_in_it_is_refused_without_being_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_PASSWORD: must have no spaces") as error:
        write_secrets(tmp_path, {"REDIS_PASSWORD": "two canaries"})
    assert "canaries" not in error.value.message


def test_the_program_ends_with_2_and_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main([str(tmp_path / "missing")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
