"""Which heading of a passage a claim comes from, where small sections were joined to one passage."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from shared.models import Chunk

_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Place:
    """One heading's share of a passage."""

    url: str
    anchor: str | None
    heading: str
    text: str


def places_of(chunk: Chunk) -> list[Place]:
    """The passage's own heading, then those of the sections that were joined to it, in reading order."""
    starts = [*(part.start for part in chunk.parts), len(chunk.text)]
    places = [Place(chunk.url, chunk.anchor, chunk.heading, chunk.text[: starts[0]])]
    for part, end in zip(chunk.parts, starts[1:], strict=True):
        places.append(Place(part.url, part.anchor, part.trail[-1], chunk.text[part.start : end]))
    return places


def place_of(chunk: Chunk, claim: str) -> Place:
    """The place whose words the claim shares; words that stand at one place only say most. The first in doubt."""
    places = places_of(chunk)
    if len(places) == 1:
        return places[0]
    held = [_words(f"{place.heading} {place.text}") for place in places]
    spread = Counter(word for words in held for word in words)
    said = _words(claim)
    shares = [sum(1 / spread[word] for word in said & words) for words in held]
    return places[shares.index(max(shares))]


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
