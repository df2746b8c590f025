"""Reads the stream of a chat completion: bytes in, words out. Knows the wire format and nothing of connections.

Every token of every visitor comes through here, most of them in one shape: that shape is read without parsing it.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, Literal

import structlog
from pydantic_core import from_json

from shared.errors import ProviderMalformed

log = structlog.get_logger(__name__)

FinishReason = Literal["stop", "length", "content_filter", "refusal"]

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
#: How providers call the ends of an answer, in small letters.
ENDS: Final[dict[str, FinishReason]] = {
    **dict.fromkeys(("stop", "stop_sequence", "end_turn", "eos", "eos_token", "complete", "completed"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "model_length", "max_output_tokens"), "length"),
    **dict.fromkeys(
        ("content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii", "language"),
        "content_filter",
    ),
    "refusal": "refusal",
}
#: Reasons that are faults: the model had more to say, and something has stopped it.
BROKEN_OFF: Final = frozenset({"error", "abort", "cancelled", "insufficient_system_resource", "malformed_response"})

#: An event that brings words and nothing else: `{..., "choices": [{..., "delta": {"content": "words"}, ...}], ...}`
#: without a further object or an escape in it.
_USUAL: Final = re.compile(
    rb'\{[^{}]*\[\{[^{}]*"delta": ?\{(?:"role": ?"assistant", ?)?"content": ?"([^"\\]*)"\}[^{}]*\}\][^{}]*\}'
)
#: What such an event says as well: that the answer goes on. No word of an answer can pass for it: its quotes would be
#: escaped, and then the event is not usual.
_GOES_ON: Final = (b'"finish_reason":null', b'"finish_reason": null')
_ERROR: Final = b'"error"'


class Completion:
    """A chat completion as it comes in."""

    def __init__(self) -> None:
        self._events = ServerSentEvents()
        self._size = 0
        #: As the provider calls it; None until the model has had its last word.
        self._reason: str | None = None
        #: Whether the last event said that the model goes on.
        self._goes_on = False
        #: Whether the words are those of a model that will not answer.
        self._refuses = False
        #: Nothing follows.
        self.done = False
        #: As the provider counts them, where it does.
        self.prompt_tokens: int | None = None
        self.answer_tokens: int | None = None
        #: What the provider reports in place of words.
        self.error: object = None
        #: Events of the model so far, with words for the visitor or without: a sign that it is at work.
        self.steps = 0

    @property
    def empty(self) -> bool:
        """Whether nothing that belongs to a chat completion has come."""
        return self.steps == 0

    @property
    def finished(self) -> bool:
        """Whether the model has had its last word."""
        return self._reason is not None

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the answer ends; None where nobody has said so, which makes it half an answer at best."""
        if self._reason is None or self._reason.lower() in BROKEN_OFF:
            return None
        known = ENDS.get(self._reason.lower())
        if known is None:
            log.warning("completion.unknown_finish_reason", reason=self._reason[:100])
        return "refusal" if self._refuses and known in (None, "stop") else known or "stop"

    def feed(self, chunk: bytes) -> str:
        """The words that `chunk` brings. Raises ProviderMalformed if they cannot be read."""
        self._size += len(chunk)
        if self._size > LARGEST_STREAM:
            raise ProviderMalformed("The model provider sent more than any answer has.")
        events = self._events.feed(chunk)
        return self._read(events[0]) if len(events) == 1 else "".join(map(self._read, events))

    def end(self) -> str:
        """The words of an event that the stream's end has left without its blank line, unless it is cut itself."""
        self.done = True
        try:
            return "".join(map(self._read, self._events.feed(b"\n\n")))
        except ProviderMalformed:
            return ""

    def _read(self, data: bytes) -> str:
        usual = _usual(data)
        if usual is None or self.error is not None:
            return self._read_any(data)
        self.steps += 1
        self._goes_on = True
        return str(usual[1], "utf-8", "replace")

    def _read_any(self, data: bytes) -> str:
        if data.strip() == DONE:
            self.done = True
            # Some servers name no reason, or "". One that has said `null` all along was cut off behind a gateway.
            if self._reason is None and not self._goes_on and self.steps:
                self._reason = "stop"
            return ""
        if self.error is not None:
            return ""
        body = _parsed(data)
        self.steps += 1
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
            self.prompt_tokens = _count(usage.get("prompt_tokens"))
            self.answer_tokens = _count(usage.get("completion_tokens"))
        choices = body.get("choices")
        if not choices:  # usage alone, or what a provider adds
            return ""
        choice = choices[0]
        reason = choice.get("finish_reason", "")
        self._goes_on = reason is None
        self._reason = str(reason) if reason else self._reason
        delta = choice.get("delta") or {}
        self._refuses = self._refuses or bool(delta.get("refusal"))
        text = delta.get("content") or delta.get("refusal") or ""
        if not isinstance(text, str):  # some servers send a list of parts
            text = "".join(part.get("text", "") for part in text)
        return text


class ServerSentEvents:
    """Cuts a byte stream into the data of its events, wherever the network has cut it."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that `chunk` completes. Raises ProviderMalformed for an endless line."""
        whole = not self._rest and not self._data
        if whole and chunk[:6] == b"data: " and chunk[-2:] == b"\n\n" and chunk.count(b"\n") == 2:
            return [chunk[6:-2]]  # one event a chunk is what most servers write
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


def _usual(data: bytes) -> re.Match[bytes] | None:
    goes_on = _GOES_ON[0] in data or _GOES_ON[1] in data
    return _USUAL.fullmatch(data) if goes_on and _ERROR not in data else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        body = _json(data)
    except (ValueError, RecursionError) as error:
        raise ProviderMalformed("The model provider sent something that is not JSON.") from error
    if isinstance(body, list) and body:  # Gemini wraps its errors
        body = body[0]
    if not isinstance(body, dict):
        raise ProviderMalformed("The model provider sent something that is no chat completion.")
    return body


def _json(data: bytes) -> object:
    try:
        return from_json(data, cache_strings="keys")
    except ValueError:
        return json.loads(data)  # lets half of a character pass, which a model may have split in two
