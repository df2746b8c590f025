"""Counts tokens as the local embedding model's WordPiece tokenizer would, without a network.

Chunk sizes, prompt budgets and usage are all measured with it. WordPiece never looks across whitespace, so the count
of a text is the sum over its words, and the same words come again and again: remembering each word's count is exact
and some twenty times as fast as tokenising every text.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer

#: `tokenizer.json` of all-MiniLM-L6-v2; `shared/data/NOTICE.md` says where it comes from.
TOKENIZER_FILE: Final = Path(__file__).parent / "data" / "minilm_tokenizer.json"
#: Words remembered before starting afresh: about 30 MB, several times what a large site uses.
MAX_REMEMBERED: Final = 200_000
#: A longer word (an address with a query, a hash) is unlikely to come again.
MAX_REMEMBERED_LENGTH: Final = 128
#: Characters of one endless word that are looked at together, which bounds the memory that counting takes.
LONG_WORD: Final = 65_536
#: `max_input_chars_per_word` of the model: it calls a longer run of letters unknown without looking.
LONGEST_KNOWN_WORD: Final = 100

_ASCII_PARTS: Final = re.compile(r"[0-9A-Za-z]+|[^0-9A-Za-z]")


def count_tokens(text: str) -> int:
    """How many tokens `text` has. Counts of texts that are joined by whitespace add up exactly.

    A word that the vocabulary cannot spell (emoji, a run of over 100 letters) is one unknown token to this model and
    many to others: it counts as one a character, so that no text is larger than it seems.
    """
    return sum(map(_word_counts().__getitem__, text.split()))


class _WordCounts(dict[str, int]):
    """Token counts of the whitespace-separated words seen so far."""

    def __missing__(self, word: str) -> int:
        if len(word) > LONG_WORD:
            return sum(self[word[i : i + LONG_WORD]] for i in range(0, len(word), LONG_WORD))
        count = _count_ascii(word) if word.isascii() else _count_by_model(word)
        if len(word) <= MAX_REMEMBERED_LENGTH:
            if len(self) >= MAX_REMEMBERED:
                self.clear()
            self[word] = count
        return count


class _PartCounts(dict[str, int]):
    """Token counts of runs of ASCII letters and digits; any other ASCII character stands alone in BERT's rules."""

    def __missing__(self, part: str) -> int:
        if len(part) > LONGEST_KNOWN_WORD:
            return len(part)
        count = len(_tokenizer().model.tokenize(part.lower()))
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        self[part] = count
        return count


def _count_ascii(word: str) -> int:
    return sum(map(_part_counts().__getitem__, _ASCII_PARTS.findall(word)))


def _count_by_model(word: str) -> int:
    encoding = _tokenizer().encode(word, add_special_tokens=False)
    unknown = _unknown_id()
    if unknown not in encoding.ids:
        return len(encoding.ids)
    spans = zip(encoding.ids, encoding.offsets, strict=True)
    return sum(end - start if token == unknown else 1 for token, (start, end) in spans)


@cache
def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(TOKENIZER_FILE))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@cache
def _unknown_id() -> int | None:
    return _tokenizer().token_to_id("[UNK]")


@cache
def _word_counts() -> _WordCounts:
    return _WordCounts()


@cache
def _part_counts() -> _PartCounts:
    return _PartCounts()
