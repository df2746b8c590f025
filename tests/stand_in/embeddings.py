"""`/v1/embeddings` of the stand-in: vectors of hashed words, and every way in which they can come out wrong."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
import re
import struct
from collections.abc import Callable
from typing import Any

from tests.stand_in.plan import Step
from tests.stand_in.wire import Connection

#: Places of the vector that each word adds to.
PLACES_PER_WORD = 4


def vector_of(text: str, size: int) -> list[float]:
    """Of length one; equal for equal texts, and the closer the more words two texts share."""
    vector = [0.0] * size
    for word in re.findall(r"\w+", text.lower()) or [text]:
        digest = hashlib.blake2b(word.encode(), digest_size=4 * PLACES_PER_WORD).digest()
        for (number,) in struct.iter_unpack("<I", digest):
            vector[number % size] += 1.0 if number & 0x8000_0000 else -1.0
    norm = math.sqrt(sum(x * x for x in vector))
    return [x / norm for x in vector] if norm else [1.0, *vector[1:]]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def tokens_of(text: str) -> int:
    """Words: a count that a test can check by hand."""
    return len(text.split())


def texts_of(asked: dict[str, Any]) -> list[str]:
    """The texts of a request; none where it is about something else."""
    given = asked.get("input", [])
    return [given] if isinstance(given, str) else list(given)


async def answer_embeddings(connection: Connection, asked: dict[str, Any], step: Step, dimensions: int) -> None:
    """Answer as the step says; statuses have been dealt with."""
    texts = texts_of(asked)
    options = step.options
    if await _break_connection(connection, step):
        return
    refused = _refused(texts, step)
    if refused is not None:
        error = {"message": refused, "type": "invalid_request_error", "param": "input", "code": None}
        await connection.send(400, {"error": error})
        return
    size = int(options.get("size", asked.get("dimensions") or dimensions))
    vectors = [vector_of(text, size) for text in texts]
    base64_asked = asked.get("encoding_format") == "base64" and step.behaviour not in SPOILT_VECTORS
    data: list[dict[str, Any]] = [
        {"object": "embedding", "index": i, "embedding": _base64(vector) if base64_asked else vector}
        for i, vector in enumerate(vectors)
    ]
    data = _spoilt(data, step)
    tokens = sum(map(tokens_of, texts))
    reply = {"object": "list", "data": data, "model": asked.get("model")}
    if step.behaviour != "no_usage":
        reply["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    await connection.send(200, json.dumps(reply))


async def _break_connection(connection: Connection, step: Step) -> bool:
    match step.behaviour:
        case "hang":
            await connection.sleep(None)
        case "hang_in_body":
            await connection.start_stream("application/json")
            await connection.write('{"data": [')
            await connection.sleep(None)
        case "reset":
            connection.reset()
        case "close":
            await connection.close()
        case "cut":
            await connection.start_stream("application/json")
            await connection.write('{"data": [{"embedding": [0.1,')
            await connection.close()
        case "html":
            await connection.send(200, "<html><body>Welcome to nginx</body></html>", content_type="text/html")
        case "not_json":
            await connection.send(200, '{"data": [')
        case "gzip_bomb":
            bomb = gzip.compress(b" " * int(step.options.get("bytes", 64_000_000)))
            await connection.send(200, bomb, headers={"Content-Encoding": "gzip"})
        case _:
            return False
    return True


def _refused(texts: list[str], step: Step) -> str | None:
    if step.behaviour == "too_long" and any(step.options.get("marker", "TOO LONG") in text for text in texts):
        return "This model's maximum context length is 8192 tokens, however you requested 9000 tokens"
    if step.behaviour == "too_many" and len(texts) > int(step.options["most"]):
        return "at most 100 requests can be in one batch"
    return None


def _spoilt(data: list[dict[str, Any]], step: Step) -> list[dict[str, Any]]:
    if step.behaviour in SPOILT_LISTS:
        return SPOILT_LISTS[step.behaviour](data)
    if step.behaviour in SPOILT_VECTORS:
        data[0]["embedding"] = SPOILT_VECTORS[step.behaviour](data[0]["embedding"])
    return data


SPOILT_LISTS: dict[str, Callable[[list[dict[str, Any]]], list[dict[str, Any]]]] = {
    "empty": lambda _: [],
    "missing_one": lambda data: data[:-1],
    "one_more": lambda data: [*data, data[0]],
    "reversed": lambda data: data[::-1],
    "no_index": lambda data: [{"embedding": item["embedding"]} for item in data],
    # Gemini's servers leave out what is zero.
    "no_index_zero": lambda data: [{k: v for k, v in item.items() if (k, v) != ("index", 0)} for item in data],
    "same_index": lambda data: [item | {"index": 0} for item in data],
}
SPOILT_VECTORS: dict[str, Callable[[list[float]], object]] = {
    "wrong_size": lambda vector: vector[:-1],
    "nan": lambda vector: [math.nan, *vector[1:]],
    "infinity": lambda vector: [math.inf, *vector[1:]],
    "null_numbers": lambda vector: [None, *vector[1:]],
    "null_vector": lambda vector: None,
    "strings": lambda vector: [str(x) for x in vector],
    "zeros": lambda vector: [0.0] * len(vector),
}
