"""What visitors have asked and how it was answered, kept for the owner in a Redis stream for some days.

An entry is put into a queue when its answer ends, and a task of its own writes the queue to Redis: no answer waits for
its entry, and none fails over it. Kept are the question, what was found and cited, and how it went; neither the answer,
nor what a visitor has marked, nor what was said before. A visitor goes by a name that nobody can undo after the day.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.errors import DependencyDown
from shared.settings import Settings

log = structlog.get_logger(__name__)

STREAM: Final = "lectern:questions"
NAMING_KEY: Final = "lectern:questions:day:"
#: About 30 MB of Redis, at five passages an answer. The oldest go first, whatever their age.
MOST_ENTRIES: Final = 20_000
#: ... and fewer where they are long: somebody may ask nothing but pastes, all day.
MOST_BYTES: Final = 64 * 1024 * 1024
#: Entries that wait while Redis is slow or away; what comes beyond is counted and lost.
MOST_WAITING: Final = 1000
#: Entries a write, and entries a read.
WRITE_BATCH: Final = 100
READ_BATCH: Final = 500
WRITE_SECONDS: Final = 2
RETRY_SECONDS: Final = 1
#: How often entries that are too old are looked for where nobody asks anything.
TRIM_SECONDS: Final = 3600
#: What a stopping process still gives its last entries.
FAREWELL_SECONDS: Final = 1
DAY_SECONDS: Final = 24 * 3600
#: Of a visitor's name: enough to tell a day's visitors apart.
NAME_CHARACTERS: Final = 12

Kind = Literal["question", "feedback"]
Entry = Mapping[str, Any]


class QuestionLog:
    """Takes entries, writes them, and reads them back."""

    def __init__(self, redis: Redis, settings: Settings, on_drop: Callable[[], None]) -> None:
        self._redis = redis
        self.days = settings.question_log_days
        self._on_drop = on_drop
        self._waiting: deque[tuple[Kind, dict[str, Any], str]] = deque()
        self._arrived = asyncio.Event()
        #: The day, and the secret that its visitors' names are made with.
        self._secret = ("", b"")

    # Writing

    def note(self, kind: Kind, entry: Entry, visitor: str) -> None:
        """Take an entry, at once. `visitor`: what is known of who asked; only a name made from it is kept."""
        if not self.days:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._on_drop()
            return
        self._waiting.append((kind, {"at": _now(), **entry}, visitor))
        self._arrived.set()

    async def keep_writing(self) -> None:
        """Write entries as they come, until it is cancelled; then those that are left, if that is quickly done.

        What is kept for longer than the settings say, or was before they switched the log off, is deleted first.
        """
        try:
            await self._try(self._trim)
            while True:
                await self._wait()
                await self._write_all()
        finally:
            try:
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await self._write_all()
            except TimeoutError:
                log.warning("question_log.not_written", entries=len(self._waiting))

    async def _wait(self) -> None:
        """Until there is something to write; what has become too old is dropped meanwhile."""
        while not self._waiting:
            self._arrived.clear()
            try:
                async with asyncio.timeout(TRIM_SECONDS):
                    await self._arrived.wait()
            except TimeoutError:
                await self._try(self._trim)

    async def _write_all(self) -> None:
        while self._waiting:
            if await self._try(self._write_batch):
                await self._try(self._shrink)
            else:
                await asyncio.sleep(RETRY_SECONDS)

    async def _write_batch(self) -> None:
        batch = [self._waiting[index] for index in range(min(WRITE_BATCH, len(self._waiting)))]
        secret = await self._secret_of_today()
        async with self._redis.pipeline(transaction=False) as pipe:
            for kind, entry, visitor in batch:
                line = encoded({**entry, "visitor": name_of(visitor, secret)})
                pipe.xadd(STREAM, {"kind": kind, "json": line}, minid=self._oldest(), approximate=False)
            pipe.xtrim(STREAM, maxlen=MOST_ENTRIES, approximate=True)
            pipe.expire(STREAM, self.days * DAY_SECONDS)
            await pipe.execute()
        for _ in batch:
            self._waiting.popleft()

    async def _shrink(self) -> None:
        size = await self._redis.memory_usage(STREAM) or 0
        if size > MOST_BYTES:
            entries = await self._redis.xlen(STREAM)
            await self._redis.xtrim(STREAM, maxlen=entries * MOST_BYTES // size, approximate=True)

    async def _trim(self) -> None:
        await self._redis.xtrim(STREAM, minid=self._oldest(), approximate=False)

    async def _try(self, work: Callable[[], Any]) -> bool:
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await work()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("question_log.not_written", reason=type(error).__name__, entries=len(self._waiting))
            return False
        return True

    async def _secret_of_today(self) -> bytes:
        """The same in all processes, and gone for good with the day."""
        today = datetime.now(UTC).date()
        day = today.isoformat()
        if self._secret[0] != day:
            fresh = secrets.token_hex(32)
            midnight = datetime.combine(today + timedelta(days=1), datetime.min.time(), UTC)
            known = await self._redis.set(NAMING_KEY + day, fresh, nx=True, get=True, exat=midnight)
            self._secret = (day, str(known or fresh).encode())
        return self._secret[1]

    def _oldest(self) -> str:
        """The smallest id of an entry that may still be kept."""
        return f"{round((time.time() - self.days * DAY_SECONDS) * 1000)}-0"

    # Reading

    async def read(
        self, kind: Kind, since: datetime | None = None, until: datetime | None = None, before: str | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Entries with their id, newest first: of a time, and before another entry. None leaves an end open.

        Raises DependencyDown if Redis does not answer.
        """
        first = self._oldest() if since is None else max(self._oldest(), _id_at(since), key=_order)
        last = f"({before}" if before else "+"
        if until is not None and (before is None or _order(before) > _order(_id_at(until))):
            last = f"({_id_at(until)}"
        while True:
            entries = await self._range(last, first)
            for id_, fields in entries:
                if fields["kind"] == kind:
                    yield {"id": id_, **json.loads(fields["json"])}
            if len(entries) < READ_BATCH:
                return
            last = f"({entries[-1][0]}"

    async def _range(self, last: str, first: str) -> Sequence[tuple[str, dict[str, str]]]:
        try:
            found: Any = await self._redis.xrevrange(STREAM, last, first, count=READ_BATCH)
        except (RedisError, OSError, TimeoutError) as error:
            raise DependencyDown("Redis does not answer, and the question log is there", retry_after=5) from error
        entries: Sequence[tuple[str, dict[str, str]]] = found
        return entries


def encoded(entry: Entry) -> bytes:
    """An entry as a line. What some readers take for a line's end stands in it as an escape."""
    text = json.dumps(entry, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return text.encode("utf-8", "replace") + b"\n"


def name_of(visitor: str, secret: bytes) -> str:
    """What one visitor is called for a day: nobody who has not got the day's secret can tell who that is."""
    return hmac.new(secret, visitor.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:NAME_CHARACTERS]


def _id_at(moment: datetime) -> str:
    return f"{max(0, round(moment.timestamp() * 1000))}-0"


def _order(id_: str) -> tuple[int, int]:
    milliseconds, _, sequence = id_.partition("-")
    return int(milliseconds), int(sequence or 0)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
