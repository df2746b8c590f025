"""Assembles the application: the routes that are offered, the ones that are not, errors, the key."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from embedded.qdrant import collection_routes, point_routes
from embedded.qdrant.answers import error_response, json_response
from embedded.qdrant.auth import ApiKeyGate
from embedded.qdrant.errors import NotOffered
from embedded.qdrant.store import Store

#: The server generation whose API this is. From 1.15.3 on, clients send BM25 documents and do not embed them.
VERSION = "1.20.0"

_COLLECTION = "/collections/{collection}"
#: The rest of Qdrant's API.
_NOT_OFFERED = [
    f"{_COLLECTION}/points/query/groups",
    f"{_COLLECTION}/points/search/matrix/{{kind}}",
    f"{_COLLECTION}/vectors/{{vector}}",
    f"{_COLLECTION}/optimizations",
    f"{_COLLECTION}/cluster",
    f"{_COLLECTION}/shards",
    f"{_COLLECTION}/shards/{{rest:path}}",
    f"{_COLLECTION}/snapshots",
    f"{_COLLECTION}/snapshots/{{rest:path}}",
    "/snapshots",
    "/snapshots/{rest:path}",
    "/cluster",
    "/cluster/{rest:path}",
    "/telemetry",
    "/metrics",
    "/issues",
    "/quotas",
]


def build_app(store: Store, api_key: str | None) -> Starlette:
    """The application over an open store. Without a key it lets everybody in."""
    app = Starlette(
        routes=[
            Route("/", _version, methods=["GET"]),
            Route("/healthz", _healthy, methods=["GET"]),
            Route("/livez", _healthy, methods=["GET"]),
            Route("/readyz", _ready, methods=["GET"]),
            *collection_routes.ROUTES,
            *(Route(path, _not_offered, methods=_ALL_METHODS) for path in _NOT_OFFERED),
            *point_routes.ROUTES,
        ],
        middleware=[Middleware(ApiKeyGate, api_key=api_key)],
        exception_handlers={HTTPException: _http_error},
    )
    app.state.store = store
    return app


_ALL_METHODS = ["GET", "PUT", "POST", "PATCH", "DELETE"]


async def _version(_: Request) -> Response:
    return JSONResponse({"title": "qdrant - vector search engine", "version": VERSION})


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("healthz check passed")


async def _ready(_: Request) -> Response:
    return PlainTextResponse("all shards are ready")


async def _not_offered(request: Request) -> Response:
    return error_response(NotOffered(f"{request.method} {request.url.path}"))


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    text = f"{error.detail}: {request.method} {request.url.path}"
    return json_response(error.status_code, {"error": text}, None, None)
