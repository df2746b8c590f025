"""The Qdrant client's errors in our words: no answer is a state of the world, a refusal is a bug."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final
from weakref import WeakKeyDictionary

from qdrant_client import AsyncQdrantClient
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from shared.errors import ConfigurationError, DependencyDown

#: A healthy search takes milliseconds; a Qdrant that has answered nobody for this long is not waited for any more.
READ_SECONDS: Final = 3
#: While it answers others, a visitor waits his turn among them: when hundreds ask at once, that takes seconds.
TURN_SECONDS: Final = 15
#: Questions to Qdrant that a process has under way for its visitors. More would be answered no sooner, and what is done
#: with many answers that come at once keeps everybody else in the process waiting.
AT_ONCE: Final = 16
#: How the embedded engine answers what only a Qdrant server can do.
NOT_IMPLEMENTED: Final = 501


@contextmanager
def qdrant_errors() -> Iterator[None]:
    """Translate the client's errors. A refusal (4xx), but for that of a key, is a bug of ours and stays as it is."""
    try:
        yield
    except UnexpectedResponse as error:
        if error.status_code in (401, 403):
            raise DependencyDown("Qdrant refuses the key; check QDRANT_API_KEY", retry_after=30) from error
        if error.status_code == NOT_IMPLEMENTED:  # asking again would change nothing
            said = error.structured().get("status", {}).get("error", "no reason given")
            raise ConfigurationError(f"this Qdrant cannot do what the settings ask of it: {said}") from error
        if error.status_code is not None and error.status_code < 500:
            raise
        raise DependencyDown(f"Qdrant answered {error.status_code}", retry_after=5) from error
    except (ApiException, QdrantException, OSError) as error:
        raise DependencyDown("Qdrant does not answer", retry_after=5) from error


class _Traffic:
    """What waiting visitors ask through one client."""

    def __init__(self) -> None:
        self.lanes = asyncio.Semaphore(AT_ONCE)
        #: When one of them was answered last, by the loop's clock.
        self.answered = 0.0


_traffic: WeakKeyDictionary[AsyncQdrantClient, _Traffic] = WeakKeyDictionary()


@asynccontextmanager
async def waiting_visitor(client: AsyncQdrantClient) -> AsyncIterator[None]:
    """As `qdrant_errors`, for a question that somebody waits for: a Qdrant that hangs is one that does not answer.

    Must not be entered twice by one task.
    """
    traffic = _traffic.setdefault(client, _Traffic())
    loop = asyncio.get_running_loop()
    began = loop.time()
    watch: asyncio.TimerHandle

    def give_up_or_wait_on() -> None:
        nonlocal watch
        until = min(max(began, traffic.answered) + READ_SECONDS, began + TURN_SECONDS)
        if loop.time() < until:
            watch = loop.call_at(until, give_up_or_wait_on)
        else:
            limit.reschedule(until)

    with qdrant_errors():
        async with asyncio.timeout(None) as limit:
            watch = loop.call_at(began + READ_SECONDS, give_up_or_wait_on)
            try:
                async with traffic.lanes:
                    yield
                    traffic.answered = loop.time()
            finally:
                watch.cancel()
