"""What the outside world gets, and what it sends to the admin routes. Field names are those that front ends know."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.chat.events import Citation

PATH_CHARACTERS: Final = 4096


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


def citation_out(citation: Citation) -> CitationOut:
    source = Source(chapter=citation.chapter, section=citation.section, heading=citation.heading, url=citation.url)
    return CitationOut(
        id=citation.id, number=citation.number, chunk_id=citation.chunk_id, document_id=citation.path,
        text=citation.text, text_snippet=citation.text, source=source, chapter=citation.chapter,
        section=citation.section, heading=citation.heading, page_title=citation.page_title, path=citation.path,
        url=citation.url, score=citation.score, relevance_score=citation.score, confidence=citation.score,
    )  # fmt: skip


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


# Ingest


class IngestRequest(BaseModel):
    """What to ingest. Without a path: everything below the content root."""

    model_config = ConfigDict(extra="forbid", strict=True)

    content_path: str | None = Field(default=None, max_length=PATH_CHARACTERS)
    force_reindex: bool = False
    batch_size: int = Field(
        default=100, ge=1, le=1000, description="accepted; EMBED_BATCH_SIZE and the provider's limits decide"
    )


TaskStatus = Literal["pending", "processing", "completed", "failed", "cancelled"]


class IngestStarted(BaseModel):
    task_id: str
    message: str
    status: Literal["started"] = "started"
    estimated_files: int
    content_path: str
    force_reindex: bool
    batch_size: int


class TaskProgress(BaseModel):
    files_processed: int
    total_files: int
    chunks_created: int
    errors: list[str]
    percent: float
    stage: str
    seconds_left: float | None
    shards_done: int
    shards_total: int
    detail: dict[str, Any]


class IngestTask(BaseModel):
    """A job. `status` is what older clients know; `state` is our own word for it."""

    task_id: str
    status: TaskStatus
    state: str
    reason: str | None
    progress: TaskProgress
    documents_found: int
    documents_processed: int
    chunks_created: int
    errors: list[str]
    release: int | None
    attempts: int
    totals: dict[str, int]
    content_path: str
    created_at: str
    started_at: str | None
    completed_at: str | None
    updated_at: str
    estimated_completion: str | None
    metadata: dict[str, Any]


class IngestTasks(BaseModel):
    tasks: list[IngestTask]
    total: int


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
