"""A model that costs next to nothing: it streams words of the prompt's first passage, with marks, at a fixed pace.

`python -m benchmarks.chat.model --pace 0.05 --tokens 200` prints its port. One ticker serves all streams, and a token
is one write, so that a thousand streams at twenty tokens a second leave most of a core to the server that is measured.
`GET /sent` says how many tokens it has sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from typing import Final

HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
#: A token's share of the pace that the ticker waits: streams begin at most that much late.
SLICES: Final = 10
#: Words between two marks, about a sentence.
SENTENCE: Final = 14
_PASSAGE: Final = re.compile(r"<passage-\w+ number=.{0,9}>\\n(.{40,4000}?)</passage-", re.DOTALL)
_WORD: Final = re.compile(r"[A-Za-z]{2,14}")


class Model:
    """All streams, and the clock that they share."""

    def __init__(self, pace: float, tokens: int) -> None:
        self.pace = pace
        self.tokens = tokens
        self.sent = 0
        self.slices: list[set[Stream]] = [set() for _ in range(SLICES)]
        self.now = 0

    async def run(self) -> None:
        """Give every stream a token when it is its turn."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += self.pace / SLICES
            await asyncio.sleep(max(0, due - loop.time()))
            self.now = (self.now + 1) % SLICES
            for stream in tuple(self.slices[self.now]):
                stream.tick()


class Stream(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._received = b""
        self._words: list[bytes] = []
        self._slice: set[Stream] | None = None
        self._place = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if length is not None and len(body) < int(length[1]):
            return
        self._received = b""
        if head.startswith(b"GET"):
            said = json.dumps({"sent": self._model.sent}).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
        else:
            self._begin(body.decode())

    def _begin(self, body: str) -> None:
        passage = _PASSAGE.search(body)
        words = _WORD.findall(passage[1].replace("\\n", " ") if passage else body)[:400] or ["nothing"]
        sentences = [words[start : start + SENTENCE] for start in range(0, len(words), SENTENCE)]
        said = [word for part in sentences for word in [part[0].capitalize(), *part[1:], "[1]. "]]
        self._words = [_event(said[place % len(said)]) for place in range(self._model.tokens)]
        self._place = 0
        self._transport.write(HEAD)
        self._slice = self._model.slices[self._model.now]
        self._slice.add(self)
        self.tick()

    def tick(self) -> None:
        """The next token, or the end."""
        if self._place < len(self._words):
            self._transport.write(self._words[self._place])
            self._place += 1
            self._model.sent += 1
            return
        self._transport.write(_chunk(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'))
        self._transport.write(_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        self._stop()

    def _stop(self) -> None:
        if self._slice is not None:
            self._slice.discard(self)
            self._slice = None


def _event(word: str) -> bytes:
    delta = {"index": 0, "delta": {"content": word if word.endswith(" ") else f"{word} "}, "finish_reason": None}
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "bench", "choices": [delta]}
    return _chunk(b"data: " + json.dumps(frame).encode() + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def serve(pace: float, tokens: int) -> None:
    model = Model(pace, tokens)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stream(model), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await model.run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pace", type=float, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    options = parser.parse_args()
    asyncio.run(serve(options.pace, options.tokens))
