"""Is it alive, is it ready, and how is it: /healthz, /readyz, /health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final, Literal, TypeVar, cast
from urllib.parse import urlsplit

import structlog
from fastapi import APIRouter
from redis.exceptions import RedisError
from starlette.responses import JSONResponse

from api.chat.model import ExtractiveModel
from api.chat.presets import preset_of
from api.dependencies import Runtime, RuntimeDep
from api.schemas import HealthReport, Probe
from shared.backlog import count_workers
from shared.embeddings import OPENAI_BASE_URL
from shared.errors import DependencyDown
from shared.models import Job, Release
from shared.services import Services
from shared.settings import Provider, Settings

log = structlog.get_logger(__name__)

router = APIRouter(tags=["operations"])

VERSION: Final = version("lectern")

T = TypeVar("T")


@router.get("/healthz")
async def alive() -> Probe:
    """200 as long as this process answers at all. Asks nobody else."""
    return Probe(status="ok")


@router.get("/readyz", response_model=Probe, responses={503: {"model": Probe}})
async def ready(runtime: RuntimeDep) -> JSONResponse:
    """200 when Qdrant and Redis answer within half a second each and the data is of a known schema, else 503."""
    services, patience = runtime.services, runtime.timings.probe
    qdrant, redis = await asyncio.gather(
        _within(patience, _ping_qdrant(services)), _within(patience, _ping_redis(services))
    )
    checks = {"qdrant": bool(qdrant), "redis": bool(redis)}
    is_ready = all(checks.values()) and not runtime.draining.is_set()
    probe = Probe(status="ready" if is_ready else "not_ready", checks=checks, reason=services.schema.fault)
    return JSONResponse(probe.model_dump(), 200 if is_ready else 503)


@router.get("/health", response_model=HealthReport, responses={503: {"model": HealthReport}})
async def health(runtime: RuntimeDep) -> JSONResponse:
    """How each part is and what is indexed. 503 when Qdrant, without which nothing is answered, is down."""
    services, patience = runtime.services, runtime.timings.report
    live, unfinished, workers = await asyncio.gather(
        _within(patience, _live(services)),
        _within(patience, services.jobs.unfinished()),
        _within(patience, count_workers(services.redis)),
    )
    report = report_of(runtime, live, unfinished, workers)
    return JSONResponse(report.model_dump(), 503 if report.status == "unhealthy" else 200)


def report_of(
    runtime: Runtime, live: tuple[Release | None] | None, unfinished: Sequence[Job] | None, workers: int | None
) -> HealthReport:
    """The report from what was found out; None stands for no answer."""
    settings = runtime.services.settings
    release = live[0] if live else None
    documents, chunks = (release.documents, release.chunks) if release else (0, 0)
    active = len(unfinished or ())
    models = models_of(settings)
    asks_provider = bool(models["host"] or models["embedding_host"])
    uptime = round(time.monotonic() - runtime.started, 1)
    return HealthReport(
        status=_status(live is not None, workers),
        version=VERSION,
        uptime=uptime,
        uptime_seconds=uptime,
        timestamp=datetime.now(UTC).isoformat(timespec="milliseconds"),
        qdrant_connected=live is not None,
        openai_connected=asks_provider,
        redis_connected=workers is not None,
        documents_count=documents,
        chunks_count=chunks,
        release=release.number if release else None,
        services={
            "qdrant": _part(live is not None, collection=release.collection if release else None),
            "redis": _part(workers is not None),
            "openai": {
                "status": "configured" if asks_provider else "not_configured",
                "details": models,
            },
            "task_manager": _part(bool(workers), workers=workers or 0, active_tasks=active),
        },
        metrics={"documents_count": documents, "chunks_count": chunks, "active_tasks": active},
    )


def models_of(settings: Settings) -> dict[str, Any]:
    """Who answers and who embeds, and at which host; None for what this machine does itself. Says no key."""
    preset = preset_of(settings) if settings.chat_model else None
    embeds_here = settings.embedding_provider == "local"
    embedding_key = settings.gemini_api_key if settings.provider == "gemini" else settings.openai_api_key
    keys = (preset.key if preset else None, None if embeds_here else embedding_key)
    return {
        "api_key_configured": any(keys),
        "provider": _answering(settings),
        "model": settings.chat_model or ExtractiveModel.name,
        "host": preset.host if preset else None,
        "fallback_model": settings.fallback_model if preset else None,
        "embedding_provider": settings.embedding_provider,
        "embedding_model": settings.embedding_model,
        "embedding_host": None if embeds_here else urlsplit(settings.model_base_url or OPENAI_BASE_URL).hostname,
    }


def _answering(settings: Settings) -> Provider:
    """Whose protocol the chat model is asked by; "local" without one."""
    if settings.chat_model is None:
        return "local"
    return "openai" if settings.asks_apart else settings.provider


def _status(has_qdrant: bool, workers: int | None) -> Literal["healthy", "degraded", "unhealthy"]:
    """Questions are answered as long as Qdrant is there; without Redis or a worker nothing new is indexed."""
    if not has_qdrant:
        return "unhealthy"
    return "healthy" if workers else "degraded"


def _part(is_up: bool, **details: Any) -> dict[str, Any]:
    return {"status": "healthy" if is_up else "unhealthy", "details": details}


async def _live(services: Services) -> tuple[Release | None]:
    """Wrapped, so that no release is told apart from no answer."""
    await services.store.ping()
    return (await services.releases.live(),)


async def _ping_qdrant(services: Services) -> bool:
    await services.store.ping()
    await services.schema.check()
    return True


async def _ping_redis(services: Services) -> bool:
    return bool(await cast(Any, services.redis.ping()))


async def _within(seconds: float, asking: Awaitable[T]) -> T | None:
    """The answer, or None if there is none in that time. A report never fails for what it reports."""
    try:
        async with asyncio.timeout(seconds):
            return await asking
    except (DependencyDown, RedisError, OSError, TimeoutError):
        return None
    except Exception:  # such as a refused key: not ours to mend, and still an answer that did not come
        log.exception("health.check_failed")
        return None
