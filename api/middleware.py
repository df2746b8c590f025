"""What happens to every request, whatever route it takes. Pure ASGI: streams pass through untouched.

From the outside in: `RequestContext`, CORS, `CatchAll`, rate limits (`limits.py`), `BodyLimit`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, MutableMapping
from typing import Any, Final
from uuid import uuid4

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import INTERNAL, error_response, failure_of, request_id_of
from api.limits import PROBES
from api.metrics import Metrics
from shared.errors import PayloadTooLarge

log = structlog.get_logger(__name__)

#: A caller's own request id is taken over if it is one word of at most this length; logs and headers hold it.
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
#: Methods that get a label of their own; the others are anything that a stranger types.
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED: Final = "unmatched"
#: Bytes that are logged of a path that no route has.
PATH_SHOWN: Final = 120


class RequestContext:
    """Gives a request its id, writes its one log line, counts it and says how long its headers took."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(Headers(scope=scope))
        scope["lectern.request_id"] = request_id
        scope["lectern.connection"] = receive
        status = 500

        async def send_in_context(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                took = f"{time.perf_counter() - started:.4f}"
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-request-id", request_id.encode()),
                    (b"x-process-time", took.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        self._metrics.connections.inc()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_in_context)
            finally:
                self._metrics.connections.dec()
                self._settle(scope, status, time.perf_counter() - started)

    def _settle(self, scope: Scope, status: int, seconds: float) -> None:
        route = route_of(scope)
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        # The template where there is one: paths hold session ids, and questions stand behind the question mark.
        shown = scope.get("raw_path", b"")[:PATH_SHOWN].decode("ascii", "replace") if route == UNMATCHED else route
        write = log.debug if route in PROBES else log.info
        write("http.request", method=method, route=shown, status=status, ms=round(1000 * seconds, 1))


class CatchAll:
    """Answers for what nobody expected. Stands inside CORS, else a browser's script could not read that answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_noticing(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_noticing)
        except ClientDisconnect:
            return  # in the middle of its own body: there is nobody to answer
        except Exception:
            log.exception("request.crashed", route=route_of(scope))
            if started:
                raise  # the server cuts the connection, so that nobody takes the half for the whole
            await error_response(INTERNAL, request_id_of(scope))(scope, receive, send)


class BodyLimit:
    """Refuses bodies over `most` bytes: by their announced length, and by counting what really comes.

    `larger` names paths whose callers send more than an owner thinks of when setting a limit for visitors.
    """

    def __init__(self, app: ASGIApp, most: int, larger: Mapping[str, int]) -> None:
        self._app = app
        self._most = most
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = max(self._most, self._larger.get(scope["path"], 0))
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced) > most:
            response = error_response(failure_of(_too_large(most)), request_id_of(scope))
            await response(scope, receive, send)
            return
        seen = 0

        async def receive_counting() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > most:
                    raise _too_large(most)  # inside the route that reads the body, which has not answered yet
            return message

        await self._app(scope, receive_counting, send)


async def cut_off(scope: Scope) -> None:
    """Close a request's connection without waiting for its reader to take what was written.

    The server by itself would wait for that without end, with the connection and what was written in memory.
    """
    # A method of the server's own object, where nothing stands between it and this application.
    transport = getattr(getattr(scope.get("lectern.connection"), "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()
        await asyncio.sleep(0)  # the server hears of it before the application is done


def _too_large(most: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is too large: at most {most:,} bytes are read")


def route_of(scope: MutableMapping[str, Any]) -> str:
    """The template of the route that was taken: `/documents/{path:path}`."""
    route = scope.get("route")
    return str(getattr(route, "path", None) or UNMATCHED)


def _request_id(headers: Headers) -> str:
    proposed = headers.get("x-request-id", "")
    return proposed if REQUEST_ID.fullmatch(proposed) else uuid4().hex
