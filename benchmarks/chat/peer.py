"""The peer of the chat benchmark: FastAPI, a StreamingResponse, and the SDK's objects; no retrieval, no citations.

`OPENAI_BASE_URL=... uvicorn benchmarks.chat.peer:app` is what most projects ship.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI
from pydantic import BaseModel

app = FastAPI()
client = AsyncOpenAI(api_key="none", max_retries=0)


class Body(BaseModel):
    """What the peer reads of a question."""

    question: str


@app.post("/chat")
async def chat(body: Body) -> StreamingResponse:
    """Pass a model's deltas on as server-sent events."""

    async def stream() -> AsyncIterator[str]:
        response = await client.chat.completions.create(
            model="stand-in", messages=[{"role": "user", "content": body.question}], stream=True
        )
        async for part in response:
            if part.choices and part.choices[0].delta.content:
                yield f"data: {json.dumps({'type': 'chunk', 'content': part.choices[0].delta.content})}\n\n"
        yield 'data: {"type": "done"}\n\n'

    return StreamingResponse(stream(), media_type="text/event-stream")
