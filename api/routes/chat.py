"""POST /chat: a question in, an answer out, in the dialect that the client speaks.

| body | header | reply |
|---|---|---|
| `question` (or `message`) | | Server-Sent Events |
| any, with `stream: false` | | one JSON object |
| `query` without `stream` | `X-Stream-Response: true` | JSON lines |
| `query` without `stream` | | JSON {response, sources, message_id} |
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final, Literal
from uuid import uuid4

from fastapi import APIRouter, Depends, Header, Path, Request
from starlette.responses import JSONResponse, Response

from api.bodies import body_schema, json_body
from api.chat.events import Delta, Event, Finished, Question, Turn
from api.dependencies import Runtime, RuntimeDep
from api.errors import Restarting, request_id_of
from api.questions import SESSION_ID_CHARACTERS, ChatRequest, question_of
from api.schemas import AnonymousSession, FinalAnswer, QueryAnswer
from api.sessions import Conversation
from api.stream import (
    AnswerStream,
    Asked,
    JsonLines,
    ServerSentEvents,
    final_answer,
    plain_sources,
    run_until_left,
)  # fmt: skip
from shared.errors import AnswerTruncated, LecternError

router = APIRouter(tags=["chat"])

Reply = Literal["sse", "json", "ndjson", "query"]
#: What servers log for a client that left before its answer; nobody receives it.
CLIENT_CLOSED_REQUEST: Final = 499
BrowserId = Annotated[str | None, Header(alias="X-Anonymous-Session-ID", max_length=SESSION_ID_CHARACTERS)]
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events start, chunk, citation, final and done (or error); with stream: false one object",
        "content": {"text/event-stream": {}, "application/x-ndjson": {}},
        "model": FinalAnswer | QueryAnswer,
    }
}


@router.post("/chat", openapi_extra=body_schema(ChatRequest), responses=RESPONSES, response_model=None)
@router.post("/api/chat", include_in_schema=False, response_model=None)
async def chat(
    request: Request,
    body: Annotated[ChatRequest, Depends(json_body(ChatRequest))],
    runtime: RuntimeDep,
    browser_id: BrowserId = None,
    stream_response: Annotated[str, Header(alias="X-Stream-Response")] = "",
) -> Response:
    """Answer a question from the docs, with a link for every claim."""
    conversation = Conversation(body.session_id or uuid4().hex, browser_id or None)
    asked = Asked(body.text, conversation.session_id, request_id_of(request.scope))
    remembered = await runtime.sessions.recall(conversation) if body.history is None else ()
    question = question_of(body, remembered, runtime.services.settings)
    reply = reply_for(body, wants_lines=stream_response.strip().lower() == "true")
    events = conduct(runtime, question, conversation, reply)
    if reply == "sse":
        dialect = ServerSentEvents(asked, send_final=runtime.services.settings.send_final)
        return AnswerStream(events, dialect, runtime.draining, runtime.timings)
    if reply == "ndjson":
        return AnswerStream(events, JsonLines(), runtime.draining, runtime.timings)
    return await whole_answer(request, events, asked, runtime, reply)


@router.get("/auth/anonymous-session/{browser_id}")
async def anonymous_session(
    browser_id: Annotated[str, Path(max_length=SESSION_ID_CHARACTERS)], runtime: RuntimeDep
) -> AnonymousSession:
    """How much of a browser's conversation is remembered."""
    count = await runtime.sessions.count(browser_id)
    return AnonymousSession(id=browser_id, message_count=count, exists=count > 0)


def reply_for(body: ChatRequest, *, wants_lines: bool) -> Reply:
    """The dialect that a request asks for."""
    if body.speaks_query:
        return "ndjson" if wants_lines else "query"
    return "json" if body.stream is False else "sse"


async def whole_answer(
    request: Request, events: AsyncGenerator[Event, None], asked: Asked, runtime: Runtime, reply: Reply
) -> Response:
    """The answer in one piece. Given up as soon as nobody waits for it."""
    work = asyncio.create_task(last_event(events))
    ending = await run_until_left(work, request.receive, runtime.draining)
    if ending == "left":
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    if ending == "draining":
        raise Restarting("the server is restarting; ask again in a moment", retry_after=2)
    final = final_answer(work.result(), asked)
    if reply == "json":
        return JSONResponse(final.model_dump())
    plain = QueryAnswer(response=final.answer, sources=plain_sources(final.sources), message_id=uuid4().hex)
    return JSONResponse(plain.model_dump())


async def last_event(events: AsyncGenerator[Event, None]) -> Finished:
    """Read an answer to its end."""
    finished: Finished | None = None
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Finished):
                finished = event
    assert finished is not None  # noqa: S101
    return finished


async def conduct(
    runtime: Runtime, question: Question, conversation: Conversation, reply: Reply
) -> AsyncGenerator[Event, None]:
    """The answer's events. Counts how it went and remembers the exchange."""
    started = time.perf_counter()
    outcome = "left"
    waiting = True
    try:
        answer = runtime.answer(question, runtime.services, runtime.model)
        async with aclosing(to_the_end(answer)) as events:
            async for event in events:
                if isinstance(event, Delta) and waiting:
                    waiting = False
                    runtime.metrics.first_word_seconds.observe(time.perf_counter() - started)
                if isinstance(event, Finished):
                    outcome = "no_results" if event.no_results else "answered"
                    await runtime.sessions.remember(conversation, Turn(question.text, event.answer))
                yield event
    except LecternError as error:
        outcome = error.code.lower()
        raise
    except Exception:
        outcome = "internal_error"
        raise
    finally:
        runtime.metrics.chats.labels(reply, outcome).inc()
        runtime.metrics.chat_seconds.observe(time.perf_counter() - started)


async def to_the_end(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """The same events. Raises AnswerTruncated if Finished is not the last of them."""
    event: Event | None = None
    async with aclosing(events):
        async for event in events:
            yield event
    if not isinstance(event, Finished):
        raise AnswerTruncated("the answer broke off before its end")
