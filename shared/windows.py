"""Cuts a passage into windows that an embedding model can read whole."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final

from shared.tokens import count_tokens

#: [CLS] and [SEP], which the model puts around every text.
SPECIAL_TOKENS: Final = 2
#: Most of a window that the trail may take. Of a longer trail the end is kept, which says most about the passage.
TRAIL_SHARE: Final = 3
#: Most of a window that may repeat the end of the window before: about a sentence, so that one which leans on its
#: neighbour is read with it once.
OVERLAP_SHARE: Final = 4
#: Tokens that one character can cost at most: a Hangul syllable is read as its three letters.
TOKENS_PER_CHARACTER: Final = 4

SEPARATOR: Final = "\n\n"

#: Ends of lines and sentences; CJK writing has no space after its full stop.
_SENTENCE_END: Final = re.compile(r"\s*\n\s*|(?<=[.!?…])\s+|(?<=[\u3002\uff01\uff1f])")
_WORD: Final = re.compile(r"\S+\s*")

#: A piece of text that is not cut, and its tokens.
Unit = tuple[str, int]
#: Units that stand in one window: the first, and one past the last.
Span = tuple[int, int]


def split_windows(trail: str, text: str, limit_tokens: int) -> list[str]:
    """The trail and the text as one window, or as several of about the same size that each begin with the trail.

    No window has more than `limit_tokens` tokens as the local model counts them. Cuts are made at ends of sentences and
    lines, inside of those only where one alone is too long.
    """
    head = _head(trail, limit_tokens // TRAIL_SHARE)
    budget = limit_tokens - SPECIAL_TOKENS - count_tokens(head)
    if count_tokens(text) <= budget:
        return [head + text]
    units = list(_units(text, budget))
    spans = _with_overlap(units, _even_spans(units, budget), budget)
    return [head + "".join(part for part, _ in units[start:end]).strip() for start, end in spans]


def _head(trail: str, limit: int) -> str:
    """The trail as each window begins with it, its beginning left out where it has more than `limit` tokens."""
    kept: list[str] = []
    left = limit
    for part, tokens in reversed(list(_units(trail, limit))):
        left -= tokens
        if left < 0:
            break
        kept.append(part)
    return "".join(reversed(kept)).strip() + SEPARATOR if kept else ""


def _units(text: str, budget: int) -> Iterator[Unit]:
    """Sentences and lines; of one that is over the budget its words, of a word that is over it bits of the word."""
    for sentence in _cut_at(_SENTENCE_END, text):
        tokens = count_tokens(sentence)
        if tokens <= budget:
            yield sentence, tokens
            continue
        for word in _WORD.findall(sentence):
            tokens = count_tokens(word)
            if tokens <= budget:
                yield word, tokens
                continue
            step = max(1, budget // TOKENS_PER_CHARACTER)
            for start in range(0, len(word), step):
                bit = word[start : start + step]
                # Joined again, the bits may be a run of letters so long that it counts by the letter.
                yield bit, max(len(bit), count_tokens(bit))


def _cut_at(ends: re.Pattern[str], text: str) -> Iterator[str]:
    borders = [0, *(match.end() for match in ends.finditer(text)), len(text)]
    return (text[start:end] for start, end in pairwise(borders) if text[start:end].strip())


def _even_spans(units: Sequence[Unit], budget: int) -> list[Span]:
    """As few spans of about equal size as fit the budget, so that none is a tiny rest."""
    sums = list(accumulate((tokens for _, tokens in units), initial=0))
    # Most windows can then begin with a sentence of the one before.
    usual = budget - budget // OVERLAP_SHARE
    for count in range(-(-sums[-1] // usual), len(units)):
        # The last end is given, not looked for: units that the model does not read have no tokens, and belong to it.
        ends = sorted({*(_nearest(sums, sums[-1] * n / count) for n in range(count)), len(units)})
        spans = list(pairwise(ends))
        if all(sums[end] - sums[start] <= budget for start, end in spans):
            return spans
    return [(place, place + 1) for place in range(len(units))]


def _nearest(sums: Sequence[int], target: float) -> int:
    """Position of the sum that is closest to the target."""
    place = bisect_left(sums, target)
    if place and target - sums[place - 1] < sums[place] - target:
        return place - 1
    return place


def _with_overlap(units: Sequence[Unit], spans: Sequence[Span], budget: int) -> Iterator[Span]:
    """Begin each span with the last unit of the one before, where that is short and there is room for it."""
    for start, end in spans:
        size = sum(tokens for _, tokens in units[start:end])
        room = min(budget // OVERLAP_SHARE, budget - size)
        yield (start - 1, end) if start and units[start - 1][1] <= room else (start, end)
