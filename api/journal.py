"""What answers have said, kept for some minutes: a client that lost its connection gets what it missed, and no model is
asked a second time.

An answer's events are written to Redis in batches, as a list of entries `process:number:lines`: who runs the answer,
the number of the first event, and one line an event, the last line being a mark for the end. Whoever comes back reads
the list from the start, at whatever process, and looks for more until the mark comes or the answer's process is gone.
Without Redis answers are streamed as ever; they just cannot be taken up again.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.errors import AnswerInterrupted

log = structlog.get_logger(__name__)

KEY_PREFIX: Final = "lectern:answer:"
#: After an answer's end.
KEPT_SECONDS: Final = 5 * 60
#: An answer that runs for longer than this loses its journal; models are given up long before.
RUNNING_SECONDS: Final = 15 * 60
#: Between two writes of one answer: at twenty tokens a second, one command for five of them.
BATCH_SECONDS: Final = 0.25
#: Of one answer. The longest that models give take a quarter of it.
MOST_BYTES: Final = 256 * 1024
#: For one answer of Redis.
REDIS_SECONDS: Final = 0.5
#: Batches that Redis may refuse in turn before an answer's journal is given up.
TRIES: Final = 20
#: A client that lost its connection asks again within seconds; nobody pays for much more than that.
GRACE_SECONDS: Final = 15
#: Between two looks at whether somebody reads an answer elsewhere.
CHECK_SECONDS: Final = 3
#: Between two looks of somebody who follows an answer.
LOOK_SECONDS: Final = 0.1
#: A process that has not said for this long that it lives is gone.
ALIVE_SECONDS: Final = 15
SIGN_SECONDS: Final = 5
#: Without a new event, an answer is given up by who follows it; a model is, long before.
SILENCE_SECONDS: Final = 120
#: For answers without a reader to end, when their process is told to stop.
LEAVING_SECONDS: Final = 4

#: How the data of a chunk begins. It is left out of the journal: most events are chunks, and most of one is this.
CHUNK: Final = b'{"type":"chunk","content":'
_LAST: Final = ('{"type":"done"', '{"type":"error"')
_WHOLE, _BROKEN = ".", "!"
_EVENT_ID: Final = re.compile(r"([0-9a-f]{32})-([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class Kept:
    """An event as it was kept: its number, from 1, and its JSON."""

    number: int
    data: str

    @property
    def is_last(self) -> bool:
        return self.data.startswith(_LAST)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a client goes on in an answer."""

    answer_id: str
    #: The number of the last event that it has.
    after: int = 0
    #: The process that runs the answer; "" until the journal says so.
    process: str = ""


class Recording:
    """One answer's journal, as the process that runs it writes it."""

    def __init__(self, journal: Journal, claim: str = "") -> None:
        #: Random, because whoever knows it can read the answer.
        self.id = uuid4().hex
        self.claim = claim
        self.outlives_its_reader = bool(claim)
        self._journal = journal
        self._lines: list[bytes] = []
        self._written = 0
        self._bytes = 0
        self._batch_bytes = 0
        self._tries = 0
        self._is_due = False
        self._is_lost = False
        #: None while it goes on; then whether it has come to a good end.
        self._good: bool | None = None

    def add(self, write: bytes) -> None:
        """Keep an event."""
        self._lines.append(write)
        if not self._is_due and not self._is_lost:
            self._is_due = True
            # The first one at once: from then on a client knows the answer's id and may come back, anywhere.
            self._journal.schedule(self, at_once=not self._written)

    def close(self, *, whole: bool) -> None:
        """Nothing more is added. An answer that has failed leaves its wish free for another try."""
        last = self._lines[-1] if self._lines else b""
        self._good = whole and b'data: {"type":"error"' not in last
        if not self._is_lost:
            self._journal.schedule(self, at_once=True)
        self._lines.append(_WHOLE.encode() if whole else _BROKEN.encode())

    def adopt(self, work: asyncio.Task[None]) -> None:
        """Let the answer go on without its reader."""
        self._journal.adopt(self, work)

    @property
    def key(self) -> str:
        return KEY_PREFIX + self.id

    @property
    def has_news(self) -> bool:
        return bool(self._lines)

    def put(self, pipe: Any) -> int:
        """Add what is not yet written to a batch. How many events that is."""
        self._is_due = False
        lines = list(map(_line_of, self._lines))
        entry = b"%s:%d:" % (self._journal.process.encode(), self._written + 1)
        self._batch_bytes = sum(map(len, lines))
        self._is_lost = self._bytes + self._batch_bytes > MOST_BYTES
        pipe.rpush(self.key, entry + (_BROKEN.encode() if self._is_lost else b"\n".join(lines)))
        if not self._written or self._good is not None:
            pipe.expire(self.key, RUNNING_SECONDS if self._good is None else KEPT_SECONDS)
        if self.claim and self._good is not None:
            _ = pipe.expire(self.claim, KEPT_SECONDS) if self._good else pipe.delete(self.claim)
        return len(lines)

    def settle(self, count: int, *, written: bool) -> None:
        """The first `count` events of the batch are written, or have to be tried again."""
        if written:
            del self._lines[:count]
            self._written += count
            self._bytes += self._batch_bytes
            self._tries = 0
        else:
            self._tries += 1
            self._is_lost = self._is_lost or self._tries >= TRIES
            if not self._is_due and not self._is_lost:
                self._is_due = True
                self._journal.schedule(self, at_once=False)
        if self._is_lost:
            self._lines.clear()


class Journal:
    """The answers of this process on their way to Redis, and everybody's on their way back."""

    def __init__(self, redis: Redis) -> None:
        self.process = uuid4().hex
        self._redis = redis
        self._due: list[Recording] = []
        self._later: list[Recording] = []
        self._wake = asyncio.Event()
        self._is_down = False
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
        ours = f"{self.process}-{recording.id}"
        known = await self._ask(self._redis.set(claim, ours, nx=True, get=True, ex=RUNNING_SECONDS))
        if known is None:
            return recording
        process, _, answer_id = str(known).partition("-")
        if await self._is_abandoned(answer_id, process):
            await self._ask(self._redis.set(claim, ours, ex=RUNNING_SECONDS))
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
        """Whether an answer has no end, and will have none because its process is gone."""
        if await self._ask(self._redis.exists(_sign_of(process))) != 0:
            return False
        last = await self._ask(self._redis.lindex(KEY_PREFIX + answer_id, -1))
        return last is None or _read(last)[2][-1] != _WHOLE

    async def follow(self, place: Place) -> AsyncGenerator[Kept, None]:
        """The events after a place, as they come; at least the last one.

        Raises AnswerInterrupted if the answer has no end.
        """
        last: Kept | None = None
        async with aclosing(self._lines(place)) as lines:
            async for number, line in lines:
                if line == _WHOLE:
                    if last is not None and last.number <= place.after:
                        yield last
                    return
                last = Kept(number, _data_of(line))
                if number > place.after:
                    yield last
        raise AnswerInterrupted("the answer ended with the connection that it was for; ask again")

    async def _lines(self, place: Place) -> AsyncGenerator[tuple[int, str], None]:
        """An answer's lines with their numbers, up to the mark of a good end, or up to where they break off."""
        passed, entries_read, process = 0, 0, place.process
        silence = 0.0
        while silence < SILENCE_SECONDS:
            entries, is_alive = await self._look(place.answer_id, entries_read, process)
            entries_read += len(entries)
            for entry in entries:
                process, first, lines = _read(entry)
                # Of what was written twice, after Redis was late to answer, the second is passed over.
                for number, line in enumerate(lines[max(0, passed + 1 - first) :], max(first, passed + 1)):
                    if line == _BROKEN or number > passed + 1:  # Redis may have lost some
                        return
                    passed = number
                    yield number, line
                    if line == _WHOLE:
                        return
            if not entries and not is_alive:
                return
            silence = 0.0 if entries else silence + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, answer_id: str, start: int, process: str) -> tuple[Sequence[str], bool]:
        """New entries of an answer, and whether more can come. Says that there is a reader."""
        key = KEY_PREFIX + answer_id
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.lrange(key, start, -1)
            pipe.exists(_sign_of(process))
            pipe.set(_reader_of(answer_id), "1", ex=GRACE_SECONDS)
            found = await self._ask(pipe.execute())
        if found is None:
            return (), True
        return found[0], bool(found[1]) or not process

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

    def adopt(self, recording: Recording, work: asyncio.Task[None]) -> None:
        """Let an answer go on that has no reader here, while it has one elsewhere or its client may come back."""
        minding = asyncio.create_task(self._mind(recording, work))
        self._adopted[minding] = work
        minding.add_done_callback(lambda task: self._adopted.pop(task, None))

    async def _mind(self, recording: Recording, work: asyncio.Task[None]) -> None:
        reader = _reader_of(recording.id)
        await self._ask(self._redis.set(reader, "1", ex=GRACE_SECONDS))
        while not work.done():
            await asyncio.wait({work}, timeout=CHECK_SECONDS)
            if not work.done() and not await self._ask(self._redis.exists(reader)):
                work.cancel()
                await asyncio.wait({work})
        if not work.cancelled() and (error := work.exception()) is not None:
            log.error("answer.crashed", exc_info=error)

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
            await asyncio.sleep(SIGN_SECONDS)

    async def leave(self) -> None:
        """Let answers without a reader come to their end, but not for long; write the rest."""
        if self._adopted:
            await asyncio.wait(list(self._adopted.values()), timeout=LEAVING_SECONDS)
        for work in self._adopted.values():
            work.cancel()
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
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _line_of(write: bytes) -> bytes:
    """What is kept of an event's write: its JSON, of a chunk only the string. JSON holds no raw line end."""
    start = write.find(b"data: ")
    if start < 0:
        return write  # the mark of the end
    data = write[start + 6 : -2]
    return data[len(CHUNK) : -1] if data.startswith(CHUNK) else data


def _data_of(line: str) -> str:
    return f"{CHUNK.decode()}{line}}}" if line.startswith('"') else line


def _read(entry: str) -> tuple[str, int, list[str]]:
    process, first, lines = entry.split(":", 2)
    return process, int(first), lines.split("\n")


def _sign_of(process: str) -> str:
    return f"{KEY_PREFIX}process:{process}"


def _reader_of(answer_id: str) -> str:
    return f"{KEY_PREFIX}{answer_id}:read"
