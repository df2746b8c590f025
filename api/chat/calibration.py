"""What cosines are worth in a release: measured with questions made of its own headings, and with unrelated ones.

A cosine that means "this is it" in one corpus means nothing in another, and models differ still more. So every release
is measured once, in the background: visitors are judged by the release before it, or by usual values, until then.
Processes share the result through Redis; without Redis each of them measures for itself.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Final
from weakref import WeakKeyDictionary

import structlog
from redis.exceptions import RedisError

from api.chat.features import asked_words, features
from api.chat.scores import LEAST_SUBJECT, subject_score
from api.chat.unrelated import UNRELATED
from shared.bm25 import Bm25Encoder
from shared.embeddings import Embedder
from shared.errors import LecternError
from shared.models import Chunk, Passage, Release, Vector
from shared.services import Services

log = structlog.get_logger(__name__)

#: Part of the key in Redis: what another version has measured is measured again.
VERSION: Final = 1
#: Chunks that questions are made of. With 60 the medians below vary by .02 from sample to sample.
SAMPLE: Final = 80
#: Words of a passage that go into a question about it.
WORDS: Final = 4
#: Passages that a made-up question is held against, as many as a visitor's.
PASSAGES: Final = 5
#: Seconds between two searches, in which visitors get their turn.
PAUSE: Final = 0.01
#: The part of a release's own questions that may be refused.
REFUSED: Final = 0.05
#: How far below the usual a release's lowest subject score may be: below it, unrelated questions would be answered.
LENIENCY: Final = 1.5
#: `near` and `far` are at least so far apart: of a model that tells nothing apart, noise would be taken for meaning.
LEAST_SPREAD: Final = 0.05
#: Fewer questions than this say nothing.
FEWEST: Final = 10
#: Seconds after which to look again whether another process has measured a release, or the stores are back.
TICK: Final = 5.0
#: Seconds after which a process that measures is taken for dead; it takes three, and more on a busy machine.
CLAIM_SECONDS: Final = 60
#: Seconds that a result is kept. Afterwards it is measured again.
KEPT_SECONDS: Final = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Calibration:
    """What cosines and scores mean in one release."""

    #: The cosine that questions about other things reach, and that questions about its own headings do.
    far: float
    near: float
    #: The subject score from which questions are answered.
    least: float = LEAST_SUBJECT

    def meaning(self, cosine: float) -> float:
        """0 at `far`, 1 at `near`."""
        return (cosine - self.far) / (self.near - self.far)


#: Medians over three corpora with the local model.
USUAL: Final = Calibration(far=0.23, near=0.62)

Key = tuple[str, int]


class Calibrations:
    """What this process knows of releases."""

    def __init__(self) -> None:
        self._known: dict[Key, Calibration] = {}
        self._latest = USUAL
        self._wanted: dict[Key, Release] = {}
        self._waiting = asyncio.Event()

    def of(self, release: Release) -> Calibration:
        """The release's own, or what serves until it is there. Never waits."""
        known = self._known.get(_key(release))
        if known is None:
            self._wanted[_key(release)] = release
            self._waiting.set()
        return known or self._latest

    async def keep(self, services: Services) -> None:
        """Measure the live release, then every other that is asked about, for as long as the process lives."""
        await self._look_for_live(services)
        while True:
            self._waiting.clear()
            for release in tuple(self._wanted.values()):
                try:
                    await self._learn(release, services)
                except LecternError as error:
                    log.warning("calibration.waiting", release=release.number, reason=error.message)
            if self._wanted:
                await asyncio.sleep(TICK)
            else:
                await self._waiting.wait()

    async def _look_for_live(self, services: Services) -> None:
        """So that the first visitor finds it measured. If the stores do not answer yet, the first question tells."""
        try:
            live = await services.releases.live()
        except LecternError:
            return
        if live is not None:
            self.of(live)

    async def _learn(self, release: Release, services: Services) -> None:
        """Read or measure; leave it to the next round if another process is measuring."""
        shelf = Shelf(services, release)
        found = await shelf.read()
        if found is None:
            if not await shelf.claim():
                return
            found = await measure(release, services)
            await shelf.keep(found)
            log.info("calibration.measured", release=release.number, **asdict(found))
        self._known[_key(release)] = self._latest = found
        del self._wanted[_key(release)]


class Shelf:
    """One release's calibration in Redis. Without Redis nothing is there, and everything may be measured."""

    def __init__(self, services: Services, release: Release) -> None:
        self._redis = services.redis
        self._key = f"lectern:calibration:{VERSION}:{release.collection}:{release.number}:{services.embedder.model}"

    async def read(self) -> Calibration | None:
        try:
            found = await self._redis.get(self._key)
        except (RedisError, OSError):
            return None
        return Calibration(**json.loads(found)) if found else None

    async def claim(self) -> bool:
        try:
            return bool(await self._redis.set(f"{self._key}:claim", "1", nx=True, ex=CLAIM_SECONDS))
        except (RedisError, OSError):
            return True

    async def keep(self, calibration: Calibration) -> None:
        try:
            await self._redis.set(self._key, json.dumps(asdict(calibration)), ex=KEPT_SECONDS)
        except (RedisError, OSError) as error:
            log.warning("calibration.not_kept", reason=str(error))


_of_embedder: WeakKeyDictionary[Embedder, Calibrations] = WeakKeyDictionary()


def calibrations(services: Services) -> Calibrations:
    """The process's own, one for each embedder."""
    return _of_embedder.setdefault(services.embedder, Calibrations())


async def measure(release: Release, services: Services) -> Calibration:
    """Ask a release's own questions and unrelated ones: a hundred short searches, one after the other."""
    if (await services.store.spec_of(release.collection)).model != services.embedder.model:
        return USUAL  # no vector to compare
    chunks = [stored.chunk for stored in await services.store.sample(release.collection, release.number, SAMPLE)]
    own = own_questions(chunks, services.bm25, seed=release.number)
    if len(own) < FEWEST:
        return USUAL
    return calibrated(await _asked(own, release, services), await _asked(UNRELATED, release, services), services.bm25)


@dataclass(frozen=True, slots=True)
class Asked:
    """A made-up question and what was found for it, best first."""

    question: str
    passages: tuple[Passage, ...]

    @property
    def cosine(self) -> float:
        return max((passage.cosine for passage in self.passages if passage.cosine is not None), default=0.0)


def calibrated(own: Sequence[Asked], unrelated: Sequence[Asked], bm25: Bm25Encoder) -> Calibration:
    """The scale on which both kinds stand apart, and the score that all but a few of the release's own reach."""
    far, near = (median(asked.cosine for asked in kind) for kind in (unrelated, own))
    scale = Calibration(far, max(near, far + LEAST_SPREAD))
    scores = sorted(
        subject_score(features(asked.question, asked.passages, scale.meaning(asked.cosine), bm25)) for asked in own
    )
    reached = scores[int(REFUSED * len(scores))]
    return Calibration(scale.far, scale.near, min(max(reached, LEAST_SUBJECT - LENIENCY), LEAST_SUBJECT))


def own_questions(chunks: Sequence[Chunk], bm25: Bm25Encoder, seed: int) -> list[str]:
    """Questions that the docs answer: after a heading, and after some words of a passage under it, by turns."""
    chance = random.Random(seed)
    questions: list[str] = []
    for chunk in chunks:
        words = [word.text for word in asked_words(chunk.text, bm25)]
        if len(words) < WORDS:
            continue
        if len(questions) % 2:
            places = sorted(chance.sample(range(len(words)), WORDS))
            questions.append(f"{chunk.heading}: {' '.join(words[place] for place in places)}?")
        else:
            questions.append(f"What is {chunk.heading}?")
    return list(dict.fromkeys(questions))


async def _asked(questions: Sequence[str], release: Release, services: Services) -> list[Asked]:
    vectors = (await services.embedder.embed(questions)).vectors
    asked: list[Asked] = []
    for question, vector in zip(questions, vectors, strict=True):
        asked.append(Asked(question, await _found(question, vector, release, services)))
        await asyncio.sleep(PAUSE)
    return asked


async def _found(question: str, vector: Vector, release: Release, services: Services) -> tuple[Passage, ...]:
    keywords = services.bm25.encode_query(question)
    return tuple(await services.store.search(release.collection, release.number, vector, keywords, PASSAGES))


def _key(release: Release) -> Key:
    return release.collection, release.number
