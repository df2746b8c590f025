"""`/v1/chat/completions` of the stand-in: an answer that quotes the prompt's passages; streams that fail."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.stand_in.plan import Step
from tests.stand_in.wire import Connection

#: A passage's number as prompts write it: `[2]`, `<passage id="2">`, `<passage n='2'>`.
_NUMBER = re.compile(r"\[(\d{1,3})\]|<passage\b[^>]*?=[\"'](\d{1,3})[\"'][^>]*>")
_SENTENCE = re.compile(r"[A-Z][^.\n\[\]<>#|]{20,200}[.\n]")
NOTHING_FOUND = "I could not find an answer in the documentation."


def answer_to(messages: list[dict[str, Any]]) -> str:
    """A sentence out of each of the first two numbered passages of the prompt, with its mark; the same each time."""
    prompt = "\n".join(m["content"] for m in messages if isinstance(m.get("content"), str))
    sentences: dict[str, str] = {}
    found = list(_NUMBER.finditer(prompt))
    ends = [*(mark.start() for mark in found[1:]), len(prompt)]
    for mark, end in zip(found, ends, strict=False):
        number = mark[1] or mark[2]
        sentence = _SENTENCE.search(prompt, mark.end(), end)
        if number not in sentences and sentence is not None:
            sentences[number] = sentence[0].strip().rstrip(".")
    if not sentences:
        numbers = list(dict.fromkeys(mark[1] or mark[2] for mark in found))[:2]
        return " ".join(f"The documentation describes it [{n}]." for n in numbers) or NOTHING_FOUND
    return " ".join(f"{sentence} [{number}]." for number, sentence in list(sentences.items())[:2])


async def answer_chat(connection: Connection, asked: dict[str, Any], step: Step) -> None:
    """Answer as the step says; statuses have been dealt with."""
    options = step.options
    if await _answer_otherwise(connection, step):
        return
    text = str(options.get("text") or answer_to(asked.get("messages") or []))
    if asked.get("stream"):
        await _stream(connection, asked, step, text)
        return
    finish = options.get("reason", "stop") if step.behaviour == "finish" else "stop"
    choices = [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}]
    await connection.send(200, _frame(asked, choices, "chat.completion") | {"usage": _usage(asked, text)})


async def _answer_otherwise(connection: Connection, step: Step) -> bool:
    """Whether something else than a completion was the answer."""
    match step.behaviour:
        case "stall_head":
            await connection.sleep(None)
        case "reset_head":
            connection.reset()
        case "close_head":
            await connection.close()
        case "not_http":
            await connection.write_raw(b"220 mail.example ESMTP\r\n")
        case "html":
            await connection.send(200, "<html><body>Welcome to nginx</body></html>", content_type="text/html")
        case "error_as_ok":
            await connection.send(200, {"error": {"message": "No credits left", "code": 402}})
        case "gzip_bomb":
            bomb = gzip.compress(b" " * int(step.options.get("bytes", 64_000_000)))
            headers = {"Content-Encoding": "gzip"}
            await connection.send(200, bomb, content_type="text/event-stream", headers=headers)
        case _:
            return False
    return True


async def _stream(connection: Connection, asked: dict[str, Any], step: Step, text: str) -> None:
    """Words one by one. Faults strike after `after` words (2)."""
    options, behaviour = step.options, step.behaviour
    pause = float(options.get("seconds", 0.05)) if behaviour == "slow_tokens" else 0
    await connection.start_stream()
    if behaviour == "stall_body":
        await connection.sleep(None)
    if behaviour == "signs_of_life":
        while True:
            await connection.write(": PROCESSING\n\n")
            await connection.sleep(float(options.get("seconds", 0.05)))
    send = _Events(connection, odd=behaviour == "odd_framing")
    await send.event(_chunk(asked, {"role": "assistant", "content": None if behaviour == "null_content" else ""}))
    for place, word in enumerate(re.findall(r"\S+\s*", text)):
        if place == int(options.get("after", 2)) and await _fail(connection, send, asked, behaviour, options):
            return
        delta = {"refusal": word, "content": None} if behaviour == "refusal" else {"content": word}
        await send.event(_chunk(asked, delta))
        await connection.sleep(pause)
    finish = options.get("reason", "stop") if behaviour == "finish" else "stop"
    if behaviour != "no_reason":
        await send.event(_chunk(asked, {}, finish))
    if (asked.get("stream_options") or {}).get("include_usage"):
        await send.event(_frame(asked, []) | {"usage": _usage(asked, text)})
    await send.data("[DONE]")
    if behaviour == "silent_end":
        await connection.sleep(None)
    await connection.end_stream()


async def _fail(connection: Connection, send: _Events, asked: dict[str, Any], behaviour: str, options: Any) -> bool:
    """Whether the stream is over."""
    match behaviour:
        case "cut":
            await connection.end_stream()
        case "reset":
            connection.reset()
        case "stall":
            await connection.sleep(None)
        case "error_mid_stream":
            await connection.sleep(0.2)  # what comes with the words, in one read, is no fault in their midst
            error = {"message": "The server had an error", "type": "server_error", "code": None, "param": None}
            await send.event({"error": error | dict(options.get("error", {}))})
            await connection.end_stream()
        case "bad_json":
            await send.data('{"id": "chatcmpl-1", "choices": [{"delta"')
            await connection.end_stream()
        case "huge_line":
            await send.event(_chunk(asked, {"content": "x" * int(options.get("bytes", 10_000_000))}))
            return False
        case "role_only":
            for _ in range(3):
                await send.event(_chunk(asked, {"role": "assistant"}))
                await send.event(_chunk(asked, {"content": None}))
            return False
        case "empty_choices":
            await send.event(_frame(asked, []))
            return False
        case _:
            return False
    return True


class _Events:
    """Writes server-sent events, plainly or in the odder ways that the standard allows."""

    def __init__(self, connection: Connection, *, odd: bool) -> None:
        self._connection = connection
        self._odd = odd

    async def event(self, payload: dict[str, Any]) -> None:
        await self.data(json.dumps(payload))

    async def data(self, text: str) -> None:
        odd = f": keep-alive\r\nevent: message\r\nid: 1\r\ndata:{text}\r\n\r\n"
        await self._connection.write(odd if self._odd else f"data: {text}\n\n")


def _chunk(asked: dict[str, Any], delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return _frame(asked, [{"index": 0, "delta": delta, "finish_reason": finish}])


def _frame(asked: dict[str, Any], choices: list[dict[str, Any]], kind: str = "chat.completion.chunk") -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": asked.get("model"), "choices": choices}


def _usage(asked: dict[str, Any], text: str) -> dict[str, int]:
    prompt = sum(len(words) for words in _words(asked))
    completion = len(text.split())
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _words(asked: dict[str, Any]) -> Iterator[list[str]]:
    return (m["content"].split() for m in asked.get("messages") or [] if isinstance(m.get("content"), str))
