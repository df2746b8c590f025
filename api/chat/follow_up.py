"""Questions that make sense only together with what was said or marked before them: which they are, and how the two
searches, for the question alone and for both together, become one list."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from api.chat.events import Turn
from api.chat.markdown import without_links
from api.chat.overlap import terms_of, topic_of
from shared.models import Passage
from shared.services import Services

#: Of a follow-up's score, the part that goes to the question read together with what was said before. Measured on the
#: halves of a set of conversations: nDCG@10 .82 and .90 for the last turn alone, .95 and .95 with both of these.
LEANING_SHARE: Final = 0.5
#: The same where a question makes sense by itself: the visitor may have changed the subject, or not.
STANDING_SHARE: Final = 0.25
#: Characters of an earlier answer that are searched for with a follow-up.
EARLIER_ANSWER: Final = 600
#: A question of so few terms leans on what was said before.
FEW_TERMS: Final = 3
#: ... unless it names so much that the docs speak of in one place: one word alone may well be about the last subject.
OWN_TOPIC: Final = 2

_LEANING: Final = re.compile(
    r"\b(?:it|its|this|that|these|those|they|them|their|there|he|she|his|her|him|ones?|same|such|else|another|other|more)\b"
    r"|^(?:and|but|so|also|or|then|why|ok|yes|no|what about|how about|what else)\b",
    re.IGNORECASE,
)


def context_of(question: str, selection: str, history: Sequence[Turn], services: Services) -> str:
    """What a question may be about: the selection, if it leans on one, else the exchange before it."""
    if selection:
        return selection if leans(question, services) else ""
    if not history:
        return ""
    return f"{history[-1].question}\n{without_links(history[-1].answer)[:EARLIER_ANSWER]}"


def blend(plain: Sequence[Passage], wide: Sequence[Passage], share: float) -> list[Passage]:
    """The passages of two searches by the weighted sum of their scores, `share` of it the second's, best first."""
    by_id = {passage.chunk.id: replace(passage, score=(1 - share) * passage.score) for passage in plain}
    for passage in wide:
        score = share * passage.score
        other = by_id.get(passage.chunk.id)
        if other is None:
            by_id[passage.chunk.id] = replace(passage, score=score)
            continue
        cosines = [cosine for cosine in (passage.cosine, other.cosine) if cosine is not None]
        cosine = sum(cosines) / len(cosines) if cosines else None
        by_id[passage.chunk.id] = replace(other, score=other.score + score, cosine=cosine)
    return sorted(by_id.values(), key=lambda passage: -passage.score)


def leans(question: str, services: Services) -> bool:
    """Whether a question may need what was said before to be understood."""
    return points_back(question) or len(terms_of(question, services.bm25)) <= FEW_TERMS


def stands_alone(question: str, passages: Sequence[Passage], services: Services) -> bool:
    """Whether a question that may lean makes sense by itself: it points at nothing, and a passage speaks of all that
    it names. A visitor who has changed the subject is not to be answered about the old one."""
    if points_back(question) or not leans(question, services):
        return not points_back(question)
    topic = topic_of(question, services.bm25)
    return len(topic) >= OWN_TOPIC and any(
        topic <= terms_of(passage.chunk.chunk.embedded_text, services.bm25) for passage in passages
    )


def points_back(question: str) -> bool:
    return bool(_LEANING.search(question))


def speaks_for_itself(question: str, passages: Sequence[Passage], services: Services) -> bool:
    """Whether a question points at nothing, and names several things or one that no passage speaks of."""
    if points_back(question):
        return False
    topic = topic_of(question, services.bm25)
    known = frozenset[int]().union(
        *(terms_of(passage.chunk.chunk.embedded_text, services.bm25) for passage in passages)
    )
    return len(topic) >= OWN_TOPIC or not topic <= known
