"""POST /ingest and GET /ingest/status, for admins."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse

from api.bodies import body_schema, json_body
from api.dependencies import RuntimeDep, ServicesDep, require_admin
from api.schemas import IngestRequest, IngestStarted, IngestTask, IngestTasks, TaskProgress, TaskStatus
from shared.content import PAGE_ENDINGS, resolve_content_path
from shared.errors import DependencyDown
from shared.models import Job, JobState, PageFault, Progress
from shared.services import Services

router = APIRouter(tags=["ingest"], dependencies=[Depends(require_admin)])

STATUS: Final[dict[JobState, TaskStatus]] = {
    JobState.QUEUED: "pending",
    JobState.RUNNING: "processing",
    JobState.SUCCEEDED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}
IDEMPOTENCY_KEY_CHARACTERS: Final = 255
#: Job ids are shorter.
TASK_ID_CHARACTERS: Final = 128


@router.post(
    "/ingest", status_code=202, response_model=IngestStarted, openapi_extra=body_schema(IngestRequest, required=False)
)
async def start_ingest(
    body: Annotated[IngestRequest, Depends(json_body(IngestRequest, optional=True))],
    runtime: RuntimeDep,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=IDEMPOTENCY_KEY_CHARACTERS)] = None,
) -> JSONResponse:
    """Index the content, or a folder or page of it. The reply comes at once; `Location` says where progress stands.

    Sent again with the same `Idempotency-Key`, it is the same ingest.
    """
    services = runtime.services
    content_path, files = await asyncio.to_thread(_resolve, services.settings.content_root, body.content_path)

    async def create() -> str:
        return (await services.jobs.create(content_path, force=body.force_reindex)).id

    if idempotency_key is None:
        job_id = await create()
    else:
        job_id = await runtime.idempotency.once(idempotency_key, body.model_dump_json(), create)
    started = IngestStarted(
        task_id=job_id,
        message=f"ingest of {'all content' if content_path == '.' else content_path} has started",
        estimated_files=files,
        content_path=body.content_path or content_path,
        force_reindex=body.force_reindex,
        batch_size=body.batch_size,
    )
    return JSONResponse(
        started.model_dump(),
        status_code=202,
        headers={"Location": f"/ingest/status?task_id={quote(job_id)}"},
        # After the reply: with the queue down, sending takes seconds, and the reconciler rings for the job anyway.
        background=BackgroundTask(services.queue.plan, job_id, content_path),
    )


@router.get("/ingest/status", response_model=IngestTask | IngestTasks)
async def ingest_status(
    services: ServicesDep,
    task_id: Annotated[str | None, Query(max_length=TASK_ID_CHARACTERS)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> IngestTask | IngestTasks:
    """One job by its id, or the newest jobs."""
    if task_id is not None:
        return await _task(services, await services.jobs.get(task_id))
    jobs = await services.jobs.list()
    return IngestTasks(tasks=[await _task(services, job) for job in jobs[:limit]], total=len(jobs))


def _resolve(root: Path, requested: str | None) -> tuple[str, int]:
    """The path relative to the content root, and about how many pages are there. Blocking."""
    target = resolve_content_path(root, requested or "", configured=str(root))
    return target.relative_to(root.resolve()).as_posix(), count_pages(target)


def count_pages(target: Path) -> int:
    """Files with a page's ending at or below a path; what a closer look will leave out is counted too."""
    if target.is_file():
        return 1
    return sum(name.lower().endswith(PAGE_ENDINGS) for _, _, names in os.walk(target) for name in names)


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


async def _task(services: Services, job: Job) -> IngestTask:
    progress, chunks_written, faults = await _progress(services, job)
    counts = _finished(job) if job.state.terminal else _running(progress, chunks_written, faults)
    errors = [f"{fault.path}: {fault.reason}" for fault in counts.faults]
    if job.state is JobState.FAILED and job.reason:
        errors.insert(0, job.reason)
    return IngestTask(
        task_id=job.id,
        status=STATUS[job.state],
        state=job.state.value,
        reason=job.reason,
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
        created_at=job.created_at,
        started_at=job.started_at,
        completed_at=job.finished_at,
        updated_at=job.finished_at or job.started_at or job.created_at,
        estimated_completion=_in_seconds(counts.seconds_left),
        metadata={"force_reindex": job.force},
    )


async def _progress(services: Services, job: Job) -> tuple[Progress | None, int, tuple[PageFault, ...]]:
    """What Redis knows of a job: nothing, if it is down or has been emptied."""
    try:
        progress = await services.jobs.progress(job.id)
        results = (await services.jobs.results(job.id)).values() if not job.state.terminal else ()
    except DependencyDown:
        return None, 0, ()
    written = sum(result.chunks_written for result in results)
    return progress, written, tuple(fault for result in results for fault in result.faults)


def _running(progress: Progress | None, chunks_written: int, faults: tuple[PageFault, ...]) -> _Counts:
    if progress is None:
        return _Counts("waiting", 0, 0, 0, 0, ())
    return _Counts(
        stage=progress.stage,
        percent=progress.percent,
        pages_total=progress.pages_total,
        pages_done=progress.pages_done,
        chunks_written=chunks_written,
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
