"""Reads of Qdrant by the short way: what servers and the ways to them do wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from qdrant_client import models as q
from qdrant_client.http.exceptions import UnexpectedResponse

from shared.errors import ConfigurationError, DependencyDown
from shared.qdrant_reads import QdrantReads

FOUND = b'{"result":[{"id":1}],"status":"ok"}'
Reply = bytes | None


def reply(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


@asynccontextmanager
async def server(answer: Callable[[int], Reply]) -> AsyncIterator[tuple[QdrantReads, list[bytes]]]:
    """A server that answers its n-th request, counted from 1, with these bytes; None hangs up in place of an answer."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                requests.append(head + await reader.readexactly(length))
                said = answer(len(requests))
                if said is None:
                    return
                writer.write(said)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    reads = QdrantReads(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", "the key")
    try:
        yield reads, requests
    finally:
        await reads.close()
        listening.close()


async def test_a_read_is_one_request_with_the_key() -> None:
    async with server(lambda _: reply(FOUND)) as (reads, requests):
        assert await reads.ask("docs", "points", {"ids": ["a"], "filter": q.Filter(must=[])}) == [{"id": 1}]
    (request,) = requests
    assert request.startswith(b"POST /collections/docs/points HTTP/1.1\r\n")
    assert b"api-key: the key\r\n" in request
    assert request.endswith(b'\r\n\r\n{"ids":["a"],"filter":{"must":[]}}')


async def test_a_connection_that_the_server_has_let_go_is_no_failure() -> None:
    async with server(lambda number: None if number == 2 else reply(FOUND)) as (reads, requests):
        for _ in range(2):
            assert await reads.ask("docs", "points", {}) == [{"id": 1}]
    assert len(requests) == 3


async def test_a_server_that_hangs_up_each_time_does_not_answer() -> None:
    async with server(lambda _: None) as (reads, requests):
        with pytest.raises(DependencyDown, match="does not answer"):
            await reads.ask("docs", "points", {})
    assert len(requests) == 2


async def test_where_nobody_listens_nothing_answers() -> None:
    reads = QdrantReads("http://127.0.0.1:1")
    with pytest.raises(DependencyDown, match="does not answer"):
        await reads.ask("docs", "points", {})
    await reads.close()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (reply(b"<html>Welcome</html>"), "no Qdrant"),
        (reply(b"[1]"), "no Qdrant"),
        (reply(b'{"time":1}'), "no Qdrant"),
        (reply(b"{}", b"403 Forbidden"), "QDRANT_API_KEY"),
        (reply(b"busy", b"503 Service Unavailable"), "answered 503"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "no Qdrant"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not answer"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "no Qdrant"),
    ],
    ids=["a page", "another shape", "without a result", "a refused key", "busy", "nothing", "no HTTP", "elsewhere"],
)
async def test_what_is_no_answer_of_qdrant_is_told_as_what_it_is(said: bytes, told: str) -> None:
    async with server(lambda _: said) as (reads, _):
        with pytest.raises(DependencyDown, match=told):
            await reads.ask("docs", "points", {})


async def test_what_a_server_cannot_do_is_a_matter_of_the_settings_whoever_says_it() -> None:
    async with server(lambda _: reply(b"<html>Not here</html>", b"501 Not Implemented")) as (reads, _):
        with pytest.raises(ConfigurationError, match="no reason given"):
            await reads.ask("docs", "points", {})


async def test_a_refusal_is_told_with_its_status() -> None:
    async with server(lambda _: reply(b'{"status":{"error":"Not found"}}', b"404 Not Found")) as (reads, _):
        with pytest.raises(UnexpectedResponse) as raised:
            await reads.ask("docs", "points", {})
    assert raised.value.status_code == 404


async def test_an_address_without_a_port_means_qdrant_s_own() -> None:
    assert QdrantReads("http://qdrant")._base == "http://qdrant:6333"
    assert QdrantReads("http://qdrant:")._base == "http://qdrant:6333"
    assert QdrantReads("https://cluster.example/behind/")._base == "https://cluster.example:6333/behind"
