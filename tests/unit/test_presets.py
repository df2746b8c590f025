"""Where answers are written, by which variables are set; and what a request holds for one provider alone."""

from __future__ import annotations

from typing import Any

import pytest

from api.chat.presets import Preset, fields_of, preset_of
from shared.errors import ConfigurationError
from shared.settings import GEMINI_BASE_URL, LOCAL_EMBEDDING_MODEL, load_settings
from shared.transport import proxy_for

USAGE = {"stream_options": {"include_usage": True}}
OLLAMA = "http://localhost:11434/v1"


@pytest.mark.parametrize(
    ("host", "model", "fields"),
    [
        ("api.openai.com", "gpt-6-luna", {**USAGE, "reasoning_effort": "none"}),
        ("api.openai.com", "gpt-4o-mini", USAGE),
        ("localhost", "gpt-6-luna", {}),
        ("generativelanguage.googleapis.com", "gemini-3.5-flash-lite", {}),
    ],
)
def test_only_openai_is_told_what_only_openai_takes(host: str, model: str, fields: dict[str, Any]) -> None:
    assert fields_of(host, model) == fields


@pytest.mark.parametrize(
    ("given", "preset", "model"),
    [
        (
            {"openai_api_key": "sk-1"},
            Preset("https://api.openai.com/v1", "sk-1"),
            "gpt-6-luna",
        ),
        (
            {"gemini_api_key": "g"},
            Preset(GEMINI_BASE_URL, "g", key_variable="GEMINI_API_KEY", model_variable="GENERATIVE_MODEL"),
            "gemini-3.5-flash-lite",
        ),
        (
            {"openai_base_url": OLLAMA, "openai_chat_model": "llama3.2"},
            Preset(OLLAMA, ""),
            "llama3.2",
        ),
        (
            {"openai_api_key": "sk-1", "chat_base_url": OLLAMA, "openai_chat_model": "llama3.2"},
            Preset(OLLAMA, "", "CHAT_BASE_URL", "CHAT_API_KEY"),
            "llama3.2",
        ),
        (
            {"gemini_api_key": "g", "chat_base_url": OLLAMA, "chat_api_key": "c", "openai_chat_model": "x"},
            Preset(OLLAMA, "c", "CHAT_BASE_URL", "CHAT_API_KEY"),
            "x",
        ),
    ],
)
def test_what_is_set_decides_who_is_asked_and_with_which_key(given: dict[str, Any], preset: Preset, model: str) -> None:
    settings = load_settings(None, **given)
    assert preset_of(settings) == preset
    assert settings.chat_model == model


def test_a_server_for_answers_alone_leaves_the_embeddings_where_they_are() -> None:
    apart = {"chat_base_url": OLLAMA, "openai_chat_model": "llama3.2"}
    assert load_settings(None, **apart).embedding_model == LOCAL_EMBEDDING_MODEL
    openai = load_settings(None, openai_api_key="sk-1", **apart)
    assert (openai.embedding_provider, openai.embedding_model) == ("openai", "text-embedding-3-small")
    assert openai.model_base_url is None


def test_the_local_provider_lets_nothing_out() -> None:
    settings = load_settings(None, model_provider="local", chat_base_url=OLLAMA, openai_chat_model="llama3.2")
    assert settings.chat_model is None


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"chat_base_url": OLLAMA}, "CHAT_MODEL"),
        ({"chat_base_url": "localhost:11434", "openai_chat_model": "m"}, "CHAT_BASE_URL"),
        ({"chat_api_key": "c"}, "CHAT_BASE_URL"),
    ],
)
def test_a_server_that_is_half_named_is_refused_in_one_line(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as raised:
        load_settings(None, **given)
    assert "\n" not in raised.value.message


def test_a_preset_does_not_show_its_key() -> None:
    assert "sk-secret" not in repr(Preset("https://x.example/v1", "sk-secret"))


def test_the_machine_s_proxy_is_used_but_for_the_hosts_that_it_is_not_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "internal.example")
    assert proxy_for("https://api.openai.com/v1") == "http://proxy.example:3128"
    assert proxy_for("https://internal.example/v1") is None
    assert proxy_for("http://localhost:11434/v1") is None


def test_a_proxy_of_another_kind_is_named_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example:1080")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY"):
        proxy_for("https://api.openai.com/v1")
