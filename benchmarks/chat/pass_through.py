"""The floor of the chat benchmark: bytes from the model to the visitor as they come, unread, by the same server.

`MODEL_URL=... uvicorn benchmarks.chat.pass_through:app`
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp

Message = MutableMapping[str, Any]
_sessions: list[aiohttp.ClientSession] = []


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Any POST is answered with the model's own reply."""
    if scope["type"] != "http":
        await _lifespan(receive, send)
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    asked = {
        "model": "bench",
        "stream": True,
        "messages": [{"role": "user", "content": json.loads(body or b"{}").get("question", "")}],
    }
    headers = [(b"content-type", b"text/event-stream")]
    async with _sessions[0].post(f"{os.environ['MODEL_URL']}/chat/completions", json=asked) as reply:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for chunk in reply.content.iter_any():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _lifespan(receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            _sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
            await send({"type": "lifespan.startup.complete"})
        else:
            await _sessions[0].close()
            await send({"type": "lifespan.shutdown.complete"})
            return
