"""How much of a chunk a text takes up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from shared.tokens import count_tokens, most_tokens

#: Bytes that pass for a token where the tokenizer sees fewer: blanks, combining marks. Real text has 3 to 6.
BYTES_PER_TOKEN: Final = 16
#: Most bytes of a character in UTF-8, and most tokens: Unicode writes it as up to four when it takes it apart.
MOST_OF_A_CHARACTER: Final = 4
#: What `most_tokens` adds to a word's bytes for the blank before it.
WORD_MARGIN: Final = 1


@dataclass(frozen=True, slots=True)
class Measure:
    """The size of a chunk in tokens, and how many bytes each token may stand for."""

    size: int
    bytes_per_token: float = BYTES_PER_TOKEN

    @classmethod
    def of(cls, size: int, limit: int | None, place: str) -> Measure:
        """For texts that are embedded behind `place` by a model that reads `limit` tokens; None: any number."""
        if limit is None:
            return cls(size)
        room = limit - len(place.encode()) - len("\n\n") - WORD_MARGIN
        return cls(size, min(BYTES_PER_TOKEN, room / size))

    @property
    def certain(self) -> int:
        """Characters that fit into a chunk, whatever they are."""
        tokens = min(self.size, int(self.size * self.bytes_per_token) - WORD_MARGIN)
        return max(1, tokens // MOST_OF_A_CHARACTER)

    def weigh(self, text: str) -> tuple[int, int]:
        """The tokens of `text`, and its weight: as many, or more for a text of many bytes and few tokens.

        A text whose weight is at most `size` fits into a chunk. The weight of texts that are joined by whitespace is at
        most the sum of theirs.
        """
        tokens = count_tokens(text)
        if (len(text) if text.isascii() else len(text.encode())) <= tokens * self.bytes_per_token:
            return tokens, tokens
        return tokens, max(tokens, math.ceil(most_tokens(text) / self.bytes_per_token))
