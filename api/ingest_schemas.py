"""What the ingest routes take and send, the job streams aside. Field names are those that front ends know."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

PATH_CHARACTERS: Final = 4096


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
