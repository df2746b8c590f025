"""What the chat model makes of a provider that refuses, breaks off, stalls or babbles, over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, cast

import pytest

from api.chat.events import Question
from api.chat.model import Ending, OpenAIChatModel, open_chat_model
from api.chat.prompt import Prompt, build_prompt
from shared.errors import AnswerTruncated, LecternError, ProviderError, ProviderMalformed, ProviderUnavailable
from shared.services import Services
from shared.settings import load_settings
from tests.passages import passage
from tests.stand_in.control import Provider
from tests.stand_in.plan import step

#: The chat model behind an address needs none of them.
NO_SERVICES = cast(Services, None)
KEY = "sk-test-0123456789abcdef"
TEXT = "Drop the anchor over the bow in shallow water [1]."

Heard = tuple[list[str], Ending]


@pytest.fixture
async def model(provider: Provider) -> AsyncIterator[OpenAIChatModel]:
    settings = load_settings(
        None, openai_base_url=provider.base_url, openai_api_key=KEY, openai_chat_model="stand-in", model_timeout=1
    )
    opened = open_chat_model(settings)
    assert isinstance(opened, OpenAIChatModel)
    yield opened
    await opened.close()


@pytest.fixture
def prompt() -> Prompt:
    return build_prompt(Question("Where do I drop the anchor?"), [passage("Drop it over the bow.")], 1000)


async def hear(model: OpenAIChatModel, prompt: Prompt) -> Heard:
    parts = [part async for part in model.stream(prompt, NO_SERVICES)]
    *words, ending = parts
    assert isinstance(ending, Ending)
    assert all(isinstance(word, str) for word in words)
    return cast(list[str], words), ending


async def fail(model: OpenAIChatModel, prompt: Prompt) -> tuple[str, LecternError]:
    """What was heard before the error, and the error."""
    heard = ""
    try:
        async for part in model.stream(prompt, NO_SERVICES):
            assert isinstance(part, str)
            heard += part
    except LecternError as error:
        return heard, error
    raise AssertionError(f"no error after {heard!r}")


async def test_words_come_as_they_are_written_and_the_request_has_only_fields_that_every_provider_takes(
    model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", "ok", text=TEXT)
    words, ending = await hear(model, prompt)
    assert "".join(words) == TEXT
    assert ending == Ending("stop")
    (body,) = provider.stats().chat.bodies
    assert set(body) == {"model", "messages", "stream", "max_tokens"}
    assert body["model"] == "stand-in"
    assert body["max_tokens"] == prompt.answer_tokens
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert provider.stats().chat.authorizations == [f"Bearer {KEY}"]


@pytest.mark.parametrize("behaviour", ["odd_framing", "null_content", "role_only", "empty_choices", "silent_end"])
async def test_odd_but_lawful_streams_are_read_whole(
    behaviour: str, model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", behaviour, text=TEXT)
    began = time.monotonic()
    words, ending = await hear(model, prompt)
    assert "".join(words) == TEXT
    assert ending.finish_reason == "stop"
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_the_reason_for_the_end_is_passed_on(
    reason: str, model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", "finish", reason=reason, text=TEXT)
    words, ending = await hear(model, prompt)
    assert "".join(words) == TEXT
    assert ending.finish_reason == reason


async def test_an_empty_reason_before_done_counts_as_stop(
    model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", "finish", reason="", text=TEXT)
    assert (await hear(model, prompt))[1].finish_reason == "stop"


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ("cut", AnswerTruncated),
        ("reset", AnswerTruncated),
        ("stall", ProviderUnavailable),
        ("error_mid_stream", ProviderUnavailable),
        ("bad_json", ProviderMalformed),
        ("huge_line", ProviderMalformed),
    ],
)
async def test_a_stream_that_breaks_after_words_is_never_taken_for_a_whole_answer(
    behaviour: str, kind: type[LecternError], model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", behaviour, text=TEXT)
    began = time.monotonic()
    heard, error = await fail(model, prompt)
    assert TEXT.startswith(heard)
    assert type(error) is kind
    assert time.monotonic() - began < 3
    stats = await asyncio.to_thread(provider.wait_until, lambda now: now.open_streams == 0)
    assert stats.chat_requests == 1


async def test_a_stalled_provider_is_named_so(model: OpenAIChatModel, provider: Provider, prompt: Prompt) -> None:
    provider.fault("chat", "stall_head")
    began = time.monotonic()
    _, error = await fail(model, prompt)
    assert isinstance(error, ProviderUnavailable)
    assert "stalled" in error.message
    assert error.retry_after
    assert 0.4 < time.monotonic() - began < 2
    assert provider.stats().chat_requests == 1


@pytest.mark.parametrize(
    ("behaviour", "mend"),
    [
        ("unauthorized", "OPENAI_API_KEY"),
        ("forbidden", "OPENAI_API_KEY"),
        ("unknown_model", "CHAT_MODEL"),
        ("quota", "OPENAI_API_KEY"),
        ("redirect", "OPENAI_BASE_URL"),
        ("html", "OPENAI_BASE_URL"),
    ],
)
async def test_a_refusal_for_good_is_asked_once_and_names_what_to_mend(
    behaviour: str, mend: str, model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", behaviour, to=f"http://127.0.0.1:{provider.port}/elsewhere")
    heard, error = await fail(model, prompt)
    assert heard == ""
    assert isinstance(error, ProviderError)
    assert not error.retryable
    assert mend in error.message
    assert KEY not in f"{error!r}{error.__cause__!r}"
    assert provider.stats().chat_requests == 1


@pytest.mark.parametrize("behaviour", ["rate_limited", "server_error", "unavailable", "timeout"])
async def test_a_busy_provider_is_asked_once_more(
    behaviour: str, model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.plan("chat", step(behaviour), step("ok", text=TEXT))
    assert "".join((await hear(model, prompt))[0]) == TEXT
    assert provider.stats().chat_requests == 2


async def test_a_provider_that_stays_busy_is_left_alone_after_the_second_time(
    model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", "rate_limited")
    _, error = await fail(model, prompt)
    assert isinstance(error, ProviderUnavailable)
    assert error.retry_after
    assert provider.stats().chat_requests == 2


async def test_a_wait_that_the_provider_asks_for_is_kept_if_it_is_short(
    model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.plan("chat", step("rate_limited", retry_after=1), step("ok", text=TEXT))
    await hear(model, prompt)
    first, second = provider.stats().chat.times
    assert second - first >= 1


@pytest.mark.parametrize("gemini", [False, True])
async def test_a_long_wait_is_the_visitor_s_to_make(
    gemini: bool, model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", "rate_limited", retry_after=30, gemini=gemini)
    _, error = await fail(model, prompt)
    assert isinstance(error, ProviderUnavailable)
    assert error.retry_after == 30
    assert provider.stats().chat_requests == 1


async def test_nothing_is_asked_again_once_words_have_come(
    model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.plan("chat", step("error_mid_stream", text=TEXT), step("ok", text=TEXT))
    heard, _ = await fail(model, prompt)
    assert heard
    assert provider.stats().chat_requests == 1


async def test_a_provider_that_is_not_there_is_reported_within_seconds(prompt: Prompt) -> None:
    settings = load_settings(None, openai_base_url="http://127.0.0.1:9", openai_chat_model="stand-in")
    model = OpenAIChatModel(settings, "stand-in")
    began = time.monotonic()
    _, error = await fail(model, prompt)
    await model.close()
    assert isinstance(error, ProviderUnavailable)
    assert error.retry_after
    assert time.monotonic() - began < 3


async def test_a_model_that_wants_the_newer_name_of_the_limit_gets_it_and_is_remembered(
    model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    message = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    )
    provider.plan("chat", step("bad_request", message=message), step("ok", times=None, text=TEXT))
    assert "".join((await hear(model, prompt))[0]) == TEXT
    await hear(model, prompt)
    bodies = provider.stats().chat.bodies
    assert ["max_tokens" in body for body in bodies] == [True, False, False]
    assert bodies[2]["max_completion_tokens"] == prompt.answer_tokens


async def test_any_other_bad_request_is_not_repeated(
    model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", "bad_request")
    _, error = await fail(model, prompt)
    assert type(error) is ProviderError
    assert provider.stats().chat_requests == 1


async def test_closing_the_generator_cancels_the_request_at_once(
    model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", "slow_tokens", seconds=0.1, text=TEXT * 20)
    stream = model.stream(prompt, NO_SERVICES)
    assert isinstance(await anext(stream), str)
    left = time.monotonic()
    await stream.aclose()
    stats = await asyncio.to_thread(provider.wait_until, lambda now: now.streams_closed_early == 1)
    assert stats.chat.left_early[0] - left < 0.2
    assert stats.open_streams == 0


@pytest.mark.parametrize("behaviour", ["stall_head", "stall_body", "slow_tokens"])
async def test_cancelling_the_task_cancels_the_request_wherever_it_stands(
    behaviour: str, model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", behaviour, seconds=0.2, text=TEXT * 20)

    async def listen() -> None:
        async with aclosing(model.stream(prompt, NO_SERVICES)) as parts:
            async for _ in parts:
                pass

    task = asyncio.create_task(listen())
    await asyncio.to_thread(provider.wait_until, lambda now: now.open_streams == 1)
    await asyncio.sleep(0.1)
    left = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    stats = await asyncio.to_thread(provider.wait_until, lambda now: now.streams_closed_early == 1)
    assert stats.chat.left_early[0] - left < 0.2


async def test_a_fast_stream_lets_others_run(model: OpenAIChatModel, provider: Provider, prompt: Prompt) -> None:
    provider.fault("chat", "ok", text="word " * 5000)
    longest = await longest_silence(lambda: hear(model, prompt))
    assert longest < 0.2


async def longest_silence(work: Callable[[], Any]) -> float:
    """Seconds that the loop was away at most while the work went on."""
    longest = 0.0
    task = asyncio.ensure_future(work())
    while not task.done():
        began = time.monotonic()
        await asyncio.sleep(0)
        longest = max(longest, time.monotonic() - began)
    await task
    return longest
