"""Which API a command talks to, and whom it shows the admin key."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cli.address import find_api
from cli.errors import BadInput
from embedded.home import open_home
from embedded.ports import is_loopback


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` of the project is read."""
    monkeypatch.chdir(tmp_path)


def with_key(home: Path) -> Path:
    (home / "secrets").mkdir(parents=True)
    (home / "secrets" / "admin.key").write_text("the-key-of-this-home\n")
    return home


def test_the_address_that_is_given_comes_first(tmp_path: Path) -> None:
    assert find_api("https://docs.example.org/", tmp_path).url == "https://docs.example.org"


def test_without_an_address_the_instance_that_runs_in_the_home_is_asked(tmp_path: Path) -> None:
    home = open_home(with_key(tmp_path / "home"))
    state = {
        "pid": os.getpid(), "api_url": "http://127.0.0.1:9999", "flower_url": None, "qdrant_url": "http://127.0.0.1:1",
        "valkey_port": 2, "content_root": "/site/docs",
    }  # fmt: skip
    with home.lock("http://127.0.0.1:9999"):
        (home.path / "state.json").write_text(json.dumps(state))
        target = find_api(None, home.path)
    assert (target.url, target.admin_key) == ("http://127.0.0.1:9999", "the-key-of-this-home")
    assert target.content_root == Path("/site/docs")


def test_a_note_that_a_killed_instance_left_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"api_url": "http://127.0.0.1:9999"}')
    assert find_api(None, tmp_path).url == "http://127.0.0.1:7860"


def test_without_an_instance_the_port_of_the_settings_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "8123")
    assert find_api(None, tmp_path).url == "http://127.0.0.1:8123"


def test_the_key_of_the_settings_comes_before_the_one_of_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMIN_API_KEY", "the-key-of-the-settings")
    assert find_api(None, with_key(tmp_path / "home")).admin_key == "the-key-of-the-settings"


def test_the_key_of_the_home_is_never_sent_to_another_machine(tmp_path: Path) -> None:
    home = with_key(tmp_path / "home")
    assert find_api("http://localhost:7860", home).admin_key == "the-key-of-this-home"
    assert find_api("https://docs.example.org", home).admin_key is None


def test_the_key_does_not_show_in_the_target_s_representation(tmp_path: Path) -> None:
    assert "the-key" not in repr(find_api(None, with_key(tmp_path / "home")))


@pytest.mark.parametrize("api", ["localhost:7860", "ftp://host", "http://", "http://host:port", "http://[::1"])
def test_what_is_no_address_is_refused(tmp_path: Path, api: str) -> None:
    with pytest.raises(BadInput, match="is not an address"):
        find_api(api, tmp_path)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("localhost.example.org", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
    ],
)
def test_loopback_is_told_from_other_machines(host: str, local: bool) -> None:
    assert is_loopback(host) is local
