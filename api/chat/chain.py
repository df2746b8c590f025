"""Asks the model that the settings name; where it cannot answer, the one that stands in for it; else the passages.

A visitor is sent on only before the first word. What has begun is ended by the model that has begun it, or by an error.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from api.chat.breaker import LONG_PAUSE, Breaker
from api.chat.model import ChatModel, Ending, ExtractiveModel
from api.chat.openai_model import ASK_AGAIN, OpenAIChatModel
from api.chat.prompt import Message, Prompt
from shared.errors import LecternError, ProviderError, ProviderLimited, ProviderUnavailable
from shared.services import Services
from shared.settings import Settings

log = structlog.get_logger(__name__)

Parts = AsyncGenerator[str | Ending, None]

#: Longest wait, in seconds, before the one retry: somebody is looking at an empty answer.
LONGEST_WAIT: Final = 2.0
#: Seconds of a wait that the provider does not ask for; random, so that not all come back at once.
SHORT_WAIT: Final = 0.5


def open_chat_model(settings: Settings) -> ChatModel:
    """The models that the settings name; without one, the passages answer for themselves."""
    if settings.chat_model is None:
        return ExtractiveModel()
    names = dict.fromkeys(filter(None, (settings.chat_model, settings.fallback_model)))
    return ModelChain([OpenAIChatModel(settings, name) for name in names], ExtractiveModel())


class Resting(ProviderUnavailable):
    """Raised at once for a model that has failed just now, in place of failing once more."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer with its first part, and the rest."""

    first: str | Ending
    rest: Parts
    link: Link | None


@dataclass(frozen=True, slots=True)
class Link:
    """A model, and whether it is worth asking."""

    model: OpenAIChatModel
    breaker: Breaker

    def enter(self) -> None:
        """Raises Resting. Otherwise what follows has to be `tried`."""
        wait = self.breaker.wait
        if not self.breaker.enter():
            raise Resting(f"the model {self.model.name} has failed and is given a rest", retry_after=wait)

    @contextmanager
    def tried(self) -> Iterator[None]:
        """Note a request that fails."""
        try:
            yield
        except LecternError as error:
            self.failed(error)
            raise
        except BaseException:
            self.breaker.left()
            raise

    def failed(self, error: LecternError) -> None:
        pause = pause_after(error)
        if isinstance(error, ProviderError) and error.blames == "request":
            self.breaker.left()
        else:
            self.breaker.failed(pause)
        log.warning("chat_model.failed", model=self.model.name, code=error.code, reason=error.message, pause=pause)

    async def begin(self, prompt: Prompt, services: Services) -> Begun:
        """Ask, and wait for the first part."""
        self.enter()
        with self.tried():
            parts = self.model.stream(prompt, services)
            begun = Begun(await anext(parts), parts, self)
        self.breaker.began()
        return begun


class ModelChain:
    """Models of one provider, the preferred one first, and who answers when none of them can."""

    def __init__(
        self,
        models: Sequence[OpenAIChatModel],
        last_resort: ChatModel | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without a last resort, the first model's error is raised. `clock` tells how long a model has rested."""
        self.name = models[0].name
        self._links = [Link(model, Breaker(clock)) for model in models]
        self._last_resort = last_resort

    async def close(self) -> None:
        for link in self._links:
            await link.model.close()

    async def stream(self, prompt: Prompt, services: Services) -> Parts:
        """As `ChatModel` has it."""
        begun = await self._begin(prompt, services)
        async with aclosing(begun.rest) as rest:
            try:
                yield begun.first
                async for part in rest:
                    yield part
            except LecternError as error:
                if begun.link is not None:
                    begun.link.failed(error)
                raise
        if begun.link is not None:
            begun.link.breaker.succeeded()

    async def complete(self, messages: Sequence[Message], most_tokens: int, seconds: float) -> str | None:
        """As `ChatModel` has it, by the first model that is worth asking."""
        link = next((link for link in self._links if link.breaker.enter()), None)
        if link is None:
            return None
        try:
            with link.tried():
                reply = await link.model.complete(messages, most_tokens, seconds)
        except (LecternError, TimeoutError):
            return None
        link.breaker.succeeded()
        return reply

    async def _begin(self, prompt: Prompt, services: Services) -> Begun:
        """The first answer that there is."""
        failures: list[LecternError] = []
        for link in self._links:
            try:
                return await _patiently(link, prompt, services)
            except LecternError as error:
                failures.append(error)
                if isinstance(error, ProviderError) and error.blames == "account":
                    for other in self._links:
                        other.breaker.failed(LONG_PAUSE)
        if self._last_resort is None:
            raise failures[0]
        parts = self._last_resort.stream(prompt, services)
        return Begun(await anext(parts), parts, None)


async def _patiently(link: Link, prompt: Prompt, services: Services) -> Begun:
    """One retry, where the model may do better in a moment."""
    try:
        return await link.begin(prompt, services)
    except Resting:
        raise
    except ProviderUnavailable as error:
        pause = random.uniform(0, SHORT_WAIT) if error.retry_after is None else error.retry_after
        error.retry_after = error.retry_after or ASK_AGAIN
        if pause > LONGEST_WAIT:
            raise
    await asyncio.sleep(pause)
    try:
        return await link.begin(prompt, services)
    except ProviderUnavailable as error:
        error.retry_after = error.retry_after or ASK_AGAIN
        raise


def pause_after(error: LecternError) -> float | None:
    """Seconds for which the same failure is to be expected; None where nobody knows."""
    if isinstance(error, ProviderLimited):
        return error.retry_after if (error.retry_after or 0) > LONGEST_WAIT else None
    return LONG_PAUSE if isinstance(error, ProviderError) and error.blames in ("model", "account") else None
