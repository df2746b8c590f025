"""What one request to a chat model makes of a provider that refuses, breaks off, stalls or babbles, over HTTP.

Who is asked next is the subject of `test_model_chain.py`.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest

from api.chat.events import Question
from api.chat.model import Ending
from api.chat.openai_model import OpenAIChatModel
from api.chat.prompt import Message, Prompt, build_prompt
from shared.errors import AnswerTruncated, LecternError, ProviderError, ProviderMalformed, ProviderUnavailable
from shared.services import Services
from shared.settings import load_settings
from shared.tokens import count_tokens
from tests.passages import passage
from tests.site_server import certificate_for
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
    opened = OpenAIChatModel(settings, "stand-in")
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
    assert ending == Ending(
        "stop", sum(count_tokens(m.content) for m in prompt.messages), count_tokens(TEXT), "stand-in"
    )
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


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("content_filter", "content_filter"),
        ("SAFETY", "content_filter"),
        ("end_turn", "stop"),
        ("a new one", "stop"),
    ],
)
async def test_the_reason_for_the_end_is_passed_on_in_our_words(
    said: str, reason: str, model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", "finish", reason=said, text=TEXT)
    words, ending = await hear(model, prompt)
    assert "".join(words) == TEXT
    assert ending.finish_reason == reason


@pytest.mark.parametrize("said", ["error", "abort"])
async def test_an_answer_that_something_has_stopped_is_half_an_answer(
    said: str, model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", "finish", reason=said, text=TEXT)
    assert type((await fail(model, prompt))[1]) is AnswerTruncated


async def test_a_model_s_refusal_is_told_apart_from_an_answer(
    model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", "refusal", text="I will not say that.")
    words, ending = await hear(model, prompt)
    assert "".join(words) == "I will not say that."
    assert ending.finish_reason == "refusal"


async def test_what_a_model_thinks_aloud_is_no_part_of_the_answer(
    model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", "ok", text=f"<think> Anchors are heavy. </think> {TEXT}")
    assert "".join((await hear(model, prompt))[0]) == TEXT


async def test_an_answer_of_thoughts_alone_says_which_setting_to_raise(
    model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", "finish", reason="length", text="<think> Anchors are heavy and")
    heard, error = await fail(model, prompt)
    assert heard == ""
    assert "MAX_ANSWER_TOKENS" in error.message


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
        ("no_reason", AnswerTruncated),
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


async def test_signs_of_life_are_no_words(model: OpenAIChatModel, provider: Provider, prompt: Prompt) -> None:
    provider.fault("chat", "signs_of_life")
    began = time.monotonic()
    _, error = await fail(model, prompt)
    assert isinstance(error, ProviderUnavailable)
    assert "stalled" in error.message
    assert 1 < time.monotonic() - began < 4


@pytest.mark.parametrize("behaviour", ["reset_head", "close_head"])
async def test_a_connection_that_breaks_before_the_answer_is_no_stall(
    behaviour: str, model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", behaviour)
    _, error = await fail(model, prompt)
    assert type(error) is ProviderUnavailable
    assert "broke the connection" in error.message
    assert error.retry_after is None


async def test_an_answer_that_unpacks_to_far_more_is_not_unpacked(
    model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", "gzip_bomb", bytes=8_000_000)
    _, error = await fail(model, prompt)
    assert isinstance(error, ProviderMalformed)


@pytest.mark.parametrize(
    ("behaviour", "mend"),
    [
        ("unauthorized", "OPENAI_API_KEY"),
        ("forbidden", "OPENAI_API_KEY"),
        ("unknown_model", "CHAT_MODEL"),
        ("quota", "OPENAI_API_KEY"),
        ("redirect", "OPENAI_BASE_URL"),
        ("html", "OPENAI_BASE_URL"),
        ("not_http", "OPENAI_BASE_URL"),
        ("error_as_ok", "No credits left"),
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


async def test_a_provider_that_is_not_there_is_reported_within_seconds(prompt: Prompt) -> None:
    settings = load_settings(None, openai_base_url="http://127.0.0.1:9", openai_chat_model="stand-in")
    model = OpenAIChatModel(settings, "stand-in")
    began = time.monotonic()
    _, error = await fail(model, prompt)
    await model.close()
    assert isinstance(error, ProviderUnavailable)
    assert "cannot be reached" in error.message
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
    assert stats.chat.left_early[0] - left < 0.1
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
    assert stats.chat.left_early[0] - left < 0.1


async def test_more_streams_than_a_transport_s_usual_limit_run_at_once(
    model: OpenAIChatModel, provider: Provider, prompt: Prompt
) -> None:
    provider.fault("chat", "slow_tokens", seconds=0.3, text="one two")
    heard = await asyncio.gather(*(hear(model, prompt) for _ in range(150)))
    assert all("".join(words) == "one two" for words, _ in heard)
    assert provider.stats().chat.most_in_flight == 150


async def test_a_short_reply_comes_in_one_piece(model: OpenAIChatModel, provider: Provider) -> None:
    provider.fault("chat", "ok", text=" In one piece. ")
    assert await model.complete([Message("user", "Rewrite this.")], 20, seconds=2) == "In one piece."
    (body,) = provider.stats().chat.bodies
    assert body["max_tokens"] == 20


async def test_a_short_reply_that_is_cut_is_none(model: OpenAIChatModel, provider: Provider) -> None:
    provider.fault("chat", "finish", reason="length", text="In one")
    assert await model.complete([Message("user", "Rewrite this.")], 20, seconds=2) is None


async def test_a_late_reply_is_given_up_and_its_request_too(model: OpenAIChatModel, provider: Provider) -> None:
    provider.fault("chat", "stall_head")
    with pytest.raises(TimeoutError):
        await model.complete([Message("user", "Rewrite this.")], 20, seconds=0.2)
    await asyncio.to_thread(provider.wait_until, lambda now: now.streams_closed_early == 1)


async def test_a_server_without_a_key_is_sent_none(provider: Provider, prompt: Prompt) -> None:
    settings = load_settings(None, openai_base_url=provider.base_url, openai_chat_model="stand-in")
    model = OpenAIChatModel(settings, "stand-in")
    await hear(model, prompt)
    await model.close()
    assert provider.stats().chat.authorizations == [None]


async def test_a_certificate_s_authority_is_looked_for_where_the_machine_says(
    prompt: Prompt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = certificate_for("localhost", tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(answer_once, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    settings = load_settings(None, openai_base_url=f"https://localhost:{port}/v1", openai_chat_model="m")
    distrustful = OpenAIChatModel(settings, "m")
    _, error = await fail(distrustful, prompt)
    await distrustful.close()
    assert "SSL_CERT_FILE" in error.message
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    model = OpenAIChatModel(settings, "m")
    assert "".join((await hear(model, prompt))[0]) == "Safe."
    await model.close()
    server.close()


async def test_the_machine_s_proxy_is_asked_for_a_server_that_is_elsewhere(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    settings = load_settings(None, openai_base_url="http://model.example/v1", openai_chat_model="m")
    model = OpenAIChatModel(settings, "m")
    assert "".join((await hear(model, prompt))[0]) == "Safe."
    await model.close()
    server.close()


async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    event = '{"choices": [{"delta": {"content": "Safe."}, "finish_reason": "stop"}]}'
    writer.write(
        f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: {event}\n\n".encode()
    )
    await writer.drain()
    writer.close()


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
