"""What one answer has said, on its way to Redis: a list of entries `process:number:lines`.

Each entry says who runs the answer and the number of its first event, and has one line an event. The last line is a
mark for the end: of a good one, or of an answer that has failed or could not be kept.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from api.idempotency import EXPIRE, FREE

if TYPE_CHECKING:
    from api.journal import Journal

KEY_PREFIX: Final = "lectern:answer:"
#: After an answer's end.
KEPT_SECONDS: Final = 5 * 60
#: After the last write of an answer that goes on; models are given up long before.
RUNNING_SECONDS: Final = 15 * 60
#: Of one answer. The longest that models give take a quarter of it.
MOST_BYTES: Final = 256 * 1024
#: Batches that Redis may refuse in turn before an answer's journal is given up.
TRIES: Final = 20

#: How the data of a chunk begins. It is left out of the journal: most events are chunks, and most of one is this.
CHUNK: Final = b'{"type":"chunk","content":'
WHOLE, BROKEN = ".", "!"
_LAST: Final = ('{"type":"done"', '{"type":"error"')


@dataclass(frozen=True, slots=True)
class Kept:
    """An event as it was kept: its number, from 1, and its JSON."""

    number: int
    data: str

    @property
    def is_last(self) -> bool:
        return self.data.startswith(_LAST)


class Recording:
    """One answer's journal, as the process that runs it writes it."""

    def __init__(self, journal: Journal, claim: str = "") -> None:
        #: Random, because whoever knows it can read the answer.
        self.id = uuid4().hex
        #: Stands for the wish that this answers; "" where none was said, or where it is free for another try.
        self.claim = claim
        self._journal = journal
        self._lines: list[bytes] = []
        self._written = 0
        self._bytes = 0
        self._batch_bytes = 0
        self._tries = 0
        self._is_due = False
        #: Nobody can take it up any more, so that nothing of it is kept but that it is broken.
        self._is_lost = False
        #: None while it goes on; then whether it has come to a good end.
        self._good: bool | None = None

    @property
    def key(self) -> str:
        return KEY_PREFIX + self.id

    @property
    def mark(self) -> str:
        """What the claim holds while it is this answer's."""
        return f"{self._journal.process}-{self.id}"

    @property
    def has_news(self) -> bool:
        return bool(self._lines)

    @property
    def outlives_its_reader(self) -> bool:
        """Whether its client has said that it may come back, and there is room to let it go on until then."""
        return bool(self.claim) and not self._is_lost and self._journal.adopts

    def add(self, write: bytes) -> None:
        """Keep an event."""
        if self._is_lost:
            return
        self._lines.append(write)
        if not self._is_due:
            self._is_due = True
            # The first one at once: from then on a client knows the answer's id and may come back, anywhere.
            self._journal.schedule(self, at_once=not self._written)

    def close(self, *, whole: bool) -> None:
        """Nothing more is added. An answer that has failed leaves its wish free for another try."""
        last = self._lines[-1] if self._lines else b""
        self._good = whole and b'data: {"type":"error"' not in last
        self._lines.append(WHOLE.encode() if whole else BROKEN.encode())
        self._journal.schedule(self, at_once=True)

    def adopt(self, work: asyncio.Task[None]) -> None:
        """Let the answer go on without its reader."""
        self._journal.adopt(self, work)

    def put(self, pipe: Any) -> int:
        """Add what is not yet written to a batch. How many events that is."""
        self._is_due = False
        lines = list(map(_line_of, self._lines))
        entry = b"%s:%d:" % (self._journal.process.encode(), self._written + 1)
        self._batch_bytes = sum(map(len, lines))
        self._is_lost = self._is_lost or self._journal.is_full or self._bytes + self._batch_bytes > MOST_BYTES
        pipe.rpush(self.key, entry + (BROKEN.encode() if self._is_lost else b"\n".join(lines)))
        # Each time: a list that Redis has lost meanwhile begins anew, and without this would stay for good.
        pipe.expire(self.key, RUNNING_SECONDS if self._good is None else KEPT_SECONDS)
        if self.claim and (self._is_lost or self._good is not None):
            can_be_told = self._good and not self._is_lost
            # An answer that was stopped may have been asked for again before it came to its end here.
            if can_be_told:
                pipe.eval(EXPIRE, 1, self.claim, self.mark, KEPT_SECONDS)
            else:
                pipe.eval(FREE, 1, self.claim, self.mark)
        return len(lines)

    def settle(self, count: int, *, written: bool) -> None:
        """The first `count` events of the batch are written, or have to be tried again."""
        if written:
            del self._lines[:count]
            self._written += count
            self._bytes += self._batch_bytes
            self._tries = 0
            if self._is_lost:
                self.claim = ""
        else:
            self._tries += 1
            self._is_lost = self._is_lost or self._tries >= TRIES
            if not self._is_due and not self._is_lost:
                self._is_due = True
                self._journal.schedule(self, at_once=False)
        if self._is_lost:
            self._lines.clear()


def entry_of(entry: str) -> tuple[str, int, list[str]]:
    """Who has written an entry, the number of its first line, and its lines."""
    process, first, lines = entry.split(":", 2)
    return process, int(first), lines.split("\n")


def data_of(line: str) -> str:
    """An event's JSON, of the line that was kept of it."""
    return f"{CHUNK.decode()}{line}}}" if line.startswith('"') else line


def _line_of(write: bytes) -> bytes:
    """What is kept of an event's write: its JSON, of a chunk only the string. JSON holds no raw line end."""
    start = write.find(b"data: ")
    if start < 0:
        return write  # the mark of the end
    data = write[start + 6 : -2]
    return data[len(CHUNK) : -1] if data.startswith(CHUNK) else data
