"""Server-sent events out of a byte stream that may be cut anywhere."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator
from typing import NamedTuple


class ServerSentEvent(NamedTuple):
    """One event of a stream."""

    #: As the event itself has it; "" without one.
    id: str
    data: str


async def read_events(parts: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
    """Each event that has data. Comments and other fields are passed over.

    An event that the stream's end cuts short is dropped, as the standard says.
    """
    id_ = ""
    data: list[str] = []
    async for line in read_lines(parts):
        if not line:
            if data:
                yield ServerSentEvent(id_, "\n".join(data))
            id_, data = "", []
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif line.startswith("id:"):
            id_ = line[3:].removeprefix(" ")


async def read_lines(parts: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Complete lines. Only a line feed ends one: answers may hold every other line end that Unicode has."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    async for part in parts:
        *lines, rest = (rest + decoder.decode(part)).split("\n")
        for line in lines:
            yield line.removesuffix("\r")
