"""Asks the golden questions of a release before it is published, and holds back one that has lost too many answers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

import structlog

from shared.embeddings import Embedder
from shared.errors import EmbeddingRejected, ProviderError
from shared.golden import Golden, GoldenQuestion, Place, golden_file, read_golden
from shared.models import PageFault, Passage, Release, Vector
from shared.services import Services

log = structlog.get_logger(__name__)

#: Passages of which one must be the expected one: about what an answer is chosen from.
TOP: Final = 10
#: Searches at once: enough to hide the wait for the store, few enough to leave it to visitors.
TOGETHER: Final = 4
#: Questions whose vectors are asked for together.
AT_ONCE: Final = 8
#: Vectors of questions that are remembered, so that the same golden file costs one embedding a question a process.
REMEMBERED: Final = 2000
#: Questions that a record names.
NAMED: Final = 50

_vectors: WeakKeyDictionary[Embedder, OrderedDict[str, Vector]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question that a release does not answer, with where the answer should stand."""

    question: str
    expected: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What asking the golden questions has shown."""

    file: str
    asked: int
    #: Questions that the new release answers, and that the live one does; None where there is no live one.
    answered: int
    answered_before: int | None
    #: The first NAMED of those that the live release answers and the new one does not, and how many there are.
    lost: tuple[Unanswered, ...]
    lost_total: int
    #: The first NAMED that the new release does not answer, lost or never answered.
    unanswered: tuple[Unanswered, ...]
    #: The most that may be lost.
    allowed: int
    #: Of the file itself, a sentence each.
    faults: tuple[str, ...]

    @property
    def is_held(self) -> bool:
        return self.answered_before is not None and self.lost_total > self.allowed

    def record(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


async def judge(services: Services, root: Path, release: Release, live: Release | None) -> Verdict | None:
    """Ask the golden questions of a finished release and of the live one; None without a golden file.

    Embeds each question once. Questions are searched for by their words alone where no vector is to be had, in both.
    """
    file = await asyncio.to_thread(golden_file, root, services.settings.golden_file)
    if file is None:
        return None
    golden = await asyncio.to_thread(read_golden, file)
    questions = [question for question in golden.questions if question.is_for_the_gate]
    vectors = await _embedded(services, questions)
    now = await _answered(services, release, questions, vectors)
    before = None if live is None else await _answered(services, live, questions, vectors)
    asked = list(zip(questions, now, before or now, strict=True))
    lost = [question for question, is_found, was_found in asked if was_found and not is_found]
    return Verdict(
        file=golden.name,
        asked=len(questions),
        answered=sum(now),
        answered_before=None if before is None else sum(before),
        lost=_named(lost),
        lost_total=len(lost),
        unanswered=_named([question for question, is_found, _ in asked if not is_found]),
        allowed=services.settings.gate_max_lost,
        faults=(*golden.faults, *await _unknown_pages(services, release, golden)),
    )


async def file_faults(services: Services, root: Path) -> tuple[PageFault, ...]:
    """What is wrong with the golden file, whose questions nobody asks now; nothing without one."""
    file = await asyncio.to_thread(golden_file, root, services.settings.golden_file)
    if file is None:
        return ()
    golden = await asyncio.to_thread(read_golden, file)
    return tuple(PageFault(golden.name, fault) for fault in golden.faults)


def _named(questions: Sequence[GoldenQuestion]) -> tuple[Unanswered, ...]:
    return tuple(Unanswered(q.text, tuple(map(str, q.expected)), q.line) for q in questions[:NAMED])


def answers(question: GoldenQuestion, passages: Sequence[Passage]) -> bool:
    """Whether one of the passages stands at an expected place and holds the words that it must. Pure."""
    wanted = [words.casefold() for words in question.must_contain]
    return any(
        all(words in passage.chunk.chunk.text.casefold() for words in wanted)
        and (not question.expected or any(_stands_at(passage, place) for place in question.expected))
        for passage in passages
    )


def _stands_at(passage: Passage, place: Place) -> bool:
    chunk = passage.chunk.chunk
    anchors = {chunk.anchor, *(part.anchor for part in chunk.parts)}
    return chunk.path == place.path and (place.anchor is None or place.anchor in anchors)


async def _answered(
    services: Services, release: Release, questions: Sequence[GoldenQuestion], vectors: dict[str, Vector]
) -> list[bool]:
    """Which of the questions a release answers, as a search would find it."""
    spec = await services.store.spec_of(release.collection)
    is_comparable = spec.model == services.embedder.model
    slots = asyncio.Semaphore(TOGETHER)

    async def ask(question: GoldenQuestion) -> bool:
        vector = vectors.get(question.text) if is_comparable else None
        if vector is not None and len(vector) != spec.dimensions:
            vector = None
        sparse = services.bm25.encode_query(question.text)
        async with slots:
            found = await services.store.search(release.collection, release.number, vector, sparse, TOP)
        return answers(question, found)

    return list(await asyncio.gather(*map(ask, questions)))


async def _embedded(services: Services, questions: Sequence[GoldenQuestion]) -> dict[str, Vector]:
    """Vectors by question; none at all if the provider does not answer, so that both releases are asked alike."""
    remembered = _vectors.setdefault(services.embedder, OrderedDict())
    missing = [question for question in questions if question.text not in remembered]
    for start in range(0, len(missing), AT_ONCE):
        group = missing[start : start + AT_ONCE]
        asked = (services.embedder.embed_query(question.text) for question in group)
        for question, vector in zip(group, await asyncio.gather(*asked, return_exceptions=True), strict=True):
            if isinstance(vector, EmbeddingRejected):
                log.warning("gate.question_rejected", line=question.line, reason=vector.message)
            elif isinstance(vector, ProviderError):
                log.warning("gate.by_words_alone", reason=vector.message)
                return {}
            elif isinstance(vector, BaseException):
                raise vector
            else:
                remembered[question.text] = vector
    vectors = {question.text: remembered[question.text] for question in questions if question.text in remembered}
    while len(remembered) > REMEMBERED:
        remembered.popitem(last=False)
    return vectors


async def _unknown_pages(services: Services, release: Release, golden: Golden) -> list[str]:
    """Expected pages that the release does not have."""
    paths = sorted({place.path for question in golden.questions for place in question.expected})
    known = await services.store.pages_of(release.collection, release.number, paths)
    return [
        f"line {question.line}: there is no page {place.path} in release {release.number}"
        for question in golden.questions
        for place in question.expected
        if place.path not in known
    ]
