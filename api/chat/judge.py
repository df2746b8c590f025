"""Decides whether what was found can answer the question at all.

Neither side can be trusted alone: what cosine a good passage has differs from corpus to corpus, and a question's words
stand in many passages that do not answer it. Their mix separates questions about the docs from others on every set
that was tried; a right topic with a wrong detail it cannot tell, which is left to whoever answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from api.chat.overlap import share, terms_of, topic_of, weigh
from api.chat.retrieve import Findings
from shared.models import Passage
from shared.services import Services

#: What a passage that holds all of the question's words is worth, in cosine. So a passage needs `min_score` if it holds
#: every word, and this much more if it holds none. With 0.25 + 0.22, measured on three sets: 0 to 4% of their questions
#: refused, 95 to 98% of questions about other things.
ALL_WORDS: Final = 0.22
#: What a place (page and headings) that holds all of them is worth on top, as is asked under "Get started" how to get
#: started: so much less cosine will do, which short headings over commands and tables seldom have.
ALL_NAMED: Final = 0.1
#: A passage with so large a part of the question's words is worth naming where nothing fits.
NEAR: Final = 0.5
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
    named = ALL_NAMED * findings.named
    least = min_score - named
    return findings.cosine >= least and findings.cosine + ALL_WORDS * findings.coverage >= least + ALL_WORDS


def near(question: str, passages: Sequence[Passage], services: Services) -> list[Passage]:
    """The passages that have something to do with a question which they do not answer; often there is none."""
    texts = [terms_of(passage.chunk.chunk.embedded_text, services.bm25) for passage in passages]
    weights = weigh(topic_of(question, services.bm25), texts)
    least = services.settings.min_score
    return [
        passage
        for passage, text in zip(passages, texts, strict=True)
        if share(weights, text) >= NEAR or (passage.cosine is not None and passage.cosine >= least)
    ]
