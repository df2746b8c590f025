"""How many texts go in one embeddings request. Pure but for what `TokenScale` learns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shared.tokens import count_tokens


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Most of what goes in one request: texts, and tokens as `size_of` counts them."""

    items: int
    tokens: int


@dataclass(frozen=True, slots=True)
class ProviderLimits:
    """What a provider takes in one request."""

    items: int
    #: Summed over a request, as the provider counts them.
    tokens: int
    #: Whether vectors may be asked for as base64, which is a quarter of the size.
    base64: bool = False


#: OpenAI: 2,048 inputs and 300,000 tokens. Gemini: 100 inputs, and 400 for base64. Others: what most accept.
LIMITS: Final = {
    "api.openai.com": ProviderLimits(items=2048, tokens=300_000, base64=True),
    "generativelanguage.googleapis.com": ProviderLimits(items=100, tokens=100_000),
}
OTHER_LIMITS: Final = ProviderLimits(items=64, tokens=100_000)

#: What a request leaves free of the provider's limit on tokens, for texts that it counts higher than those before.
MARGIN: Final = 0.92
#: The provider's tokens for one of ours before its first reply: for English text and code it counts about as many.
FIRST_SCALE: Final = 1.05
#: A reply about fewer of our tokens than this says little about the next one.
TELLING_TOKENS: Final = 1000
#: How a refusal words that there was too much text and not too many texts.
_TOO_MANY_TOKENS: Final = re.compile(r"\btokens?\b", re.IGNORECASE)


def size_of(text: str) -> int:
    """Tokens of a text as providers count them, roughly, from above: what is not ASCII costs them up to half as many
    tokens more a character than it does the model whose tokens `shared.tokens` counts."""
    tokens = count_tokens(text)
    return tokens if text.isascii() else tokens + (len(text.encode("utf-8", "surrogatepass")) - len(text)) // 4


class TokenScale:
    """The provider's tokens for one of `size_of`, as its replies tell: up at once, down by halves."""

    def __init__(self) -> None:
        self.value = FIRST_SCALE

    def learn(self, ours: int, theirs: int | None) -> None:
        """Take in one reply: what was sent by our count, and by the provider's where it says so."""
        if theirs and ours >= TELLING_TOKENS:
            found = theirs / ours
            self.value = found if found > self.value else (self.value + found) / 2

    def ours(self, theirs: int) -> int:
        """How many of our tokens are as many of the provider's."""
        return int(theirs / self.value)


def blames_tokens(refusal: str) -> bool:
    """Whether a provider that refused a batch speaks of its tokens; else there may have been too many texts."""
    return _TOO_MANY_TOKENS.search(refusal) is not None


def pack(sizes: Sequence[int], limits: BatchLimits) -> Iterator[range]:
    """Consecutive positions of texts that go in one request, by the texts' sizes: at most `limits.items` texts and,
    unless one text alone has more, `limits.tokens` tokens."""
    start, total = 0, 0
    for position, size in enumerate(sizes):
        if position > start and (position - start == limits.items or total + size > limits.tokens):
            yield range(start, position)
            start, total = position, 0
        total += size
    if start < len(sizes):
        yield range(start, len(sizes))
