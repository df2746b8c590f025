"""Passages that are one half of a thought, put together with the other half.

A long section is cut into several passages, and an answer may stand on both sides of a cut. The passage beside a hit
is joined to it where it was found as well, or where it holds words of the question that the hit does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from api.chat.overlap import share, terms_of, topic_of, weigh
from shared.models import Passage, Release, StoredChunk
from shared.services import Services
from shared.tokens import count_tokens

#: The part of the question, by weight, that a neighbour must add to be worth its room in the prompt.
LEAST_GAIN: Final = 0.25


async def with_neighbours(
    question: str, passages: Sequence[Passage], k: int, release: Release, services: Services
) -> list[Passage]:
    """The first `k` passages, pieces of one section joined where that helps. Each of them takes one neighbour at most;
    one that was found for itself leaves its place to the next passage."""
    topic = topic_of(question, services.bm25)
    texts = [terms_of(passage.chunk.chunk.embedded_text, services.bm25) for passage in passages]
    weights = weigh(topic, texts)
    lacks = [share(weights, topic - text) >= LEAST_GAIN for text in texts]
    places = _worth_reading(passages[:k], lacks, services.settings.chunk_size)
    if not places:
        return list(passages[:k])
    sections = await services.store.chunks_under(release.collection, release.number, places)
    beside = {chunk.id: (section[at - 1 : at], section[at + 1 : at + 2]) for section in sections
              for at, chunk in enumerate(section)}  # fmt: skip

    def gain(chunk: StoredChunk, other: StoredChunk) -> float:
        held = terms_of(chunk.chunk.embedded_text, services.bm25)
        return share(weights, topic & terms_of(other.chunk.text, services.bm25) - held)

    kept: list[Passage] = []
    taken: set[str] = set()
    waiting = list(passages)
    while waiting and len(kept) < k:
        passage = waiting.pop(0)
        if passage.chunk.id in taken:
            continue
        taken.add(passage.chunk.id)
        found_too = {later.chunk.id for later in waiting[: k - len(kept) - 1]}
        others = [
            (other.id in found_too, gain(passage.chunk, other), side)
            for side, found in enumerate(beside.get(passage.chunk.id, ()))
            for other in found
            if other.id not in taken
        ]
        is_found, gained, side = max(others, default=(False, 0.0, 0))
        if is_found or gained >= LEAST_GAIN:
            (other,) = beside[passage.chunk.id][side]
            taken.add(other.id)
            passage = replace(passage, chunk=joined(passage.chunk, other, after=side == 1), joined=(other.id,))
        kept.append(passage)
    return kept


def _worth_reading(passages: Sequence[Passage], lacks: Sequence[bool], chunk_size: int) -> list[tuple[str, str]]:
    """The sections, by path and address, of pieces that lack words of the question or are not the only ones found."""
    places = [(passage.chunk.chunk.path, passage.chunk.chunk.url) for passage in passages]
    found = Counter(places)
    return list(
        dict.fromkeys(
            place
            for passage, place, lacking in zip(passages, places, lacks, strict=False)
            if is_piece(passage.chunk, chunk_size) and (lacking or found[place] > 1)
        )
    )


def is_piece(stored: StoredChunk, chunk_size: int) -> bool:
    """Whether a chunk may be one of several that a section was cut into: it repeats the end of another, or is as large
    as sections are cut."""
    return stored.chunk.overlap > 0 or stored.chunk.tokens >= chunk_size // 2


def joined(hit: StoredChunk, other: StoredChunk, *, after: bool) -> StoredChunk:
    """The hit with its neighbour's text, without what both hold. It keeps its id: it is what was found."""
    first, second = (hit.chunk, other.chunk) if after else (other.chunk, hit.chunk)
    rest = second.text[second.overlap :]
    between = "" if not rest or rest[0].isspace() else " " if second.overlap else "\n\n"
    text = f"{first.text}{between}{rest}"
    return replace(hit, chunk=replace(hit.chunk, text=text, tokens=count_tokens(text), overlap=first.overlap))
