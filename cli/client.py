"""The API over HTTP, as the commands need it. Every failure leaves as a CommandError with one line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Final, Self

import httpx

from cli.address import Target
from cli.answer_events import answer_events, said
from cli.errors import BadInput, CommandError, Interrupted, Unreachable

#: Longest wait for one answer or for the next part of a stream, in seconds; the API sends a heartbeat every few.
READ_SECONDS: Final = 60
CONNECT_SECONDS: Final = 5
#: For the word that an answer is not wanted any more: who has pressed Ctrl-C does not wait.
STOP_SECONDS: Final = 1
#: Statuses that mean "send something else": asking again with the same words is useless.
CALLERS_FAULT: Final = frozenset({400, 401, 403, 404, 405, 413, 415, 422})


class Api:
    """One API. Use it as an asynchronous context manager."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._client = httpx.AsyncClient(
            base_url=target.url,
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            # A proxy for the outside world cannot reach this machine's own address.
            trust_env=not target.is_local,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(self, path: str, *, admin: bool = False, **query: str | int) -> Any:
        """The JSON that `path` answers with."""
        with self._explained():
            response = await self._client.get(path, params=query, headers=self._headers(admin))
        return self._accepted(response)

    async def post(
        self, path: str, body: Mapping[str, Any], *, admin: bool = False, seconds: float = READ_SECONDS
    ) -> Any:
        """The JSON that `path` answers with to a JSON body, which may take so many seconds."""
        patience = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
        with self._explained(seconds):
            response = await self._client.post(path, json=body, headers=self._headers(admin), timeout=patience)
        return self._accepted(response)

    async def lines(self, path: str, *, admin: bool = False, **query: str | int) -> AsyncGenerator[str, None]:
        """The lines that `path` answers with, as they come."""
        with self._explained():
            async with self._client.stream("GET", path, params=query, headers=self._headers(admin)) as response:
                if response.status_code != httpx.codes.OK:
                    await response.aread()
                    self._accepted(response)
                async for line in response.aiter_lines():
                    yield line

    async def health(self) -> Mapping[str, Any]:
        """The health report, also when it says that something is down (status 503)."""
        with self._explained():
            response = await self._client.get("/health")
        body = _json(response)
        is_report = isinstance(body, dict) and "documents_count" in body
        report: Mapping[str, Any] = body if is_report else self._accepted(response)
        return report

    async def ask(self, body: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        """The events of an answer, `done` last, taken up where the connection broke. Raises CommandError.

        Whoever closes it before the end, or cancels it, stops the answer, which would wait for its reader for a while.
        """
        begun: list[str] = []
        events = answer_events(lambda headers: self._stream("/chat", body, headers, begun))
        try:
            async with aclosing(events):
                async for event in events:
                    yield event
        except (asyncio.CancelledError, GeneratorExit):
            if begun:
                await self._stop(begun[-1])
            raise

    async def _stop(self, answer_id: str) -> None:
        with suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._client.delete(f"/answers/{answer_id}", headers=self._headers(admin=False))

    @asynccontextmanager
    async def _stream(
        self, path: str, body: Mapping[str, Any], more: Mapping[str, str], begun: list[str]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        headers = {**self._headers(admin=False), **more, "Accept": "text/event-stream"}
        with self._explained():
            async with self._client.stream("POST", path, json=body, headers=headers) as response:
                if response.status_code != httpx.codes.OK:
                    await response.aread()
                    self._accepted(response)
                if answer_id := response.headers.get("X-Answer-ID"):
                    begun.append(answer_id)
                yield response.aiter_bytes()

    def _headers(self, admin: bool) -> dict[str, str]:
        # Without `admin` the key is sent too where there is one: it only raises the rate limit.
        if self.target.admin_key is None:
            if admin:
                raise BadInput(
                    f"no admin key for {self.target.url}: set ADMIN_API_KEY, or name the instance's home with --home"
                )
            return {}
        return {"X-API-Key": self.target.admin_key}

    def _accepted(self, response: httpx.Response) -> Any:
        if response.is_success:
            body = _json(response)
            if body is None:
                raise CommandError(
                    f"{self.target.url} does not answer as Lectern's API does; give its address with --api"
                )
            return body
        raise _refusal(response, self.target)

    def _explained(self, seconds: float = READ_SECONDS) -> _Explained:
        return _Explained(self.target, seconds)


class _Explained:
    """Turns a connection's failures into one line that names the address and says what to do."""

    def __init__(self, target: Target, seconds: float) -> None:
        self._target = target
        self._seconds = seconds

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            raise Unreachable(
                f"nothing answers at {self._target.url} ({self._target.found_by}); "
                "start Lectern with `lectern up`, or give its address with --api"
            ) from error
        if isinstance(error, httpx.TimeoutException):
            raise Interrupted(f"{self._target.url} did not answer within {self._seconds:g} seconds") from error
        if isinstance(error, httpx.TransportError):
            raise Interrupted(f"the connection to {self._target.url} broke off; try again") from error


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _refusal(response: httpx.Response, target: Target) -> CommandError:
    body = _json(response)
    reason = said(body) if isinstance(body, dict) else None
    message = reason or f"{target.url} answered with status {response.status_code}"
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        message += "; set ADMIN_API_KEY, or name the instance's home with --home"
    kind = BadInput if response.status_code in CALLERS_FAULT else CommandError
    return kind(message, retry_after=_seconds(response.headers.get("retry-after")))


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdecimal() else None
