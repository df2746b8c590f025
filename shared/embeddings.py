"""Text to vectors: what every embedder promises, and the one that asks an OpenAI-compatible provider.

The other one is `shared.local_model`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, Protocol

from shared.embedding_batches import LIMITS, MARGIN, OTHER_LIMITS, BatchLimits, TokenScale, blames_tokens, pack, size_of
from shared.embedding_replies import NOTHING, EmbeddingReply, Matrix, read_reply, rows
from shared.errors import (
    ConfigurationError,
    EmbeddingRejected,
    ProviderError,
    ProviderLimited,
    ProviderMalformed,
    ProviderUnavailable,
)
from shared.models import Vector
from shared.pacing import Pacer, Turn
from shared.pacing_rules import Size
from shared.provider_errors import Provider, describe, refusal, rejects
from shared.tokens import count_tokens

if TYPE_CHECKING:
    from openai import AsyncOpenAI

OPENAI_BASE_URL: Final = "https://api.openai.com/v1"
#: What is embedded to learn the size of a model's vectors, once.
PROBE: Final = "size"
#: Bytes of a reply that are read for each text: the largest vectors known (8,192 numbers of up to 24 characters), and
#: room for what stands around them. A reply that is longer, or unpacks to be longer, is not read to its end.
MAX_BYTES_PER_TEXT: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class EmbeddingBatch:
    """Vectors of length one in the order of the texts, and what they cost."""

    vectors: tuple[Vector, ...]
    #: Requests sent to a provider, failed ones included.
    requests: int
    #: Tokens read: as the provider counts them, or as we do where it does not say.
    tokens: int


@dataclass(frozen=True, slots=True)
class EmbeddedPart:
    """What has become of some of the texts that were given to `embed_parts`."""

    #: Their positions.
    texts: range
    #: One row of length one a text; no row where the text was refused.
    vectors: Matrix
    #: Why the one text of this part cannot be embedded; "" for vectors.
    refused: str = ""
    #: What it took since the part before, failed requests included.
    requests: int = 0
    tokens: int = 0


class Embedder(Protocol):
    """Makes vectors. Safe to use from many coroutines of one event loop."""

    #: Stored with the collection: vectors of two models are never compared.
    model: str
    #: Numbers in a vector; known after `open`.
    dimensions: int
    #: Tokens that one vector stands for; longer passages are cut into windows. None: one vector a passage.
    window: int | None
    #: What one call of `embed_parts` is meant to hold, as the settings and the provider's own limits have it.
    batch: BatchLimits

    @property
    def room(self) -> BatchLimits:
        """The same as it has turned out in this process so far."""

    async def open(self) -> None:
        """Make sure that the model answers. Raises ConfigurationError or ProviderError; may be called again."""

    async def embed(self, texts: Sequence[str]) -> EmbeddingBatch:
        """Vectors of passages. Raises EmbeddingRejected, with its position, for a text that cannot be embedded."""

    def embed_parts(self, texts: Sequence[str]) -> AsyncGenerator[EmbeddedPart]:
        """Vectors of passages, as they come and in order. A text that cannot be embedded does not stop the others."""

    async def embed_query(self, text: str) -> Vector:
        """The vector of a question that somebody waits to see answered: gives up soon."""

    async def close(self) -> None:
        """Let connections and threads go."""


def refuse_blank(texts: Sequence[str]) -> None:
    """Raise EmbeddingRejected for a text of whitespace alone: providers answer it with an error or a random vector."""
    for index, text in enumerate(texts):
        if not text.strip():
            raise EmbeddingRejected("a blank text cannot be embedded", index=index)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a caller can wait: tries, and seconds for one try, after which no other one is begun either."""

    attempts: int
    seconds: float


#: A job can wait for minutes. A visitor cannot: one more try, then the answer does without the dense half.
INDEXING: Final = Patience(attempts=4, seconds=60)
ASKING: Final = Patience(attempts=2, seconds=8)
#: The longest wait that a provider may ask a visitor for, in seconds.
VISITORS_WAIT: Final = 2.0
#: Replies that cannot be trusted before giving up: the second one shows that it was no accident.
MALFORMED_REPLIES: Final = 2


def preload() -> None:
    """Import what a client needs. A worker does so before it forks: its processes share the memory, and a job does not
    wait for it."""
    import httpx2  # noqa: F401, PLC0415
    import openai.resources.embeddings  # noqa: F401, PLC0415


def make_client(*, api_key: str, base_url: str | None, connections: int) -> AsyncOpenAI:
    """A client for the running event loop, which must not outlive it. Waits and retries are its user's business."""
    import httpx2  # noqa: PLC0415
    import openai  # noqa: PLC0415 - takes most of a second, which processes with the local model need not spend

    timeout = httpx2.Timeout(INDEXING.seconds, connect=5)
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    # A redirect would carry texts, and perhaps the key, to an address that nobody has configured.
    http_client = openai.DefaultAsyncHttpx2Client(timeout=timeout, limits=limits, follow_redirects=False)
    return openai.AsyncOpenAI(
        api_key=api_key, base_url=base_url or OPENAI_BASE_URL, max_retries=0, http_client=http_client
    )


class OpenAIEmbedder:
    """Asks a provider that speaks OpenAI's protocol: OpenAI, Gemini, or a server of one's own."""

    window: int | None = None

    def __init__(
        self,
        client: AsyncOpenAI,
        *,
        model: str,
        dimensions: int | None = None,
        batch_size: int | None = None,
        concurrency: int = 10,
        key_variable: str = "OPENAI_API_KEY",
        backoff: float = 0.5,
        pacer: Pacer | None = None,
    ) -> None:
        """`dimensions` is sent only if given, `batch_size` caps a known provider's own limit. `backoff` is the first
        wait after a fault, in seconds; it doubles. Without a pacer that others share, this embedder paces itself."""
        self.model = model
        self.dimensions = dimensions or 0
        self._client = client
        self._asked_dimensions = dimensions
        self._provider = Provider(str(client.base_url), model, client.api_key, key_variable)
        # Nobody knows better than its owner what a server of one's own takes.
        own = replace(OTHER_LIMITS, items=batch_size or OTHER_LIMITS.items)
        self._limits = LIMITS.get(client.base_url.host, own)
        self._pacer = pacer or Pacer()
        self._scale = TokenScale()
        pace = self._pacer.limits
        # Half a minute's worth at most: a request that takes more than the rate allows is refused, not delayed.
        self._most_tokens = pace.tokens // 2 or 1 if pace.tokens else self._limits.tokens
        self._most_items = min(batch_size or self._limits.items, self._limits.items, pace.items or self._limits.items)
        self.batch = self.room
        self._backoff = backoff
        self._slots = asyncio.Semaphore(concurrency)
        self._opening = asyncio.Lock()
        self._opened = False

    @property
    def room(self) -> BatchLimits:
        """What a request may hold, by what the provider's replies have taught."""
        tokens = self._scale.ours(int(self._limits.tokens * MARGIN))
        return BatchLimits(self._most_items, min(self._most_tokens, tokens))

    async def open(self) -> None:
        """Embed a word, to learn the vectors' size and whether key, model and address are right."""
        async with self._opening:
            if self._opened:
                return
            try:
                await self._request([PROBE], 1, _Cost())
            except EmbeddingRejected as error:
                raise ConfigurationError(f"{error.message}; check EMBEDDING_MODEL and EMBEDDING_DIMENSIONS") from None
            self._opened = True

    async def embed(self, texts: Sequence[str]) -> EmbeddingBatch:
        """Vectors of passages. Raises EmbeddingRejected for the first text that cannot be embedded."""
        refuse_blank(texts)
        vectors: list[Vector] = []
        requests = tokens = 0
        async with aclosing(self.embed_parts(texts)) as parts:
            async for part in parts:
                if part.refused:
                    raise EmbeddingRejected(part.refused, index=part.texts.start)
                vectors += rows(part.vectors)
                requests += part.requests
                tokens += part.tokens
        return EmbeddingBatch(tuple(vectors), requests, tokens)

    async def embed_parts(self, texts: Sequence[str]) -> AsyncGenerator[EmbeddedPart]:
        """One request where the texts are no more than `room`, several one after the other where they are."""
        sizes = list(map(size_of, texts))
        for span in pack(sizes, self.room):
            async with aclosing(self._embed_span(texts, sizes, span)) as parts:
                async for part in parts:
                    yield part

    async def embed_query(self, text: str) -> Vector:
        """The question's vector, or ProviderUnavailable within some seconds."""
        refuse_blank([text])
        size = Size(size_of(text), 1)
        faults = malformed = 0
        while True:
            sent_at, quiet = await self._pacer.visitor_turn(size)
            if quiet > VISITORS_WAIT:
                raise ProviderUnavailable(
                    f"the model provider at {self._provider.host} limits requests", retry_after=quiet
                )
            await asyncio.sleep(quiet)
            try:
                reply = await self._ask([text], ASKING.seconds)
            except ProviderMalformed:
                malformed += 1
                if malformed == MALFORMED_REPLIES:
                    raise
            except ProviderUnavailable as error:
                faults += 1
                if isinstance(error, ProviderLimited):
                    await self._pacer.limited(sent_at, error.retry_after, error.message)
                if faults == ASKING.attempts or (error.retry_after or 0) > VISITORS_WAIT:
                    raise
                await asyncio.sleep(self._wait_after(faults))
            else:
                return rows(reply.vectors)[0]

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()

    async def _embed_span(
        self, texts: Sequence[str], sizes: Sequence[int], span: range
    ) -> AsyncGenerator[EmbeddedPart]:
        """Halve what is refused until the text that is to blame stands alone, or the size was to blame."""
        cost = _Cost()
        size = sum(sizes[span.start : span.stop])
        try:
            vectors = (await self._request(texts[span.start : span.stop], size, cost)).vectors
        except EmbeddingRejected as error:
            # Told apart before texts are blamed: a setting that the provider refuses, it refuses with any text.
            await self.open()
            if len(span) == 1:
                yield EmbeddedPart(span, NOTHING, error.message, cost.requests)
                return
            refusal = error.message
        else:
            yield EmbeddedPart(span, vectors, requests=cost.requests, tokens=cost.tokens)
            return
        middle = span.start + len(span) // 2
        size_was_to_blame = True
        for half in (range(span.start, middle), range(middle, span.stop)):
            async with aclosing(self._embed_span(texts, sizes, half)) as made:
                async for each in made:
                    size_was_to_blame = size_was_to_blame and not each.refused
                    yield replace(each, requests=each.requests + cost.take())
        if size_was_to_blame:
            self._shrink(refusal, sizes[middle : span.stop])

    def _shrink(self, refusal: str, half: Sequence[int]) -> None:
        """Send no more from now on than the half of a batch that was refused for its size. half: the texts' sizes."""
        if blames_tokens(refusal):
            self._most_tokens = min(self._most_tokens, sum(half))
        else:
            self._most_items = min(self._most_items, len(half))

    async def _request(self, texts: Sequence[str], tokens: int, cost: _Cost) -> EmbeddingReply:
        """One request, repeated as long as that can help. Raises MustWait where it can help later.

        tokens: the texts' size together, as `size_of` has it.
        """
        size = Size(int(tokens * self._scale.value), len(texts))
        asker = token_hex(8)
        until = time.monotonic() + INDEXING.seconds
        faults = malformed = 0
        async with self._slots:
            while True:
                turn = await self._pacer.turn(size, asker, seconds=until - time.monotonic())
                cost.requests += 1
                try:
                    reply = await self._ask(texts, INDEXING.seconds)
                except ProviderMalformed:
                    malformed += 1
                    if malformed == MALFORMED_REPLIES:
                        await self._pacer.answered()
                        raise
                except EmbeddingRejected:
                    await self._pacer.answered()
                    raise
                except ProviderUnavailable as error:
                    faults += 1
                    is_last = faults == INDEXING.attempts or turn.only_try or time.monotonic() > until
                    await self._after_fault(error, turn, faults, is_last=is_last)
                except ProviderError as error:
                    await self._pacer.refused(error.message)
                    raise
                else:
                    await self._pacer.answered()
                    self._opened = True
                    self._scale.learn(tokens, reply.tokens)
                    cost.tokens += sum(map(count_tokens, texts)) if reply.tokens is None else reply.tokens
                    return reply

    async def _after_fault(self, error: ProviderUnavailable, turn: Turn, faults: int, *, is_last: bool) -> None:
        """Wait before the next try, or raise what there is to raise after the last one."""
        is_limit = isinstance(error, ProviderLimited) or error.retry_after is not None
        if is_limit:
            await self._pacer.limited(turn.at, error.retry_after, error.message)
        if is_last:
            raise await self._pacer.gave_up(error.message, is_limit=is_limit) from error
        if not is_limit:  # else the next turn is not given before its time
            await asyncio.sleep(self._wait_after(faults))

    def _wait_after(self, faults: int) -> float:
        """Seconds: a random part of a wait that doubles, so that not all come back at once."""
        return random.uniform(0, self._backoff * 2**faults)

    async def _ask(self, texts: Sequence[str], seconds: float) -> EmbeddingReply:
        """One request and nothing else. Raises only exceptions of the ProviderError family."""
        import httpx2  # noqa: PLC0415
        import openai  # noqa: PLC0415

        options: dict[str, Any] = {"dimensions": self._asked_dimensions} if self._asked_dimensions else {}
        try:
            async with asyncio.timeout(seconds):
                # Read as bytes: the SDK hands on whatever a provider sends, and reads without an end.
                async with self._client.embeddings.with_streaming_response.create(
                    model=self.model,
                    # The SDK takes its time to look at each text; what stands in extra_body it leaves alone.
                    input=[],
                    extra_body={"input": list(texts)},
                    encoding_format="base64" if self._limits.base64 else "float",
                    **options,
                ) as response:
                    content = await _read(response.iter_bytes(), MAX_BYTES_PER_TEXT * (len(texts) + 1))
        except openai.APIStatusError as error:
            fault = refusal(error.status_code, error.body, error.response.headers, self._provider)
            if rejects(error.status_code, describe(error.body, self._provider.key)):
                fault = EmbeddingRejected(fault.message, index=0)
            # The SDK's exception quotes the reply, which may quote the key.
            raise fault from None
        except (TimeoutError, openai.APIConnectionError, httpx2.RequestError) as error:
            raise ProviderUnavailable(f"the model provider at {self._provider.host} does not answer") from error
        reply = read_reply(content, len(texts), self.dimensions or None)
        self.dimensions = reply.vectors.shape[1]
        return reply


@dataclass(slots=True)
class _Cost:
    """Adds up what a request costs, over its retries."""

    requests: int = 0
    tokens: int = 0

    def take(self) -> int:
        """The requests, once."""
        requests, self.requests = self.requests, 0
        return requests


async def _read(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    content = bytearray()
    async for chunk in chunks:
        content += chunk
        if len(content) > limit:
            raise ProviderMalformed("the provider's reply is far longer than its vectors can be")
    return bytes(content)
