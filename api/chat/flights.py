"""One answer on its way to all in this process who ask for it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from api.chat.events import Event, Finished
from shared.tasks import cancelled


class Flight:
    """Reads an answer's events in a task of its own, which lives as long as anybody follows.

    So whoever asked first may leave, or read slowly, and the others notice nothing. Once the answer is whole, the task
    runs to its end by itself: what comes after the last event (keeping it) is for those who ask later.
    """

    def __init__(self, events: AsyncGenerator[Event, None], on_end: Callable[[Flight], None]) -> None:
        self._heard: list[Event] = []
        self._news = asyncio.Event()
        self._followers = 0
        self._whole = False
        self._ended = False
        #: Somebody has got the whole answer: it was made for him, and the others get what is there.
        self._delivered = False
        self._error: Exception | None = None
        self._on_end = on_end
        self.task = asyncio.create_task(self._fly(events))

    async def follow(self) -> AsyncGenerator[Event, None]:
        """The events from the first one on. Raises what the answer has raised."""
        self._followers += 1
        position = 0
        try:
            while True:
                while position < len(self._heard):
                    event = self._heard[position]
                    position += 1
                    if isinstance(event, Finished):
                        given, self._delivered = self._delivered, True
                        yield replace(event, cached=True) if given else event
                        return
                    yield event
                if self._ended:
                    break
                self._news.clear()
                await self._news.wait()
            if self._error is not None:
                raise self._error
        finally:
            self._followers -= 1
            if not self._followers and not self._whole:
                await self.cancel()

    async def cancel(self) -> None:
        """End it, and wait until it has let go of the model. Nobody can join it from now on."""
        self._on_end(self)
        await cancelled(self.task)

    async def _fly(self, events: AsyncGenerator[Event, None]) -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    self._heard.append(event)
                    self._whole = self._whole or isinstance(event, Finished)
                    self._news.set()
        except Exception as error:  # noqa: BLE001 -- whatever it was, it is raised to each of those who follow
            self._error = error
        finally:
            self._ended = True
            self._on_end(self)
            self._news.set()
