"""How good retrieval and answers are, in numbers. Pure; each measure is None where there is nothing to measure.

A ranking is ids, best first; an id that comes again counts where it came first. Grades say how relevant an id is: 0 and
below is not at all.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

Grades = Mapping[str, float]

#: What SQuAD's own comparison drops, so that "the Rollo" and "Rollo." are one answer.
_ARTICLES: Final = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION: Final = str.maketrans(string.punctuation, " " * len(string.punctuation))
_FENCE: Final = re.compile(r"^\s*(?:```|~~~)")
_LINK: Final = re.compile(r"!?\[((?:[^\[\]\\]|\\.)*)\]\((?:[^()\s\\]|\\.|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\)")
_LIST_MARK: Final = re.compile(r"^\s*(?:[-*+>]|\d{1,3}[.)])\s+")
_SENTENCE_END: Final = re.compile(
    r"(?<=[.!?])[\"')\]*_]*\s+(?=[\"'(\[*_`]*[A-Z0-9\u00c0-\u00de])|(?<=[\u3002\uff01\uff1f])"
)
#: A stop after one of these, or after a single letter, ends no sentence.
_SHORTENED: Final = re.compile(
    r"(?:^|[\s(.])(?:[A-Za-z]|St|Dr|Mr|Mrs|Ms|Prof|Sr|Jr|Mt|vs|No|Vol|pp?|cf|ca|approx|e\.g|i\.e|etc)\.[\"')\]]*$"
)


# Rankings


def recall_at(ranking: Sequence[str], grades: Grades, k: int) -> float | None:
    """The part of the relevant ids that is among the first `k`, 0..1."""
    relevant = _relevant(grades)
    return len(relevant & set(_once(ranking)[:k])) / len(relevant) if relevant else None


def hit_at(ranking: Sequence[str], grades: Grades, k: int) -> float | None:
    """1 if a relevant id is among the first `k`, else 0."""
    relevant = _relevant(grades)
    return float(not relevant.isdisjoint(_once(ranking)[:k])) if relevant else None


def ndcg_at(ranking: Sequence[str], grades: Grades, k: int) -> float | None:
    """Normalised discounted cumulative gain, 0..1: the grade is the gain, as trec_eval and BEIR count it."""
    ideal = _discounted(sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:k])
    gained = _discounted([max(0.0, grades.get(id_, 0.0)) for id_ in _once(ranking)[:k]])
    return gained / ideal if ideal else None


def reciprocal_rank(ranking: Sequence[str], grades: Grades, k: int) -> float | None:
    """1 over the rank of the first relevant id among the first `k`; 0 if there is none."""
    relevant = _relevant(grades)
    if not relevant:
        return None
    return next((1 / rank for rank, id_ in enumerate(_once(ranking)[:k], 1) if id_ in relevant), 0.0)


def _discounted(gains: Iterable[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def _once(ranking: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(ranking))


def _relevant(grades: Grades) -> set[str]:
    return {id_ for id_, grade in grades.items() if grade > 0}


# Refusals and confidence


@dataclass(frozen=True, slots=True)
class Refusals:
    """How often was refused, of questions that should be and that should not."""

    #: The part of the refused that should be refused.
    precision: float | None
    #: The part of those that should be refused that was.
    recall: float | None
    #: The part of those that should not be refused that was answered.
    answered: float | None


def refusals(pairs: Iterable[tuple[bool, bool]]) -> Refusals:
    """Of (should be refused, was refused) for each question."""
    counted = list(pairs)
    both = sum(should and was for should, was in counted)
    refused, unanswerable = sum(was for _, was in counted), sum(should for should, _ in counted)
    answerable = len(counted) - unanswerable
    answered = answerable - (refused - both)
    return Refusals(_part(both, refused), _part(both, unanswerable), _part(answered, answerable))


def auroc(positives: Sequence[float], negatives: Sequence[float]) -> float | None:
    """How likely a random positive has the higher score than a random negative; equal scores count half."""
    if not positives or not negatives:
        return None
    ordered = sorted([(score, 1) for score in positives] + [(score, 0) for score in negatives])
    below = 0
    won = 0.0
    for _, tied in groupby(ordered, key=lambda pair: pair[0]):
        kinds = [kind for _, kind in tied]
        ups, downs = sum(kinds), len(kinds) - sum(kinds)
        won += ups * (below + downs / 2)
        below += downs
    return won / (len(positives) * len(negatives))


def _part(count: int, of: int) -> float | None:
    return count / of if of else None


# Texts


def holds_answer(text: str, answers: Iterable[str]) -> bool:
    """Whether a text holds one of the answers, whatever the case, marks and articles of either."""
    said = f" {_plain(text)} "
    return any(wanted and f" {wanted} " in said for wanted in map(_plain, answers))


def _plain(text: str) -> str:
    words = _ARTICLES.sub(" ", text.casefold().translate(_PUNCTUATION).replace("\u2019", " "))
    return " ".join(words.split())


def plain_text(markdown: str) -> str:
    """An answer's words: links and citations are left out, marks of lists and emphasis too; code stays."""
    lines = [line for line in markdown.splitlines() if not _FENCE.match(line)]
    return "\n".join(_LIST_MARK.sub("", _LINK.sub("", line)).replace("**", "").strip(" #") for line in lines)


def sentences_of(markdown: str) -> list[str]:
    """An answer's sentences in reading order, lines of code and lists among them; none is a lead-in with a colon."""
    found: list[str] = []
    for line in plain_text(markdown).splitlines():
        pieces: list[str] = []
        for piece in _SENTENCE_END.split(line):
            if pieces and _SHORTENED.search(pieces[-1]):
                pieces[-1] += f" {piece}"
            else:
                pieces.append(piece)
        found += [piece.strip() for piece in pieces if re.search(r"\w", piece)]
    return [sentence for sentence in found if not sentence.endswith(":")]


# Many questions


def mean(values: Iterable[float | None]) -> float | None:
    """Over those that are not None."""
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Between the two nearest values, in proportion, as spreadsheets and NumPy do."""
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same questions, measured twice."""

    better: int
    worse: int
    same: int
    #: How often chance alone would part better from worse at least so unevenly: the two-sided sign test, 0..1.
    chance: float


def compare(pairs: Iterable[tuple[float | None, float | None]]) -> Comparison | None:
    """Of (measured, measured against) for each question; pairs without both are left out."""
    there = [(now, before) for now, before in pairs if now is not None and before is not None]
    if not there:
        return None
    better = sum(now > before for now, before in there)
    worse = sum(now < before for now, before in there)
    return Comparison(better, worse, len(there) - better - worse, sign_test(better, worse))


def sign_test(better: int, worse: int) -> float:
    """Two-sided, exact."""
    flips = better + worse
    tail = sum(math.comb(flips, wins) for wins in range(min(better, worse) + 1)) / (1 << flips)
    return min(1.0, 2 * tail)
