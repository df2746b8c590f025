"""Answers with an error status, as OpenAI and Gemini word them. Both routes know them."""

from __future__ import annotations

from typing import Any

from tests.stand_in.plan import Step
from tests.stand_in.wire import Connection

#: behaviour: (status, error object)
REFUSALS: dict[str, tuple[int, dict[str, Any]]] = {
    "unauthorized": (
        401,
        {"message": "Incorrect API key provided: {key}.", "type": "invalid_request_error", "code": "invalid_api_key"},
    ),
    "forbidden": (
        403,
        {"message": "Project does not have access to model {model}", "type": "invalid_request_error", "code": None},
    ),
    "unknown_model": (
        404,
        {"message": "The model `{model}` does not exist", "type": "invalid_request_error", "code": "model_not_found"},
    ),
    "rate_limited": (
        429,
        {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"},
    ),
    "quota": (
        429,
        {
            "message": "You exceeded your current quota",
            "type": "insufficient_quota",
            "code": "insufficient_quota",
        },
    ),
    "bad_request": (400, {"message": "This is not right", "type": "invalid_request_error", "code": None}),
    "conflict": (409, {"message": "Conflict", "type": "conflict", "code": None}),
    "timeout": (408, {"message": "Request timeout", "type": "timeout", "code": None}),
    "server_error": (500, {"message": "The server had an error", "type": "server_error", "code": None}),
    "unavailable": (503, {"message": "The model is overloaded", "type": "server_error", "code": None}),
}
#: Gemini's names for statuses.
GEMINI_STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}


async def refuse(connection: Connection, step: Step, *, key: str, model: str) -> bool:
    """Send the refusal that the step names; False if it names none.

    Options: `retry_after` (header, seconds or any text), `gemini=True` (the body is a list, with `retryDelay` in it
    instead of the header), `html=True` (the body is a page).
    """
    if step.behaviour == "redirect":
        await connection.send(302, "", headers={"Location": str(step.options["to"])})
        return True
    if step.behaviour not in REFUSALS:
        return False
    status, error = REFUSALS[step.behaviour]
    error = {**error, "message": str(step.options.get("message", error["message"])).format(key=key, model=model)}
    wait = step.options.get("retry_after")
    if step.options.get("html"):
        await connection.send(status, "<html><h1>Bad gateway</h1></html>", content_type="text/html")
    elif step.options.get("gemini"):
        details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait}s"}] if wait else []
        body = {"code": status, "message": error["message"], "status": GEMINI_STATUSES.get(status, "UNKNOWN")}
        await connection.send(status, [{"error": body | {"details": details}}])
    else:
        headers = {} if wait is None else {"Retry-After": str(wait)}
        await connection.send(status, {"error": {**error, "param": None}}, headers=headers)
    return True
