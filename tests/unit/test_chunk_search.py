"""Chunks that were read once are not read again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from shared import chunk_search
from shared.chunk_search import ChunkSearch
from shared.points import chunk_payload
from tests.passages import passage


class Reads:
    """Holds chunks by their id, and notes which were asked for."""

    def __init__(self, *texts: str) -> None:
        found = [passage(text).chunk for text in texts]
        self.stored = {chunk.id: chunk for chunk in found}
        self.asked: list[list[str]] = []

    async def ask(self, collection: str, what: str, body: Mapping[str, Any]) -> list[Any]:
        assert (what, body["with_payload"]) == ("points", True)
        self.asked.append(list(body["ids"]))
        return [{"id": id_, "payload": chunk_payload(self.stored[id_])} for id_ in body["ids"] if id_ in self.stored]


def searching(reads: Reads) -> ChunkSearch:
    return ChunkSearch(cast(Any, None), cast(Any, reads), "docs")


async def test_a_chunk_is_read_once() -> None:
    reads = Reads("one", "two", "three")
    one, two, three = reads.stored
    search = searching(reads)
    assert list(await search.chunks_by_id("docs-1", [one, two])) == [one, two]
    again = await search.chunks_by_id("docs-1", [three, two, one])
    assert [chunk.chunk.text for chunk in again.values()] == ["three", "two", "one"]
    assert reads.asked == [[one, two], [three]]


async def test_a_chunk_that_is_not_there_is_asked_for_again() -> None:
    reads = Reads("one")
    search = searching(reads)
    for _ in range(2):
        assert await search.chunks_by_id("docs-1", ["gone"]) == {}
    assert reads.asked == [["gone"], ["gone"]]


async def test_only_the_latest_chunks_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_search, "REMEMBERED", 2)
    reads = Reads("one", "two", "three")
    one, two, three = reads.stored
    search = searching(reads)
    assert len(await search.chunks_by_id("docs-1", [one, two, three])) == 3
    await search.chunks_by_id("docs-1", [two, three])
    await search.chunks_by_id("docs-1", [one])
    assert reads.asked == [[one, two, three], [one]]


async def test_a_chunk_that_others_push_out_meanwhile_is_found_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_search, "REMEMBERED", 2)
    reads = Reads("one", "two", "three", "four")
    one, two, three, four = reads.stored
    search = searching(reads)
    await search.chunks_by_id("docs-1", [one])
    ask = reads.ask

    async def ask_slowly(collection: str, what: str, body: Mapping[str, Any]) -> list[Any]:
        if two in body["ids"]:
            await search.chunks_by_id("docs-1", [three, four])
        return await ask(collection, what, body)

    monkeypatch.setattr(reads, "ask", ask_slowly)
    assert list(await search.chunks_by_id("docs-1", [one, two])) == [one, two]
