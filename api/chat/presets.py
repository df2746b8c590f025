"""Where answers are written: the address, key and models that the settings come to. Pure.

| set | asked |
|---|---|
| CHAT_BASE_URL and CHAT_MODEL | that server, whoever embeds |
| OPENAI_API_KEY | OpenAI |
| OPENAI_BASE_URL and CHAT_MODEL | that server: Ollama, vLLM, llama.cpp, OpenRouter... |
| GEMINI_API_KEY | Gemini, through its compatible address |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from shared.embeddings import OPENAI_BASE_URL
from shared.settings import Settings

#: The provider that counts tokens at the stream's end if it is asked to, which others refuse.
OPENAI_HOST: Final = "api.openai.com"
#: Its models that think before they answer unless they are told not to. The passages are there to be read, not thought
#: about: a visitor would wait, and the thoughts would use up the answer's tokens.
THINKING: Final = ("gpt-5.6", "gpt-6")


@dataclass(frozen=True, slots=True)
class Preset:
    """A server that speaks OpenAI's protocol, and the variables that say so."""

    base_url: str
    #: "" where the server wants none.
    key: str = field(repr=False)
    url_variable: str = "OPENAI_BASE_URL"
    key_variable: str = "OPENAI_API_KEY"
    model_variable: str = "CHAT_MODEL"

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).hostname or ""


def preset_of(settings: Settings) -> Preset:
    """Where `settings.chat_model` is asked."""
    if settings.chat_base_url and settings.asks_apart:
        # Another key must not reach a server that it was not made for.
        key = settings.chat_api_key.get_secret_value() if settings.chat_api_key else ""
        return Preset(settings.chat_base_url, key, url_variable="CHAT_BASE_URL", key_variable="CHAT_API_KEY")
    gemini = settings.provider == "gemini"
    given = settings.gemini_api_key if gemini else settings.openai_api_key
    key = given.get_secret_value() if given else ""
    if gemini:
        named = {"key_variable": "GEMINI_API_KEY", "model_variable": "GENERATIVE_MODEL"}
        return Preset(settings.model_base_url or "", key, **named)
    return Preset(settings.model_base_url or OPENAI_BASE_URL, key)


def fields_of(host: str, model: str) -> dict[str, Any]:
    """What only OpenAI itself takes, and there not every model."""
    if host != OPENAI_HOST:
        return {}
    thinking = {"reasoning_effort": "none"} if model.startswith(THINKING) else {}
    return {"stream_options": {"include_usage": True}, **thinking}
