"""Failures as the outside world sees them: the only place that builds error bodies.

Every failure, whoever raised it, becomes a `Failure`; every `Failure` has one JSON shape, which the readers of all
older back ends understand: `error` and `detail` are the sentence, `code` is stable, `details` is an object.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette import status
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from shared.errors import AnswerTruncated, ConfigurationError, InvalidInput, LecternError, ProviderError

log = structlog.get_logger(__name__)

#: Codes of the failures that Starlette itself raises.
CODES: Final[Mapping[int, str]] = {
    400: "BAD_REQUEST",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}
#: Faults that are listed of one request: who has more does not read on.
FAULTS_SHOWN: Final = 20
#: A fault's field names come from the sender; longer ones are cut.
FIELD_CHARACTERS: Final = 80


class UnsupportedMediaType(InvalidInput):
    """Raised for a body that is not plain JSON."""

    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415


class Restarting(LecternError):
    """Raised for requests that are open when this process is told to stop."""

    code = "RESTARTING"
    status = 503
    retryable = True


class AnswerInterrupted(LecternError):
    """Raised for who comes back to an answer that was given up without them."""

    code = "ANSWER_INTERRUPTED"
    status = 503
    retryable = True


@dataclass(frozen=True, slots=True)
class Failure:
    """What a caller is told about what went wrong."""

    code: str
    status: int
    #: One sentence; holds no secret and nothing of an unexpected exception.
    message: str
    retryable: bool = False
    #: Seconds.
    retry_after: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


INTERNAL: Final = Failure(
    "INTERNAL_ERROR", 500, "something went wrong on the server; the request id finds it in its log"
)


def failure_of(error: BaseException) -> Failure:
    """Describe any exception. What is not expected becomes INTERNAL, whatever it says."""
    match error:
        case LecternError():
            message = public_message(error)
            return Failure(error.code, error.status, message, retryable=error.retryable, retry_after=error.retry_after)
        case RequestValidationError():
            return _invalid(error.errors())
        case HTTPException():
            return _http(error)
        case _:
            return INTERNAL


def public_message(error: LecternError) -> str:
    """What a visitor may read of an expected failure.

    What a model's failure says is for the owner, who finds it in the log: it names hosts and settings, and quotes the
    provider, whose words may name the account.
    """
    match error:
        case AnswerTruncated():
            return "the answer broke off before its end"
        case ProviderError() | ConfigurationError():
            if error.retryable:
                return "the model is busy or does not answer; ask again in a moment"
            return "the model cannot be used; the server's log says why"
        case _:
            return error.message


def error_body(failure: Failure, request_id: str) -> dict[str, Any]:
    """The one error body, as JSON-ready values."""
    details = dict(failure.details)
    if failure.retry_after is not None:
        details["retry_after"] = failure.retry_after
    return {
        "error": failure.message,
        "code": failure.code,
        "message": failure.message,
        "detail": failure.message,
        "details": details,
        "retryable": failure.retryable,
        "request_id": request_id,
    }


def error_response(failure: Failure, request_id: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The error body with its status and the headers that belong to it."""
    own = {"Cache-Control": "no-store"}
    if failure.retry_after is not None:
        own["Retry-After"] = str(max(1, math.ceil(failure.retry_after)))
    if failure.status == status.HTTP_413_CONTENT_TOO_LARGE:
        own["Connection"] = "close"  # it is what stops the sender of a body without end
    if failure.status == status.HTTP_401_UNAUTHORIZED:
        own["WWW-Authenticate"] = 'Bearer realm="lectern"'
    return JSONResponse(error_body(failure, request_id), failure.status, {**(headers or {}), **own})


def add_error_handlers(app: FastAPI) -> None:
    """Let every expected failure answer with the one body. Unexpected ones reach `middleware.CatchAll`."""
    for kind in (LecternError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _respond)


async def _respond(request: Request, error: Exception) -> JSONResponse:
    failure = failure_of(error)
    if failure.status >= status.HTTP_500_INTERNAL_SERVER_ERROR:
        log.warning("request.failed", code=failure.code, reason=getattr(error, "message", failure.message))
    headers = error.headers if isinstance(error, HTTPException) else None
    return error_response(failure, request_id_of(request.scope), headers)


def request_id_of(scope: Mapping[str, Any]) -> str:
    """The id that `middleware.RequestContext` gave this request."""
    return str(scope.get("lectern.request_id", ""))


def _http(error: HTTPException) -> Failure:
    code = CODES.get(error.status_code, "HTTP_ERROR")
    messages = {
        404: "there is nothing at this address; GET /docs shows what there is",
        405: "this address does not answer to that method; the Allow header names those that it does",
    }
    return Failure(code, error.status_code, messages.get(error.status_code, "the request was refused"))


def _invalid(errors: Sequence[Any]) -> Failure:
    faults = [_fault(error) for error in errors[:FAULTS_SHOWN]]
    message = "; ".join(": ".join(filter(None, (fault["field"], fault["message"]))) for fault in faults)
    return Failure("VALIDATION_ERROR", 422, message or "the request is not valid", details={"errors": faults})


def _fault(error: Mapping[str, Any]) -> dict[str, str]:
    """One fault without the value that was sent: it may be private, and it may be huge."""
    where = [str(part) for part in error["loc"]]
    if len(where) > 1 and where[0] in ("query", "path", "header"):  # where a parameter stands, not what it is called
        where = where[1:]
    if error["type"] == "json_invalid":
        return {"field": "", "message": f"the body is not valid JSON ({_position(error)})", "type": "json_invalid"}
    return {"field": ".".join(where)[:FIELD_CHARACTERS], "message": _sentence(error), "type": error["type"]}


def _position(error: Mapping[str, Any]) -> str:
    return str(error.get("ctx", {}).get("error", "it cannot be read"))


def _sentence(error: Mapping[str, Any]) -> str:
    an_object = "should be an object" if error["loc"] else "the body must be a JSON object"
    plain = {
        "extra_forbidden": "is not a field of this request",
        "missing": "is missing",
        "model_type": an_object,
        "model_attributes_type": an_object,
    }
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return plain.get(error["type"], message)
