"""What routes ask for, as Annotated aliases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from api.chat.events import Event, Question
from api.chat.model import ChatModel
from api.idempotency import Idempotency
from api.metrics import Metrics
from api.security import Keys
from api.sessions import Sessions
from shared.services import Services

#: `api.chat.answer.answer`, or what a test puts in its place.
Answerer = Callable[[Question, Services, ChatModel], AsyncGenerator[Event, None]]


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds. The defaults suit the proxies and browsers there are; tests are less patient."""

    #: Between two signs of life while an answer has nothing to say: proxies cut what is silent for 30 or 60.
    heartbeat: float = 10
    #: For a reader to take one event; who needs longer keeps a model busy for nobody.
    send: float = 15
    #: For one dependency to answer a probe.
    probe: float = 0.5
    #: For the numbers of the health report, which ask more of Qdrant than a probe does.
    report: float = 2


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the lifespan opened, for the routes."""

    services: Services
    sessions: Sessions
    idempotency: Idempotency
    keys: Keys
    model: ChatModel
    answer: Answerer
    metrics: Metrics
    #: Set once this process is told to stop.
    draining: asyncio.Event
    timings: Timings
    #: time.monotonic() at the start.
    started: float


async def runtime(request: Request) -> Runtime:
    return cast(Runtime, request.scope["state"]["runtime"])


RuntimeDep = Annotated[Runtime, Depends(runtime)]


async def services(runtime: RuntimeDep) -> Services:
    return runtime.services


ServicesDep = Annotated[Services, Depends(services)]


async def require_admin(request: Request, runtime: RuntimeDep) -> None:
    """For the admin router. Runs before any body is read (see `bodies.json_body`)."""
    runtime.keys.require_admin(request.headers)
