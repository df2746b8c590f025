"""POST /ingest and GET /ingest/status, for admins."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse

from api.bodies import body_schema, json_body
from api.dependencies import RuntimeDep, ServicesDep, require_admin
from api.ingest_schemas import IngestQueue, IngestRequest, IngestStarted, IngestTask, IngestTasks
from api.job_view import REDIS_SECONDS, job_view
from shared.backlog import backlog
from shared.content import remote_content_path, resolve_content_path
from shared.content_mark import mark_of
from shared.errors import DependencyDown
from shared.services import Services
from shared.settings import Settings
from shared.turns import Asked

router = APIRouter(tags=["ingest"], dependencies=[Depends(require_admin)])

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

    Asked again before the job has begun to read, or while nothing has changed since it did, it is the same ingest.
    With the same `Idempotency-Key` it is the same one in any case, unless that has failed or was cancelled.
    """
    services = runtime.services
    content_path, files = await asyncio.to_thread(_resolve, services.settings, body.content_path)
    made: list[Asked] = []

    async def create() -> str:
        made.append(await ask(services, content_path, force=body.force_reindex, dry_run=body.dry_run))
        return made[-1].job.id

    if idempotency_key is None:
        job_id = await create()
    else:
        job_id = await runtime.idempotency.once(idempotency_key, body.model_dump_json(), create, services.jobs.has_lost)
    joined = made[-1].joined if made else True
    started = IngestStarted(
        task_id=job_id,
        message=_said(content_path, job_id if joined else None, dry_run=body.dry_run),
        estimated_files=files,
        content_path=body.content_path or content_path,
        force_reindex=body.force_reindex,
        batch_size=body.batch_size,
        joined=joined,
    )
    return JSONResponse(
        started.model_dump(),
        status_code=202,
        headers={"Location": f"/ingest/status?task_id={quote(job_id)}"},
        # After the reply: with the queue down, sending takes seconds, and the reconciler rings for the job anyway.
        # A dry run goes ahead of the shards of an ingest that runs.
        background=None if joined else BackgroundTask(services.queue.plan, job_id, content_path, first=body.dry_run),
    )


@router.get("/ingest/status", response_model=IngestTask | IngestTasks)
async def ingest_status(
    services: ServicesDep,
    task_id: Annotated[str | None, Query(max_length=TASK_ID_CHARACTERS)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> IngestTask | IngestTasks:
    """One job by its id, or the newest jobs and the queue."""
    if task_id is not None:
        return await job_view(services, await services.jobs.get(task_id))
    jobs = await services.jobs.list()
    queue = await _queue(services)
    tasks = [await job_view(services, job, redis_answers=queue is not None) for job in jobs[:limit]]
    return IngestTasks(tasks=tasks, total=len(jobs), queue=queue)


async def ask(
    services: Services, content_path: str, *, force: bool, dry_run: bool = False, retry_of: str | None = None
) -> Asked:
    """The job that will index the path as it is now. A dry run is always one of its own."""
    if dry_run:
        job = await services.jobs.create(content_path, force=force, dry_run=True, retry_of=retry_of)
        return Asked(job, joined=False)

    async def mark() -> str:
        return await asyncio.to_thread(mark_of, services.settings)

    return await services.jobs.ask(content_path, force=force, mark=mark, retry_of=retry_of)


async def _queue(services: Services) -> IngestQueue | None:
    try:
        async with asyncio.timeout(REDIS_SECONDS):
            queues = await backlog(services.redis)
    except (DependencyDown, TimeoutError):
        return None
    return IngestQueue(messages=queues.messages, oldest_seconds=queues.oldest_seconds, workers=queues.workers)


def _said(content_path: str, joined: str | None, *, dry_run: bool) -> str:
    what = "dry run of an ingest" if dry_run else "ingest"
    where = "all content" if content_path == "." else content_path
    return f"{joined} does this already" if joined else f"{what} of {where} has started"


def _resolve(settings: Settings, requested: str | None) -> tuple[str, int]:
    """The path relative to the content root, and about how many pages are there (0 if it is not here). Blocking."""
    if settings.remote_source:
        return remote_content_path(requested or ""), 0
    root = settings.content_root
    target = resolve_content_path(root, requested or "", configured=str(root), endings=settings.page_endings)
    return target.relative_to(root.resolve()).as_posix(), count_pages(target, settings.page_endings)


def count_pages(target: Path, endings: tuple[str, ...]) -> int:
    """Files with a page's ending at or below a path; what a closer look will leave out is counted too."""
    if target.is_file():
        return 1
    return sum(name.lower().endswith(endings) for _, _, names in os.walk(target) for name in names)
