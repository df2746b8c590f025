"""A job as the API shows it: its record, what Redis knows of it, and what it waits for."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from api.ingest_schemas import IngestTask, JobWaiting, TaskProgress, TaskStatus
from shared.errors import DependencyDown
from shared.models import Job, JobState, PageFault, Progress
from shared.services import Services
from shared.waiting import waiting_for, without_redis

#: For what Redis knows, in seconds: the record says what matters most, and a frozen Redis is waited for only once.
REDIS_SECONDS: Final = 2.0
STATUS: Final[dict[JobState, TaskStatus]] = {
    JobState.QUEUED: "pending",
    JobState.RUNNING: "processing",
    # Older clients know no other word for a job that goes on later.
    JobState.PAUSED: "pending",
    JobState.SUCCEEDED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class _Counts:
    """How far a job is, from wherever that is known."""

    stage: str
    percent: float
    pages_total: int
    pages_done: int
    chunks_written: int
    faults: tuple[PageFault, ...]
    seconds_left: float | None = None


async def job_view(services: Services, job: Job, *, redis_answers: bool = True) -> IngestTask:
    """Everything that is shown of a job. redis_answers: False where Redis is known not to, and is not waited for."""
    live = await _live(services, job) if redis_answers else None
    progress, faults = live or (None, ())
    counts = _finished(job) if job.state.terminal else _running(progress, faults)
    errors = [f"{fault.path}: {fault.reason}" for fault in counts.faults]
    if job.state is JobState.FAILED and job.reason:
        errors.insert(0, job.reason)
    waiting = await waiting_for(services, job) if live else without_redis(job)
    return IngestTask(
        task_id=job.id,
        status=STATUS[job.state],
        state=job.state.value,
        reason=job.reason,
        waiting_for=JobWaiting(**asdict(waiting)) if waiting else None,
        wish=None if job.state.terminal else await services.jobs.wish(job.id),
        progress=TaskProgress(
            files_processed=counts.pages_done,
            total_files=counts.pages_total,
            chunks_created=counts.chunks_written,
            errors=errors,
            percent=counts.percent,
            stage=counts.stage,
            seconds_left=counts.seconds_left,
            shards_done=progress.shards_done if progress else 0,
            shards_total=progress.shards_total if progress else 0,
            detail=dict(progress.detail) if progress else {},
        ),
        documents_found=counts.pages_total,
        documents_processed=counts.pages_done,
        chunks_created=counts.chunks_written,
        errors=errors,
        release=job.release,
        attempts=job.attempts,
        totals=dict(job.totals),
        content_path=job.content_path,
        profile=job.profile,
        created_at=job.created_at,
        started_at=job.started_at,
        completed_at=job.finished_at,
        updated_at=job.finished_at or job.started_at or job.created_at,
        estimated_completion=_in_seconds(counts.seconds_left),
        metadata={"force_reindex": job.force},
        dry_run=job.dry_run,
        estimate=dict(job.estimate) if job.estimate is not None else None,
        retry_of=job.retry_of,
    )


async def _live(services: Services, job: Job) -> tuple[Progress | None, tuple[PageFault, ...]] | None:
    """What Redis knows of a job, which is nothing once it was emptied; None if it does not answer."""
    try:
        async with asyncio.timeout(REDIS_SECONDS):
            progress = await services.jobs.progress(job.id)
            return progress, () if job.state.terminal else await services.jobs.faults(job.id)
    except (DependencyDown, TimeoutError):
        return None


def _running(progress: Progress | None, faults: tuple[PageFault, ...]) -> _Counts:
    if progress is None:
        return _Counts("waiting", 0, 0, 0, 0, ())
    return _Counts(
        stage=progress.stage,
        percent=progress.percent,
        pages_total=progress.pages_total,
        pages_done=progress.pages_done,
        chunks_written=progress.chunks_written,
        faults=faults,
        seconds_left=progress.seconds_left,
    )


def _finished(job: Job) -> _Counts:
    """From the record, which outlives everything in Redis."""
    pages = job.totals.get("pages_found", 0)
    done = pages if job.state is JobState.SUCCEEDED else 0
    percent = 100.0 if job.state is JobState.SUCCEEDED else 0.0
    return _Counts("done", percent, pages, done, job.totals.get("chunks_written", 0), job.faults)


def _in_seconds(seconds: float | None) -> str | None:
    return None if seconds is None else (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")
