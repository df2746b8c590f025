"""The stand-in itself: that its streams fail as they say, seen through the SDK that the product uses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest

from shared.embeddings import make_client
from tests.stand_in.chat import answer_to
from tests.stand_in.control import Provider
from tests.stand_in.embeddings import vector_of
from tests.stand_in.fixtures import provider_process
from tests.stand_in.plan import step

PROMPT = (
    "Answer from these passages.\n\n[1] Guide > Anchors\nThe anchor holds the ship where the sea bed is sand.\n\n"
    '<passage id="2">\nA second anchor goes out at the stern in narrow waters.\n</passage>\n\nQuestion: how?'
)
MESSAGES: list[Any] = [{"role": "user", "content": PROMPT}]
ANSWER = (
    "The anchor holds the ship where the sea bed is sand [1]. "
    "A second anchor goes out at the stern in narrow waters [2]."
)


@pytest.fixture
async def client(provider: Provider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with make_client(api_key="key", base_url=provider.base_url, connections=5) as opened:
        yield opened


async def streamed(client: openai.AsyncOpenAI, **options: Any) -> tuple[str, str | None]:
    """The text and the last finish_reason of a stream."""
    text, finish = "", None
    stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True, timeout=2, **options)
    async with stream:
        async for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
    return text, finish


def test_an_answer_quotes_and_cites_the_numbered_passages() -> None:
    assert answer_to(MESSAGES) == ANSWER


def test_an_answer_without_passages_finds_nothing() -> None:
    assert "could not find" in answer_to([{"role": "user", "content": "How?"}])


def test_texts_that_share_words_have_closer_vectors() -> None:
    anchor, same, other = (vector_of(t, 64) for t in ("drop the anchor", "the anchor holds", "bake some bread"))

    def cosine(one: list[float], two: list[float]) -> float:
        return sum(a * b for a, b in zip(one, two, strict=True))

    assert cosine(anchor, same) > 0.4 > cosine(anchor, other)


@pytest.mark.parametrize(
    "behaviour", ["ok", "slow_tokens", "odd_framing", "null_content", "role_only", "empty_choices"]
)
async def test_a_healthy_stream_ends_with_stop(client: openai.AsyncOpenAI, provider: Provider, behaviour: str) -> None:
    provider.fault("chat", behaviour, seconds=0.001)
    assert await streamed(client, stream_options={"include_usage": True}) == (ANSWER, "stop")


async def test_without_a_stream_the_answer_comes_whole(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="m", messages=MESSAGES)
    assert answer.choices[0].message.content == ANSWER


async def test_a_cut_stream_has_no_finish_reason(client: openai.AsyncOpenAI, provider: Provider) -> None:
    provider.fault("chat", "cut", after=3)
    assert await streamed(client) == ("The anchor holds ", None)


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_a_stream_can_finish_for_another_reason(
    client: openai.AsyncOpenAI, provider: Provider, reason: str
) -> None:
    provider.fault("chat", "finish", reason=reason)
    assert await streamed(client) == (ANSWER, reason)


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        ("reset", openai.APIConnectionError),
        ("stall_head", openai.APITimeoutError),
        ("error_mid_stream", openai.APIError),
        ("bad_json", json.JSONDecodeError),
        ("unauthorized", openai.AuthenticationError),
        ("rate_limited", openai.RateLimitError),
        ("server_error", openai.InternalServerError),
    ],
)
async def test_a_broken_stream_raises(
    client: openai.AsyncOpenAI, provider: Provider, behaviour: str, error: type[Exception]
) -> None:
    provider.fault("chat", behaviour)
    with pytest.raises(error):
        await streamed(client)


@pytest.mark.parametrize("behaviour", ["stall", "stall_body", "silent_end"])
async def test_a_client_that_leaves_a_stream_is_noticed(provider: Provider, behaviour: str) -> None:
    provider.fault("chat", behaviour)
    async with httpx.AsyncClient() as visitor:
        url, body = f"{provider.base_url}/chat/completions", {"messages": MESSAGES, "stream": True}
        async with visitor.stream("POST", url, json=body) as response:
            assert response.status_code == 200
            assert provider.stats().open_streams == 1
    stats = await asyncio.to_thread(provider.wait_until, lambda stats: stats.streams_closed_early == 1)
    assert stats.open_streams == 0


async def test_steps_follow_each_other(client: openai.AsyncOpenAI, provider: Provider) -> None:
    provider.plan("chat", step("server_error", times=2), step("unavailable"))
    statuses = []
    for _ in range(4):
        try:
            await streamed(client)
            statuses.append(200)
        except openai.APIStatusError as error:
            statuses.append(error.status_code)
    assert statuses == [500, 500, 503, 200]


def test_it_runs_as_a_process_of_its_own() -> None:
    with provider_process() as (control, process):
        answer = httpx.post(f"{control.base_url}/embeddings", json={"input": "anchor", "model": "m"})
        assert answer.json()["data"][0]["embedding"] == vector_of("anchor", 64)
        assert control.stats().embedded_texts == 1
        assert process.poll() is None
