"""Reads JSON bodies: strictly, after the route's key was checked, and without echoing what was sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from api.errors import UnsupportedMediaType

Model = TypeVar("Model", bound=BaseModel)


def json_body(model: type[Model], *, optional: bool = False) -> Callable[[Request], Awaitable[Model]]:
    """A dependency that reads the body as `model`; an empty body is `model()` if it is optional.

    Unlike a body parameter, which the framework parses before any dependency runs, it comes after the admin key. It
    refuses what Python's own parser lets through, such as NaN and halves of surrogate pairs.
    """

    async def read(request: Request) -> Model:
        body = await request.body()
        if optional and not body.strip():
            return model()
        _require_plain_json(request)
        try:
            return model.model_validate_json(body)
        except ValidationError as error:
            raise RequestValidationError(error.errors(include_url=False, include_input=False)) from None

    return read


def body_schema(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """`openapi_extra` for a route whose body is read by `json_body`."""
    schema = _inlined(model.model_json_schema())
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


def _require_plain_json(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedMediaType("send the body as JSON, with Content-Type: application/json")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("send the body uncompressed, without Content-Encoding")


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its definitions put in place, because it will stand inside a larger document."""
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(item) for item in node]
        if not isinstance(node, dict):
            return node
        if name := node.get("$ref", "").removeprefix("#/$defs/"):
            return resolve(definitions[name])
        return {key: resolve(value) for key, value in node.items()}

    return {key: resolve(value) for key, value in schema.items()}
