"""What answers have said, kept for some minutes: a client that lost its connection gets what it missed, and no model is
asked a second time.

An answer's events are written to Redis in batches, as a list (`api.recording`). Whoever comes back reads it from the
start, at whatever process, and looks for more until the mark of the end comes or the answer's process is gone. Without
Redis, or with one that is nearly full, answers are streamed as ever; they just cannot be taken up again.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.errors import AnswerInterrupted
from api.recording import BROKEN, KEY_PREFIX, RUNNING_SECONDS, WHOLE, Kept, Recording, data_of, entry_of
from shared.tasks import cancelled

log = structlog.get_logger(__name__)

#: Between two writes of one answer. Only who comes back while it is still being given waits for them, and only what a
#: process has said just before it was killed is missing.
BATCH_SECONDS: Final = 1.0
#: For one answer of Redis.
REDIS_SECONDS: Final = 0.5
#: A client that lost its connection asks again within seconds; nobody pays for much more than that.
GRACE_SECONDS: Final = 15
#: Between two looks at whether somebody reads an answer elsewhere, and whether it is to stop.
CHECK_SECONDS: Final = 1
#: Looks in turn at which Redis may say nothing: this process may have been held up, or Redis.
MOST_SILENT: Final = 3
#: For the process that runs an answer to notice that its reader has left, which is when it looks for a word to stop it.
STOP_SECONDS: Final = 60
#: Between two looks of somebody who follows an answer.
LOOK_SECONDS: Final = 0.1
#: A process that has not said for this long that it lives is gone.
ALIVE_SECONDS: Final = 15
SIGN_SECONDS: Final = 5
#: Without a new event, an answer is given up by who follows it; a model is, long before.
SILENCE_SECONDS: Final = 120
#: ... and without a word of Redis. Whoever asks again while it is away is answered anew.
OUTAGE_SECONDS: Final = 10
#: Answers without a reader that a process lets go on: about half of the streams that it can serve, as when a proxy in
#: front of it starts again and all come back at once.
MOST_ADOPTED: Final = 500
#: The part of Redis' memory from which on no answers are kept: the rest is for what is worth more, such as jobs.
NEARLY_FULL: Final = 0.75
#: For answers without a reader to end, when their process is told to stop.
LEAVING_SECONDS: Final = 4

_EVENT_ID: Final = re.compile(r"([0-9a-f]{32})-([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a client goes on in an answer."""

    answer_id: str
    #: The number of the last event that it has.
    after: int = 0
    #: The process that runs the answer; "" until the journal says so.
    process: str = ""


class Journal:
    """The answers of this process on their way to Redis, and everybody's on their way back."""

    def __init__(self, redis: Redis) -> None:
        self.process = uuid4().hex
        self._redis = redis
        self._due: list[Recording] = []
        self._later: list[Recording] = []
        self._wake = asyncio.Event()
        self._is_down = False
        #: Redis is short of memory.
        self.is_full = False
        self._adopted: dict[asyncio.Task[None], asyncio.Task[None]] = {}

    # Who asks

    async def open(self, last_event_id: str | None, wish: str | None) -> Recording | Place:
        """Where an answer goes on that this client has had a part of; else a recording for a new one.

        wish: stands for the question where the client says that it may send it twice; the second time, it goes on with
        what the first has begun. Anything but the id of an event that is still kept counts for nothing.
        """
        if (place := await self._place(last_event_id)) is not None:
            return place
        if wish is None:
            return Recording(self)
        claim = f"{KEY_PREFIX}wish:{hashlib.sha256(wish.encode('utf-8', 'surrogatepass')).hexdigest()}"
        recording = Recording(self, claim)
        known = await self._ask(self._redis.set(claim, recording.mark, nx=True, get=True, ex=RUNNING_SECONDS))
        if known is None:
            return recording
        process, _, answer_id = str(known).partition("-")
        if await self._is_abandoned(answer_id, process):
            await self._ask(self._redis.set(claim, recording.mark, ex=RUNNING_SECONDS))
            return recording
        return Place(answer_id, process=process)

    async def _place(self, event_id: str | None) -> Place | None:
        match = _EVENT_ID.fullmatch(event_id or "")
        if match is None:
            return None
        # A client that comes back at once can be faster, at another process, than the first write of its answer.
        for _ in range(2):
            if await self._ask(self._redis.exists(KEY_PREFIX + match[1])):
                return Place(match[1], int(match[2]))
            await asyncio.sleep(LOOK_SECONDS)
        return None

    async def _is_abandoned(self, answer_id: str, process: str) -> bool:
        """Whether an answer has no end, and will have none because it was stopped or its process is gone."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.exists(_sign_of(process))
            pipe.exists(_stop_of(answer_id))
            pipe.lindex(KEY_PREFIX + answer_id, -1)
            found = await self._ask(pipe.execute())
        if found is None:
            return False
        is_alive, is_stopped, last = found
        return (not is_alive or bool(is_stopped)) and (last is None or entry_of(last)[2][-1] != WHOLE)

    async def follow(self, place: Place) -> AsyncGenerator[Kept, None]:
        """The events after a place, as they come; at least the last one.

        Raises AnswerInterrupted if the answer has no end.
        """
        last: Kept | None = None
        async with aclosing(self._lines(place)) as lines:
            async for number, line in lines:
                if line == WHOLE:
                    if last is not None and last.number <= place.after:
                        yield last
                    return
                last = Kept(number, data_of(line))
                if number > place.after:
                    yield last
        raise AnswerInterrupted("the answer ended with the connection that it was for; ask again")

    async def _lines(self, place: Place) -> AsyncGenerator[tuple[int, str], None]:
        """An answer's lines with their numbers, up to the mark of a good end, or up to where they break off."""
        passed, entries_read, process = 0, 0, place.process
        said_at = redis_at = time.monotonic()
        while (now := time.monotonic()) - said_at < SILENCE_SECONDS and now - redis_at < OUTAGE_SECONDS:
            entries, is_alive = await self._look(place.answer_id, entries_read, process)
            entries_read += len(entries)
            for entry in entries:
                process, first, lines = entry_of(entry)
                # Of what was written twice, after Redis was late to answer, the second is passed over.
                for number, line in enumerate(lines[max(0, passed + 1 - first) :], max(first, passed + 1)):
                    if line == BROKEN or number > passed + 1:  # Redis may have lost some
                        return
                    passed = number
                    yield number, line
                    if line == WHOLE:
                        return
            if not entries and is_alive is False:
                return
            said_at = now if entries else said_at
            redis_at = redis_at if is_alive is None else now
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, answer_id: str, start: int, process: str) -> tuple[Sequence[str], bool | None]:
        """New entries of an answer, and whether more can come, if Redis says. Tells that there is a reader."""
        key = KEY_PREFIX + answer_id
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.lrange(key, start, -1)
            pipe.exists(_sign_of(process))
            pipe.set(_reader_of(answer_id), "1", ex=GRACE_SECONDS)
            found = await self._ask(pipe.execute())
        if found is None:
            return (), None
        return found[0], bool(found[1]) or not process

    async def stop(self, answer_id: str) -> None:
        """Have an answer end as soon as its own reader has left, whoever follows it, at whatever process it runs."""
        await self._ask(self._redis.set(_stop_of(answer_id), "1", ex=STOP_SECONDS))

    # Who answers

    def schedule(self, recording: Recording, *, at_once: bool) -> None:
        """Have a recording written, now or with the next batch."""
        if at_once:
            self._due.append(recording)
            self._wake.set()
            return
        if not self._later:
            asyncio.get_running_loop().call_later(BATCH_SECONDS, self._promote)
        self._later.append(recording)

    def _promote(self) -> None:
        self._due += self._later
        self._later.clear()
        self._wake.set()

    @property
    def adopts(self) -> bool:
        return len(self._adopted) < MOST_ADOPTED

    def adopt(self, recording: Recording, work: asyncio.Task[None]) -> None:
        """Let an answer go on that has no reader here, while it has one elsewhere or its client may come back.

        Only from here on is it looked whether it is to stop: who stops it hangs up as well, and streams cost less so.
        """
        minding = asyncio.create_task(self._mind(recording, work))
        self._adopted[minding] = work
        minding.add_done_callback(lambda task: self._adopted.pop(task, None))

    async def _mind(self, recording: Recording, work: asyncio.Task[None]) -> None:
        await self._ask(self._redis.set(_reader_of(recording.id), "1", ex=GRACE_SECONDS))
        silent = 0
        while not work.done():
            is_wanted = await self._is_wanted(recording.id)
            silent = silent + 1 if is_wanted is None else 0
            if is_wanted is False or silent == MOST_SILENT:
                await cancelled(work)
            else:
                await asyncio.wait({work}, timeout=CHECK_SECONDS)
        if not work.cancelled() and (error := work.exception()) is not None:
            log.error("answer.crashed", exc_info=error)

    async def _is_wanted(self, answer_id: str) -> bool | None:
        """Whether an answer without a reader here has one elsewhere or may yet have, and nobody has stopped it; None if
        Redis does not say."""
        found = await self._ask(self._redis.mget(_reader_of(answer_id), _stop_of(answer_id)))
        return None if found is None else found[0] is not None and found[1] is None

    async def keep_writing(self) -> None:
        """Write what is due, for as long as the process lives."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.write()

    async def write(self) -> None:
        """Write what is due."""
        batch, self._due = [recording for recording in dict.fromkeys(self._due) if recording.has_news], []
        if not batch:
            return
        async with self._redis.pipeline(transaction=False) as pipe:
            counts = [recording.put(pipe) for recording in batch]
            written = await self._ask(pipe.execute()) is not None
        for recording, count in zip(batch, counts, strict=True):
            recording.settle(count, written=written)

    async def keep_signing(self) -> None:
        """Say that this process lives, for as long as it does."""
        while True:
            await self._ask(self._redis.set(_sign_of(self.process), "1", ex=ALIVE_SECONDS))
            await self._look_for_room()
            await asyncio.sleep(SIGN_SECONDS)

    async def _look_for_room(self) -> None:
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                memory = await self._redis.info("memory")
        except (RedisError, OSError, TimeoutError):
            return  # away, or not ours to ask
        was_full, self.is_full = self.is_full, 0 < memory["maxmemory"] * NEARLY_FULL <= memory["used_memory"]
        if self.is_full and not was_full:
            log.warning("journal.redis_nearly_full", bytes=memory["used_memory"], most=memory["maxmemory"])

    async def leave(self) -> None:
        """Let answers without a reader come to their end, but not for long; write the rest."""
        if self._adopted:
            await asyncio.wait(list(self._adopted.values()), timeout=LEAVING_SECONDS)
        await cancelled(*self._adopted.values())
        if self._adopted:
            await asyncio.wait(list(self._adopted))
        self._promote()
        await self.write()

    async def _ask(self, command: Awaitable[Any]) -> Any:
        """What Redis says; None if it says nothing in time."""
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                answer = await command
        except (RedisError, OSError, TimeoutError) as error:
            if not self._is_down:  # one line for an outage, not one for each batch
                log.warning("journal.not_kept", reason=type(error).__name__)
            self._is_down = True
            return None
        self._is_down = False
        return answer


@asynccontextmanager
async def open_journal(redis: Redis) -> AsyncIterator[Journal]:
    """A journal that is written while the context lasts."""
    journal = Journal(redis)
    tasks = [asyncio.create_task(work) for work in (journal.keep_writing(), journal.keep_signing())]
    try:
        yield journal
    finally:
        await journal.leave()
        await cancelled(*tasks)


def _sign_of(process: str) -> str:
    return f"{KEY_PREFIX}process:{process}"


def _reader_of(answer_id: str) -> str:
    return f"{KEY_PREFIX}{answer_id}:read"


def _stop_of(answer_id: str) -> str:
    return f"{KEY_PREFIX}{answer_id}:stop"
