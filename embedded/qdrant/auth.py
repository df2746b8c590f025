"""Lets nobody in without the API key, where there is one."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from embedded.qdrant.answers import error_response
from embedded.qdrant.errors import Unauthorized

#: For supervisors and probes, which hold no key. They tell nothing.
_OPEN_PATHS = frozenset({"/healthz", "/readyz", "/livez"})
_BEARER = "bearer "


class ApiKeyGate:
    """Answers 401 to a request without the key, in the header `api-key` or as a bearer token."""

    def __init__(self, app: ASGIApp, api_key: str | None) -> None:
        self._app = app
        self._api_key = None if api_key is None else api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in _OPEN_PATHS and not self._admits(Headers(scope=scope)):
            refusal = error_response(Unauthorized("Must provide the API key, in the header `api-key`"))
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _admits(self, headers: Headers) -> bool:
        if self._api_key is None:
            return True
        given = headers.get("api-key")
        if given is None:
            authorization = headers.get("authorization", "")
            given = authorization[len(_BEARER) :] if authorization.lower().startswith(_BEARER) else ""
        return hmac.compare_digest(given.encode(), self._api_key)
