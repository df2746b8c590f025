"""A stream may be cut anywhere; what the API said comes out whole."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from cli.sse import ServerSentEvent, read_events


async def parts(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def read(data: bytes, size: int = 10_000) -> list[str]:
    return [event.data async for event in read_events(parts(data, size))]


STREAM = 'data: {"a":"Grüße 🛶"}\n\n: ping\n\ndata: two\n\n'.encode()


@pytest.mark.parametrize("size", range(1, len(STREAM) + 1))
async def test_a_stream_cut_at_any_byte_gives_the_same_events(size: int) -> None:
    assert await read(STREAM, size) == ['{"a":"Grüße 🛶"}', "two"]


async def test_line_ends_of_windows_and_several_data_lines_are_one_event() -> None:
    assert await read(b"data: one\r\ndata:two\r\n\r\n") == ["one\ntwo"]


async def test_line_ends_that_only_unicode_knows_do_not_cut_an_event() -> None:
    text = "a\u2028b\x85c\x0cd\u2029e"
    assert await read(f"data: {text}\n\n".encode()) == [text]


async def test_other_fields_and_heartbeats_are_no_events() -> None:
    assert await read(b": ping\n\nevent: x\nid: 7\nretry: 10\n\ndata: y\n\n") == ["y"]


async def test_an_event_without_its_blank_line_is_not_reported() -> None:
    assert await read(b"data: whole\n\ndata: half") == ["whole"]


async def test_an_id_belongs_to_its_own_event_alone() -> None:
    stream = b"id: a-1\ndata: x\n\ndata: y\n\nid: a-2\n\ndata: z\nid:a-3\r\n\n"
    found = [event async for event in read_events(parts(stream, 3))]
    assert found == [ServerSentEvent("a-1", "x"), ServerSentEvent("", "y"), ServerSentEvent("a-3", "z")]
