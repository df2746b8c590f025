"""Answers in the words of each family of front ends: events in, the bytes of their writes out."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring
from typing import Any, Final, Protocol, TypeVar

from pydantic import BaseModel

from api.chat.events import Cited, Delta, Event, Finished, Started
from api.errors import Failure
from api.recording import CHUNK, Kept
from api.schemas import CitationOut, ClaimOut, FinalAnswer, PlainSource, UnknownNameOut, citation_out

_MARKDOWN_LINK: Final = re.compile(r"\[(?P<text>(?:\\.|[^\\])*)\]\((?P<url>\S+)\)")
_ESCAPED: Final = re.compile(r"\\([^\w\s])")
_CHUNK: Final = CHUNK.decode()

E_contra = TypeVar("E_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer's frame repeats of its question."""

    query: str
    session_id: str
    request_id: str
    #: time.perf_counter() when the question came in.
    since: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return round(time.perf_counter() - self.since, 3)


class Dialect(Protocol[E_contra]):
    """How one family of front ends wants its events."""

    media_type: str
    #: Sent while there is nothing to say; empty where clients would not understand it.
    heartbeat: bytes

    def encode(self, event: E_contra) -> Sequence[bytes]:
        """The writes that an event makes: each is read whole or not at all."""
        ...

    def is_last(self, event: E_contra) -> bool:
        """Whether nothing comes after this event."""
        ...

    def fail(self, failure: Failure) -> Sequence[bytes]:
        """The writes that end a stream which cannot go on."""
        ...


class ServerSentEvents:
    """Unnamed events, `data: {json}`: start, chunk*, citation*, final, done; or error as the last.

    Each but the error has an id, `{answer_id}-{number}`, numbered from 1. The id stands in the same write: some front
    ends look at each read by itself.
    """

    media_type = "text/event-stream"
    heartbeat = b": ping\n\n"

    def __init__(self, asked: Asked, answer_id: str, *, send_final: bool) -> None:
        self._asked = asked
        self._answer_id = answer_id
        self._send_final = send_final
        self._number = 0
        self._has_text = False

    def encode(self, event: Event) -> Sequence[bytes]:
        match event:
            case Delta(text):
                # By far the most: put together by hand, which takes a tenth of what a general encoder does.
                self._has_text = True
                return (self._numbered(f"{_CHUNK}{encode_basestring(text)}}}".encode("utf-8", "replace")),)
            case Started():
                facts = {"session_id": self._asked.session_id, "sources": event.sources}
                return (self._numbered(_json({"type": "start", **facts, "retrieved_docs": event.retrieved})),)
            case Cited():
                return (self._numbered(_json({"type": "citation", "citation": citation_out(event.citation)})),)
            case Finished():
                return tuple(map(self._numbered, self._ending(event)))

    def is_last(self, event: Event) -> bool:
        return isinstance(event, Finished)

    def fail(self, failure: Failure) -> Sequence[bytes]:
        return broken_off(failure, self._asked.request_id, has_text=self._has_text)

    def _ending(self, event: Finished) -> list[bytes]:
        whole = final_answer(event, self._asked).model_dump()
        names = ("session_id", "response_time", "tokens_used", "sources", "no_results", "finish_reason")
        done = _json({"type": "done", **{name: whole[name] for name in names}})
        return [_json(whole), done] if self._send_final else [done]

    def _numbered(self, data: bytes) -> bytes:
        self._number += 1
        return event_frame(self._answer_id, self._number, data)


class Replay:
    """An answer's events as they were kept, with the same ids, for a client that has lost some of them."""

    media_type = "text/event-stream"
    heartbeat = b": ping\n\n"

    def __init__(self, answer_id: str, request_id: str) -> None:
        self._answer_id = answer_id
        self._request_id = request_id

    def encode(self, event: Kept) -> Sequence[bytes]:
        return (event_frame(self._answer_id, event.number, event.data.encode()),)

    def is_last(self, event: Kept) -> bool:
        return event.is_last

    def fail(self, failure: Failure) -> Sequence[bytes]:
        return broken_off(failure, self._request_id, has_text=True)


class JsonLines:
    """One JSON object a line: sources, chunk*; or error as the last. For clients that send `query`."""

    media_type = "application/x-ndjson"
    heartbeat = b""  # these clients parse every line

    def encode(self, event: Event) -> Sequence[bytes]:
        match event:
            case Delta(text):
                return (f"{_CHUNK}{encode_basestring(text)}}}\n".encode("utf-8", "replace"),)
            case Started():
                return (_line({"type": "sources", "content": linked_pages(event.sources)}),)
            case Cited() | Finished():
                return ()

    def is_last(self, event: Event) -> bool:
        return isinstance(event, Finished)

    def fail(self, failure: Failure) -> Sequence[bytes]:
        return (_line({"type": "error", "content": apology(failure)}),)


def broken_off(failure: Failure, request_id: str, *, has_text: bool) -> Sequence[bytes]:
    """The last events of a stream of Server-Sent Events that cannot go on.

    Front ends that know no `error` event show the sentence before it; without it they would show nothing at all.
    Neither has an id: a client that comes back goes on after the last event of the answer itself.
    """
    sentence = ("\n\n" if has_text else "") + apology(failure)
    facts = {"error": failure.message, "code": failure.code, "message": failure.message}
    retry = {} if failure.retry_after is None else {"retry_after": failure.retry_after}
    error = {"type": "error", **facts, "retryable": failure.retryable, **retry, "request_id": request_id}
    return event_data({"type": "chunk", "content": sentence}), event_data(error)


def final_answer(event: Finished, asked: Asked) -> FinalAnswer:
    """A whole answer with what the frame knows of its question."""
    return FinalAnswer(
        answer=event.answer,
        sources=[citation_out(citation) for citation in event.sources],
        session_id=asked.session_id,
        query=asked.query,
        response_time=asked.seconds,
        tokens_used=event.tokens_used,
        context_used=event.context_used,
        model=event.model,
        no_results=event.no_results,
        finish_reason=event.finish_reason,
        sentences=[
            ClaimOut(text=claim.text, support=claim.support, numbers=list(claim.numbers), missing=list(claim.missing))
            for claim in event.claims
        ],
        grounded=event.grounded,
        unknown_names=[UnknownNameOut(name=name.name, nearest=name.nearest) for name in event.unknown_names],
        confidence=event.confidence,
        cached=event.cached,
        searched=event.searched,
    )


def plain_sources(sources: list[CitationOut]) -> list[PlainSource]:
    """One entry an address."""
    return list({source.url: PlainSource(url=source.url, page_title=source.page_title) for source in sources}.values())


def linked_pages(links: tuple[str, ...]) -> list[dict[str, str]]:
    """Markdown links as {url, page_title}, one entry an address."""
    matches = filter(None, map(_MARKDOWN_LINK.fullmatch, links))
    titles = {match["url"]: _ESCAPED.sub(r"\1", match["text"]) for match in matches}
    return [{"url": url, "page_title": title} for url, title in titles.items()]


def apology(failure: Failure) -> str:
    """What a visitor reads in place of the answer's end."""
    if failure.retryable:
        return "Sorry, I cannot answer just now. Please try again in a moment."
    return "Sorry, something went wrong while I was answering."


def event_frame(answer_id: str, number: int, data: bytes) -> bytes:
    """An event with its id, as one write."""
    return b"id: %s-%d\ndata: %s\n\n" % (answer_id.encode(), number, data)


def event_data(fields: dict[str, Any]) -> bytes:
    """An event without an id."""
    # JSON holds no raw line end, so nothing that is said can pass for an event of its own.
    return b"data: " + _json(fields) + b"\n\n"


def _line(fields: dict[str, Any]) -> bytes:
    return _json(fields) + b"\n"


def _json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return text.encode("utf-8", "replace")


def _plain(value: BaseModel) -> dict[str, Any]:
    return value.model_dump()
