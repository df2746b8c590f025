"""From a question to the passages that may answer it: scope, search, spelling, blend, rank, collapse, join.

The release and the judgement on what was found are the caller's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from api.chat.events import NO_FILTERS, Filters, Question
from api.chat.follow_up import LEANING_SHARE, STANDING_SHARE, blend, context_of, speaks_for_itself, stands_alone
from api.chat.neighbours import with_neighbours
from api.chat.overlap import terms_of
from api.chat.page_address import page_address
from api.chat.rank import Wanted, collapse, rank
from api.chat.scope import scope_of
from api.chat.search import clipped, search
from api.chat.spelling import corrected, corrections, unknown_words
from shared.chunk_search import Where
from shared.models import Passage, Release
from shared.services import Services

#: Passages that are ranked before the best are kept; more changes no top ten on the sets measured.
POOL: Final = 24
#: A passage that holds so much of a selection is where it was selected, whole or for the larger part.
HOLDS_SELECTION: Final = 0.6
#: ... and so is one that so much of stands in the selection, which may go over many passages.
HELD_BY_SELECTION: Final = 0.9


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found for a question, and how well it matches."""

    #: Best first.
    passages: tuple[Passage, ...] = ()
    #: The largest cosine of question and passage, -1..1; None if there was no vector to compare.
    cosine: float | None = None
    #: A passage holds the text that the visitor had marked.
    selected: bool = False
    #: What these figures were read off, best first: `passages`, or what the question finds without its context.
    judged: tuple[Passage, ...] = ()
    #: The question that these figures are about: as it was asked, but for slips of the finger.
    asked: str = ""


async def retrieve(text: str, services: Services, k: int, filters: Filters = NO_FILTERS) -> list[Passage]:
    """The `k` best passages of the live release, best first; none before the first ingest."""
    release = await services.releases.live()
    if release is None:
        return []
    return list((await find(Question(text, k=k, filters=filters), release, services)).passages)


async def find(asked: Question, release: Release, services: Services) -> Findings:
    """Search a release for the question, for what it leans on and for the selection, all at once."""
    k, pool = asked.k, max(POOL, 2 * asked.k)
    where = await scope_of(asked.filters, release, services)
    searched = await _search_all(asked, release, services, where)
    question, own, wide, for_selection = searched.question, searched.own, searched.wide, searched.for_selection
    alone = not wide or stands_alone(question, own[:k], services)
    found = blend(own, wide, STANDING_SHARE if alone else LEANING_SHARE) if wide else own
    holders = [passage for passage in for_selection[:pool] if _holds(passage, asked.selection or "", services)]
    wanted = Wanted(question, page_address(asked.page), {passage.chunk.chunk.path for passage in holders})
    ranked = rank(wanted, found[:pool], services.bm25)
    ordered = [*holders[: max(1, k // 2)], *ranked, *for_selection[:pool]]
    kept = await with_neighbours(question, collapse(ordered, 2 * k), k, release, services)
    # What was said before explains a question; it is no evidence that the docs know what the question itself names.
    judged = own if alone or speaks_for_itself(question, found[:pool], services) else found
    shown = kept if judged is found else rank(wanted, own[:pool], services.bm25)[:k]
    return Findings(
        passages=tuple(kept), judged=tuple(shown), cosine=_best_cosine(shown),
        selected=bool(holders), asked=question,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Searched:
    """What each search has brought up, best first; empty where there was nothing to search for."""

    question: str
    own: list[Passage]
    wide: list[Passage]
    for_selection: list[Passage]


async def _search_all(asked: Question, release: Release, services: Services, where: Where) -> _Searched:
    limit = max(POOL, 2 * asked.k)
    question, marked = clipped(asked.text), clipped(asked.selection or "")
    context = context_of(question, marked, asked.history, services)
    wide_text = f"{question}\n{context}" if context else ""

    async def run(question: str, wide: str) -> _Searched:
        texts = list(filter(None, (question, wide, marked)))
        found = dict(zip(texts, await search(texts, release, services, limit, where), strict=True))
        return _Searched(question, found[question], found.get(wide, []), found.get(marked, []))

    first = await run(question, wide_text)
    meant = await _meant(question, first.own, release, services)
    return await run(corrected(question, meant), corrected(wide_text, meant)) if meant else first


async def _meant(question: str, found: Sequence[Passage], release: Release, services: Services) -> dict[str, str]:
    """Words of the question that stand nowhere in the release, and what they are slips of."""
    names = {word: services.bm25.encode_query(word) for word in unknown_words(question, found, services.bm25)}
    if not names:
        return {}
    holding = await services.store.holding(release.collection, release.number, list(names.values()), 1)
    known = frozenset[int]().union(*(terms_of(chunk.chunk.embedded_text, services.bm25) for chunk in holding))
    return corrections([word for word, name in names.items() if known.isdisjoint(name.indices)], found)


def _holds(passage: Passage, selection: str, services: Services) -> bool:
    marked, text = terms_of(selection, services.bm25), terms_of(passage.chunk.chunk.text, services.bm25)
    both = len(marked & text)
    return bool(both) and (both >= HOLDS_SELECTION * len(marked) or both >= HELD_BY_SELECTION * len(text))


def _best_cosine(passages: Sequence[Passage]) -> float | None:
    return max((passage.cosine for passage in passages if passage.cosine is not None), default=None)
