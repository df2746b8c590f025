"""Decides whether what was found can answer the question, how sure that is, and what of the question is missing.

Refusing and doubting are two decisions. A question is refused if the release does not speak of its subject, which its
scores tell reliably. Where the subject is right and a detail is wrong they tell much less, so such a question is
answered from the closest passage, with the doubt said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from api.chat.calibration import Calibration, calibrations
from api.chat.events import Question
from api.chat.features import AskedWord, asked_words, features, unheld
from api.chat.identifiers import checkable_names, holds
from api.chat.overlap import Terms, share, terms_of, topic_of, weigh
from api.chat.retrieve import Findings
from api.chat.scope import unmatched
from api.chat.scores import confidence_of, subject_score
from shared.models import Chunk, Passage, Release
from shared.services import Services

#: An answer that is less likely right than wrong is given with the doubt said. On three sets of questions, this is so
#: for 4 to 18% of those that their passages answer, and for a third to a half of near-misses.
DOUBTFUL: Final = 0.5
#: How sure to be where the visitor has shown the passage that is asked about.
SHOWN: Final = 0.9
#: A passage with so large a part of the question's words, or so close in meaning, is worth naming where nothing fits.
NEAR: Final = 0.5
NEAR_MEANING: Final = 0.3
#: Words that are looked up in the whole release before it is said that nothing mentions them, and passages that are
#: read for each: where a whole name is a rare term, the first one holds it.
LOOKED_UP: Final = 4
READ_FOR_EACH: Final = 3
#: With so many unknown words, if they are most, a question is not about these docs, or not in their language.
STRANGE: Final = 2
#: A part of a question is left open if no passage holds more of its words, while one holds so much of another part.
NOTHING_HELD: Final = 0.2
HELD: Final = 0.6
#: Questions in one, and words of each: with fewer it is no question of its own.
LEAST_PARTS: Final = 2
MOST_PARTS: Final = 4
LEAST_WORDS: Final = 2

#: Between two questions in one.
_PARTS: Final = re.compile(
    r"(?:\?\s+(?:and\s+|or\s+)?|[,;]?\s+(?:and|or|plus)\s+)"
    r"(?=(?:also\s+)?(?:who|what|when|where|why|how|which|can|could|does|do|is|are|should)\b)",
    re.IGNORECASE,
)
#: Makes an identifier of words.
_SIGN: Final = re.compile(r"[^\w'\u2019]|_")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be said to a question."""

    #: False: the docs do not speak of it, and no model is asked.
    answerable: bool
    #: How likely it is that the passages answer it, 0..1.
    confidence: float
    #: Names, numbers and rare words of the question that stand nowhere in the release, as the visitor wrote them.
    missing: tuple[str, ...] = ()
    #: Parts of a question that asks several things which no passage speaks of, as the visitor wrote them.
    uncovered: tuple[str, ...] = ()
    #: Passages near a question that is refused, best first; often there is none.
    nearest: tuple[Passage, ...] = ()
    #: Filters of the client that nothing in the release matches, by their names.
    unmatched: Mapping[str, str] = field(default_factory=dict)
    #: The visitor asks about text that they have marked, and the docs do not speak of that.
    strange_selection: bool = False

    @property
    def doubtful(self) -> bool:
        """Whether an answer needs a word of caution."""
        return self.answerable and self.confidence < DOUBTFUL


async def judge(question: Question, findings: Findings, release: Release, services: Services) -> Verdict:
    """Whether to answer `question` from what was found for it. Raises DependencyDown if the index does not answer."""
    passages = findings.judged or findings.passages
    if not passages:
        filtered = await unmatched(question.filters, release, services)
        missing = () if filtered else await _unknown(question.text, (), release, services)
        return Verdict(answerable=False, confidence=0.0, missing=missing, unmatched=filtered)
    calibration = calibrations(services).of(release)
    text = findings.asked or question.text
    fits, confidence = weigh_up(text, findings, calibration, services)
    if not fits and not findings.selected:
        near_ones = near(text, passages, calibration, services)
        missing = await _unknown(text, passages, release, services)
        # Below every answer that is given, and among refusals still in order.
        return Verdict(answerable=False, confidence=DOUBTFUL * confidence, missing=missing, nearest=tuple(near_ones))
    missing = await _unknown(text, passages, release, services, named=True)
    return Verdict(
        answerable=True,
        confidence=max(confidence, SHOWN) if findings.selected else confidence,
        missing=missing,
        uncovered=tuple(uncovered_parts(text, passages, services)),
    )


def weigh_up(text: str, findings: Findings, calibration: Calibration, services: Services) -> tuple[bool, float]:
    """Whether the release speaks of what is asked, and how likely it is that the passages answer it."""
    cosine, floor = findings.cosine, services.settings.min_score
    meaning = None if cosine is None else calibration.meaning(cosine)
    found = features(text, findings.judged or findings.passages, meaning, services.bm25)
    too_far = floor is not None and cosine is not None and cosine < floor
    fits = not too_far and subject_score(found) >= calibration.least
    return fits, confidence_of(found, calibration.least)


def near(text: str, passages: Sequence[Passage], calibration: Calibration, services: Services) -> list[Passage]:
    """The passages that have something to do with a question which they do not answer; often there is none."""
    texts = [terms_of(passage.chunk.chunk.embedded_text, services.bm25) for passage in passages]
    weights = weigh(topic_of(text, services.bm25), texts)
    return [
        passage
        for passage, held in zip(passages, texts, strict=True)
        if share(weights, held) >= NEAR
        or (passage.cosine is not None and calibration.meaning(passage.cosine) >= NEAR_MEANING)
    ]


def uncovered_parts(text: str, passages: Sequence[Passage], services: Services) -> list[str]:
    """Of a question that asks several things, those that no passage speaks of, if one does of the others."""
    parts = parts_of(text)
    texts = [terms_of(passage.chunk.chunk.embedded_text, services.bm25) for passage in passages]
    held = {part: _held(asked_words(part, services.bm25), texts) for part in parts}
    known = any(share is not None and share >= HELD for share in held.values())
    return [part for part, share in held.items() if known and share is not None and share <= NOTHING_HELD]


def parts_of(text: str) -> list[str]:
    """The questions in one; none where it asks but one thing, or too many to look at each."""
    parts = [part.strip() for part in _PARTS.split(text) if part and part.strip()]
    return parts if LEAST_PARTS <= len(parts) <= MOST_PARTS else []


def _held(words: Sequence[AskedWord], texts: Sequence[Terms]) -> float | None:
    """The largest part of these words that one text holds; None if they are too few to be a question."""
    if len(words) < LEAST_WORDS:
        return None
    return max((1 - len(unheld(words, [text])) / len(words) for text in texts), default=0.0)


async def _unknown(
    text: str, passages: Sequence[Passage], release: Release, services: Services, *, named: bool = False
) -> tuple[str, ...]:
    """The question's words that stand nowhere in the release; of names and numbers alone, if `named`.

    An identifier counts as a whole, whatever else its parts name. Where most words are unknown, the question is in
    another language or about something else altogether: then words say nothing, and identifiers and names alone count.
    """
    identifiers = checkable_names(text)
    rest = text
    for name in identifiers:
        rest = rest.replace(name, " ")
    words = asked_words(rest, services.bm25)
    shown = [passage.chunk.chunk for passage in passages]
    strange = [word for word in words if not _is_in(word.text, shown, services)]
    if len(strange) >= STRANGE and 2 * len(strange) > len(words):
        names = [word for word in strange if word.named]
        strange = names if 2 * len(names) > len(strange) else []
    told = [word.text for word in strange if word.named or not named]
    absent = [name for name in identifiers if not _is_in(name, shown, services)]
    absent = list(dict.fromkeys((*absent, *told)))[:LOOKED_UP]
    if not absent:
        return ()
    keywords = [services.bm25.encode_query(word) for word in absent]
    holding = await services.store.holding(release.collection, release.number, keywords, READ_FOR_EACH)
    return tuple(word for word in absent if not _is_in(word, [stored.chunk for stored in holding], services))


def _is_in(word: str, chunks: Sequence[Chunk], services: Services) -> bool:
    """Whether one of these chunks holds a word, in any case and form, or an identifier letter for letter."""
    if not _SIGN.search(word):
        whole = terms_of(word.lower(), services.bm25)  # of "GraphQL", "graph" is not enough
        return not whole or any(whole & terms_of(chunk.embedded_text, services.bm25) for chunk in chunks)
    return any(holds(f"{chunk.embedded_text}\n{chunk.path}".lower(), word.lower()) for chunk in chunks)
