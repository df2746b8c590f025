"""From a question to the passages that may answer it: embed, search, blend, rerank, collapse.

The release and the judgement on what was found are the caller's business.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from weakref import WeakKeyDictionary

import structlog

from api.chat.events import Question, Turn
from api.chat.markdown import without_links
from api.chat.overlap import share, terms_of, topic_of, weigh
from shared.embeddings import Embedder
from shared.errors import ProviderError
from shared.models import Passage, Release, Vector
from shared.services import Services

log = structlog.get_logger(__name__)

#: Passages that are compared with each other before the best are kept.
POOL: Final = 12
#: What a heading made of the question's words is worth beside the fused score (0..2): on a product's docs .15 lifts
#: nDCG@10 from .83 to .84 and .3 lifts MRR@3 from .92 to .93; above .15 an encyclopedia's questions begin to pay.
HEADING_BONUS: Final = 0.2
#: Of a follow-up's score, the part that goes to the question read together with what was said before. Measured on
#: conversations: nDCG@10 .85 for the last turn alone, .95 with half and half.
CONTEXT_SHARE: Final = 0.5
#: Characters of a question, selection or earlier answer that are searched for. Embedding models read little more, and
#: keyword search takes time for each word.
SEARCHED: Final = 2000
EARLIER_ANSWER: Final = 600
#: A question of so few terms leans on what was said before.
FEW_TERMS: Final = 3
#: ... unless it names so much that the docs speak of in one place: one word alone may well be about the last subject.
OWN_TOPIC: Final = 2
#: A passage that holds so much of a selection is where it was selected, whole or for the larger part.
HOLDS_SELECTION: Final = 0.6
#: Two texts that share so many of their words are one text to a visitor.
SAME: Final = 0.95
#: Vectors of questions that are remembered: about 12 MB of a provider's largest.
REMEMBERED: Final = 256

_LEANING: Final = re.compile(
    r"\b(?:it|its|this|that|these|those|they|them|their|there|he|she|his|her|him|ones?|same|such|else|another|other|more)\b"
    r"|^(?:and|but|so|also|or|then|why|ok|yes|no|what about|how about|what else)\b",
    re.IGNORECASE,
)
_WORDS: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found for a question, and how well it matches."""

    #: Best first.
    passages: tuple[Passage, ...] = ()
    #: The largest cosine of question and passage, -1..1; None if there was no vector to compare.
    cosine: float | None = None
    #: The part of the question's words that the best single passage holds, 0..1.
    coverage: float = 0.0
    #: The part that the place of one passage (its page and headings) holds, 0..1.
    named: float = 0.0
    #: A passage holds the text that the visitor had marked.
    selected: bool = False
    #: What these figures were read off, best first: `passages`, or what the question finds without its context.
    judged: tuple[Passage, ...] = ()


async def retrieve(
    text: str, selection: str | None, history: Sequence[Turn], services: Services, k: int
) -> list[Passage]:
    """The `k` best passages of the live release, best first; none before the first ingest."""
    release = await services.releases.live()
    if release is None:
        return []
    question = Question(text, selection=selection, history=tuple(history), k=k)
    return list((await find(question, release, services)).passages)


async def find(asked: Question, release: Release, services: Services) -> Findings:
    """Search a release for the question, for what it leans on and for the selection, all at once."""
    k = asked.k
    question, marked = _clipped(asked.text), _clipped(asked.selection or "")
    context = _context(question, marked, asked.history, services)
    limit = max(POOL, 2 * k)
    try:
        async with asyncio.TaskGroup() as group:
            plain = group.create_task(_search(question, release, services, limit))
            wide = group.create_task(_search(f"{question}\n{context}", release, services, limit)) if context else None
            holding = group.create_task(_search(marked, release, services, limit)) if marked else None
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None  # they ask the same index: one failure says it all
    own = plain.result()
    alone = wide is None or stands_alone(question, own[:k], services)
    found = own if alone or wide is None else blend(own, wide.result())
    ranked = rerank(question, found, services)
    for_selection = holding.result() if holding else []
    holders = [passage for passage in for_selection if _holds(passage, marked, services)]
    kept = collapse([*holders[: max(1, k // 2)], *ranked, *for_selection], k)
    # What was said before explains a question; it is no evidence that the docs know what the question itself names.
    judged = own if _speaks_for_itself(question, found, services) else found
    coverage, named = _coverage(question, judged, k, services)
    return Findings(
        passages=tuple(kept),
        judged=tuple(kept if judged is found else own[:k]),
        cosine=_best_cosine(kept if judged is found else own[:k]),
        coverage=coverage,
        named=named,
        selected=bool(holders),
    )


def blend(plain: Sequence[Passage], wide: Sequence[Passage]) -> list[Passage]:
    """The passages of two searches by the weighted sum of their scores, best first."""
    by_id = {passage.chunk.id: replace(passage, score=(1 - CONTEXT_SHARE) * passage.score) for passage in plain}
    for passage in wide:
        score = CONTEXT_SHARE * passage.score
        other = by_id.get(passage.chunk.id)
        if other is None:
            by_id[passage.chunk.id] = replace(passage, score=score)
            continue
        cosines = [cosine for cosine in (passage.cosine, other.cosine) if cosine is not None]
        cosine = sum(cosines) / len(cosines) if cosines else None
        by_id[passage.chunk.id] = replace(other, score=other.score + score, cosine=cosine)
    return sorted(by_id.values(), key=lambda passage: -passage.score)


def rerank(question: str, passages: Sequence[Passage], services: Services) -> list[Passage]:
    """Passages under a heading that speaks the question's words move up."""
    asked = terms_of(question, services.bm25)

    def score(passage: Passage) -> float:
        heading = terms_of(passage.chunk.chunk.heading, services.bm25)
        return passage.score + HEADING_BONUS * (len(asked & heading) / len(heading) if heading else 0.0)

    return sorted(passages, key=lambda passage: -score(passage))


def collapse(passages: Sequence[Passage], k: int) -> list[Passage]:
    """The first `k` passages, without those that only repeat an earlier one, on this page or on another."""
    kept: list[Passage] = []
    seen: list[frozenset[str]] = []
    for passage in passages:
        words = frozenset(_WORDS.findall(passage.chunk.chunk.text.lower()))
        if not any(len(words & other) >= SAME * len(words | other) for other in seen):
            kept.append(passage)
            seen.append(words)
        if len(kept) == k:
            break
    return kept


def leans(question: str, services: Services) -> bool:
    """Whether a question may need what was said before to be understood."""
    return _points_back(question) or len(terms_of(question, services.bm25)) <= FEW_TERMS


def stands_alone(question: str, passages: Sequence[Passage], services: Services) -> bool:
    """Whether a question that may lean makes sense by itself: it points at nothing, and a passage speaks of all that
    it names. A visitor who has changed the subject is not to be answered about the old one."""
    if _points_back(question) or not leans(question, services):
        return not _points_back(question)
    topic = topic_of(question, services.bm25)
    return len(topic) >= OWN_TOPIC and any(topic <= terms_of(_text(passage), services.bm25) for passage in passages)


def _points_back(question: str) -> bool:
    return bool(_LEANING.search(question))


def _speaks_for_itself(question: str, passages: Sequence[Passage], services: Services) -> bool:
    """Whether a question points at nothing, and names several things or one that no passage speaks of."""
    if _points_back(question):
        return False
    topic = topic_of(question, services.bm25)
    known = frozenset[int]().union(*(terms_of(_text(passage), services.bm25) for passage in passages))
    return len(topic) >= OWN_TOPIC or not topic <= known


async def _search(text: str, release: Release, services: Services, limit: int) -> list[Passage]:
    vector = await _vector(text, release, services)
    sparse = services.bm25.encode_query(text)
    return await services.store.search(release.collection, release.number, vector, sparse, limit)


async def _vector(text: str, release: Release, services: Services) -> Vector | None:
    """The text's vector; None, so that words alone decide, if there is none that the release could be compared with."""
    spec = await services.store.spec_of(release.collection)
    if spec.model != services.embedder.model:
        log.warning("the release was made with another embedding model", made_with=spec.model)
        return None
    remembered = _vectors.setdefault(services.embedder, OrderedDict())
    if text not in remembered:
        try:
            remembered[text] = await services.embedder.embed_query(text)
        except ProviderError as error:
            log.warning("the question could not be embedded", reason=error.message)
            return None
    remembered.move_to_end(text)
    while len(remembered) > REMEMBERED:
        remembered.popitem(last=False)
    return remembered[text] if len(remembered[text]) == spec.dimensions else None


#: Vectors of recent questions, the latest last. A follow-up asks for its predecessor's again, a retry for its own.
_vectors: WeakKeyDictionary[Embedder, OrderedDict[str, Vector]] = WeakKeyDictionary()


def _context(question: str, selection: str, history: Sequence[Turn], services: Services) -> str:
    """What a question that does not stand alone is about: the selection, else the exchange before it."""
    if not leans(question, services):
        return ""
    if selection:
        return selection
    if not history:
        return ""
    return f"{history[-1].question}\n{without_links(history[-1].answer)[:EARLIER_ANSWER]}"


def _holds(passage: Passage, selection: str, services: Services) -> bool:
    marked = terms_of(selection, services.bm25)
    held = marked & terms_of(passage.chunk.chunk.text, services.bm25)
    return bool(marked) and len(held) >= HOLDS_SELECTION * len(marked)


def _coverage(question: str, passages: Sequence[Passage], k: int, services: Services) -> tuple[float, float]:
    """The largest part of the question that one of the first `k` passages holds, and that the place of one does."""
    texts = [terms_of(_text(passage), services.bm25) for passage in passages[:POOL]]
    places = [terms_of(passage.chunk.chunk.place, services.bm25) for passage in passages[:k]]
    weights = weigh(topic_of(question, services.bm25), texts)
    held = max((share(weights, text) for text in texts[:k]), default=0.0)
    return held, max((share(weights, place) for place in places), default=0.0)


def _best_cosine(passages: Sequence[Passage]) -> float | None:
    return max((passage.cosine for passage in passages if passage.cosine is not None), default=None)


def _text(passage: Passage) -> str:
    return passage.chunk.chunk.embedded_text


def _clipped(text: str) -> str:
    """The beginning and the end of a text that is too long to search for: a question stands at either."""
    text = text.strip()
    return text if len(text) <= SEARCHED else f"{text[: SEARCHED // 2]}\n{text[-SEARCHED // 2 :]}"
