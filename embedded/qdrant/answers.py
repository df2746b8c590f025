"""How a handler becomes a route: body in, Qdrant's envelope out, every error in Qdrant's shape."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from embedded.qdrant.collection import Collection
from embedded.qdrant.errors import BadRequest, BodyTooLarge, EngineFailed, RestError, from_engine, is_engine_error
from embedded.qdrant.points import Change
from embedded.qdrant.store import Store

#: Bytes of a body: a Qdrant server's own limit.
LARGEST_BODY = 32 * 1024 * 1024
#: Mistakes of a body that are told of; a union of models has many.
_MISTAKES_SHOWN = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """A request, as a handler sees it."""

    store: Store
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes

    @property
    def name(self) -> str:
        """The collection or alias that the path names."""
        return self.path["collection"]

    @property
    def collection(self) -> Collection:
        return self.store.collection(self.name)

    def parse(self, shape: TypeAdapter[Any]) -> Any:
        """The body as `shape`; `BadRequest` with the first mistakes if it is something else."""
        try:
            return shape.validate_python(from_json(self.body, allow_inf_nan=False))
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)
            shown = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found[:_MISTAKES_SHOWN]]
            raise BadRequest(f"Format error in JSON body: {'; '.join(shown)}") from error
        except ValueError as error:
            raise BadRequest(f"Format error in JSON body: {error}") from error

    def write(self, changes: Sequence[Change]) -> dict[str, Any]:
        """Apply changes to the collection; the result that a client expects."""
        number = self.store.write(self.name, changes, strong=self.query.get("ordering") == "strong")
        return self.update_result(number)

    def update_result(self, number: int) -> dict[str, Any]:
        """Every write is done when it is answered; who did not want to wait expects to hear less."""
        waited = self.query.get("wait") == "true"
        return {"operation_id": number, "status": "completed" if waited else "acknowledged"}


Handler = Callable[[Call], object]


def endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """The route that answers with what the handler returns. It runs in a thread: the engine's calls block."""

    async def respond(request: Request) -> Response:
        started = perf_counter()
        try:
            body = await _read_body(request)
            call = Call(request.app.state.store, request.path_params, request.query_params, body)
            return await run_in_threadpool(_answer, handler, call, started)
        except RestError as error:
            return error_response(error, started)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is left to read it

    return respond


def error_response(error: RestError, started: float | None = None) -> Response:
    """The error in Qdrant's shape, from which clients read the text."""
    return json_response(error.status, {"error": str(error)}, None, started)


def json_response(status: int, outcome: object, result: object, started: float | None) -> Response:
    """Qdrant's envelope; `time` is in seconds."""
    spent = 0.0 if started is None else perf_counter() - started
    # The status comes first: clients show the first 200 bytes of an error.
    content = to_json({"status": outcome, "time": spent, "result": result})
    return Response(content, status, media_type="application/json")


def _answer(handler: Handler, call: Call, started: float) -> Response:
    try:
        return json_response(200, "ok", handler(call), started)
    except RestError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        # The engine's classes raise them for a malformed path, a number too large: what no model had caught.
        raise BadRequest(f"Wrong input: {' '.join(str(error).split())}") from error
    except BaseException as error:
        if is_engine_error(error):
            raise from_engine(error) from error
        # Answered here, and not by the framework: it would close a connection that the client goes on using.
        log.exception("%s failed", handler.__name__)
        raise EngineFailed("Service internal error: see the log of the embedded Qdrant") from error


async def _read_body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            raise BodyTooLarge(f"JSON payload is larger than allowed (limit: {LARGEST_BODY} bytes)")
        parts.append(part)
    return b"".join(parts)
