"""GET /metrics: for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from api.dependencies import RuntimeDep

router = APIRouter(tags=["operations"])


@router.get("/metrics", response_class=Response)
async def metrics(runtime: RuntimeDep) -> Response:
    """Counts and durations of this process, in Prometheus's text format."""
    return Response(runtime.metrics.text(), media_type=CONTENT_TYPE_LATEST)
