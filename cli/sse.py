"""Server-sent events out of a byte stream that may be cut anywhere."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator


async def read_data(parts: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The data of each event, one string an event. Comments and other fields are passed over.

    An event that the stream's end cuts short is dropped, as the standard says.
    """
    data: list[str] = []
    async for line in read_lines(parts):
        if not line:
            if data:
                yield "\n".join(data)
            data = []
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))


async def read_lines(parts: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Complete lines. Only a line feed ends one: answers may hold every other line end that Unicode has."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    async for part in parts:
        *lines, rest = (rest + decoder.decode(part)).split("\n")
        for line in lines:
            yield line.removesuffix("\r")
