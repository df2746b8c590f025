"""Text to vectors: what every embedder promises, and the one that asks an OpenAI-compatible provider.

The other one is `shared.local_model`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from shared.embedding_batches import LIMITS, OTHER_LIMITS, pack
from shared.embedding_replies import EmbeddingReply, read_reply
from shared.errors import (
    ConfigurationError,
    EmbeddingRejected,
    ProviderMalformed,
    ProviderUnavailable,
)
from shared.models import Vector
from shared.provider_errors import REJECTING, Provider, refusal
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


class Embedder(Protocol):
    """Makes vectors. Safe to use from many coroutines of one event loop."""

    #: Stored with the collection: vectors of two models are never compared.
    model: str
    #: Numbers in a vector; known after `open`.
    dimensions: int
    #: Tokens that one vector stands for; longer passages are cut into windows. None: one vector a passage.
    window: int | None

    async def open(self) -> None:
        """Make sure that the model answers. Raises ConfigurationError or ProviderError; may be called again."""

    async def embed(self, texts: Sequence[str]) -> EmbeddingBatch:
        """Vectors of passages. Raises EmbeddingRejected, with its position, for a text that cannot be embedded."""

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
    """How long a caller can wait: tries, seconds for one try, longest wait that a provider may ask for between two."""

    attempts: int
    seconds: float
    longest_wait: float


#: A job can wait for minutes. A visitor cannot: one more try, then the answer does without the dense half.
INDEXING: Final = Patience(attempts=4, seconds=60, longest_wait=120)
ASKING: Final = Patience(attempts=2, seconds=8, longest_wait=2)
#: Replies that cannot be trusted before giving up: the second one shows that it was no accident.
MALFORMED_REPLIES: Final = 2
#: Seconds of random delay on top of a wait that the provider asked for, so that not all come back at once.
SPREAD: Final = 0.5


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
        batch_size: int = 100,
        concurrency: int = 10,
        key_variable: str = "OPENAI_API_KEY",
        backoff: float = 0.5,
    ) -> None:
        """`dimensions` is sent only if given. `backoff` is the first wait after a fault, in seconds; it doubles."""
        self.model = model
        self.dimensions = dimensions or 0
        self._client = client
        self._asked_dimensions = dimensions
        self._provider = Provider(str(client.base_url), model, client.api_key, key_variable)
        self._limits = LIMITS.get(client.base_url.host, OTHER_LIMITS)
        self._most_items = min(batch_size, self._limits.items)
        self._backoff = backoff
        self._slots = asyncio.Semaphore(concurrency)
        self._opening = asyncio.Lock()
        self._opened = False
        #: Until then, in the event loop's time, the provider wants to be left alone.
        self._quiet_until = 0.0

    async def open(self) -> None:
        """Embed a word, to learn the vectors' size and whether key, model and address are right."""
        async with self._opening:
            if self._opened:
                return
            try:
                await self._request([PROBE], INDEXING, _Cost())
            except EmbeddingRejected as error:
                raise ConfigurationError(f"{error.message}; check EMBEDDING_MODEL and EMBEDDING_DIMENSIONS") from None
            self._opened = True

    async def embed(self, texts: Sequence[str]) -> EmbeddingBatch:
        """Vectors of passages, several requests at a time. The first failure cancels the requests still in flight."""
        refuse_blank(texts)
        if not texts:
            return EmbeddingBatch((), requests=0, tokens=0)
        await self.open()
        cost = _Cost()
        batches = pack(texts, self._most_items, self._limits.tokens)
        tasks = [
            asyncio.create_task(self._embed_span(texts[span.start : span.stop], span.start, cost)) for span in batches
        ]
        try:
            made = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return EmbeddingBatch(tuple(vector for vectors in made for vector in vectors), cost.requests, cost.tokens)

    async def embed_query(self, text: str) -> Vector:
        """The question's vector, or ProviderUnavailable within some seconds."""
        refuse_blank([text])
        reply = await self._request([text], ASKING, _Cost())
        return reply.vectors[0]

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()

    async def _embed_span(self, texts: Sequence[str], start: int, cost: _Cost) -> list[Vector]:
        """Halve what is refused until the text that is to blame stands alone, or the size was to blame."""
        try:
            return list((await self._request(texts, INDEXING, cost)).vectors)
        except EmbeddingRejected as error:
            if len(texts) == 1:
                raise EmbeddingRejected(error.message, index=start) from None
        middle = len(texts) // 2
        first = await self._embed_span(texts[:middle], start, cost)
        second = await self._embed_span(texts[middle:], start + middle, cost)
        self._most_items = min(self._most_items, len(texts) - middle)
        return first + second

    async def _request(self, texts: Sequence[str], patience: Patience, cost: _Cost) -> EmbeddingReply:
        """One request, repeated as long as that can help."""
        faults = malformed = 0
        while True:
            try:
                async with self._slots:
                    await self._quiet(patience)
                    cost.requests += 1
                    reply = await self._ask(texts, patience.seconds)
            except ProviderMalformed:
                malformed += 1
                if malformed == MALFORMED_REPLIES:
                    raise
            except ProviderUnavailable as error:
                faults += 1
                wait = self._wait_after(faults, error.retry_after)
                if faults == patience.attempts or wait > patience.longest_wait:
                    raise
                await asyncio.sleep(wait)
            else:
                cost.tokens += sum(map(count_tokens, texts)) if reply.tokens is None else reply.tokens
                self.dimensions = self.dimensions or len(reply.vectors[0])
                return reply

    def _wait_after(self, faults: int, asked: float | None) -> float:
        """Seconds. What the provider asks for holds for all requests; else a random part of an exponential wait."""
        if asked is None:
            return random.uniform(0, self._backoff * 2**faults)
        loop = asyncio.get_running_loop()
        self._quiet_until = max(self._quiet_until, loop.time() + asked)
        return asked + random.uniform(0, min(asked, SPREAD))

    async def _quiet(self, patience: Patience) -> None:
        """Wait with everybody else while the provider wants to be left alone."""
        left = self._quiet_until - asyncio.get_running_loop().time()
        if left > patience.longest_wait:
            raise ProviderUnavailable(f"the model provider at {self._provider.host} limits requests", retry_after=left)
        if left > 0:
            await asyncio.sleep(left + random.uniform(0, min(left, SPREAD)))

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
                    input=list(texts),
                    encoding_format="base64" if self._limits.base64 else "float",
                    **options,
                ) as response:
                    content = await _read(response.iter_bytes(), MAX_BYTES_PER_TEXT * (len(texts) + 1))
        except openai.APIStatusError as error:
            fault = refusal(error.status_code, error.body, error.response.headers, self._provider)
            if error.status_code in REJECTING:
                fault = EmbeddingRejected(fault.message, index=0)
            # The SDK's exception quotes the reply, which may quote the key.
            raise fault from None
        except (TimeoutError, openai.APIConnectionError, httpx2.RequestError) as error:
            raise ProviderUnavailable(f"the model provider at {self._provider.host} does not answer") from error
        return read_reply(content, len(texts), self.dimensions or None)


@dataclass(slots=True)
class _Cost:
    """Adds up what a call to `embed` costs, over its batches and their retries."""

    requests: int = 0
    tokens: int = 0


async def _read(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    content = bytearray()
    async for chunk in chunks:
        content += chunk
        if len(content) > limit:
            raise ProviderMalformed("the provider's reply is far longer than its vectors can be")
    return bytes(content)
