"""Asks a chat model that speaks OpenAI's protocol, once, and reads its stream.

The request is made, and the stream is read, without the SDK: its objects, and even its request alone, take several
times as long as everything else here. What it would add, retries and time-outs, is decided here anyway.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager
from typing import TYPE_CHECKING, Final

from api.chat.completions import Completion, status_of
from api.chat.model import Ending
from api.chat.pace import Pace
from api.chat.presets import fields_of, preset_of
from api.chat.prompt import Message, Prompt
from api.chat.thoughts import Thoughts
from shared.errors import AnswerTruncated, ProviderError, ProviderMalformed, ProviderUnavailable
from shared.provider_errors import Provider, refusal
from shared.services import Services
from shared.settings import Settings
from shared.tokens import count_tokens
from shared.transport import open_session, proxy_for

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

Read = Callable[[], Awaitable[bytes]]

#: Seconds after which a visitor may ask again, where nobody says.
ASK_AGAIN: Final = 5.0
#: Seconds that a stream may take to end after the model's last word: usage and [DONE] come within milliseconds.
LAST_WORDS: Final = 1.0
#: Seconds that a stream may take to end after [DONE]. A visitor would wait for it, a new connection takes no longer.
DRAIN: Final = 0.1
#: Tokens a second of the slowest model that anybody waits for; an answer may take no longer than all of its tokens.
SLOWEST: Final = 2
#: Bytes of a refusal that are read.
MOST_REFUSAL: Final = 64 * 1024
#: Streams at a time, which is about what one process can serve.
MAX_STREAMS: Final = 2000
#: Bytes of a stream that are read before they are asked for, two or three tokens: what comes while nobody reads stays
#: with the system, and is taken from there in one go.
READ_AHEAD: Final = 256
#: The parameter that OpenAI's newer models take in place of `max_tokens`, and others do not know.
NEWER_LIMIT: Final = "max_completion_tokens"


class OpenAIChatModel:
    """A chat model behind an OpenAI-compatible API. For one event loop."""

    def __init__(self, settings: Settings, name: str) -> None:
        import aiohttp  # noqa: F401, PLC0415 - takes a quarter of a second, which the extractive answerer need not spend

        preset = preset_of(settings)
        self.name = name
        self._url = f"{preset.base_url.rstrip('/')}/chat/completions"
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",  # unpacking small pieces takes longer than receiving them
            "User-Agent": "Lectern",
            **({"Authorization": f"Bearer {preset.key}"} if preset.key else {}),
        }
        self._provider = Provider(
            preset.base_url, name, preset.key, preset.key_variable, preset.model_variable, preset.url_variable
        )
        self._patience = settings.model_timeout
        self._limit = "max_tokens"
        self._own_fields = fields_of(preset.host, name)
        self._proxy = proxy_for(self._url)
        self._session: ClientSession | None = None
        self._pace = Pace()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def stream(self, prompt: Prompt, services: Services) -> AsyncGenerator[str | Ending, None]:
        """As `ChatModel` has it."""
        return self.reply(prompt.messages, prompt.answer_tokens)

    async def reply(self, messages: Sequence[Message], most_tokens: int) -> AsyncGenerator[str | Ending, None]:
        """One request. Whatever ends this generator closes the connection at once."""
        completion = Completion()
        thoughts = Thoughts()
        heard: list[str] = []
        watch = Watch(self._patience, self._patience + most_tokens / SLOWEST)
        with self._provider_errors(completion), self._pace.answer() as gap:
            async with AsyncExitStack() as stack:
                response = await self._open(messages, most_tokens, stack)
                read = response.content.readany
                # Each read takes all that is there, so that the next one waits and lets others run.
                while not completion.done:
                    await gap.rest()
                    chunk = await (_soon(read, LAST_WORDS) if completion.finished else watch.read(read, completion))
                    text = completion.feed(chunk) if chunk else completion.end()
                    if completion.error is not None:
                        raise refusal(status_of(completion.error), completion.error, {}, self._provider)
                    if not thoughts.over:
                        text = thoughts.feed(text) + (thoughts.finish() if completion.done else "")
                    if text:
                        heard.append(text)
                        yield text
                await _drain(read)
        yield self._ending(completion, messages, heard)

    async def complete(self, messages: Sequence[Message], most_tokens: int, seconds: float) -> str | None:
        """As `ChatModel` has it, but raises what `reply` raises, and TimeoutError."""
        heard: list[str] = []
        async with asyncio.timeout(seconds), aclosing(self.reply(messages, most_tokens)) as parts:
            async for part in parts:
                if isinstance(part, Ending):
                    return "".join(heard).strip() if part.finish_reason == "stop" else None
                heard.append(part)
        return None

    async def _open(self, messages: Sequence[Message], most_tokens: int, stack: AsyncExitStack) -> ClientResponse:
        """The response whose stream is to be read. Raises for any other."""
        limit = self._limit
        response = await self._send(messages, most_tokens, limit, stack)
        if response.status == 400 and limit != NEWER_LIMIT:
            refused = await _text(response)
            if NEWER_LIMIT not in refused:
                raise self._refusal(response, refused)
            self._limit = NEWER_LIMIT
            response = await self._send(messages, most_tokens, NEWER_LIMIT, stack)
        if response.status != 200:
            raise self._refusal(response, await _text(response))
        if response.content_type in ("text/html", "application/json"):
            raise self._no_stream(await _text(response))
        return response

    async def _send(
        self, messages: Sequence[Message], most_tokens: int, limit: str, stack: AsyncExitStack
    ) -> ClientResponse:
        """Only fields that every provider takes, and the provider's own."""
        body = {
            "model": self.name,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "stream": True,
            limit: most_tokens,
            **self._own_fields,
        }
        # A redirect would carry texts, and perhaps the key, to an address that nobody has configured.
        request = self._opened().post(
            self._url, data=json.dumps(body).encode(), headers=self._headers, proxy=self._proxy, allow_redirects=False
        )
        return await stack.enter_async_context(request)

    def _opened(self) -> ClientSession:
        """The session of the running loop, made when it is first needed."""
        if self._session is None:
            self._session = open_session(
                self._url, connections=MAX_STREAMS, silence=self._patience, read_ahead=READ_AHEAD
            )
        return self._session

    def _ending(self, completion: Completion, messages: Sequence[Message], heard: list[str]) -> Ending:
        reason = completion.finish_reason
        if reason is None:
            raise self._truncated(completion)
        if not heard and reason == "length":
            raise ProviderError(
                f"{self._who} used up the answer's tokens before its first word; raise MAX_ANSWER_TOKENS"
            )
        if not heard and reason == "stop":
            raise ProviderMalformed(f"{self._who} sent an empty answer")
        asked, answered = completion.prompt_tokens, completion.answer_tokens
        return Ending(
            reason,
            sum(count_tokens(message.content) for message in messages) if asked is None else asked,
            count_tokens("".join(heard)) if answered is None else answered,
            self.name,
        )

    def _refusal(self, response: ClientResponse, body: str) -> ProviderError:
        return refusal(response.status, body, response.headers, self._provider)

    def _no_stream(self, body: str) -> ProviderError:
        """Some gateways report errors with status 200."""
        try:
            error = json.loads(body)["error"]
        except (ValueError, RecursionError, KeyError, TypeError):
            return ProviderMalformed(f"{self._who} does not stream; check {self._provider.url_variable}")
        return refusal(status_of(error), error, {}, self._provider)

    @contextmanager
    def _provider_errors(self, completion: Completion) -> Iterator[None]:
        """Translate what the transport raises."""
        import aiohttp  # noqa: PLC0415

        try:
            yield
        except aiohttp.ClientConnectorCertificateError as error:
            raise ProviderError(
                f"{self._who} has a certificate of no known authority; set SSL_CERT_FILE to a file with its authority"
            ) from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise ProviderUnavailable(f"{self._who} cannot be reached") from error
        except TimeoutError as error:
            raise ProviderUnavailable(f"{self._who} has stalled", retry_after=ASK_AGAIN) from error
        except aiohttp.ClientHttpProxyError as error:
            raise ProviderUnavailable(f"{self._who} cannot be reached: the proxy answers {error.status}") from None
        except aiohttp.ClientResponseError:
            # The transport's exception quotes the request, which holds the key.
            raise ProviderMalformed(f"{self._who} does not speak HTTP; check {self._provider.url_variable}") from None
        except (aiohttp.ClientError, ConnectionError) as error:
            if completion.empty:
                raise ProviderUnavailable(f"{self._who} broke the connection") from error
            raise self._truncated(completion) from error

    def _truncated(self, completion: Completion) -> AnswerTruncated | ProviderMalformed:
        if completion.empty:
            return ProviderMalformed(f"{self._who} sent no answer; check {self._provider.url_variable}")
        return AnswerTruncated(f"{self._who} broke the answer off", retry_after=ASK_AGAIN)

    @property
    def _who(self) -> str:
        return f"the model provider at {self._provider.host}"


class Watch:
    """Holds a model to its time: so much for each step, and so much for all. Only waiting counts, not the reader's own
    time. A server's signs of life are no steps: some send them for as long as they hang."""

    def __init__(self, patience: float, longest: float) -> None:
        self._patience = patience
        self._longest = longest
        self._waited = 0.0
        self._in_all = 0.0
        self._steps = 0

    async def read(self, read: Read, completion: Completion) -> bytes:
        """The next bytes. Raises TimeoutError; where no byte comes at all, the transport does."""
        if completion.steps != self._steps:
            self._steps = completion.steps
            self._waited = 0.0
        began = time.monotonic()
        chunk = await read()
        passed = time.monotonic() - began
        self._waited += passed
        self._in_all += passed
        if self._waited > self._patience + 1 or self._in_all > self._longest:
            raise TimeoutError
        return chunk


async def _soon(read: Read, seconds: float) -> bytes:
    """The next bytes, if they do not keep us waiting: a provider that has finished may forget to hang up."""
    try:
        async with asyncio.timeout(seconds):
            return await read()
    except TimeoutError:
        return b""


async def _drain(read: Read) -> None:
    """Read to the end, which is all but here, so that the connection can serve the next question."""
    while await _soon(read, DRAIN):
        pass


async def _text(response: ClientResponse) -> str:
    """The beginning of a body that is no stream."""
    body = b""
    while len(body) < MOST_REFUSAL and (chunk := await response.content.readany()):
        body += chunk
    return body[:MOST_REFUSAL].decode("utf-8", "replace")
