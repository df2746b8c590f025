"""The events of one answer, taken up where its connection broke: nothing comes twice, and nothing is left out."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from cli.errors import BadInput, CommandError, Interrupted
from cli.sse import read_events

#: Seconds before each further try that brings nothing new. The API lets an answer go on for 15 without a reader; a
#: process that starts again is there within that time as well.
PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
LOST: Final = "the answer was interrupted, and the API has not kept it; ask again"

_EVENT_ID: Final = re.compile(r"([0-9A-Za-z]{1,64})-([0-9]{1,9})")

Event = Mapping[str, Any]
#: Sends the question with further headers. Raises Interrupted if the connection breaks, else CommandError.
Connect = Callable[[Mapping[str, str]], AbstractAsyncContextManager[AsyncIterator[bytes]]]


class AnswerFailed(CommandError):
    """Raised for an answer that nobody can bring to its end."""


async def answer_events(connect: Connect, pauses: Sequence[float] = PAUSES) -> AsyncGenerator[Event, None]:
    """The events of an answer, `done` last. Raises CommandError for an `error` event or an answer without an end.

    A second `start` begins another answer, in place of one of which no word had come.
    """
    key = {"Idempotency-Key": str(uuid4())}
    place = _Place()
    is_first, left = True, list(pauses)
    while True:
        before = place.last
        try:
            async with connect(key | place.headers) as parts, aclosing(_news(parts, place)) as news:
                async for event in news:
                    yield event
                    if event["type"] == "done":
                        return
            raise Interrupted("it was cut off before its end")
        except CommandError as error:
            # Who refuses at once, or cannot be reached, has begun no answer.
            if isinstance(error, AnswerFailed | BadInput) or (is_first and not isinstance(error, Interrupted)):
                raise
            reason = error
        if (event_before := place.take_pending()) is not None:
            yield event_before
        if place.is_lost:
            raise AnswerFailed(LOST)
        if place.is_further_than(before):
            left = list(pauses)
        if not left:
            raise AnswerFailed(
                f"the answer was interrupted, and {len(pauses)} more tries brought no more of it: {reason.message}"
            )
        is_first = False
        await asyncio.sleep(left.pop(0))


@dataclass(slots=True)
class _Place:
    """How far an answer has come."""

    #: The answer's id and the number of its last event that has come.
    last: tuple[str, int] = ("", 0)
    has_words: bool = False
    #: A chunk without an id, which an `error` may take back.
    pending: Event | None = None

    @property
    def headers(self) -> dict[str, str]:
        answer_id, number = self.last
        return {"Last-Event-ID": f"{answer_id}-{number}"} if answer_id else {}

    @property
    def is_lost(self) -> bool:
        """Whether words have come, and no id to go on after."""
        return self.has_words and not self.last[0]

    def is_further_than(self, before: tuple[str, int]) -> bool:
        """Whether the same answer has gone on. Others that begin and break off must not be asked for without end."""
        return before[0] in ("", self.last[0]) and self.last[1] > before[1]

    def take_pending(self) -> Event | None:
        event, self.pending = self.pending, None
        return None if event is None else self.with_words(event)

    def with_words(self, event: Event) -> Event:
        """The event, after taking note of whether it says something."""
        self.has_words = self.has_words or event["type"] == "chunk"
        return event

    def takes(self, answer_id: str, number: int) -> bool:
        """Whether an event has not come yet. Raises AnswerFailed if it is of another answer than the words so far."""
        if answer_id == self.last[0] and number <= self.last[1]:
            return False
        if answer_id != self.last[0] and self.has_words:
            raise AnswerFailed(LOST)
        self.last = answer_id, number
        return True


async def _news(parts: AsyncIterator[bytes], place: _Place) -> AsyncGenerator[Event, None]:
    """The events that have not come yet. Raises AnswerFailed for `error`, Interrupted where another try may help."""
    async for id_, data in read_events(parts):
        event = json.loads(data)
        if event["type"] == "error":
            place.pending = None  # it says the same, for clients that do not know `error`
            raise _failure(event)
        if (before := place.take_pending()) is not None:
            yield before
        match = _EVENT_ID.fullmatch(id_)
        if match is None and event["type"] == "chunk":
            place.pending = event
        elif match is None or place.takes(match[1], int(match[2])):
            yield place.with_words(event)


def _failure(event: Event) -> CommandError:
    code = event.get("code")
    if code == "RESTARTING":
        return Interrupted(event["message"])
    if code == "ANSWER_INTERRUPTED":
        return AnswerFailed("the answer was interrupted before its end; ask again")
    return AnswerFailed(said(event) or "the answer failed")


def said(body: Mapping[str, Any]) -> str | None:
    """The sentence of an error body, with the request's id where only the API's log knows more."""
    found = next((body[name] for name in ("message", "error", "detail") if isinstance(body.get(name), str)), None)
    is_bug = body.get("code") == "INTERNAL_ERROR" and body.get("request_id")
    return f"{found} ({body['request_id']})" if found and is_bug else found
