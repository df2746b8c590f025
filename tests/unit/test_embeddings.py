"""The embedder that asks a provider, against a real HTTP server that fails in every way providers do."""

from __future__ import annotations

import asyncio
import math
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from shared import embeddings
from shared.embedding_batches import LIMITS, BatchLimits, ProviderLimits, TokenScale, pack, size_of
from shared.embedding_replies import rows
from shared.embeddings import OpenAIEmbedder, make_client
from shared.errors import (
    ConfigurationError,
    EmbeddingRejected,
    MustWait,
    ProviderError,
    ProviderMalformed,
    ProviderUnavailable,
)
from shared.pacing import Pacer
from shared.pacing_rules import PaceLimits
from tests.stand_in.control import Provider
from tests.stand_in.embeddings import vector_of
from tests.stand_in.plan import step
from tests.stand_in.provider import DIMENSIONS

KEY = "sk-proj-0123456789abcdefghij"


@asynccontextmanager
async def embedder_at(base_url: str, **options: Any) -> AsyncIterator[OpenAIEmbedder]:
    client = make_client(api_key=KEY, base_url=base_url, connections=20)
    embedder = OpenAIEmbedder(client, **{"model": "stand-in", "backoff": 0.001, **options})
    try:
        yield embedder
    finally:
        await embedder.close()


@pytest.fixture
async def embedder(provider: Provider) -> AsyncIterator[OpenAIEmbedder]:
    async with embedder_at(provider.base_url) as opened:
        yield opened


@pytest.fixture
async def probed(embedder: OpenAIEmbedder, provider: Provider) -> OpenAIEmbedder:
    """An embedder that knows the vectors' size; its probe is not counted."""
    await embedder.open()
    provider.reset()
    return embedder


# What is sent, and what comes back


async def test_vectors_come_in_the_order_of_the_texts(embedder: OpenAIEmbedder) -> None:
    texts = [f"passage number {n}" for n in range(150)]
    batch = await embedder.embed(texts)
    for text, vector in zip(texts, batch.vectors, strict=True):
        assert vector == pytest.approx(vector_of(text, DIMENSIONS))


async def test_the_size_of_the_vectors_is_learnt_with_one_request(embedder: OpenAIEmbedder, provider: Provider) -> None:
    provider.set_dimensions(96)
    await asyncio.gather(embedder.open(), embedder.open())
    assert embedder.dimensions == 96
    assert provider.stats().embedding_requests == 1


async def test_dimensions_are_sent_only_when_they_are_configured(provider: Provider) -> None:
    async with embedder_at(provider.base_url) as embedder:
        await embedder.open()
    async with embedder_at(provider.base_url, dimensions=32) as embedder:
        await embedder.open()
        assert embedder.dimensions == 32
    without, with_them = provider.stats().embeddings.bodies
    assert "dimensions" not in without
    assert with_them["dimensions"] == 32


async def test_a_server_that_is_not_openai_is_asked_for_floats(probed: OpenAIEmbedder, provider: Provider) -> None:
    await probed.embed_query("anchor")
    assert provider.stats().embeddings.bodies == [{"model": "stand-in", "encoding_format": "float"}]
    assert provider.stats().embeddings.authorizations == [f"Bearer {KEY}"]


async def test_base64_vectors_are_read(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIMITS, "127.0.0.1", ProviderLimits(items=2048, tokens=300_000, base64=True))
    async with embedder_at(provider.base_url) as embedder:
        vector = await embedder.embed_query("weigh anchor")
    assert provider.stats().embeddings.bodies[0]["encoding_format"] == "base64"
    assert vector == pytest.approx(vector_of("weigh anchor", DIMENSIONS), abs=1e-6)


async def test_every_vector_has_length_one(probed: OpenAIEmbedder) -> None:
    batch = await probed.embed(["one", "two words", "three more words"])
    assert [math.hypot(*vector) for vector in batch.vectors] == pytest.approx([1, 1, 1])


async def test_requests_and_tokens_are_counted(probed: OpenAIEmbedder) -> None:
    batch = await probed.embed(["three small words"] * 150)
    assert (batch.requests, batch.tokens) == (3, 450)


async def test_tokens_are_counted_here_if_the_provider_does_not_say(probed: OpenAIEmbedder, provider: Provider) -> None:
    provider.fault("embeddings", "no_usage")
    assert (await probed.embed(["weigh anchor, then go"])).tokens == 5


async def test_no_texts_need_no_request(embedder: OpenAIEmbedder, provider: Provider) -> None:
    assert (await embedder.embed([])).vectors == ()
    assert provider.stats().embedding_requests == 0


@pytest.mark.parametrize("blank", ["", " \n\t"])
async def test_a_blank_text_is_never_sent(embedder: OpenAIEmbedder, provider: Provider, blank: str) -> None:
    with pytest.raises(EmbeddingRejected) as caught:
        await embedder.embed(["words", blank])
    assert caught.value.index == 1
    with pytest.raises(EmbeddingRejected):
        await embedder.embed_query(blank)
    assert provider.stats().embedding_requests == 0


# Batches


def test_a_request_holds_no_more_texts_than_the_provider_takes() -> None:
    assert [len(span) for span in pack([1] * 205, BatchLimits(items=100, tokens=10_000))] == [100, 100, 5]


def test_a_request_holds_no_more_tokens_than_the_provider_takes() -> None:
    spans = pack([2, 2, 2, 2, 2, 8, 2], BatchLimits(items=100, tokens=6))
    assert [list(span) for span in spans] == [[0, 1, 2], [3, 4], [5], [6]]


def embedder_of(base_url: str | None, **options: Any) -> OpenAIEmbedder:
    return OpenAIEmbedder(make_client(api_key=KEY, base_url=base_url, connections=1), model="m", **options)


def test_limits_are_those_of_the_provider_at_the_address() -> None:
    openai = embedder_of(None)
    gemini = embedder_of("https://generativelanguage.googleapis.com/v1beta/openai/")
    own = embedder_of("http://gpu:8000/v1")
    assert (openai.batch.items, gemini.batch.items, own.batch.items) == (2048, 100, 64)
    assert 250_000 < openai.batch.tokens < 300_000
    assert (openai._limits.base64, gemini._limits.base64, own._limits.base64) == (True, False, False)


def test_the_batch_size_setting_raises_no_known_limit_but_that_of_a_server_of_ones_own() -> None:
    assert embedder_of("http://gpu:8000/v1", batch_size=2048).batch.items == 2048
    assert embedder_of("https://generativelanguage.googleapis.com/v1beta/openai/", batch_size=2048).batch.items == 100
    assert embedder_of(None, batch_size=10).batch.items == 10


def test_a_request_stays_within_the_limits_a_minute() -> None:
    pacer = Pacer(limits=PaceLimits(tokens=40_000, items=100))
    assert embedder_of(None, pacer=pacer).batch == BatchLimits(items=100, tokens=20_000)


def test_requests_grow_with_a_provider_that_counts_fewer_tokens_and_shrink_at_once_with_one_that_counts_more() -> None:
    scale = TokenScale()
    first = scale.ours(300_000)
    for _ in range(5):
        scale.learn(100_000, 80_000)
    assert 300_000 < first * 1.25 < scale.ours(300_000) < 375_000
    scale.learn(100_000, 120_000)
    assert scale.ours(300_000) == 250_000


def test_a_short_request_teaches_nothing_about_tokens() -> None:
    scale = TokenScale()
    scale.learn(3, 1)
    scale.learn(100_000, None)
    assert scale.value == TokenScale().value


def test_text_that_providers_count_higher_is_counted_higher() -> None:
    assert size_of("weigh anchor") == 2
    assert size_of("\u9577\u3044\u6587\u7ae0\u3067\u3059") == 9  # six characters of Japanese, a token each and a half


async def test_the_batch_size_setting_caps_requests(provider: Provider) -> None:
    async with embedder_at(provider.base_url, batch_size=10) as embedder:
        await embedder.embed(["text"] * 40)
    assert provider.stats().embedding_requests == 4


async def test_requests_run_side_by_side_up_to_the_limit(provider: Provider) -> None:
    async with embedder_at(provider.base_url, batch_size=1, concurrency=3) as embedder:
        await embedder.open()
        provider.fault("embeddings", "slow", seconds=0.05)
        await asyncio.gather(*(embedder.embed([f"text {n}"]) for n in range(9)))
    assert provider.stats().embeddings.most_in_flight == 3


async def test_a_server_that_takes_smaller_batches_is_sent_smaller_ones(
    probed: OpenAIEmbedder, provider: Provider
) -> None:
    provider.fault("embeddings", "too_many", most=32)
    texts = [f"text {n}" for n in range(64)]
    batch = await probed.embed(texts)
    assert batch.vectors[63] == pytest.approx(vector_of("text 63", DIMENSIONS))
    assert batch.requests == 3
    assert (await probed.embed(texts)).requests == 2


async def test_a_text_that_the_provider_refuses_is_named_by_its_position(
    probed: OpenAIEmbedder, provider: Provider
) -> None:
    provider.fault("embeddings", "too_long", marker="TOO LONG")
    texts = [f"text {n}" for n in range(64)]
    texts[37] = "this one is TOO LONG"
    with pytest.raises(EmbeddingRejected, match="maximum context length") as caught:
        await probed.embed(texts)
    assert caught.value.index == 37
    # 64 texts, then two halves a level until the text stands alone.
    assert provider.stats().embedding_requests <= 1 + 2 * 6


async def test_a_refused_text_leaves_the_others_their_vectors(probed: OpenAIEmbedder, provider: Provider) -> None:
    provider.fault("embeddings", "too_long", marker="TOO LONG")
    texts = [f"text {n}" for n in range(8)]
    texts[5] = "this one is TOO LONG"
    parts = [part async for part in probed.embed_parts(texts)]
    assert [(list(part.texts), bool(part.refused)) for part in parts] == [
        ([0, 1, 2, 3], False), ([4], False), ([5], True), ([6, 7], False),
    ]  # fmt: skip
    assert sum(part.requests for part in parts) == provider.stats().embedding_requests == 7
    assert probed.room == probed.batch  # it was the text, not the size
    assert rows(parts[3].vectors)[1] == pytest.approx(vector_of("text 7", DIMENSIONS))


async def test_a_batch_that_is_refused_for_its_tokens_makes_the_next_ones_smaller(
    probed: OpenAIEmbedder, provider: Provider
) -> None:
    words = "Requested 360000 tokens, max 300000 tokens per request"
    provider.fault("embeddings", "bad_request", message=words, times=1)
    batch = await probed.embed(["three small words"] * 40)
    assert len(batch.vectors) == 40
    assert (probed.room.items, probed.room.tokens) == (64, 60)


async def test_the_position_counts_from_the_first_batch(probed: OpenAIEmbedder, provider: Provider) -> None:
    provider.fault("embeddings", "too_long", marker="TOO LONG")
    with pytest.raises(EmbeddingRejected) as caught:
        await probed.embed([*["text"] * 129, "TOO LONG"])
    assert caught.value.index == 129


# Refusals that last


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("unauthorized", "(401: Incorrect API key provided: [key].); check OPENAI_API_KEY"),
        (
            "forbidden",
            "(403: Project does not have access to model stand-in); check OPENAI_API_KEY and EMBEDDING_MODEL",
        ),
        (
            "unknown_model",
            "does not know the model stand-in (404: The model `stand-in` does not exist); check EMBEDDING",
        ),
        ("quota", "quota is used up (429: You exceeded your current quota); top the account up"),
    ],
)
async def test_a_lasting_refusal_is_final_after_one_request_and_says_what_to_do(
    embedder: OpenAIEmbedder, provider: Provider, behaviour: str, words: str
) -> None:
    provider.fault("embeddings", behaviour)
    with pytest.raises(ProviderError) as caught:
        await embedder.embed(["text"] * 500)
    assert type(caught.value) is ProviderError
    assert not caught.value.retryable
    assert words in caught.value.message
    assert provider.stats().embedding_requests == 1


async def test_the_variable_of_the_key_is_named_as_it_is_set(provider: Provider) -> None:
    provider.fault("embeddings", "unauthorized", gemini=True)
    async with embedder_at(provider.base_url, key_variable="GEMINI_API_KEY") as embedder:
        with pytest.raises(ProviderError, match="check GEMINI_API_KEY"):
            await embedder.open()


@pytest.mark.parametrize("behaviour", ["unauthorized", "bad_request", "server_error"])
async def test_no_trace_of_a_failure_shows_the_key(
    embedder: OpenAIEmbedder, provider: Provider, behaviour: str
) -> None:
    provider.fault("embeddings", behaviour, message="Bad key {key} or sk-live-987654321****wxyz")
    with pytest.raises((ProviderError, ConfigurationError, MustWait)) as caught:
        await embedder.open()
    trace = "".join(traceback.format_exception(caught.value))
    assert KEY not in trace
    assert "wxyz" not in trace
    assert KEY not in repr(embedder._provider)


async def test_a_wrong_setting_is_told_from_a_wrong_text(embedder: OpenAIEmbedder, provider: Provider) -> None:
    provider.fault("embeddings", "bad_request", message="This model does not support specifying dimensions.")
    with pytest.raises(ConfigurationError, match=r"dimensions.*check EMBEDDING_MODEL and EMBEDDING_DIMENSIONS"):
        await embedder.embed(["text"] * 500)
    # The texts, then one word: where that is refused too, no text is to blame.
    assert provider.stats().embedding_requests == 2


async def test_a_redirect_is_not_followed(embedder: OpenAIEmbedder, provider: Provider) -> None:
    provider.fault("embeddings", "redirect", to=f"{provider.base_url}/embeddings", times=1)
    with pytest.raises(ProviderError, match=r"another address.*check OPENAI_BASE_URL"):
        await embedder.open()
    assert provider.stats().embedding_requests == 1


async def test_one_bad_answer_stops_the_requests_beside_it(provider: Provider) -> None:
    async with embedder_at(provider.base_url, batch_size=1, concurrency=4) as embedder:
        await embedder.open()
        provider.reset()
        provider.plan("embeddings", step("unauthorized"), step("hang", times=None))
        with pytest.raises(ProviderError):
            await embedder.embed([f"text {n}" for n in range(50)])
        stats = await asyncio.to_thread(provider.wait_until, lambda stats: stats.embeddings.in_flight == 0)
    assert stats.embedding_requests <= 5


# Faults that pass


@pytest.mark.parametrize(
    "behaviour", ["server_error", "unavailable", "conflict", "timeout", "rate_limited", "reset", "close", "cut"]
)
async def test_a_passing_fault_is_survived(embedder: OpenAIEmbedder, provider: Provider, behaviour: str) -> None:
    provider.fault("embeddings", behaviour, times=3)
    batch = await embedder.embed(["anchor"])
    assert batch.vectors[0] == pytest.approx(vector_of("anchor", DIMENSIONS))
    assert provider.stats().embedding_requests == 4


@pytest.mark.parametrize("behaviour", ["server_error", "unavailable", "rate_limited", "reset", "cut"])
async def test_a_fault_that_stays_is_put_off_after_four_requests(
    embedder: OpenAIEmbedder, provider: Provider, behaviour: str, quick_gaps: None
) -> None:
    provider.fault("embeddings", behaviour)
    with pytest.raises(MustWait) as caught:
        await embedder.open()
    assert caught.value.until > time.time()
    assert provider.stats().embedding_requests == 4


async def test_failed_requests_are_counted_as_cost(probed: OpenAIEmbedder, provider: Provider) -> None:
    provider.fault("embeddings", "server_error", times=2)
    assert (await probed.embed(["anchor"])).requests == 3


async def test_an_address_where_nobody_listens_is_unavailable() -> None:
    async with embedder_at("http://127.0.0.1:9/v1") as embedder:
        with pytest.raises(MustWait, match=r"127\.0\.0\.1:9 does not answer"):
            await embedder.open()


@pytest.mark.parametrize("behaviour", ["hang", "hang_in_body"])
async def test_a_provider_that_hangs_is_left_in_time(
    probed: OpenAIEmbedder, provider: Provider, behaviour: str, patience: Callable[..., None]
) -> None:
    patience("INDEXING", seconds=0.1)
    provider.fault("embeddings", behaviour)
    with pytest.raises(MustWait):
        await probed.embed(["anchor"])
    # Its time is up with the first try already.
    stats = await asyncio.to_thread(provider.wait_until, lambda stats: len(stats.embeddings.left_early) == 1)
    assert stats.embedding_requests == 1


async def test_waits_grow(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.embeddings.random.uniform", lambda least, most: most)
    provider.fault("embeddings", "server_error")
    async with embedder_at(provider.base_url, backoff=0.02) as embedder:
        with pytest.raises(MustWait):
            await embedder.open()
    waits = [later - earlier for earlier, later in pairwise(provider.stats().embeddings.times)]
    assert waits[0] >= 0.04
    assert waits[1] >= 0.08
    assert waits[2] >= 0.16


# Rate limits


@pytest.mark.parametrize("options", [{"retry_after": 1}, {"retry_after": 1, "gemini": True}])
async def test_a_wait_that_the_provider_asks_for_is_kept(
    probed: OpenAIEmbedder, provider: Provider, options: dict[str, Any]
) -> None:
    provider.fault("embeddings", "rate_limited", times=1, **options)
    await probed.embed(["anchor"])
    first, second = provider.stats().embeddings.times
    assert 1 <= second - first < 2


async def test_one_rate_limit_keeps_every_request_back(provider: Provider) -> None:
    async with embedder_at(provider.base_url, batch_size=1, concurrency=2) as embedder:
        await embedder.open()
        provider.reset()
        provider.plan("embeddings", step("rate_limited", retry_after=1), step("slow", times=1, seconds=0.1))
        await asyncio.gather(*(embedder.embed([f"text {n}"]) for n in range(10)))
    first, beside, *later = provider.stats().embeddings.times
    assert beside - first < 0.5
    assert min(later) - first >= 1


async def test_a_wait_that_is_too_long_is_not_begun(probed: OpenAIEmbedder, provider: Provider) -> None:
    provider.fault("embeddings", "rate_limited", retry_after=121)
    for _ in range(2):
        with pytest.raises(MustWait, match="limits the rate of requests") as caught:
            await probed.embed(["anchor"])
        assert 119 < caught.value.until - time.time() < 122
    assert provider.stats().embedding_requests == 1


@pytest.mark.parametrize("junk", ["soon", "-5", "nan", "1e400"])
async def test_a_wait_that_makes_no_sense_is_ignored(probed: OpenAIEmbedder, provider: Provider, junk: str) -> None:
    provider.fault("embeddings", "rate_limited", times=1, retry_after=junk)
    began = time.monotonic()
    await probed.embed(["anchor"])
    assert time.monotonic() - began < 3


# Questions


async def test_a_question_is_given_up_after_two_requests(probed: OpenAIEmbedder, provider: Provider) -> None:
    provider.fault("embeddings", "server_error")
    with pytest.raises(ProviderUnavailable):
        await probed.embed_query("anchor?")
    assert provider.stats().embedding_requests == 2


async def test_a_question_does_not_wait_out_a_rate_limit(probed: OpenAIEmbedder, provider: Provider) -> None:
    provider.fault("embeddings", "rate_limited", times=1, retry_after=30)
    for _ in range(2):
        with pytest.raises(ProviderUnavailable) as caught:
            await probed.embed_query("anchor?")
        assert 29 < (caught.value.retry_after or 0) <= 30
    assert provider.stats().embedding_requests == 1


async def test_a_question_needs_no_probe(embedder: OpenAIEmbedder, provider: Provider) -> None:
    assert await embedder.embed_query("anchor?") == pytest.approx(vector_of("anchor?", DIMENSIONS))
    assert embedder.dimensions == DIMENSIONS
    assert provider.stats().embedding_requests == 1


# Replies that cannot be trusted


MALFORMED = {
    "html": "not JSON",
    "not_json": "not JSON",
    "empty": "0 embeddings for 3 texts",
    "missing_one": "2 embeddings for 3 texts",
    "one_more": "4 embeddings for 3 texts",
    "wrong_size": "63 numbers instead of 64",
    "nan": "not finite",
    "infinity": "not finite",
    "null_numbers": "not a list of numbers",
    "null_vector": "not a list of numbers",
    "strings": "not a list of numbers",
    "zeros": "vector of zeros",
    "gzip_bomb": "far longer",
}


@pytest.mark.parametrize("behaviour", MALFORMED)
async def test_a_malformed_reply_is_asked_for_once_more_then_refused(
    probed: OpenAIEmbedder, provider: Provider, behaviour: str
) -> None:
    provider.fault("embeddings", behaviour)
    with pytest.raises(ProviderMalformed, match=MALFORMED[behaviour]):
        await probed.embed(["one", "two", "three"])
    assert provider.stats().embedding_requests == 2


@pytest.mark.parametrize("behaviour", MALFORMED)
async def test_a_single_malformed_reply_is_survived(probed: OpenAIEmbedder, provider: Provider, behaviour: str) -> None:
    provider.fault("embeddings", behaviour, times=1)
    batch = await probed.embed(["one", "two", "three"])
    assert batch.vectors[2] == pytest.approx(vector_of("three", DIMENSIONS))
    assert batch.requests == 2


@pytest.mark.parametrize("behaviour", ["reversed", "no_index", "no_index_zero", "same_index"])
async def test_vectors_go_to_their_texts_however_they_are_numbered(
    probed: OpenAIEmbedder, provider: Provider, behaviour: str
) -> None:
    provider.fault("embeddings", behaviour)
    batch = await probed.embed(["one", "two", "three"])
    for text, vector in zip(["one", "two", "three"], batch.vectors, strict=True):
        assert vector == pytest.approx(vector_of(text, DIMENSIONS))


async def test_vectors_of_another_size_than_configured_are_refused(provider: Provider) -> None:
    provider.fault("embeddings", "ok", size=48)
    async with embedder_at(provider.base_url, dimensions=32) as embedder:
        with pytest.raises(ProviderMalformed, match="48 numbers instead of 32"):
            await embedder.open()


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change how long a kind of caller waits: `patience("INDEXING", seconds=0.1)`."""

    def change(name: str, **changes: Any) -> None:
        monkeypatch.setattr(embeddings, name, replace(getattr(embeddings, name), **changes))

    return change


@pytest.fixture
def quick_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate limit that comes again and again is tried again soon."""
    monkeypatch.setattr("shared.pacing_rules.FIRST_GAP", 0.01)
