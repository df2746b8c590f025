"""Puts the API together: `create_app` for whoever has settings, `app` for `uvicorn api.main:app --factory`."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
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
    answers,
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
REPLY_HEADERS: Final = ("X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy", answers.ANSWER_ID)

#: New objects between two looks for garbage, and how many of the former to one further back. Python's own are for small
#: programs; what is left here to be found, exceptions mostly, is little.
GARBAGE: Final = (5000, 20, 50)

OpenServices = Callable[[Settings], AbstractAsyncContextManager[Services]]
OpenModel = Callable[[Settings], ChatModel]
ERRORS: Final[dict[int | str, dict[str, Any]]] = {"4XX": {"model": ErrorBody}, "5XX": {"model": ErrorBody}}


@dataclass(frozen=True, slots=True)
class Seams:
    """Where tests put something of their own."""

    answer: Answerer
    open_model: OpenModel
    open_services: OpenServices
    timings: Timings


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
            _spare_what_lasts()
            yield state

    application.router.lifespan_context = lifespan
    return application


def _spare_what_lasts() -> None:
    """Keep the garbage collector from what lives as long as the process: to look at all of it holds every visitor up
    for a tenth of a second or two, again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)


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
    seams = Seams(answer, open_model, open_services, timings or Timings())
    application = FastAPI(
        title="Lectern",
        version=health.VERSION,
        description="Ask a documentation site questions; every claim of an answer links to where it comes from.",
        docs_url=None,  # routes/pages.py has it, with files of our own instead of a CDN's
        redoc_url=None,
        lifespan=lambda _: running(settings, counts, seams),
        middleware=_middleware(settings, counts),
        responses=ERRORS,
    )
    add_error_handlers(application)
    for module in (
        chat, answers, feedback, search, ingest, webhook, jobs, releases, evaluate, questions, health, documents,
        metrics, pages,
    ):  # fmt: skip
        application.include_router(module.router)
    application.mount("/static", pages.static_files())
    application.mount(f"/{pages.SWAGGER}", pages.swagger_files())
    return application


@asynccontextmanager
async def running(settings: Settings, counts: Metrics, seams: Seams) -> AsyncIterator[dict[str, Any]]:
    """What requests find in their state, from the process's start to its end. Raises ConfigurationError."""
    keys = Keys(settings)
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(seams.open_services(settings))
        model = seams.open_model(settings)
        stack.push_async_callback(model.close)
        limiter = Limiter(settings, keys)
        stack.push_async_callback(limiter.close)
        if settings.embedding_provider == "local":
            await services.embedder.open()  # else the first visitor waits while the model is loaded
        question_log = QuestionLog(services.redis, settings, on_drop=counts.unlogged_questions.inc)
        for work in (*_housekeeping(services), question_log.keep_writing()):
            stack.push_async_callback(cancelled, asyncio.create_task(work))
        kept: AnswerCache | None = None
        if settings.answer_cache_minutes:
            kept = AnswerCache(seams.answer, services.redis, settings.answer_cache_minutes, counts.count_kept)
            stack.push_async_callback(kept.close)
        runtime = Runtime(
            services=services,
            sessions=Sessions(services.redis, settings),
            questions=question_log,
            idempotency=Idempotency(services.redis),
            journal=await stack.enter_async_context(open_journal(services.redis)),
            keys=keys,
            model=model,
            answer=kept or seams.answer,
            metrics=counts,
            draining=stack.enter_context(draining_on_signals()),
            timings=seams.timings,
            started=time.monotonic(),
        )
        yield {"runtime": runtime, "limiter": limiter}


def _housekeeping(services: Services) -> Iterator[Coroutine[Any, Any, None]]:
    """What the process does beside answering requests."""
    settings = services.settings
    yield _reconcile(services)
    yield _calibrate(services)
    if settings.ingest_on_start:
        yield ingest_on_start(services)
    if settings.remote_source and settings.source_poll_minutes:
        yield poll_source(services, settings.source_poll_minutes)


def _middleware(settings: Settings, counts: Metrics) -> list[Middleware]:
    """From the outside in: whatever happens further in still has its id, its log line and its CORS headers."""
    return [
        Middleware(RequestContext, metrics=counts),
        Middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_credentials=True,
            allow_methods=("GET", "POST", "DELETE", "OPTIONS"),
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
