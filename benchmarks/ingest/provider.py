"""A model provider that costs next to nothing, so that what is measured is the ingester: `provider.py PORT_FILE`.

Speaks OpenAI's `/v1/embeddings`. A text's vector is one of a few that were made beforehand, chosen by its hash. Counts
what it is asked; `POST /reset?delay=0.15` forgets the counts and sets the seconds that each request takes from then on,
`GET /counts` tells them. Plain Python, so that it runs in any environment.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import struct
import sys
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

#: Numbers in a vector, as the local model's have.
SIZE = 384
_dice = random.Random(7)
_VECTORS = [[_dice.uniform(-1, 1) for _ in range(SIZE)] for _ in range(512)]
_AS_BASE64 = [json.dumps(base64.b64encode(struct.pack(f"<{SIZE}f", *vector)).decode()) for vector in _VECTORS]
_AS_FLOATS = [json.dumps(vector) for vector in _VECTORS]


@dataclass
class Counts:
    """What has been asked since the last reset."""

    requests: int = 0
    texts: int = 0
    characters: int = 0
    most_in_flight: int = 0
    in_flight: int = field(default=0, repr=False)


counts = Counts()
delay = 0.0


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection, one after the other."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next((int(h[15:]) for h in head.lower().split("\r\n") if h.startswith("content-length:")), 0)
            body = await reader.readexactly(length)
            method, target, _ = head.split(" ", 2)
            reply = await answer(method, target, body)
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(reply)
            )
            writer.write(reply)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def answer(method: str, target: str, body: bytes) -> bytes:
    global counts, delay
    url = urlsplit(target)
    if url.path == "/reset":
        counts, delay = Counts(), float(parse_qs(url.query).get("delay", ["0"])[0])
        return b"{}"
    if url.path == "/counts":
        return json.dumps(asdict(counts)).encode()
    asked = json.loads(body)
    texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
    counts.requests += 1
    counts.texts += len(texts)
    # Some clients send tokens in place of text.
    counts.characters += sum(len(text) if isinstance(text, str) else 0 for text in texts)
    counts.in_flight += 1
    counts.most_in_flight = max(counts.most_in_flight, counts.in_flight)
    await asyncio.sleep(delay)
    counts.in_flight -= 1
    made = _AS_BASE64 if asked.get("encoding_format") == "base64" else _AS_FLOATS
    items = ",".join(
        f'{{"object":"embedding","index":{i},"embedding":{made[zlib.crc32(str(text).encode()) % len(made)]}}}'
        for i, text in enumerate(texts)
    )
    tokens = sum(len(text) for text in texts) // 4
    return (
        f'{{"object":"list","model":"stand-in","usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}},'
        f'"data":[{items}]}}'
    ).encode()


async def main(port_file: Path) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    port_file.write_text(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
