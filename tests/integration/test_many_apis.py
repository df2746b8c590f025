"""Two API processes on the same stores are one service: nothing that a visitor sees depends on which one answers."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from shared.models import Job
from shared.reconcile import RING_SECONDS, TICK_SECONDS
from shared.services import open_services
from shared.settings import Settings
from tests import by_hand
from tests.http_api import settings_on
from tests.processes import Api, running_api
from tests.stand_in.fixtures import Provider
from tests.stores import Stores
from tests.system import until

#: Requests a minute of one visitor: enough for each of these tests, and soon used up by the one about limits.
LIMIT = 30
#: For a machine that runs other tests beside.
PATIENCE = 20


@dataclass(frozen=True, slots=True)
class Two:
    """Two API processes, and what they and the test have in common."""

    one: Api
    other: Api
    settings: Settings
    variables: dict[str, str]
    docs: Path

    @property
    def both(self) -> tuple[Api, Api]:
        return (self.one, self.other)

    def ingest_by_hand(self) -> Job:
        """Index the docs without a worker process."""
        return asyncio.run(self._ingest())

    async def _ingest(self) -> Job:
        async with open_services(self.settings) as services:
            return await by_hand.ingest(by_hand.by_hand(services)[0])


@pytest.fixture(scope="module")
def two(stores: Stores, provider_server: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("two")
    docs = folder / "docs"
    docs.mkdir()
    (docs / "install.md").write_text("# Install\n\nInstall the program with the command make.\n", encoding="utf-8")
    variables = {
        # A database of its own: no message of another test waits in its queue.
        **stores.environment, "REDIS_URL": stores.redis_url.removesuffix("/0") + "/7",
        "QDRANT_COLLECTION_NAME": f"test-{uuid4().hex[:8]}", "CONTENT_ROOT": str(docs),
        "OPENAI_BASE_URL": provider_server.base_url, "OPENAI_EMBEDDING_MODEL": "stand-in", "CHAT_MODEL": "stand-in",
        "RATE_LIMIT_REQUESTS": str(LIMIT), "TRUSTED_PROXIES": "127.0.0.0/8",
    }  # fmt: skip
    settings = settings_on(
        stores, redis_url=variables["REDIS_URL"], collection=variables["QDRANT_COLLECTION_NAME"], content_root=docs,
        openai_base_url=provider_server.base_url, openai_embedding_model="stand-in",
    )  # fmt: skip
    with ExitStack() as stack:
        one, other = (stack.enter_context(running_api(folder, variables)) for _ in range(2))
        running = Two(one, other, settings, variables, docs)
        running.ingest_by_hand()
        yield running


def visitor() -> dict[str, str]:
    """The header that makes a request one of another visitor's."""
    return {"X-Forwarded-For": f"2001:db8:{uuid4().hex[:4]}::1"}


def test_a_conversation_that_began_at_one_goes_on_at_the_other(two: Two, provider: Provider) -> None:
    two.one.ask("How do I install the program?", browser="b1")
    assert two.other.remembered("b1") == 1
    two.other.ask("And which command is that?", browser="b1")
    assert [api.remembered("b1") for api in two.both] == [2, 2]


def test_the_rate_limit_is_one_budget(two: Two) -> None:
    headers = visitor()
    replies = [api.client.get("/nowhere", headers=headers) for api in islice(cycle(two.both), LIMIT + 2)]
    assert [reply.status_code for reply in replies] == [404] * LIMIT + [429] * 2


def test_an_idempotency_key_that_is_used_at_both_at_once_makes_one_job(two: Two) -> None:
    before = len(two.one.jobs())
    made: set[str] = set()
    for key in [uuid4().hex for _ in range(3)]:
        for _ in range(2):  # a job that has succeeded keeps its key
            with ThreadPoolExecutor(max_workers=2) as pool:
                first, second = pool.map(lambda api, key=key: api.ingest(**{"Idempotency-Key": key}), two.both)
            assert first == second
            finish_by_hand(two, [first])
        made.add(first)
    assert len(made) == 3
    assert [len(api.jobs()) for api in two.both] == [before + 3] * 2


def test_what_is_asked_for_at_both_at_once_is_one_job(two: Two) -> None:
    with ThreadPoolExecutor(max_workers=10) as pool:
        made = set(pool.map(lambda api: api.ingest(), islice(cycle(two.both), 20)))
    assert len(made) == 1
    finish_by_hand(two, list(made))


def test_a_release_is_seen_by_both_as_soon_as_it_is_published(two: Two, provider: Provider) -> None:
    (two.docs / "remove.md").write_text("# Remove\n\nRemove the program with the zebra command.\n", encoding="utf-8")
    job = two.ingest_by_hand()
    assert [api.client.get("/health").json()["release"] for api in two.both] == [job.release] * 2
    found = [api.client.get("/search", params={"q": "zebra command"}).json()["results"][0] for api in two.both]
    assert found[0] == found[1]
    assert "zebra" in json.dumps(found[0])


def test_both_together_ring_for_a_job_no_more_often_than_one_would(two: Two) -> None:
    queue = redis.Redis.from_url(two.variables["REDIS_URL"])
    queue.delete("lectern:ingest")
    job = asyncio.run(create_job(two.settings))
    rung: list[float] = []

    def note() -> bool:
        if queue.lpop("lectern:ingest") is not None:
            rung.append(time.monotonic())
        return len(rung) == 3

    until(note, 3 * (RING_SECONDS + TICK_SECONDS) + PATIENCE, every=0.02)
    finish_by_hand(two, [job.id])
    queue.close()
    # The message is sent a moment after the interval has begun, and seen up to a moment later.
    assert min(after - before for before, after in pairwise(rung)) > RING_SECONDS - 0.5


def test_one_that_is_told_to_stop_ends_its_streams_and_the_other_answers_on(
    two: Two, provider: Provider, tmp_path: Path
) -> None:
    provider.fault("chat", "slow_tokens", seconds=0.2, text="word " * 200)
    with running_api(tmp_path, two.variables) as third:
        events: list[dict[str, Any]] = []
        question = {"question": "How do I install the program?"}
        with third.client.stream("POST", "/chat", json=question, headers=visitor()) as response:
            for line in response.iter_lines():
                if line.startswith("data: "):
                    events.append(json.loads(line[6:]))
                    if len(events) == 3:
                        third.process.send_signal(signal.SIGTERM)
        assert (events[-1]["type"], events[-1]["code"]) == ("error", "RESTARTING")
        provider.reset()
        assert two.other.ask(question["question"])[-1]["type"] == "done"
        assert third.process.wait(PATIENCE) is not None


async def create_job(settings: Settings) -> Job:
    """A job that nobody was told of."""
    async with open_services(settings) as services:
        return await services.jobs.create(".", force=False)


def finish_by_hand(two: Two, jobs: list[str]) -> None:
    """Bring jobs to their end as a worker would, so that they do not stand in the way of the next test."""

    async def finish() -> None:
        async with open_services(two.settings) as services:
            ours, queue, _ = by_hand.by_hand(services)
            for job in jobs:
                await queue.plan(job, ".")
                await by_hand.deliver_all(ours)
            assert [(await ours.jobs.get(job)).state.terminal for job in jobs] == [True] * len(jobs)

    asyncio.run(finish())
