"""Gives an answer again that was given before, as long as nothing has changed of what it was made from.

Wraps the answer generator. Only questions that stand by themselves are looked up. A kept answer is true of its release,
and of a later one if every passage that it was made from is still there as it was. Equal questions that come at once
are answered once: in this process by following one flight, between processes by a claim in Redis. Without Redis, and
with whatever goes wrong there, questions are answered as if nothing were kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
import unicodedata
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AsyncExitStack, aclosing
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any, Final, Literal

from redis.asyncio import Redis

from api.chat.events import Event, Finished, Question, Started
from api.chat.flights import Flight
from api.chat.kept import Claimed, KeptAnswer, NoShelf, Shelf, in_pieces, new_token, unpacked
from api.chat.model import ChatModel
from api.chat.prompt import RULES
from shared.errors import DependencyDown
from shared.models import Release
from shared.services import Services

#: Between two looks at whether another process has made the answer.
POLL_SECONDS: Final = 0.1
#: An answer that the docs more likely do not hold is not shown to the next visitor unasked.
LEAST_CONFIDENCE: Final = 0.5
#: The cache is part of the program: what another version would answer, it has to answer itself.
VERSION: Final = version("lectern")

#: What the cache did for a question: `passed` if it does not stand by itself, `joined` if it was being answered.
Result = Literal["hit", "joined", "miss", "passed"]
#: `api.chat.answer.answer`, what wraps it, or what a test puts in its place.
Answerer = Callable[[Question, Services, ChatModel], AsyncGenerator[Event, None]]

_SPACES: Final = re.compile(r"\s+")
_FINAL: Final = re.compile(r"(?<=[\w)\]\"'”»!])[?.。]+$")


class AnswerCache:
    """The same as the `answer` it wraps, and called like it."""

    def __init__(self, answer: Answerer, redis: Redis, minutes: int, count: Callable[[Result], None]) -> None:
        self._answer = answer
        self._shelf = Shelf(redis, minutes * 60)
        self._count = count
        self._flights: dict[str, Flight] = {}
        #: Also those that only have to keep what they have brought.
        self._under_way: set[Flight] = set()

    async def __call__(self, question: Question, services: Services, model: ChatModel) -> AsyncGenerator[Event, None]:
        """As `api.chat.answer.answer`; `Finished.cached` says whether the answer was made for somebody else."""
        if not stands_alone(question):
            self._count("passed")
            events = self._answer(question, services, model)
        else:
            events = self._flight(question, services, model).follow()
        async with aclosing(events):
            async for event in events:
                yield event

    async def close(self) -> None:
        """End what is still under way."""
        await asyncio.gather(*(flight.cancel() for flight in tuple(self._under_way)))

    def _flight(self, question: Question, services: Services, model: ChatModel) -> Flight:
        key = key_of(question, services, model)
        if key in self._flights:
            self._count("joined")
            return self._flights[key]

        def forget(ended: Flight) -> None:
            self._under_way.discard(ended)
            if self._flights.get(key) is ended:
                del self._flights[key]

        flight = self._flights[key] = Flight(self._events(key, question, services, model), forget)
        self._under_way.add(flight)
        return flight

    async def _events(
        self, key: str, question: Question, services: Services, model: ChatModel
    ) -> AsyncGenerator[Event, None]:
        """A kept answer, or one that is made now and kept if it is fit for it."""
        async with AsyncExitStack() as stack:
            token = new_token()
            try:
                kept, ours = await self._kept_or_claimed(key, token, services)
            except NoShelf:
                kept, ours = None, False
            self._count("miss" if kept is None else "hit")
            if kept is not None:
                for event in kept.events():
                    yield event
                return
            claim = await stack.enter_async_context(self._shelf.held(key, token)) if ours else None
            heard: list[Event] = []
            events = await stack.enter_async_context(aclosing(self._answer(question, services, model)))
            async for event in events:
                heard.append(event)
                yield event
            is_kept = await self._keep(key, heard, services, model)
            if claim is not None:
                claim.not_kept = not is_kept

    async def _kept_or_claimed(self, key: str, token: str, services: Services) -> tuple[KeptAnswer | None, bool]:
        """A kept answer that is true, or None and whether it is on us to make it for all processes.

        Waits for another process that makes it, but no longer than for a model's first word. Raises NoShelf.
        """
        deadline = time.monotonic() + services.settings.model_timeout
        text, refuted = await self._shelf.read(key), None
        claimed: Claimed = "theirs"
        pause = 0.0
        while True:
            if text is not None and text != refuted:
                kept = await self._still_true(key, text, services)
                if kept is not None:
                    return kept, False
                refuted = text
            if claimed != "theirs" or time.monotonic() > deadline:
                return None, claimed == "ours"
            await asyncio.sleep(pause)
            pause = POLL_SECONDS
            claimed, text = await self._shelf.claim(key, token)

    async def _still_true(self, key: str, text: str, services: Services) -> KeptAnswer | None:
        """The kept answer, if it can be given at the live release. A refusal is true of its own release alone: what it
        has not found may have been written since."""
        kept = unpacked(text)
        if kept is None:
            return None
        try:
            live = await services.releases.live()
            if live is None:
                return None
            stamp = stamp_of(live)
            if kept.stamp == stamp:
                return kept
            if kept.finished.no_results or not await services.store.sees_all(
                live.collection, live.number, kept.chunk_ids
            ):
                return None
        except DependencyDown:
            return None
        kept = replace(kept, stamp=stamp, started=replace(kept.started, release=live.number))
        await self._shelf.restamp(key, kept)
        return kept

    async def _keep(self, key: str, heard: list[Event], services: Services, model: ChatModel) -> bool:
        """Keep an answer for those who ask next. Whether that was done."""
        started, finished = heard[0], heard[-1]
        if not isinstance(started, Started) or not isinstance(finished, Finished):
            return False
        if not worth_keeping(started, finished, model.name):
            return False
        try:
            live = await services.releases.live()
            if live is None or live.number != started.release:
                return False
            chunk_ids = tuple(dict.fromkeys(id_ for found in started.found for id_ in (found.chunk_id, *found.joined)))
            kept = KeptAnswer(stamp_of(live), chunk_ids, started, in_pieces(heard), finished)
            return await self._shelf.write(key, kept)
        except (DependencyDown, NoShelf):
            return False


def stands_alone(question: Question) -> bool:
    """Whether the words of the question say all that it is about. An owner who names a release wants it asked."""
    return not (question.history or question.selection or question.release)


def worth_keeping(started: Started, finished: Finished, model: str) -> bool:
    """Whether an answer may be given to others: whole, made as usual, and borne out by its passages."""
    if started.release is None or finished.finish_reason != "stop" or finished.model != model:
        return False
    # Without any cosine there was no vector of the question: its provider was down, and better may be found later.
    if all(found.cosine is None for found in started.found):
        return False
    if finished.no_results:
        return True
    if not finished.sources or (finished.confidence is not None and finished.confidence < LEAST_CONFIDENCE):
        return False
    return not finished.unknown_names and all(claim.support != "unsupported" for claim in finished.claims)


def key_of(question: Question, services: Services, model: ChatModel) -> str:
    """Of equal questions that are answered in the same way."""
    settings = services.settings
    return digest_of(
        VERSION, RULES, settings.collection, settings.max_answer_tokens, settings.min_score, settings.model_base_url,
        settings.chat_base_url, model.name, services.embedder.model, normal(question.text), asdict(question.filters),
        question.page, question.k, question.context_window,
    )  # fmt: skip


def digest_of(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def stamp_of(release: Release) -> str:
    """Tells releases apart also where an index was made anew and counts from 1 again."""
    return f"{release.number}:{release.job_id}"


def normal(text: str) -> str:
    """A question without what makes no difference: spaces, widths, final marks, and capitals of plain words.

    A word with a capital inside, a digit or a mark stays as it is: `-V` and `-v`, `PATH` and `path` are not the same.
    """
    text = _SPACES.sub(" ", unicodedata.normalize("NFKC", text)).strip()
    return " ".join(_folded(_FINAL.sub("", text).split(" ")))


def _folded(words: Iterable[str]) -> Iterable[str]:
    for word in words:
        bare = word.strip(",;:()\"'")
        yield word.casefold() if bare.isalpha() and bare[1:] == bare[1:].lower() else word
