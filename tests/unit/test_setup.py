"""The secrets that containers share."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from cli.setup import main, write_files
from shared.errors import ConfigurationError
from shared.settings import load_settings

CHOSEN = {
    "ADMIN_API_KEY": "an-admin-key-of-mine",
    "REDIS_PASSWORD": "p@ss/w?rd#\"'\\%",
    "QDRANT_API_KEY": 'a"key',
    "FLOWER_BASIC_AUTH": "me:secret",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's own settings are the defaults, as where there is no `.env`."""
    monkeypatch.delenv("SECRETS_DIR", raising=False)


def text_of(folder: Path, name: str) -> str:
    return (folder / name).read_text().strip()


def contents(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def test_what_nobody_chose_is_generated_once_and_kept(tmp_path: Path) -> None:
    write_files(tmp_path, {})
    first = contents(tmp_path)
    write_files(tmp_path, {})
    assert contents(tmp_path) == first
    assert len({text_of(tmp_path, name) for name in ("ADMIN_API_KEY", "QDRANT_API_KEY", "REDIS_PASSWORD")}) == 3
    assert text_of(tmp_path, "FLOWER_BASIC_AUTH").startswith("lectern:")


def test_the_generated_admin_key_is_shown_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_files(tmp_path, {})
    key = text_of(tmp_path, "ADMIN_API_KEY")
    assert capsys.readouterr().out.count(key) == 1
    write_files(tmp_path, {})
    assert capsys.readouterr().out == ""


def test_a_key_that_somebody_chose_is_never_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_files(tmp_path, CHOSEN)
    assert capsys.readouterr().out == ""


def test_what_is_chosen_later_takes_the_place_of_what_was_generated(tmp_path: Path) -> None:
    write_files(tmp_path, {})
    write_files(tmp_path, CHOSEN)
    assert {name: text_of(tmp_path, name) for name in CHOSEN} == CHOSEN


def test_a_key_that_is_chosen_no_more_opens_nothing(tmp_path: Path) -> None:
    write_files(tmp_path, {})
    before = contents(tmp_path)
    write_files(tmp_path, CHOSEN)
    write_files(tmp_path, {"ADMIN_API_KEY": ""})
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("variable", "value"), [("ADMIN_API_KEY", "short"), ("FLOWER_BASIC_AUTH", "nobody"), ("CHUNK_SIZE", "many")]
)
def test_a_wrong_setting_is_named_and_changes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    write_files(tmp_path, {})
    before = contents(tmp_path)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"{variable}: "):
        write_files(tmp_path, {variable: value})
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("QDRANT_URL", "http://localhost:6333", "http://qdrant:6333"),
        ("QDRANT_URL", "https://x.cloud.qdrant.io:6333", "https://x.cloud.qdrant.io:6333"),
        ("QDRANT_HOST", "https://x.cloud.qdrant.io:6333", "https://x.cloud.qdrant.io:6333"),
        ("REDIS_URL", "redis://localhost:6379/0", None),
        ("REDIS_URL", "rediss://:p@cache.example.org:6380/1", "rediss://:p@cache.example.org:6380/1"),
        ("REDIS_URL", "redis+sentinel://a:1,b:2/main/0", "redis+sentinel://a:1,b:2/main/0"),
    ],
)
def test_a_store_elsewhere_is_taken_and_one_on_this_machine_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str | None
) -> None:
    monkeypatch.setenv(variable, value)
    write_files(tmp_path, {variable: value})
    own_redis = f"redis://:{text_of(tmp_path, 'REDIS_PASSWORD')}@redis:6379/0"
    file = "REDIS_URL" if variable == "REDIS_URL" else "QDRANT_URL"
    assert text_of(tmp_path, file) == (expected or own_redis)


def test_each_reader_gets_the_same_password_whatever_its_characters(tmp_path: Path) -> None:
    write_files(tmp_path, CHOSEN)
    url = urlsplit(text_of(tmp_path, "REDIS_URL"))
    assert unquote(url.password or "") == CHOSEN["REDIS_PASSWORD"]
    assert (url.hostname, url.port) == ("redis", 6379)
    assert yaml.safe_load(text_of(tmp_path, "qdrant.yaml")) == {"service": {"api_key": CHOSEN["QDRANT_API_KEY"]}}
    quoted = text_of(tmp_path, "redis.conf").removeprefix("requirepass ")
    assert yaml.safe_load(quoted) == CHOSEN["REDIS_PASSWORD"]


def test_only_the_owner_can_read_them(tmp_path: Path) -> None:
    write_files(tmp_path, {})
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in contents(tmp_path)} == {0o600}
    assert stat.S_IMODE((tmp_path / "generated").stat().st_mode) == 0o700


def test_settings_are_read_from_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, CHOSEN)
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
        write_files(tmp_path, environment)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("environment", [{}, {"BIND_ADDRESS": "127.0.0.1"}, {"BIND_ADDRESS": "[::1]"}])
def test_a_port_for_this_machine_needs_none(tmp_path: Path, environment: dict[str, str]) -> None:
    write_files(tmp_path, environment)
    assert text_of(tmp_path, "ADMIN_API_KEY")


def test_a_secret_with_a_space_in_it_is_refused_without_being_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_PASSWORD: must have no spaces") as error:
        write_files(tmp_path, {"REDIS_PASSWORD": "two canaries"})
    assert "canaries" not in error.value.message


def test_the_program_ends_with_2_and_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main([str(tmp_path / "missing")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
