"""How often one client may call. Counted in Redis, so that all API processes share one count.

Without Redis everybody is let in: a limit protects the service's purse, and refusing all visitors would protect it too
well. A client is the address of `clients.client_address`, or the configured key that it sends.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.clients import client_address
from api.errors import error_response, failure_of, request_id_of
from api.security import Keys
from shared.errors import RateLimited
from shared.redis_clients import async_redis, close_redis
from shared.settings import Settings

log = structlog.get_logger(__name__)

KEY_PREFIX: Final = "lectern:limits"
#: Longest that a request waits for its count.
PATIENCE_SECONDS: Final = 0.5
#: After Redis did not answer, nobody waits for it for this long.
PAUSE_SECONDS: Final = 1.0
#: Probes come by the second from several balancers, and one page view asks for two dozen small files.
LIGHT_FACTOR: Final = 20
PROBES: Final = ("/health", "/healthz", "/readyz", "/metrics")
PAGES: Final = ("/static/", "/documents/", "/docs", "/redoc", "/openapi.json", "/favicon.ico")
#: Who stops an answer must not run out of questions by that, nor be kept from it.
STOPS: Final = "/answers/"


@dataclass(frozen=True, slots=True)
class Policy:
    """A bucket's name and size: `requests` in any `window` seconds."""

    name: str
    requests: int
    window: int

    @property
    def item(self) -> RateLimitItem:
        return RateLimitItemPerSecond(self.requests, self.window, namespace=self.name)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass, and what its client has left."""

    policy: Policy
    allowed: bool
    remaining: int
    #: Seconds until there is more.
    reset: int

    @property
    def headers(self) -> dict[str, str]:
        """As the IETF draft on RateLimit header fields spells them."""
        return {
            "RateLimit-Policy": f'"{self.policy.name}";q={self.policy.requests};w={self.policy.window}',
            "RateLimit": f'"{self.policy.name}";r={self.remaining};t={self.reset}',
        }


class Limiter:
    """Counts requests by policy and client."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._settings = settings
        self._keys = keys
        self._redis = async_redis(
            settings.redis_address, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS
        )
        connections: Any = self._redis.connection_pool  # as the storage's options are not typed
        self._storage = RedisStorage(
            "async+redis://", implementation="redispy", key_prefix=KEY_PREFIX, connection_pool=connections
        )
        self._counter = SlidingWindowCounterRateLimiter(self._storage)
        self._paused_until = 0.0

    async def close(self) -> None:
        await close_redis(self._redis)

    async def hit(self, path: str, headers: Headers, peer: str | None) -> Verdict | None:
        """Count one request. None if it cannot be counted, which means that it may pass."""
        key = self._keys.known(headers)
        policy = policy_of(path, self._settings, has_key=key is not None)
        forwarded = ",".join(headers.getlist("x-forwarded-for"))
        client = key or client_address(peer, forwarded, self._settings.trusted_proxies)
        if time.monotonic() < self._paused_until:
            return None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                allowed = await self._counter.hit(policy.item, client)
                stats = await self._counter.get_window_stats(policy.item, client)
        except (RedisError, OSError, TimeoutError) as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            log.warning("limits.not_counted", reason=type(error).__name__)
            return None
        # The counter slides: one request falls out of the window only its own share of time after the reset.
        wait = stats.reset_time - time.time() + (0 if allowed else policy.window / policy.requests)
        return Verdict(policy, allowed, stats.remaining if allowed else 0, max(1, math.ceil(wait)))


def policy_of(path: str, settings: Settings, *, has_key: bool) -> Policy:
    """Every path has a limit; probes and pages have generous ones of their own, so that they use up no questions."""
    requests = settings.rate_limit_key_requests if has_key else settings.rate_limit_requests
    window = settings.rate_limit_window
    if path in PROBES:
        return Policy("probes", requests * LIGHT_FACTOR, window)
    if path == "/" or path.startswith((*PAGES, STOPS)):
        return Policy("pages", requests * LIGHT_FACTOR, window)
    return Policy("keys" if has_key else "visitors", requests, window)


class RateLimits:
    """ASGI middleware: counts every request, also to addresses that do not exist, before its body is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        peer = scope["client"][0] if scope.get("client") else None
        limiter: Limiter = scope["state"]["limiter"]
        verdict = await limiter.hit(scope["path"], Headers(scope=scope), peer)
        if verdict is None:
            await self._app(scope, receive, send)
            return
        if verdict.allowed:
            await self._app(scope, receive, _with_headers(send, verdict.headers))
            return
        refusal = RateLimited(
            f"too many requests: {verdict.policy.requests} in {verdict.policy.window} seconds are allowed; "
            f"try again in {verdict.reset} seconds",
            retry_after=verdict.reset,
        )
        response = error_response(failure_of(refusal), request_id_of(scope), verdict.headers)
        await response(scope, receive, send)


def _with_headers(send: Send, headers: Mapping[str, str]) -> Callable[[Message], Awaitable[None]]:
    extra = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *extra]
        await send(message)

    return send_with_headers
