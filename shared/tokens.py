"""Counts tokens as the local embedding model's WordPiece tokenizer would, without a network.

Chunk sizes, prompt budgets and usage are all measured with it. WordPiece never looks across whitespace, so the count
of a text is the sum over its words, and the same words come again and again: remembering each word's count is exact
and some twenty times as fast as tokenising every text. Other models' tokenizers are not at hand, and most are not
published: `most_tokens` says what none of them exceeds.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from tokenizers import Token, Tokenizer

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

_ALPHANUMERIC: Final = (string.ascii_letters + string.digits).encode()
#: Makes a blank of each ASCII character but letters and digits: it stands alone in BERT's rules, one token each.
_SPACED: Final = bytes(code if code in _ALPHANUMERIC else 0x20 for code in range(256))
#: Chinese characters, as BERT's rules have them, and the marks between them: each stands alone, one token each.
_IDEOGRAPHS: Final = re.compile(
    "[\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f"
    "\u3001\u3002\u3008-\u3011\u30fb\uff01\uff08\uff09\uff0c\uff0e\uff1a\uff1b\uff1f]"
)
_RARE_BLANKS: Final = re.compile(r"[^\S\x00-\x7f]+")
#: Letters that byte-pair vocabularies hold together: few pairs go on from a small letter to a capital.
_LETTERS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


def count_tokens(text: str) -> int:
    """How many tokens `text` has. Counts of texts that are joined by whitespace add up exactly.

    A word that the vocabulary cannot spell (emoji, a run of over 100 letters) is one unknown token to this model and
    many to others: it counts as one a character, so that no text is larger than it seems.
    """
    return sum(map(_word_count, text.split()))


def most_tokens(text: str) -> int:
    """A number of tokens that `text` does not exceed, whatever the embedding model's tokenizer.

    None makes more tokens than there are bytes. Where that is far too many, in ASCII words and blanks, this counts what
    was measured to be enough for byte-pair vocabularies: about twice the real number of English and of code, and never
    too few for letters at random.
    """
    blanks = text.count("\n") + text.count("\t") + text.count("  ")
    rare = 0 if text.isascii() else len("".join(_RARE_BLANKS.findall(text)).encode())
    return blanks + rare + sum(map(_word_most, text.split()))


class _Counts(dict[str, int]):
    """Counts of the words seen so far, made by `count` where one is new."""

    def __init__(self, count: Callable[[str], int]) -> None:
        super().__init__()
        self._count = count

    def __missing__(self, word: str) -> int:
        if len(word) > LONG_WORD:
            return sum(self[word[i : i + LONG_WORD]] for i in range(0, len(word), LONG_WORD))
        count = self._count(word)
        if len(word) <= MAX_REMEMBERED_LENGTH:
            if len(self) >= MAX_REMEMBERED:
                self.clear()
            self[word] = count
        return count


def _count_word(word: str) -> int:
    """Of a word between whitespace."""
    if not word.isascii():
        others = _IDEOGRAPHS.sub(" ", word)
        return others.count(" ") + sum(map(_other_count, others.split()))
    # As bytes, which are translated four times as fast as short strings.
    spaced = word.encode().translate(_SPACED).decode()
    return spaced.count(" ") + sum(map(_part_count, spaced.split()))


def _count_part(part: str) -> int:
    """Of a run of ASCII letters and digits."""
    return len(part) if len(part) > LONGEST_KNOWN_WORD else len(_tokenize()(part.lower()))


def _most_of_word(word: str) -> int:
    """Of a word and the blank before it, which only joins an ASCII letter or mark."""
    if not word.isascii():
        return len(word.encode()) + 1
    # Letters at random are in no vocabulary by more than two or three, and WordPiece knows that as well as others.
    saved = sum((len(run) - 1) // (3 if run.isupper() else 2) for run in _LETTERS.findall(word))
    return max(len(word) - saved, _word_count(word)) + word[0].isdigit()


def _count_by_model(word: str) -> int:
    encoding = _tokenizer().encode(word, add_special_tokens=False)
    unknown = _unknown_id()
    if unknown not in encoding.ids:
        return len(encoding.ids)
    spans = zip(encoding.ids, encoding.offsets, strict=True)
    return sum(end - start if token == unknown else 1 for token, (start, end) in spans)


_words: Final = _Counts(_count_word)
_word_count: Final = _words.__getitem__
_part_count: Final = _Counts(_count_part).__getitem__
_other_count: Final = _Counts(_count_by_model).__getitem__
_word_most: Final = _Counts(_most_of_word).__getitem__


@cache
def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(TOKENIZER_FILE))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@cache
def _tokenize() -> Callable[[str], list[Token]]:
    """WordPiece alone, for a word that is normal as it is."""
    tokenize: Callable[[str], list[Token]] = _tokenizer().model.tokenize
    return tokenize


@cache
def _unknown_id() -> int | None:
    return _tokenizer().token_to_id("[UNK]")
