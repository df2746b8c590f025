"""What cosines are worth in a release is measured once, beside the visitors, and kept for other processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

from redis.exceptions import ConnectionError as RedisDown

from api.chat.calibration import (
    LEAST_SPREAD,
    LENIENCY,
    USUAL,
    Asked,
    Calibration,
    Calibrations,
    calibrated,
    measure,
    own_questions,
)
from api.chat.scores import LEAST_SUBJECT
from api.chat.unrelated import UNRELATED
from shared.errors import DependencyDown
from shared.models import Passage, Release, SparseVector, StoredChunk, Vector
from shared.services import Services
from tests.passages import BM25, RELEASE, FakeReleases, FakeStore, passage, services_with

HEADINGS = [
    f"{first} {second}" for first in ("Sail", "Engine", "Anchor", "Rope") for second in ("care", "parts", "use")
]
PAGES = [
    passage(f"The {heading.lower()} of vessel number {place} needs skill, patience, {place} hands and calm weather.",
            heading=heading, path=f"{place}.md")
    for place, heading in enumerate(HEADINGS)
]  # fmt: skip


class Index(FakeStore):
    """A release whose own questions have cosines around .85, and all others around .74, as some models have it."""

    def __init__(self, down: int = 0) -> None:
        super().__init__({})
        self.down = down
        self.samples = 0
        self.searches = 0

    async def sample(self, collection: str, release: int, size: int) -> list[StoredChunk]:
        if self.down:
            self.down -= 1
            raise DependencyDown("Qdrant does not answer", retry_after=1)
        self.samples += 1
        return [page.chunk for page in PAGES][:size]

    async def search(
        self, collection: str, release: int, dense: Vector | None, sparse: SparseVector, limit: int
    ) -> list[Passage]:
        self.searches += 1
        words = set(sparse.indices)
        shared = [len(words.intersection(BM25.encode_query(page.chunk.chunk.embedded_text).indices)) for page in PAGES]
        ranked = sorted(zip(shared, PAGES, strict=True), key=lambda pair: -pair[0])
        return [replace(page, cosine=0.85 if count else 0.74) for count, page in ranked][:limit]


class Shelf:
    """As much of Redis as is needed."""

    def __init__(self, down: bool = False) -> None:
        self.down = down
        self.kept: dict[str, str] = {}

    async def get(self, key: str) -> str | None:
        if self.down:
            raise RedisDown("refused")
        return self.kept.get(key)

    async def set(self, key: str, value: str, *, nx: bool = False, ex: int = 0) -> bool | None:
        assert ex > 0, "whatever is kept must go some day"
        if self.down:
            raise RedisDown("refused")
        if nx and key in self.kept:
            return None
        self.kept[key] = value
        return True


def services(index: Index | None = None, shelf: Shelf | None = None, live: Release | None = RELEASE) -> Services:
    store = cast(Any, index or Index())
    return replace(services_with(store, releases=FakeReleases(live)), redis=cast(Any, shelf or Shelf()))


@asynccontextmanager
async def keeping(known: Calibrations, running: Services) -> AsyncIterator[None]:
    task = asyncio.create_task(known.keep(running))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_measured(known: Calibrations, release: Release = RELEASE) -> Calibration:
    async with asyncio.timeout(20):
        while known.of(release) == USUAL:
            await asyncio.sleep(0.01)
    return known.of(release)


def asked(cosines: Sequence[float], question: str = "What is reefing?") -> list[Asked]:
    return [Asked(question, (passage("Reefing is done early.", heading="Reefing", cosine=each),)) for each in cosines]


def test_the_scale_goes_from_unrelated_questions_to_the_release_s_own() -> None:
    found = calibrated(asked([0.8, 0.85, 0.9]), asked([0.7, 0.72, 0.8], "Who sings?"), BM25)
    assert (found.far, found.near) == (0.72, 0.85)
    assert found.meaning(0.72) == 0
    assert found.meaning(0.85) == 1
    assert found.least == LEAST_SUBJECT


def test_a_release_s_own_questions_are_not_refused_but_for_a_few() -> None:
    hard = [*asked([0.8] * 9), *asked([0.4] * 3, "Which halyards fray?")]
    found = calibrated(hard, asked([0.5] * 5, "Who sings?"), BM25)
    assert LEAST_SUBJECT - LENIENCY <= found.least < LEAST_SUBJECT


def test_neither_all_nor_nothing_is_ever_refused() -> None:
    same = calibrated(asked([0.5] * 12), asked([0.5] * 12), BM25)
    assert same.near - same.far >= LEAST_SPREAD
    upside_down = calibrated(asked([0.2] * 12, "Which halyards fray?"), asked([0.9] * 12), BM25)
    assert upside_down.near > upside_down.far
    assert upside_down.least == LEAST_SUBJECT - LENIENCY


def test_own_questions_speak_of_headings_and_of_passages_words() -> None:
    questions = own_questions([page.chunk.chunk for page in PAGES], BM25, seed=1)
    assert questions == own_questions([page.chunk.chunk for page in PAGES], BM25, seed=1)
    assert questions[0] == "What is Sail care?"
    assert questions[1].startswith("Sail parts: ")
    assert own_questions([passage("...").chunk.chunk], BM25, seed=1) == []


async def test_a_model_whose_cosines_all_lie_above_seven_tenths_is_measured_like_any_other() -> None:
    found = await measure(RELEASE, services())
    assert (found.far, found.near) == (0.74, 0.85)


async def test_a_release_of_another_model_or_of_few_passages_is_not_measured() -> None:
    assert await measure(RELEASE, services_with(FakeStore({}, model="other"))) == USUAL
    index = Index()
    index.sample = lambda *_: asyncio.sleep(0, [PAGES[0].chunk])  # type: ignore[method-assign]
    assert await measure(RELEASE, services(index)) == USUAL


async def test_visitors_never_wait_and_are_judged_by_what_is_known_until_then() -> None:
    known, shelf = Calibrations(), Shelf()
    assert known.of(RELEASE) == USUAL
    async with keeping(known, services(shelf=shelf)):
        first = await until_measured(known)
        following = replace(RELEASE, number=2)
        assert known.of(following) == first, "the release before serves until the new one is measured"
        async with asyncio.timeout(20):
            while not any(":docs:2:" in key and "claim" not in key for key in shelf.kept):
                await asyncio.sleep(0.01)


async def test_another_process_reads_what_was_measured() -> None:
    shelf, index = Shelf(), Index()
    async with keeping(known := Calibrations(), services(shelf=shelf)):
        found = await until_measured(known)
    (kept,) = (json.loads(value) for key, value in shelf.kept.items() if not key.endswith(":claim"))
    assert kept == {"far": found.far, "near": found.near, "least": found.least}
    async with keeping(other := Calibrations(), services(index, shelf)):
        assert await until_measured(other) == found
    assert index.samples == 0


async def test_one_process_measures_at_a_time() -> None:
    shelf, index = Shelf(), Index()
    shelf.kept["lectern:calibration:1:docs:1:fake:claim"] = "1"
    async with keeping(known := Calibrations(), services(index, shelf)):
        await asyncio.sleep(0.2)
        assert known.of(RELEASE) == USUAL
    assert index.samples == 0


async def test_without_redis_each_process_measures_for_itself() -> None:
    async with keeping(known := Calibrations(), services(shelf=Shelf(down=True))):
        assert (await until_measured(known)).near == 0.85


async def test_a_measurement_that_fails_is_made_again(monkeypatch: Any) -> None:
    monkeypatch.setattr("api.chat.calibration.TICK", 0.05)
    monkeypatch.setattr("api.chat.calibration.CLAIM_SECONDS", 1)
    async with keeping(known := Calibrations(), services(Index(down=2), Shelf(down=True))):
        assert (await until_measured(known)).near == 0.85


async def test_measuring_costs_a_bounded_number_of_searches() -> None:
    index = Index()
    await measure(RELEASE, services(index))
    assert index.searches <= len(PAGES) + len(UNRELATED)
