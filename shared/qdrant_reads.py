"""What a waiting visitor asks of Qdrant: one POST each, its reply read without the client's models.

Every question takes several of them, and the client takes a millisecond of the process for each, most of it to build
and check objects that are looked at once. This way takes a fifth of that. All else is the client's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pydantic_core import from_json, to_json
from qdrant_client.http.exceptions import UnexpectedResponse

from shared.errors import DependencyDown
from shared.qdrant_errors import qdrant_errors
from shared.transport import open_session, proxy_for

if TYPE_CHECKING:
    from aiohttp import ClientSession

#: A healthy search takes milliseconds; a Qdrant that has answered nobody for this long is not waited for any more.
READ_SECONDS: Final = 3
#: While it answers others, a visitor waits his turn among them: when hundreds ask at once, that takes seconds.
TURN_SECONDS: Final = 15
#: Questions to Qdrant that a process has under way for its visitors. More would be answered no sooner, and what is done
#: with many answers that come at once keeps everybody else in the process waiting.
AT_ONCE: Final = 16
#: Seconds by which a timer of a process that keeps up is not late.
LATE: Final = 0.5
#: Where Qdrant listens if its address does not say.
PORT: Final = 6333
#: A connection that was kept may have been let go by the other side just then: reading may be repeated.
ATTEMPTS: Final = 2
NO_QDRANT: Final = "what answers at QDRANT_URL is no Qdrant"


class QdrantReads:
    """Reads for one event loop. Connects when it is first asked."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self._base = url.rstrip("/") if urlsplit(url).port else _with_port(url.rstrip("/"))
        self._headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",  # packing and unpacking take longer than the way
            **({"api-key": api_key} if api_key else {}),
        }
        self._proxy = proxy_for(self._base)
        self._session: ClientSession | None = None
        self._lanes = asyncio.Semaphore(AT_ONCE)
        #: When somebody was answered last, by the loop's clock.
        self._answered = 0.0

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, collection: str, what: str, body: Mapping[str, Any]) -> Any:
        """The `result` of `POST /collections/{collection}/{what}`.

        Raises DependencyDown if Qdrant does not answer or is given up, UnexpectedResponse if it refuses.
        """
        data = to_json(body, exclude_none=True)
        async with self.turn():
            return await self._post(f"{self._base}/collections/{collection}/{what}", data)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One visitor's turn: a Qdrant that hangs is one that does not answer. No task may enter it twice."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        watch: asyncio.TimerHandle

        def give_up_or_wait_on(due: float) -> None:
            nonlocal watch
            until = min(max(began, self._answered) + READ_SECONDS, began + TURN_SECONDS)
            if loop.time() > due + LATE:  # this process was held up, and the answer may be there unseen
                until = max(until, loop.time() + LATE)
            if loop.time() < until:
                watch = loop.call_at(until, give_up_or_wait_on, until)
            else:
                limit.reschedule(until)

        with qdrant_errors():
            async with asyncio.timeout(None) as limit:
                watch = loop.call_at(began + READ_SECONDS, give_up_or_wait_on, began + READ_SECONDS)
                try:
                    async with self._lanes:
                        yield
                        self._answered = loop.time()
                finally:
                    watch.cancel()

    async def _post(self, url: str, data: bytes) -> Any:
        import aiohttp  # noqa: PLC0415 - takes a quarter of a second, which those who ask nothing need not spend

        if self._session is None:
            self._session = open_session(self._base, connections=AT_ONCE, silence=None)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                request = self._session.post(
                    url, data=data, headers=self._headers, proxy=self._proxy, allow_redirects=False
                )
                async with request as response:
                    content = await response.read()
                    if response.status != 200 and response.status < 400:
                        raise DependencyDown(NO_QDRANT, retry_after=5)
                    if response.status != 200:
                        headers: Any = response.headers
                        raise UnexpectedResponse(response.status, response.reason or "", content, headers)
                return from_json(content)["result"]
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ClientError, ConnectionError) as error:
                if attempt == ATTEMPTS:
                    raise DependencyDown("Qdrant does not answer", retry_after=5) from error
            except (ValueError, KeyError, TypeError) as error:
                raise DependencyDown(NO_QDRANT, retry_after=5) from error
        raise AssertionError  # unreachable: the last attempt returns or raises


def _with_port(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rstrip(':')}:{PORT}").geturl()
