"""Who answers: what every model promises, and the one that is no model, which lets the passages speak."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from api.chat.completions import FinishReason
from api.chat.extractive import quote
from api.chat.prompt import Message, Prompt
from shared.services import Services


@dataclass(frozen=True, slots=True)
class Ending:
    """Last of a model's stream: why it stopped, what it took, and who it was."""

    finish_reason: FinishReason
    #: As the provider counts them, else as we do; None where nobody has.
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    #: Who has answered in the end; "" for the model that was asked.
    model: str = ""


class ChatModel(Protocol):
    """Answers prompts."""

    name: str

    def stream(self, prompt: Prompt, services: Services) -> AsyncGenerator[str | Ending, None]:
        """The answer's words as they come, with marks [n], then one Ending.

        Closing the generator stops the model at once. Raises ProviderError or AnswerTruncated.
        """

    async def complete(self, messages: Sequence[Message], most_tokens: int, seconds: float) -> str | None:
        """A short reply in one piece; None without a model, and where it fails, is late or is cut short."""

    async def close(self) -> None:
        """Let go of connections."""


class ExtractiveModel:
    """Quotes the sentences that answer the question."""

    name = "extractive"

    async def stream(self, prompt: Prompt, services: Services) -> AsyncGenerator[str | Ending, None]:
        for piece in await quote(prompt, services):
            yield piece
        yield Ending("stop", prompt_tokens=0, model=self.name)

    async def complete(self, messages: Sequence[Message], most_tokens: int, seconds: float) -> str | None:
        return None

    async def close(self) -> None:
        return
