"""Distribution-based score fusion: two searches' scores made comparable, and added. Pure.

Each side's scores are laid on a scale where their mean is a half and three standard deviations to either side are 0
and 1. What one side has not brought up gets nothing from it. This is what Qdrant calls DBSF; it is done here because
the raw scores are wanted as well, which Qdrant would search for a second time.

It differs where few passages hold any word of the question. The others' BM25 score is then known, it is zero, and
counts: the one passage that holds a rare name stands out, where a mean of its own would make it mediocre.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import sqrt


def fuse(cosine: Mapping[str, float], bm25: Mapping[str, float]) -> dict[str, float]:
    """Sums of the comparable scores, by id: 0..1 for each side, slightly more for what stands far out."""
    fused = Counter[str](comparable(cosine))
    fused.update(comparable(bm25, among=len(cosine)))
    return dict(fused)


def comparable(scores: Mapping[str, float], among: int = 0) -> dict[str, float]:
    """Scores by their distance from the mean, in standard deviations; a half each where they do not differ.

    `among`: how many were compared at least; those that have no score have zero, and then none counts for over 1.
    """
    count = max(len(scores), among)
    mean = sum(scores.values()) / count if count else 0.0
    zeros = count - len(scores)
    squares = sum((score - mean) ** 2 for score in scores.values()) + zeros * mean**2
    spread = sqrt(squares / (count - 1)) if count > 1 else 0.0
    if not spread:
        return dict.fromkeys(scores, 0.5)
    most = 1.0 if zeros else float("inf")
    return {id_: min(most, 0.5 + (score - mean) / (6 * spread)) for id_, score in scores.items()}
