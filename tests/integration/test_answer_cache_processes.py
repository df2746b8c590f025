"""Equal questions at several API processes at once: one of them asks the model, and the others have its answer."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle, islice
from typing import Any
from uuid import uuid4

import httpx
import pytest

from shared.services import open_services
from tests import by_hand
from tests.http_api import ADMIN, settings_on
from tests.processes import Api, running_api
from tests.stand_in.fixtures import Provider
from tests.stand_in.plan import Step
from tests.stores import Stores

QUESTION = "How do I install the program?"
ANSWER = "Install it with make [1]. "
#: Seconds, for a machine that runs other tests beside.
PATIENCE = 30


@pytest.fixture(scope="module")
def apis(stores: Stores, provider_server: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Api]]:
    """Three processes on one index."""
    folder = tmp_path_factory.mktemp("three")
    docs = folder / "docs"
    docs.mkdir()
    (docs / "install.md").write_text("# Install\n\nInstall the program with the command make.\n", encoding="utf-8")
    variables = {
        # A database of its own: other tests flush theirs.
        **stores.environment, "REDIS_URL": stores.redis_url.removesuffix("/0") + "/8",
        "QDRANT_COLLECTION_NAME": f"test-{uuid4().hex[:8]}", "CONTENT_ROOT": str(docs), "RATE_LIMIT_REQUESTS": "10000",
        "OPENAI_BASE_URL": provider_server.base_url, "OPENAI_EMBEDDING_MODEL": "stand-in", "CHAT_MODEL": "stand-in",
        "ANSWER_CACHE_MINUTES": "60",
    }  # fmt: skip
    settings = settings_on(
        stores, redis_url=variables["REDIS_URL"], collection=variables["QDRANT_COLLECTION_NAME"], content_root=docs,
        openai_base_url=provider_server.base_url, openai_embedding_model="stand-in",
    )  # fmt: skip

    async def ingest() -> None:
        async with open_services(settings) as services:
            await by_hand.ingest(by_hand.by_hand(services)[0])

    asyncio.run(ingest())
    with ExitStack() as stack:
        yield [stack.enter_context(running_api(folder, variables)) for _ in range(3)]


def ask(api: Api, question: str) -> list[dict[str, Any]]:
    """The events of an answer, over a connection of its own."""
    with httpx.stream(
        "POST", f"{api.client.base_url}/chat", json={"question": question}, timeout=PATIENCE, trust_env=False
    ) as response:
        return [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]


def final_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    return next(event for event in events if event["type"] == "final")


def test_fifty_equal_questions_at_three_processes_make_one_request_to_the_model(
    apis: list[Api], provider: Provider
) -> None:
    provider.fault("chat", "slow_tokens", seconds=0.1, text=ANSWER * 3)
    before = len(logged(apis[0]))
    with ThreadPoolExecutor(max_workers=50) as pool:
        heard = list(pool.map(lambda api: ask(api, QUESTION), islice(cycle(apis), 50)))
    finals = [final_of(events) for events in heard]
    assert provider.stats().chat_requests == 1
    assert len({final["answer"] for final in finals}) == 1
    assert all(events[-1]["type"] == "done" for events in heard)
    assert [final["cached"] for final in finals].count(False) == 1
    assert len({json.dumps(final["sources"]) for final in finals}) == 1

    deadline = time.monotonic() + PATIENCE
    while len(entries := logged(apis[0])) < before + 50:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [entry["cached"] for entry in entries[:50]].count(False) == 1


def logged(api: Api) -> list[dict[str, Any]]:
    reply = api.client.get("/questions", params={"limit": 1000}, headers=ADMIN)
    found: list[dict[str, Any]] = reply.json()["questions"]
    return found


def test_a_process_that_is_killed_amid_an_answer_leaves_nobody_waiting(apis: list[Api], provider: Provider) -> None:
    *others, victim = apis
    question = "Which command do I install the program with?"
    provider.plan(
        "chat",
        Step("slow_tokens", 1, {"seconds": 1, "text": ANSWER * 20}),
        # What the passages do not bear out would not be kept, and each process would ask for itself.
        Step("slow_tokens", None, {"seconds": 0.1, "text": ANSWER}),
    )
    with ThreadPoolExecutor(max_workers=9) as pool:
        lost = pool.submit(ask, victim, question)
        provider.wait_until(lambda stats: stats.chat_requests == 1, PATIENCE)
        waiting: list[Future[list[dict[str, Any]]]] = [pool.submit(ask, api, question) for api in others * 4]
        time.sleep(1)
        assert provider.stats().chat_requests == 1
        victim.process.send_signal(signal.SIGKILL)
        since = time.monotonic()
        heard = [future.result(PATIENCE) for future in waiting]
        assert time.monotonic() - since < 15
        with pytest.raises(httpx.HTTPError):
            lost.result(PATIENCE)
    assert all(events[-1]["type"] == "done" for events in heard)
    assert provider.stats().chat_requests == 2
