"""Reads the stream of a chat completion: bytes in, words out. Knows the wire format and nothing of connections."""

from __future__ import annotations

import json
from typing import Any, Final

from shared.errors import ProviderMalformed

#: A longer line is no token of an answer; a megabyte of it is held at most.
LONGEST_LINE: Final = 2**20
#: Bytes of one answer's stream, beyond any real one: 32,000 tokens make 8 MB of events.
LARGEST_STREAM: Final = 32 * 2**20
#: The stream's last event.
DONE: Final = b"[DONE]"
#: What providers call in a stream what HTTP has numbers for.
STATUSES: Final = {
    "invalid_request_error": 400,
    "INVALID_ARGUMENT": 400,
    "context_length_exceeded": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "model_not_found": 404,
    "NOT_FOUND": 404,
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "RESOURCE_EXHAUSTED": 429,
}


class Completion:
    """A chat completion as it comes in."""

    def __init__(self) -> None:
        self._events = ServerSentEvents()
        self._size = 0
        #: "stop", "length", "content_filter"...; None until the model has had its last word.
        self.finish_reason: str | None = None
        #: Nothing follows.
        self.done = False
        #: As the provider counts them, where it does.
        self.prompt_tokens: int | None = None
        self.answer_tokens: int | None = None
        #: What the provider reports in place of words.
        self.error: object = None
        #: Nothing that belongs to a chat completion has come.
        self.empty = True
        #: No words have come.
        self.silent = True

    def feed(self, chunk: bytes) -> str:
        """The words that `chunk` brings. Raises ProviderMalformed if they cannot be read."""
        self._size += len(chunk)
        if self._size > LARGEST_STREAM:
            raise ProviderMalformed("The model provider sent more than any answer has.")
        return "".join(map(self._read, self._events.feed(chunk)))

    def end(self) -> str:
        """The words of an event that the stream's end has left without its blank line, unless it is cut itself."""
        self.done = True
        try:
            return "".join(map(self._read, self._events.feed(b"\n\n")))
        except ProviderMalformed:
            return ""

    def _read(self, data: bytes) -> str:
        if data == DONE:
            self.done = True
            self.finish_reason = self.finish_reason or "stop"
            return ""
        if self.error is not None:
            return ""
        body = _parsed(data)
        self.empty = False
        if body.get("error"):
            self.error = body["error"]
            return ""
        try:
            return self._words(body)
        except (AttributeError, KeyError, TypeError) as error:
            raise ProviderMalformed("The model provider sent something that is no chat completion.") from error

    def _words(self, body: dict[str, Any]) -> str:
        usage = body.get("usage")
        if usage:
            self.prompt_tokens = usage.get("prompt_tokens")
            self.answer_tokens = usage.get("completion_tokens")
        choices = body.get("choices")
        if not choices:  # usage alone, or what a provider adds
            return ""
        choice = choices[0]
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        delta = choice.get("delta") or {}
        text = delta.get("content") or delta.get("refusal") or ""
        if not isinstance(text, str):  # some servers send a list of parts
            text = "".join(part.get("text", "") for part in text)
        self.silent = self.silent and not text
        return text


class ServerSentEvents:
    """Cuts a byte stream into the data of its events, wherever the network has cut it."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that `chunk` completes. Raises ProviderMalformed for an endless line."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise ProviderMalformed("The model provider sent a line that does not end.")
        events: list[bytes] = []
        for line in lines:
            field, _, value = line.rstrip(b"\r").partition(b":")
            if field == b"data":
                self._data.append(value.removeprefix(b" "))
            elif not line.rstrip(b"\r") and self._data:
                events.append(b"\n".join(self._data))
                self._data.clear()
        return events


def status_of(error: object) -> int:
    """The HTTP status that an error in the midst of a stream stands for: 500 where it does not say, since a broken
    stream may well work the next time."""
    fields = error if isinstance(error, dict) else {}
    for code in (fields.get("status"), fields.get("code"), fields.get("type")):
        if str(code).isdecimal() and 400 <= int(str(code)) <= 599:
            return int(str(code))
        if str(code) in STATUSES:
            return STATUSES[str(code)]
    return 500


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProviderMalformed("The model provider sent something that is not JSON.") from error
    if isinstance(body, list) and body:  # Gemini wraps its errors
        body = body[0]
    if not isinstance(body, dict):
        raise ProviderMalformed("The model provider sent something that is no chat completion.")
    return body
