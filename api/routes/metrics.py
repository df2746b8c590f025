"""GET /metrics: for Prometheus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from api.dependencies import Runtime, RuntimeDep
from api.metrics import Metrics
from shared.backlog import backlog
from shared.errors import DependencyDown
from shared.models import Job, JobState

router = APIRouter(tags=["operations"])


@router.get("/metrics", response_class=Response)
async def metrics(runtime: RuntimeDep) -> Response:
    """Counts and durations of this process, and what waits for workers, in Prometheus's text format."""
    await asyncio.gather(_note_queue(runtime), _note_jobs(runtime))
    return Response(runtime.metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def _note_queue(runtime: Runtime) -> None:
    """Set what the queue holds. Without Redis nobody knows, and the last figures must not pass for new ones."""
    metrics = runtime.metrics
    try:
        async with asyncio.timeout(runtime.timings.probe):
            queues = await backlog(runtime.services.redis)
    except (DependencyDown, TimeoutError):
        for gauge in (metrics.queue_messages, metrics.queue_oldest_seconds, metrics.workers):
            gauge.set(float("nan"))
        return
    metrics.queue_messages.set(queues.messages)
    metrics.queue_oldest_seconds.set(queues.oldest_seconds)
    metrics.workers.set(queues.workers)


async def _note_jobs(runtime: Runtime) -> None:
    try:
        async with asyncio.timeout(runtime.timings.probe):
            unfinished: Sequence[Job] | None = await runtime.services.jobs.unfinished()
    except (DependencyDown, TimeoutError):
        unfinished = None
    set_jobs(runtime.metrics, unfinished)


def set_jobs(metrics: Metrics, unfinished: Sequence[Job] | None) -> None:
    """None: Qdrant does not say."""
    for state in (state for state in JobState if not state.terminal):
        count = float("nan") if unfinished is None else sum(job.state is state for job in unfinished)
        metrics.jobs.labels(state.value).set(count)
    if unfinished is None:
        metrics.oldest_job_seconds.set(float("nan"))
        return
    oldest = min((datetime.fromisoformat(job.created_at).timestamp() for job in unfinished), default=None)
    metrics.oldest_job_seconds.set(0 if oldest is None else max(0.0, time.time() - oldest))
