"""What the outside world gets, and what it sends to the admin routes. Field names are those that front ends know."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.chat.events import Citation, Support

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


# Ingest


class IngestRequest(BaseModel):
    """What to ingest. Without a path: everything below the content root."""

    model_config = ConfigDict(extra="forbid", strict=True)

    content_path: str | None = Field(default=None, max_length=PATH_CHARACTERS)
    force_reindex: bool = False
    dry_run: bool = Field(default=False, description="only say what the ingest would do; nothing is written")
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
    #: Whether the job was there already.
    joined: bool


class WebhookReply(BaseModel):
    status: Literal["started", "ignored", "pong"]
    message: str
    #: The job, if one has started or was there already.
    task_id: str | None = None


class JobWaiting(BaseModel):
    """What a job that is not worked on waits for."""

    what: Literal["resume", "job", "provider", "worker", "queue", "redis", "message"]
    reason: str
    since: str
    seconds: float
    #: The job that is waited for.
    job: str | None
    #: When it goes on, where that is known.
    until: str | None


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
    waiting_for: JobWaiting | None
    #: What the owner has asked for, until it is done.
    wish: Literal["cancel", "pause"] | None
    progress: TaskProgress
    documents_found: int
    documents_processed: int
    chunks_created: int
    errors: list[str]
    release: int | None
    attempts: int
    totals: dict[str, int]
    dry_run: bool
    #: What a dry run has found out.
    estimate: dict[str, Any] | None
    #: The job that this one tries again.
    retry_of: str | None
    content_path: str
    #: What kind of site the content is.
    profile: str
    created_at: str
    started_at: str | None
    completed_at: str | None
    updated_at: str
    estimated_completion: str | None
    metadata: dict[str, Any]


class IngestQueue(BaseModel):
    """Messages that wait for a worker, and the workers there are."""

    messages: int
    oldest_seconds: float
    workers: int


class IngestTasks(BaseModel):
    tasks: list[IngestTask]
    total: int
    #: None while Redis does not answer.
    queue: IngestQueue | None


# Releases


class ReleaseOut(BaseModel):
    """A state of the docs that is in the index."""

    number: int
    state: Literal["live", "kept", "held"]
    live: bool
    #: Built, and kept from visitors by the gate.
    held: bool
    documents: int
    chunks: int
    job_id: str
    created_at: str
    collection: str
    #: The embedding model; None where its collection is gone.
    model: str | None
    dimensions: int | None
    #: How many pages were added, changed, moved and removed; None where that was not recorded.
    changes: dict[str, int] | None


class ReleaseList(BaseModel):
    releases: list[ReleaseOut]
    total: int
    live: int | None


class ReleasePage(BaseModel):
    """A page that a release has changed, and why."""

    path: str
    reason: str


class GoldenAnswer(BaseModel):
    """A golden question that is not answered, with the places where the answer should stand."""

    question: str
    expected: list[str]
    line: int


class ReleaseGate(BaseModel):
    """What asking the golden questions has shown."""

    file: str
    asked: int
    answered: int
    #: Of the release that was live then; None if there was none.
    answered_before: int | None
    lost: list[GoldenAnswer]
    lost_total: int
    unanswered: list[GoldenAnswer]
    allowed: int
    faults: list[str]


class ReleaseDetail(ReleaseOut):
    """With the pages that differ from those of `base`, the release that was live before; the first 1,000 of each."""

    base: int | None
    added: list[ReleasePage]
    changed: list[ReleasePage]
    moved: list[ReleasePage]
    removed: list[ReleasePage]
    note: str | None
    gate: ReleaseGate | None


class ReleaseActivated(BaseModel):
    release: ReleaseOut
    #: The release that was live before.
    previous: int | None
    #: False where it was live already.
    changed: bool
    message: str
    warning: str | None


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
