"""Who answers: a chat model behind an OpenAI-compatible address, or the passages themselves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from api.chat.completions import Completion, status_of
from api.chat.extractive import quote
from api.chat.prompt import Prompt
from shared.embeddings import make_client
from shared.errors import AnswerTruncated, ProviderError, ProviderMalformed, ProviderUnavailable
from shared.provider_errors import Provider, refusal
from shared.services import Services
from shared.settings import Settings

if TYPE_CHECKING:
    from openai import AsyncAPIResponse

#: Seconds to reach the provider. One that is up answers within one.
CONNECT_TIMEOUT: Final = 3
#: Streams at a time, which is about what one process can serve.
MAX_STREAMS: Final = 2000
#: Longest wait, in seconds, before the one retry: somebody is looking at an empty answer.
LONGEST_PAUSE: Final = 2.0
#: Seconds of a wait that the provider does not ask for; random, so that not all come back at once.
PAUSE: Final = 0.5
#: Seconds after which a visitor may ask again, where nobody says.
ASK_AGAIN: Final = 5.0
#: Seconds that a stream may take to end after the model's last word: usage and [DONE] come within milliseconds.
LAST_WORDS: Final = 1.0
#: Seconds that a stream may take to end after [DONE]. A visitor would wait for it, a new connection takes no longer.
DRAIN: Final = 0.1
#: The parameter that OpenAI's newer models take in place of `max_tokens`, and others do not know.
NEWER_LIMIT: Final = "max_completion_tokens"
#: The provider that counts tokens at the stream's end if it is asked to, which others refuse.
OPENAI_HOST: Final = "api.openai.com"
#: Its models that think before they answer unless they are told not to. The passages are there to be read, not thought
#: about: a visitor would wait, and the thoughts would use up the answer's tokens.
THINKING: Final = ("gpt-5.6", "gpt-6")


@dataclass(frozen=True, slots=True)
class Ending:
    """Last of a model's stream: why it stopped, and its usage where the provider says so."""

    finish_reason: str
    prompt_tokens: int | None = None
    answer_tokens: int | None = None


class ChatModel(Protocol):
    """Answers prompts."""

    name: str

    def stream(self, prompt: Prompt, services: Services) -> AsyncGenerator[str | Ending, None]:
        """The answer's words as they come, with marks [n], then one Ending.

        Closing the generator stops the model at once. Raises ProviderError or AnswerTruncated.
        """

    async def close(self) -> None:
        """Let go of connections."""


def open_chat_model(settings: Settings) -> ChatModel:
    """The model that the settings name; without one, the passages answer for themselves."""
    return ExtractiveModel() if settings.chat_model is None else OpenAIChatModel(settings, settings.chat_model)


class ExtractiveModel:
    """Quotes the sentences that answer the question."""

    name = "extractive"

    async def stream(self, prompt: Prompt, services: Services) -> AsyncGenerator[str | Ending, None]:
        for piece in await quote(prompt, services):
            yield piece
        yield Ending("stop", prompt_tokens=0)

    async def close(self) -> None:
        return


class OpenAIChatModel:
    """A chat model behind an OpenAI-compatible API.

    The stream is read raw: building the SDK's objects would cost several times as much as everything else here.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self.name = name
        self._client = make_client(
            api_key=settings.model_api_key.get_secret_value(),
            base_url=settings.model_base_url,
            connections=MAX_STREAMS,
        )
        gemini = settings.provider == "gemini"
        self._provider = Provider(
            str(self._client.base_url),
            name,
            self._client.api_key,
            key_variable="GEMINI_API_KEY" if gemini else "OPENAI_API_KEY",
            model_variable="GENERATIVE_MODEL" if gemini else "CHAT_MODEL",
        )
        self._patience = settings.model_timeout
        self._limit = "max_tokens"
        self._own_fields = fields_of(self._client.base_url.host, name)

    async def close(self) -> None:
        await self._client.close()

    async def stream(self, prompt: Prompt, services: Services) -> AsyncGenerator[str | Ending, None]:
        """One retry, before the first word and only where it makes sense."""
        begun = False
        for last_attempt in (False, True):
            try:
                async with aclosing(self._attempt(prompt)) as parts:
                    async for part in parts:
                        begun = True
                        yield part
            except ProviderUnavailable as error:
                pause = random.uniform(0, PAUSE) if error.retry_after is None else error.retry_after
                if begun or last_attempt or pause > LONGEST_PAUSE:
                    error.retry_after = error.retry_after or ASK_AGAIN
                    raise
            else:
                return
            await asyncio.sleep(pause)

    async def _attempt(self, prompt: Prompt) -> AsyncGenerator[str | Ending, None]:
        """One request. Whatever ends this generator closes the connection at once."""
        completion = Completion()
        with self._provider_errors(completion):
            async with AsyncExitStack() as stack:
                response = await self._open(prompt, stack)
                if response.headers.get("content-type", "").startswith(("text/html", "application/json")):
                    raise ProviderMalformed(f"{self._who} does not stream; check OPENAI_BASE_URL")
                chunks = response.iter_bytes()
                while not completion.done:
                    text = await self._next(completion, chunks)
                    if text:
                        yield text
                    await asyncio.sleep(0)  # chunks that are already here would let nobody else run
                await _drain(chunks)
        if completion.finish_reason is None:
            raise _truncated(completion, self._who)
        _refuse_silence(completion, self._who)
        yield Ending(completion.finish_reason, completion.prompt_tokens, completion.answer_tokens)

    async def _open(self, prompt: Prompt, stack: AsyncExitStack) -> AsyncAPIResponse[Any]:
        from openai import BadRequestError  # noqa: PLC0415 - as in `make_client`

        limit = self._limit
        try:
            return await stack.enter_async_context(self._request(prompt, limit))
        except BadRequestError as error:
            if limit == NEWER_LIMIT or NEWER_LIMIT not in str(error.body):
                raise
        self._limit = NEWER_LIMIT
        return await stack.enter_async_context(self._request(prompt, NEWER_LIMIT))

    def _request(self, prompt: Prompt, limit: str) -> AbstractAsyncContextManager[AsyncAPIResponse[Any]]:
        """The request, not yet sent. Only fields that every provider takes, and the provider's own."""
        from httpx2 import Timeout  # noqa: PLC0415

        create = cast(Any, self._client.chat.completions.with_streaming_response.create)
        request: AbstractAsyncContextManager[AsyncAPIResponse[Any]] = create(
            model=self.name,
            messages=[{"role": message.role, "content": message.content} for message in prompt.messages],
            stream=True,
            timeout=Timeout(self._patience, connect=CONNECT_TIMEOUT),
            **{limit: prompt.answer_tokens},
            **self._own_fields,
        )
        return request

    async def _next(self, completion: Completion, chunks: AsyncIterator[bytes]) -> str:
        """The next words; "" at the end."""
        chunk = await (_soon(chunks, LAST_WORDS) if completion.finish_reason else anext(chunks, None))
        text = completion.end() if chunk is None else completion.feed(chunk)
        if completion.error is not None:
            raise refusal(status_of(completion.error), completion.error, {}, self._provider)
        return text

    @contextmanager
    def _provider_errors(self, completion: Completion) -> Iterator[None]:
        """Translate what the SDK and its transport raise."""
        import httpx2  # noqa: PLC0415
        import openai  # noqa: PLC0415

        try:
            yield
        except openai.APIStatusError as error:
            # The SDK's exception quotes the reply, which may quote the key.
            raise refusal(error.status_code, error.body, error.response.headers, self._provider) from None
        except (openai.APITimeoutError, httpx2.ReadTimeout) as error:
            raise ProviderUnavailable(f"{self._who} has stalled", retry_after=ASK_AGAIN) from error
        except openai.APIConnectionError as error:
            raise ProviderUnavailable(f"{self._who} cannot be reached") from error
        except httpx2.RequestError as error:
            if completion.empty:
                raise ProviderUnavailable(f"{self._who} broke the connection") from error
            raise _truncated(completion, self._who) from error

    @property
    def _who(self) -> str:
        return f"the model provider at {self._provider.host}"


def fields_of(host: str, model: str) -> dict[str, Any]:
    """What only OpenAI itself takes, and there not every model."""
    if host != OPENAI_HOST:
        return {}
    thinking = {"reasoning_effort": "none"} if model.startswith(THINKING) else {}
    return {"stream_options": {"include_usage": True}, **thinking}


async def _soon(chunks: AsyncIterator[bytes], seconds: float) -> bytes | None:
    """The next chunk, if it does not keep us waiting: a provider that has finished may forget to hang up."""
    try:
        async with asyncio.timeout(seconds):
            return await anext(chunks, None)
    except TimeoutError:
        return None


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read to the end, which is all but here, so that the connection can serve the next question."""
    while await _soon(chunks, DRAIN) is not None:
        pass


def _truncated(completion: Completion, who: str) -> AnswerTruncated | ProviderMalformed:
    if completion.empty:
        return ProviderMalformed(f"{who} sent no answer; check OPENAI_BASE_URL")
    return AnswerTruncated(f"{who} broke the answer off", retry_after=ASK_AGAIN)


def _refuse_silence(completion: Completion, who: str) -> None:
    """Raise for an answer without words, which would leave the visitor before an empty page."""
    if completion.silent and completion.finish_reason == "length":
        raise ProviderError(f"{who} used up the answer's tokens before its first word; raise MAX_ANSWER_TOKENS")
    if completion.silent and completion.finish_reason == "stop":
        raise ProviderMalformed(f"{who} sent an empty answer")
