"""Who answers when a chat model does not: a second try, another model, the passages; and who is no longer asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import cast

import pytest
from structlog.testing import capture_logs

from api.chat.breaker import LONG_PAUSE
from api.chat.chain import ModelChain, open_chat_model
from api.chat.events import Question
from api.chat.model import Ending, ExtractiveModel
from api.chat.openai_model import OpenAIChatModel
from api.chat.prompt import Message, Prompt, build_prompt
from shared.errors import AnswerTruncated, LecternError, ProviderUnavailable
from shared.services import Services
from shared.settings import load_settings
from tests.passages import passage, services_with
from tests.stand_in.control import Provider
from tests.stand_in.plan import step

#: A chat model behind an address needs none of them.
NO_SERVICES = cast(Services, None)
KEY = "sk-test-0123456789abcdef"
TEXT = "Drop the anchor over the bow in shallow water [1]."
MESSAGES = [Message("user", "Rewrite this.")]

Open = Callable[..., Awaitable[ModelChain]]


@pytest.fixture
async def opened(provider: Provider) -> AsyncIterator[Open]:
    """Opens chains that end with the last model's error, or with the passages."""
    chains: list[ModelChain] = []

    async def open_chain(
        *names: str, extracts: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> ModelChain:
        settings = load_settings(
            None, openai_base_url=provider.base_url, openai_api_key=KEY, openai_chat_model="first", model_timeout=1
        )
        models = [OpenAIChatModel(settings, name) for name in names or ("first",)]
        chains.append(ModelChain(models, ExtractiveModel() if extracts else None, clock))
        return chains[-1]

    yield open_chain
    for chain in chains:
        await chain.close()


@pytest.fixture
def prompt() -> Prompt:
    found = passage("Drop the anchor over the bow in shallow water. Then let out the chain.")
    return build_prompt(Question("Where do I drop the anchor?"), [found], 1000)


async def hear(model: ModelChain, prompt: Prompt, services: Services = NO_SERVICES) -> tuple[str, Ending]:
    parts = [part async for part in model.stream(prompt, services)]
    *words, ending = parts
    assert isinstance(ending, Ending)
    return "".join(cast(list[str], words)), ending


async def fail(model: ModelChain, prompt: Prompt) -> LecternError:
    with pytest.raises(LecternError) as raised:
        await hear(model, prompt)
    return raised.value


def asked(provider: Provider) -> list[str]:
    return [body["model"] for body in provider.stats().chat.bodies]


@pytest.mark.parametrize("behaviour", ["rate_limited", "server_error", "unavailable", "timeout", "reset_head"])
async def test_a_busy_provider_is_asked_once_more(
    behaviour: str, opened: Open, provider: Provider, prompt: Prompt
) -> None:
    model = await opened()
    provider.plan("chat", step(behaviour), step("ok", text=TEXT))
    assert (await hear(model, prompt))[0] == TEXT
    assert provider.stats().chat_requests == 2


async def test_a_provider_that_stays_busy_is_left_alone_after_the_second_time(
    opened: Open, provider: Provider, prompt: Prompt
) -> None:
    model = await opened()
    provider.fault("chat", "rate_limited")
    error = await fail(model, prompt)
    assert isinstance(error, ProviderUnavailable)
    assert error.retry_after
    assert provider.stats().chat_requests == 2


async def test_a_wait_that_the_provider_asks_for_is_kept_if_it_is_short(
    opened: Open, provider: Provider, prompt: Prompt
) -> None:
    model = await opened()
    provider.plan("chat", step("rate_limited", retry_after=1), step("ok", text=TEXT))
    await hear(model, prompt)
    first, second = provider.stats().chat.times
    assert second - first >= 1


@pytest.mark.parametrize("gemini", [False, True])
async def test_a_long_wait_is_the_visitor_s_to_make_and_meets_everybody(
    gemini: bool, opened: Open, provider: Provider, prompt: Prompt
) -> None:
    model = await opened()
    provider.fault("chat", "rate_limited", retry_after=30, gemini=gemini)
    error = await fail(model, prompt)
    assert isinstance(error, ProviderUnavailable)
    assert error.retry_after == 30
    later = await fail(model, prompt)
    assert later.retry_after is not None
    assert 28 < later.retry_after <= 30
    assert provider.stats().chat_requests == 1


async def test_nothing_is_asked_again_once_words_have_come(opened: Open, provider: Provider, prompt: Prompt) -> None:
    model = await opened("first", "second", extracts=True)
    provider.plan("chat", step("cut", text=TEXT), step("ok", text=TEXT))
    assert isinstance(await fail(model, prompt), AnswerTruncated)
    assert asked(provider) == ["first"]


@pytest.mark.parametrize(
    ("behaviour", "requests"),
    [("server_error", ["first", "first"]), ("unknown_model", ["first"]), ("forbidden", ["first"]),
     ("stall_head", ["first"]), ("bad_request", ["first"]), ("html", ["first"])],
)  # fmt: skip
async def test_the_second_model_stands_in_where_the_first_cannot_begin(
    behaviour: str, requests: list[str], opened: Open, provider: Provider, prompt: Prompt
) -> None:
    model = await opened("first", "second")
    provider.plan("chat", step(behaviour, times=len(requests)), step("ok", times=None, text=TEXT))
    text, ending = await hear(model, prompt)
    assert text == TEXT
    assert ending.model == "second"
    assert model.name == "first"
    assert asked(provider) == [*requests, "second"]


@pytest.mark.parametrize("behaviour", ["unauthorized", "quota"])
async def test_what_meets_the_whole_account_is_asked_once_and_then_not_for_a_while(
    behaviour: str, opened: Open, provider: Provider, prompt: Prompt
) -> None:
    model = await opened("first", "second")
    provider.fault("chat", behaviour)
    error = await fail(model, prompt)
    assert "OPENAI_API_KEY" in error.message
    later = await fail(model, prompt)
    assert later.retryable
    assert later.retry_after is not None
    assert LONG_PAUSE - 5 < later.retry_after <= LONG_PAUSE
    assert asked(provider) == ["first"]


async def test_a_question_that_is_refused_is_not_held_against_the_model(
    opened: Open, provider: Provider, prompt: Prompt
) -> None:
    model = await opened()
    provider.plan("chat", step("bad_request", times=5), step("ok", text=TEXT))
    for _ in range(5):
        await fail(model, prompt)
    assert (await hear(model, prompt))[0] == TEXT


async def test_after_failures_in_a_row_nobody_waits_for_another(
    opened: Open, provider: Provider, prompt: Prompt
) -> None:
    model = await opened()
    provider.fault("chat", "stall_head")
    for _ in range(3):
        await fail(model, prompt)
    began = time.monotonic()
    error = await fail(model, prompt)
    assert time.monotonic() - began < 0.1
    assert isinstance(error, ProviderUnavailable)
    assert error.retry_after
    assert provider.stats().chat_requests == 3


async def test_a_model_that_keeps_breaking_off_is_given_a_rest_too(
    opened: Open, provider: Provider, prompt: Prompt
) -> None:
    model = await opened(extracts=True)
    provider.fault("chat", "cut", text=TEXT)
    for _ in range(3):
        assert isinstance(await fail(model, prompt), AnswerTruncated)
    assert (await hear(model, prompt, services_with()))[1].model == "extractive"
    assert provider.stats().chat_requests == 3


async def test_without_a_model_that_can_answer_the_passages_do_and_say_who_they_are(
    opened: Open, provider: Provider, prompt: Prompt
) -> None:
    model = await opened("first", "second", extracts=True)
    provider.fault("chat", "server_error")
    with capture_logs() as logs:
        text, ending = await hear(model, prompt, services_with())
    assert "[1]" in text
    assert "over the bow" in text
    assert ending.model == "extractive"
    assert (ending.finish_reason, ending.prompt_tokens) == ("stop", 0)
    assert {line["model"] for line in logs if line["event"] == "chat_model.failed"} == {"first", "second"}
    assert KEY not in str(logs)


async def test_a_model_that_is_back_is_found_by_one_question(opened: Open, provider: Provider, prompt: Prompt) -> None:
    now = 1000.0
    model = await opened(extracts=True, clock=lambda: now)
    provider.plan("chat", step("unknown_model"), step("slow", seconds=0.5, text=TEXT), step("ok", text=TEXT))
    for _ in range(2):
        assert (await hear(model, prompt, services_with()))[1].model == "extractive"
    now += LONG_PAUSE
    probe = asyncio.create_task(hear(model, prompt, services_with()))
    await asyncio.to_thread(provider.wait_until, lambda stats: stats.open_streams == 1)
    assert (await hear(model, prompt, services_with()))[1].model == "extractive"
    assert (await probe)[1].model == "first"
    assert (await hear(model, prompt, services_with()))[1].model == "first"
    assert provider.stats().chat_requests == 3


async def test_a_visitor_who_leaves_is_no_failure(opened: Open, provider: Provider, prompt: Prompt) -> None:
    model = await opened()
    provider.fault("chat", "slow_tokens", seconds=0.05, text=TEXT)
    for _ in range(4):
        async with aclosing(model.stream(prompt, NO_SERVICES)) as parts:
            await anext(parts)
    stats = await asyncio.to_thread(provider.wait_until, lambda now: len(now.chat.left_early) == 4)
    assert stats.open_streams == 0
    assert (await hear(model, prompt))[0] == TEXT


async def test_a_short_reply_is_nothing_rather_than_an_error(opened: Open, provider: Provider) -> None:
    model = await opened()
    provider.plan("chat", step("server_error"), step("stall_head"), step("ok", text="Rewritten."))
    assert await model.complete(MESSAGES, 20, seconds=1) is None
    assert await model.complete(MESSAGES, 20, seconds=0.2) is None
    assert await model.complete(MESSAGES, 20, seconds=1) == "Rewritten."
    provider.fault("chat", "unauthorized")
    assert await model.complete(MESSAGES, 20, seconds=1) is None
    assert await model.complete(MESSAGES, 20, seconds=1) is None
    assert provider.stats().chat_requests == 4


async def test_the_settings_name_the_models_and_without_one_the_passages_answer(provider: Provider) -> None:
    assert isinstance(open_chat_model(load_settings(None)), ExtractiveModel)
    settings = load_settings(
        None, openai_base_url=provider.base_url, openai_chat_model="first", fallback_model="second"
    )
    model = open_chat_model(settings)
    provider.plan("chat", step("unknown_model"), step("ok", text=TEXT))
    assert isinstance(model, ModelChain)
    assert model.name == "first"
    assert await model.complete(MESSAGES, 20, seconds=1) is None
    assert await model.complete(MESSAGES, 20, seconds=1) == TEXT
    assert asked(provider) == ["first", "second"]
    await model.close()
