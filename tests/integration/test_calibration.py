"""A real index is measured: what is sampled, what comes out, and who else gets to read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.chat.calibration import USUAL, Calibrations, Shelf, measure
from shared.models import Release
from shared.services import Services
from shared.tasks import cancelled
from tests.by_hand import by_hand, ingest
from tests.conftest import OpenServices

THINGS = ("anchor", "engine", "rudder", "mast", "keel", "galley")
TASKS = ("cleaning", "painting", "storing", "buying")


@pytest.fixture
async def services(opened: OpenServices, tmp_path: Path) -> AsyncIterator[Services]:
    docs = tmp_path / "docs"
    docs.mkdir()
    for thing in THINGS:
        sections = [
            f"## {task.title()} the {thing}\n\nBefore {task} the {thing}, moor the boat in calm water and read the "
            f"manual of the {thing} from its first page to its last. Then let somebody help you with the {thing}.\n"
            for task in TASKS
        ]
        (docs / f"{thing}.md").write_text(f"# The {thing}\n\n" + "\n".join(sections))
    async with opened(site_url="https://boat.example", min_chunk_size=0) as running:
        job = await ingest(by_hand(running)[0])
        assert job.state == "succeeded", job.reason
        yield running


async def live(services: Services) -> Release:
    release = await services.releases.live()
    assert release is not None
    return release


async def test_a_sample_is_of_the_release_s_chunks_from_all_over_and_the_same_each_time(services: Services) -> None:
    release = await live(services)
    whole = await services.store.sample(release.collection, release.number, 1000)
    assert {chunk.chunk.path for chunk in whole} == {f"{thing}.md" for thing in THINGS}
    assert len(whole) == len({chunk.id for chunk in whole}) == release.chunks
    some = await services.store.sample(release.collection, release.number, 8)
    assert len(some) == 8
    assert some == await services.store.sample(release.collection, release.number, 8)
    assert await services.store.sample(release.collection, release.number - 1, 8) == []


async def test_a_release_is_measured_once_for_all_processes_and_again_when_redis_forgets(services: Services) -> None:
    release = await live(services)
    found = await measure(release, services)
    assert -0.1 < found.far < 0.4 < found.near < 0.9
    known = Calibrations()
    keeping = asyncio.create_task(known.keep(services))
    try:
        async with asyncio.timeout(30):
            while known.of(release) == USUAL:
                await asyncio.sleep(0.05)
    finally:
        await cancelled(keeping)
    shelf = Shelf(services, release)
    assert await shelf.read() == known.of(release) == found
    await services.redis.flushall()
    assert await shelf.read() is None
    assert await shelf.claim()
    assert not await shelf.claim(), "one process at a time"
