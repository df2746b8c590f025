"""Words of a question that the docs do not know, for ones that they do: a slip of the finger still finds.

There is no dictionary. What search brings up in spite of the slip, by meaning and by the other words, nearly always
holds the word that was meant.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from api.chat.overlap import sequence_of, terms_of
from shared.bm25 import Bm25Encoder
from shared.models import Passage
from shared.tokens import count_tokens

#: Letters of a word that is looked at: shorter ones have too many neighbours.
LEAST_LETTERS: Final = 5
#: Letters of a word that may be two slips away instead of one.
LONG: Final = 9
#: Words of a question that are looked at; who writes more unknown ones writes in another language.
MOST_WORDS: Final = 3

_WORD: Final = re.compile(rf"(?<![\w$@./-])[^\W\d_]{{{LEAST_LETTERS},40}}(?![\w/@-]|[.:]\w)")
_VOCABULARY: Final = re.compile(rf"[^\W\d_]{{{LEAST_LETTERS - 1},}}")


def unknown_words(question: str, passages: Sequence[Passage], bm25: Bm25Encoder) -> list[str]:
    """The words of a question that none of these passages holds; none where there are many of them.

    A word that the model's vocabulary has whole is a word and no slip, whether or not the docs speak of it.
    """
    known = frozenset[int]().union(*(sequence_of(passage.chunk.chunk.embedded_text, bm25) for passage in passages))
    words = dict.fromkeys(_WORD.findall(question))
    unknown = [
        word for word in words if (terms := terms_of(word, bm25)) and not terms & known and count_tokens(word) > 1
    ]
    return unknown if len(unknown) <= MOST_WORDS else []


def corrections(words: Iterable[str], passages: Sequence[Passage]) -> dict[str, str]:
    """For each word the nearest one of these passages, if one is near: the nearest first, then the most frequent."""
    found = {}
    vocabulary: Counter[str] = Counter()
    for passage in passages:
        vocabulary.update(set(_VOCABULARY.findall(passage.chunk.chunk.embedded_text.lower())))
    for word in words:
        lower, slips = word.lower(), 2 if len(word) >= LONG else 1
        letters = frozenset(lower)
        near = [
            (distance, -count, other)
            for other, count in vocabulary.items()
            if abs(len(other) - len(lower)) <= slips
            and len(letters.symmetric_difference(other)) <= 2 * slips  # saves counting nearly all of them
            and (distance := slips_between(lower, other, slips)) <= slips
        ]
        if near:
            found[word] = min(near)[2]
    return found


def corrected(question: str, meant: dict[str, str]) -> str:
    """The question with the words that were meant."""
    return _WORD.sub(lambda word: meant.get(word[0], word[0]), question)


def slips_between(one: str, other: str, most: int) -> int:
    """How many slips make one word the other: a letter too many, missing or wrong, or two neighbours swapped
    (Damerau and Levenshtein's distance, restricted). Any number above `most` only says that it is more."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        line = [row]
        for column, theirs in enumerate(other, 1):
            cost = min(last[column] + 1, line[-1] + 1, last[column - 1] + (letter != theirs))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == theirs:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        if min(line) > most:
            return most + 1
        before, last = last, line
    return last[-1]
