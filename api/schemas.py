"""What the outside world gets of answers, searches and health. Field names are those that front ends know."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from api.chat.events import Citation, Support

# Answers


class Source(BaseModel):
    """Where a passage stands, in readers' words."""

    chapter: str
    section: str
    heading: str
    url: str


class CitationOut(BaseModel):
    """A cited passage, with every name that a front end may look for."""

    id: str
    number: int
    chunk_id: str
    document_id: str
    text: str
    text_snippet: str
    source: Source
    chapter: str
    section: str
    heading: str
    page_title: str
    path: str
    page_number: None = None
    url: str
    score: float
    relevance_score: float
    confidence: float
    #: The passage's words that the claim rests on, and the address that lets a browser show them.
    quote: str
    quote_url: str


def citation_out(citation: Citation) -> CitationOut:
    source = Source(chapter=citation.chapter, section=citation.section, heading=citation.heading, url=citation.url)
    return CitationOut(
        id=citation.id, number=citation.number, chunk_id=citation.chunk_id, document_id=citation.path,
        text=citation.text, text_snippet=citation.text, source=source, chapter=citation.chapter,
        section=citation.section, heading=citation.heading, page_title=citation.page_title, path=citation.path,
        url=citation.url, score=citation.score, relevance_score=citation.score, confidence=citation.score,
        quote=citation.quote, quote_url=citation.quote_url or citation.url,
    )  # fmt: skip


class ClaimOut(BaseModel):
    """A sentence of the answer, held against the passages it names."""

    text: str
    support: Support
    numbers: list[int]
    missing: list[str]


class UnknownNameOut(BaseModel):
    """A name in the answer that stands nowhere in the docs."""

    name: str
    nearest: str


class FinalAnswer(BaseModel):
    """A whole answer: the reply with `stream: false`, and the stream's `final` event."""

    type: Literal["final"] = "final"
    answer: str
    sources: list[CitationOut]
    session_id: str
    query: str
    response_time: float = Field(description="seconds")
    tokens_used: int
    context_used: int
    model: str
    no_results: bool
    finish_reason: str
    sentences: list[ClaimOut]
    grounded: float | None = Field(description="the part of the sentences that is supported, 0..1")
    unknown_names: list[UnknownNameOut]
    confidence: float | None = Field(description="how likely the docs answer the question, 0..1")
    cached: bool
    searched: str = Field(description='the standalone question that was searched for; "" if it is the one asked')


class PlainSource(BaseModel):
    url: str
    page_title: str


class QueryAnswer(BaseModel):
    """A whole answer for clients that send `query`."""

    response: str
    sources: list[PlainSource]
    message_id: str


# Search


class FoundPassage(CitationOut):
    """A passage that a search found. `text` is all of it, `text_snippet` its first words."""

    trail: list[str]
    kind: str
    rank_score: float
    bm25: float | None


class SearchReply(BaseModel):
    query: str
    results: list[FoundPassage]
    total: int
    release: int | None


# Health


class HealthReport(BaseModel):
    """The numbers flat and nested, as different clients look for them."""

    status: Literal["healthy", "degraded", "unhealthy"]
    version: str
    uptime: float
    uptime_seconds: float
    timestamp: str
    qdrant_connected: bool
    openai_connected: bool
    redis_connected: bool
    documents_count: int
    chunks_count: int
    release: int | None
    services: dict[str, Any]
    metrics: dict[str, int]


class Probe(BaseModel):
    status: Literal["ok", "ready", "not_ready"]
    checks: dict[str, bool] = Field(default_factory=dict)
    #: Why not, where that takes more words.
    reason: str | None = None


class AnonymousSession(BaseModel):
    """What the server remembers of a browser."""

    id: str
    message_count: int
    exists: bool


class ErrorBody(BaseModel):
    """Every refusal and failure."""

    error: str
    code: str
    message: str
    detail: str
    details: dict[str, Any]
    retryable: bool
    request_id: str
