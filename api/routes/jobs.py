"""One ingest job, for admins: look at it, follow it, cancel, pause, resume and retry it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Path
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse

from api import job_control
from api.dependencies import RuntimeDep, ServicesDep, require_admin
from api.ingest_schemas import IngestTask
from api.job_stream import JobEvents, Told, job_events, resume_point
from api.job_view import job_view
from api.routes.ingest import TASK_ID_CHARACTERS, ask
from api.stream import AnswerStream
from shared.models import Job
from shared.services import Services

router = APIRouter(prefix="/ingest/{job_id}", tags=["ingest"], dependencies=[Depends(require_admin)])

JobId = Annotated[str, Path(max_length=TASK_ID_CHARACTERS, description="a job's id, as POST /ingest returns it")]


@router.get("")
async def job(job_id: JobId, services: ServicesDep) -> IngestTask:
    """One job."""
    return await job_view(services, await services.jobs.get(job_id))


@router.get("/events", response_model=None, responses={200: {"content": {"text/event-stream": {}}}})
async def follow(
    job_id: JobId, runtime: RuntimeDep, last_event_id: Annotated[str | None, Header()] = None
) -> AnswerStream[Told]:
    """What the job has done and does, as Server-Sent Events: its end is the last one. `Last-Event-ID` goes on there."""
    services = runtime.services
    await services.jobs.get(job_id)
    events = job_events(services, job_id, resume_point(last_event_id))
    return AnswerStream(events, JobEvents(), runtime.draining, runtime.timings)


@router.post("/cancel", status_code=202, response_model=IngestTask)
async def cancel(job_id: JobId, services: ServicesDep) -> JSONResponse:
    """End a job and take back what it has written. One that is publishing by then succeeds all the same."""
    return await _after(services, job_id, job_control.cancel)


@router.post("/pause", status_code=202, response_model=IngestTask)
async def pause(job_id: JobId, services: ServicesDep) -> JSONResponse:
    """Stop a job and keep what it has done. If it has begun, the jobs behind it wait."""
    return await _after(services, job_id, job_control.pause)


@router.post("/resume", status_code=202, response_model=IngestTask)
async def resume(job_id: JobId, services: ServicesDep) -> JSONResponse:
    """Let a paused job go on."""
    return await _after(services, job_id, job_control.resume)


@router.post("/retry", status_code=202, response_model=IngestTask)
async def retry(job_id: JobId, services: ServicesDep) -> JSONResponse:
    """Do what a failed or cancelled job was to do, in a new job. `Location` says where that stands."""

    async def again(services: Services, job_id: str) -> Job:
        old = await services.jobs.get(job_id)
        await job_control.require(services, old, "retry")
        asked = await ask(services, old.content_path, force=old.force, dry_run=old.dry_run, retry_of=old.id)
        return asked.job

    return await _after(services, job_id, again)


async def _after(services: Services, job_id: str, act: Callable[[Services, str], Awaitable[Job]]) -> JSONResponse:
    """The job as it is after the act. A worker is rung for it after the reply."""
    job = await act(services, job_id)
    view = await job_view(services, job)
    return JSONResponse(
        view.model_dump(),
        status_code=202,
        headers={"Location": f"/ingest/{quote(job.id)}"},
        background=None
        if job.state.terminal
        else BackgroundTask(services.queue.plan, job.id, job.content_path, first=True),
    )
