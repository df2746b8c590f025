"""POST /chat: a question in, an answer out, in the dialect that the client speaks.

| body | header | reply |
|---|---|---|
| `question` (or `message`) | | Server-Sent Events |
| any, with `stream: false` | | one JSON object |
| `query` without `stream` | `X-Stream-Response: true` | JSON lines |
| `query` without `stream` | | JSON {response, sources, message_id} |

A client that has lost a stream of Server-Sent Events sends the same request again with `Last-Event-ID`, and goes on
with the answer that it had. If its first request said by an `Idempotency-Key` that it might, the answer waits for it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final, Literal
from uuid import uuid4

from fastapi import APIRouter, Depends, Header, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from api.bodies import body_schema, json_body
from api.chat.events import Delta, Event, Finished, Question, Started, Turn
from api.chat.spending import begin_spending
from api.clients import address_of
from api.dependencies import Runtime, RuntimeDep
from api.dialects import Asked, JsonLines, Replay, ServerSentEvents, final_answer, plain_sources
from api.errors import Restarting, request_id_of
from api.journal import Place
from api.question_entry import Course, entry_of
from api.questions import SESSION_ID_CHARACTERS, ChatRequest, question_of
from api.recording import Recording
from api.routes.answers import ANSWER_ID
from api.schemas import AnonymousSession, FinalAnswer, QueryAnswer
from api.sessions import Conversation
from api.stream import AnswerStream, run_until_left
from shared.errors import AnswerTruncated, LecternError

router = APIRouter(tags=["chat"])

Reply = Literal["sse", "json", "ndjson", "query"]
#: What servers log for a client that left before its answer; nobody receives it.
CLIENT_CLOSED_REQUEST: Final = 499
#: An answer is told to whoever knows its key and its question: too short a key could be guessed.
KEY_CHARACTERS: Final = 16
MOST_KEY_CHARACTERS: Final = 255
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events start, chunk, citation, final and done (or error); with stream: false one object",
        "content": {"text/event-stream": {}, "application/x-ndjson": {}},
        "model": FinalAnswer | QueryAnswer,
    }
}


class ChatHeaders(BaseModel):
    """What a client says beside its question."""

    browser_id: str | None = Field(default=None, alias="X-Anonymous-Session-ID", max_length=SESSION_ID_CHARACTERS)
    stream_response: str = Field(default="", alias="X-Stream-Response", description="true: as JSON lines")
    last_event_id: str | None = Field(default=None, alias="Last-Event-ID", description="of the stream to go on with")
    idempotency_key: str | None = Field(
        default=None,
        alias="Idempotency-Key",
        min_length=KEY_CHARACTERS,
        max_length=MOST_KEY_CHARACTERS,
        description="a new UUID for each question that may be sent again",
    )

    def wish(self, body: ChatRequest) -> str | None:
        """What two requests have in common of which the second is the first one, sent again; None if none will be."""
        if self.idempotency_key is None:
            return None
        return json.dumps([self.idempotency_key, self.browser_id, body.model_dump_json()])


@router.post("/chat", openapi_extra=body_schema(ChatRequest), responses=RESPONSES, response_model=None)
@router.post("/api/chat", include_in_schema=False, response_model=None)
async def chat(
    request: Request,
    body: Annotated[ChatRequest, Depends(json_body(ChatRequest))],
    runtime: RuntimeDep,
    headers: Annotated[ChatHeaders, Header()],
) -> Response:
    """Answer a question from the docs, with a link for every claim."""
    conversation = Conversation(body.session_id or uuid4().hex, headers.browser_id or None)
    asked = Asked(body.text, conversation.session_id, request_id_of(request.scope))
    remembered = await runtime.sessions.recall(conversation) if body.history is None else ()
    question = question_of(body, remembered, runtime.services.settings)
    reply = reply_for(body, wants_lines=headers.stream_response.strip().lower() == "true")
    visitor = headers.browser_id or body.session_id or address_of(request, runtime.services.settings.trusted_proxies)
    events = conduct(runtime, question, conversation, reply, visitor)
    if reply == "sse":
        kept = await runtime.journal.open(headers.last_event_id, headers.wish(body))
        return event_stream(runtime, events, kept, asked)
    if reply == "ndjson":
        return AnswerStream(events, JsonLines(), runtime.draining, runtime.timings)
    return await whole_answer(request, events, asked, runtime, reply)


def event_stream(
    runtime: Runtime, events: AsyncGenerator[Event, None], kept: Recording | Place, asked: Asked
) -> Response:
    """The answer as Server-Sent Events: from its beginning, or what the client has missed of one that it had."""
    if isinstance(kept, Place):  # what was to answer has not begun, and never will
        replay = Replay(kept.answer_id, asked.request_id)
        follower = AnswerStream(runtime.journal.follow(kept), replay, runtime.draining, runtime.timings)
        follower.headers[ANSWER_ID] = kept.answer_id
        return follower
    dialect = ServerSentEvents(asked, kept.id, send_final=runtime.services.settings.send_final)
    stream = AnswerStream(events, dialect, runtime.draining, runtime.timings, kept)
    stream.headers[ANSWER_ID] = kept.id
    return stream


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
    runtime: Runtime, question: Question, conversation: Conversation, reply: Reply, visitor: str
) -> AsyncGenerator[Event, None]:
    """The answer's events. Counts and logs how it went, and remembers the exchange."""
    since = time.perf_counter()
    outcome = "left"
    first_word: float | None = None
    started: Started | None = None
    finished: Finished | None = None
    spent = begin_spending()
    try:
        answer = runtime.answer(question, runtime.services, runtime.model)
        async with aclosing(to_the_end(answer)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    if first_word is None:
                        first_word = time.perf_counter() - since
                        runtime.metrics.first_word_seconds.observe(first_word)
                elif isinstance(event, Started):
                    started = event
                elif isinstance(event, Finished):
                    finished = event
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
        seconds = time.perf_counter() - since
        runtime.metrics.chat_seconds.observe(seconds)
        course = Course(reply, outcome, first_word, seconds, started, finished, spent)
        runtime.questions.note("question", entry_of(question, course, runtime.services.settings), visitor)


async def to_the_end(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """The same events. Raises AnswerTruncated if Finished is not the last of them."""
    event: Event | None = None
    async with aclosing(events):
        async for event in events:
            yield event
    if not isinstance(event, Finished):
        raise AnswerTruncated("the answer broke off before its end")
