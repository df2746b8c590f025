"""What routes ask for, as Annotated aliases."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Final, cast

from fastapi import Depends, Request

from api.chat.cache import Answerer
from api.chat.model import ChatModel
from api.idempotency import Idempotency
from api.journal import Journal
from api.metrics import Metrics
from api.question_log import QuestionLog
from api.security import Keys
from api.sessions import Sessions
from shared.services import Services

#: Questions of evaluations that are answered at once in a process: visitors ask at the same time, and come first.
EVALUATED_TOGETHER: Final = 2


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds. The defaults suit the proxies and browsers there are; tests are less patient."""

    #: Between two signs of life while an answer has nothing to say: proxies cut what is silent for 30 or 60. Some front
    #: ends are promised one in ten.
    heartbeat: float = 9
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
    questions: QuestionLog
    idempotency: Idempotency
    journal: Journal
    keys: Keys
    model: ChatModel
    answer: Answerer
    metrics: Metrics
    #: Set once this process is told to stop.
    draining: asyncio.Event
    timings: Timings
    #: time.monotonic() at the start.
    started: float
    #: Held by each question of an evaluation while it is answered.
    evaluating: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(EVALUATED_TOGETHER))


async def runtime(request: Request) -> Runtime:
    return cast(Runtime, request.scope["state"]["runtime"])


RuntimeDep = Annotated[Runtime, Depends(runtime)]


async def services(runtime: RuntimeDep) -> Services:
    return runtime.services


ServicesDep = Annotated[Services, Depends(services)]


async def require_admin(request: Request, runtime: RuntimeDep) -> None:
    """For the admin router. Runs before any body is read (see `bodies.json_body`)."""
    runtime.keys.require_admin(request.headers)
