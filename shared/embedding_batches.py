"""How many texts go in one embeddings request. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shared.tokens import count_tokens


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider takes in one request."""

    items: int
    #: Summed over a request, as `shared.tokens` counts: others count up to half as much again.
    tokens: int
    #: Whether vectors may be asked for as base64, which is a quarter of the size.
    base64: bool = False


#: OpenAI: 2,048 inputs and 300,000 tokens. Gemini: 100 inputs, and 400 for base64. Others: what most accept.
LIMITS: Final = {
    "api.openai.com": Limits(items=2048, tokens=200_000, base64=True),
    "generativelanguage.googleapis.com": Limits(items=100, tokens=100_000),
}
OTHER_LIMITS: Final = Limits(items=64, tokens=100_000)


def pack(texts: Sequence[str], items: int, tokens: int) -> Iterator[range]:
    """Consecutive positions of texts that go in one request: at most `items` texts and, unless one text alone has
    more, `tokens` tokens."""
    start, total = 0, 0
    for position, text in enumerate(texts):
        size = count_tokens(text)
        if position > start and (position - start == items or total + size > tokens):
            yield range(start, position)
            start, total = position, 0
        total += size
    if start < len(texts):
        yield range(start, len(texts))
