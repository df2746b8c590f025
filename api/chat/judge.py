"""Decides whether what was found can answer the question at all.

Neither side can be trusted alone: what cosine a good passage has differs from corpus to corpus, and a question's words
stand in many passages that do not answer it. Their mix separates questions about the docs from others on every set
that was tried; a right topic with a wrong detail it cannot tell, which is left to whoever answers.
"""

from __future__ import annotations

from typing import Final

from api.chat.retrieve import Findings

#: What a passage that holds all of the question's words is worth, in cosine. So a passage needs `min_score` if it holds
#: every word, and this much more if it holds none. With 0.25 + 0.22, measured on three sets: 0 to 4% of their questions
#: refused, 95 to 98% of questions about other things.
ALL_WORDS: Final = 0.22
#: Without vectors to compare: the part of the question's words that one passage must hold.
WORDS_ALONE: Final = 0.5


def fits(findings: Findings, min_score: float) -> bool:
    """Whether to answer from these passages. `min_score`: the lowest cosine of a passage that answers a question."""
    if not findings.passages:
        return False
    if findings.selected:  # the visitor has shown us the passage
        return True
    if findings.cosine is None:
        return findings.coverage >= WORDS_ALONE
    return findings.cosine >= min_score and findings.cosine + ALL_WORDS * findings.coverage >= min_score + ALL_WORDS
