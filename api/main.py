"""Puts the API together: `create_app` for whoever has settings, `app` for `uvicorn api.main:app --factory`."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, NoReturn

import structlog
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from api.chat.answer import answer
from api.chat.cache import AnswerCache, Answerer
from api.chat.calibration import calibrations
from api.chat.chain import open_chat_model
from api.chat.model import ChatModel
from api.dependencies import Runtime, Timings
from api.errors import add_error_handlers
from api.first_ingest import ingest_on_start
from api.idempotency import Idempotency
from api.journal import open_journal
from api.limits import Limiter, RateLimits
from api.metrics import Metrics
from api.middleware import BodyLimit, CatchAll, RequestContext
from api.question_log import QuestionLog
from api.routes import (
    chat,
    documents,
    evaluate,
    feedback,
    health,
    ingest,
    jobs,
    metrics,
    pages,
    questions,
    releases,
    search,
    webhook,
)  # fmt: skip
from api.schemas import ErrorBody
from api.security import Keys
from api.sessions import Sessions
from api.shutdown import draining_on_signals
from api.source_poll import poll_source
from shared.errors import ConfigurationError
from shared.logging import configure_logging
from shared.reconcile import TICK_SECONDS, keep_reconciling
from shared.services import Services, open_services
from shared.settings import Settings, load_settings
from shared.tasks import cancelled

log = structlog.get_logger(__name__)

#: What `lectern` and other programs leave with when a setting is wrong.
BAD_CONFIGURATION: Final = 2
#: What front ends send, beside what browsers allow anyway.
REQUEST_HEADERS: Final = (
    "Content-Type",
    "Authorization",
    "X-API-Key",
    "X-Anonymous-Session-ID",
    "X-User-ID",
    "X-Stream-Response",
    "X-Request-ID",
    "Last-Event-ID",
    "Idempotency-Key",
)
#: What their scripts may read.
REPLY_HEADERS: Final = ("X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy")

OpenServices = Callable[[Settings], AbstractAsyncContextManager[Services]]
OpenModel = Callable[[Settings], ChatModel]
ERRORS: Final[dict[int | str, dict[str, Any]]] = {"4XX": {"model": ErrorBody}, "5XX": {"model": ErrorBody}}


def app() -> FastAPI:
    """The application as the environment configures it. A wrong setting ends the process with one line for each."""
    try:
        settings = load_settings()
    except ConfigurationError as error:
        _leave(error)
    configure_logging(settings)
    return leaving_on_bad_configuration(create_app(settings))


def leaving_on_bad_configuration(application: FastAPI) -> FastAPI:
    """The same application, which ends the process if it cannot start with its settings."""
    starting = application.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            try:
                state = await stack.enter_async_context(starting(app))
            except ConfigurationError as error:
                _leave(error)
            yield state

    application.router.lifespan_context = lifespan
    return application


def create_app(
    settings: Settings,
    *,
    answer: Answerer = answer,
    open_model: OpenModel = open_chat_model,
    open_services: OpenServices = open_services,
    timings: Timings | None = None,
) -> FastAPI:
    """The application. Tests put their own `answer`, model, services and patience in place of the real ones."""
    counts = Metrics()
    keys = Keys(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            services = await stack.enter_async_context(open_services(settings))
            model = open_model(settings)
            stack.push_async_callback(model.close)
            limiter = Limiter(settings, keys)
            stack.push_async_callback(limiter.close)
            if settings.embedding_provider == "local":
                await services.embedder.open()  # else the first visitor waits while the model is loaded
            reconciling = asyncio.create_task(_reconcile(services))
            stack.push_async_callback(cancelled, reconciling)
            stack.push_async_callback(cancelled, asyncio.create_task(_calibrate(services)))
            if settings.ingest_on_start:
                stack.push_async_callback(cancelled, asyncio.create_task(ingest_on_start(services)))
            if settings.remote_source and settings.source_poll_minutes:
                polling = asyncio.create_task(poll_source(services, settings.source_poll_minutes))
                stack.push_async_callback(cancelled, polling)
            question_log = QuestionLog(services.redis, settings, on_drop=counts.unlogged_questions.inc)
            stack.push_async_callback(cancelled, asyncio.create_task(question_log.keep_writing()))
            kept: AnswerCache | None = None
            if settings.answer_cache_minutes:
                kept = AnswerCache(answer, services.redis, settings.answer_cache_minutes, counts.count_kept)
                stack.push_async_callback(kept.close)
            runtime = Runtime(
                services=services,
                sessions=Sessions(services.redis, settings),
                questions=question_log,
                idempotency=Idempotency(services.redis),
                journal=await stack.enter_async_context(open_journal(services.redis)),
                keys=keys,
                model=model,
                answer=kept or answer,
                metrics=counts,
                draining=stack.enter_context(draining_on_signals()),
                timings=timings or Timings(),
                started=time.monotonic(),
            )
            yield {"runtime": runtime, "limiter": limiter}

    application = FastAPI(
        title="Lectern",
        version=health.VERSION,
        description="Ask a documentation site questions; every claim of an answer links to where it comes from.",
        docs_url=None,  # routes/pages.py has it, with files of our own instead of a CDN's
        redoc_url=None,
        lifespan=lifespan,
        middleware=_middleware(settings, counts),
        responses=ERRORS,
    )
    add_error_handlers(application)
    for module in (
        chat, feedback, search, ingest, webhook, jobs, releases, evaluate, questions, health, documents, metrics, pages,
    ):  # fmt: skip
        application.include_router(module.router)
    application.mount("/static", pages.static_files())
    application.mount(f"/{pages.SWAGGER}", pages.swagger_files())
    return application


def _middleware(settings: Settings, counts: Metrics) -> list[Middleware]:
    """From the outside in: whatever happens further in still has its id, its log line and its CORS headers."""
    return [
        Middleware(RequestContext, metrics=counts),
        Middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_credentials=True,
            allow_methods=("GET", "POST", "OPTIONS"),
            allow_headers=REQUEST_HEADERS,
            expose_headers=REPLY_HEADERS,
        ),
        Middleware(CatchAll),
        Middleware(RateLimits),
        Middleware(BodyLimit, most=settings.max_body_bytes, larger={webhook.PATH: webhook.MOST_BODY_BYTES}),
    ]


async def _reconcile(services: Services) -> None:
    """Look after unfinished jobs for as long as the process lives."""
    while True:
        try:
            await keep_reconciling(services.jobs, services.queue)
        except Exception:  # the task's edge: whatever it was, the next tick may go better
            log.exception("reconcile.crashed")
        await asyncio.sleep(TICK_SECONDS)


async def _calibrate(services: Services) -> None:
    """Measure releases for as long as the process lives. Without it, the usual values serve."""
    try:
        await calibrations(services).keep(services)
    except Exception:  # the task's edge
        log.exception("calibration.crashed")


def _leave(error: ConfigurationError) -> NoReturn:
    """End the process as a program with a wrong setting ends.

    At once, because the server would report anything that is raised here with a traceback and a status of its own.
    """
    print(error.message, file=sys.stderr, flush=True)  # noqa: T201 -- for the person who started it
    os._exit(BAD_CONFIGURATION)
