"""Passages read for evidence: their sentences, rows and lines, and which of them hold a claim's words together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from api.chat.claims import Figure, figures_in, names_of, words_of
from api.chat.order import Order, order_of
from api.chat.overlap import Terms, terms_of
from api.chat.places import places_of
from api.chat.quotes import Unit, units_of
from api.chat.tally import Tally, bits_of, lowest
from shared.bm25 import Bm25Encoder
from shared.models import Chunk

#: Places of the passages that a sentence may be put together from.
MOST_PLACES: Final = 3
#: Words that a further place has to add.
WORTH_A_PLACE: Final = 2
#: Units most like a sentence, which say what stands where.
MOST_LIKE: Final = 4
#: Passages whose words are remembered: the popular ones of a site, at about 30 kB each.
REMEMBERED: Final = 256

_LOWER: Final = re.compile(r"\b[a-z]{2,}\b")


@dataclass(frozen=True)
class Ground:
    """A unit of a passage, as evidence."""

    #: The address of the heading that it stands under.
    url: str
    unit: Unit
    terms: Terms
    #: The unit with those to both sides.
    beside: tuple[Unit, ...]

    @cached_property
    def figures(self) -> frozenset[Figure]:
        """The numbers of the unit and of those to both sides."""
        return frozenset(figure for unit in self.beside for figure in figures_in(unit.text))


@dataclass(frozen=True)
class Reading:
    """A passage, read for evidence. Its numbers are read when a claim has some."""

    grounds: tuple[Ground, ...]
    #: For each term the grounds that hold it, as bits.
    masks: dict[int, int]
    #: The terms of where the passage stands.
    above: Terms
    #: All that names may stand in, as written and in lower case.
    text: str
    lower: str
    #: Words that are written with a capital, and never without.
    names: frozenset[str]

    @cached_property
    def units(self) -> frozenset[str]:
        """Its sentences, rows and lines as they read."""
        return frozenset(ground.unit.text for ground in self.grounds)

    @cached_property
    def values(self) -> frozenset[str]:
        """Values of all its numbers."""
        return frozenset(value for figure in figures_in(self.text) for value in figure.values)


@lru_cache(REMEMBERED)
def read(chunk: Chunk, bm25: Bm25Encoder) -> Reading:
    """A passage's evidence, kept for the next answer that is shown it."""
    placed = [(place.url, unit) for place in places_of(chunk) for unit in units_of(place.text)]
    units = tuple(unit for _, unit in placed)
    terms = [terms_of(unit.text, bm25) for unit in units]
    grounds = tuple(
        Ground(url, unit, terms[at], units[max(at - 1, 0) : at + 2]) for at, (url, unit) in enumerate(placed)
    )
    masks: dict[int, int] = {}
    for at, held in enumerate(terms):
        for term in held:
            masks[term] = masks.get(term, 0) | 1 << at
    text = f"{chunk.embedded_text}\n{chunk.path}\n{chunk.url}"
    plain = frozenset(_LOWER.findall(chunk.text))
    names = frozenset(name for name in names_of(chunk.text) if name.lower() not in plain)
    return Reading(grounds, masks, terms_of(chunk.place, bm25), text, text.lower(), names)


@lru_cache(REMEMBERED)
def words_in(chunk: Chunk) -> frozenset[str]:
    """All words of a passage, in lower case."""
    return words_of(chunk.embedded_text)


def _with_neighbours(claim: Terms, reading: Reading) -> list[int]:
    every = (1 << len(reading.grounds)) - 1
    masks, above = reading.masks, reading.above
    return [
        every if term in above else (held | held << 1 | held >> 1) & every if (held := masks.get(term)) else 0
        for term in claim
    ]


class Shown:
    """Some of the passages that were shown, side by side."""

    def __init__(self, readings: Sequence[tuple[int, Reading]]) -> None:
        """`readings` with the numbers of their passages."""
        self.readings = tuple(reading for _, reading in readings)
        self.names = frozenset[str]().union(*(reading.names for reading in self.readings))
        self._grounds = [(number, reading, ground) for number, reading in readings for ground in reading.grounds]
        self._starts: list[int] = []
        start = 0
        for reading in self.readings:
            self._starts.append(start)
            start += len(reading.grounds)
        self._all = (1 << start) - 1

    def closest(self, claim: Terms) -> tuple[list[tuple[int, Ground]], Terms]:
        """The few places that hold most of a claim together, the best first with the number of its passage, and what
        of the claim they hold."""
        first = Tally(self._around(claim)).most(self._all) if claim else 0
        used: list[tuple[int, Ground]] = []
        held: Terms = frozenset()
        rest = claim
        while len(used) < MOST_PLACES:
            own = Tally(self._holding(rest))
            best = lowest(own.most(self._all if used else first))
            if best < 0:
                break
            number, _, ground = self._grounds[best]
            found = rest & (ground.terms if used else self._terms_around(best))
            if len(found) < (WORTH_A_PLACE if used else 1):
                break
            held |= found
            used.append((number, ground))
            rest -= found
        return used, held

    def alike(self, claim: Terms, bm25: Bm25Encoder) -> tuple[list[Order], Iterable[Order]]:
        """The units most like a claim, in the order of their words, and all that share two words with it."""
        tally = Tally(self._holding(claim))
        sharing = tally.at_least_two()
        left = sharing
        best: list[int] = []
        while left and len(best) < MOST_LIKE:
            best.append(lowest(tally.most(left)))
            left &= ~(1 << best[-1])
        return [self._order(at, bm25) for at in best], (self._order(at, bm25) for at in bits_of(sharing))

    def _order(self, at: int, bm25: Bm25Encoder) -> Order:
        _, reading, ground = self._grounds[at]
        return order_of(ground.unit.text, ground.unit.code, reading.names, bm25)

    def _holding(self, claim: Terms) -> list[int]:
        """For each term the grounds that hold it."""
        if len(self.readings) == 1:
            masks = self.readings[0].masks
            return [masks[term] for term in claim if term in masks]
        found = []
        for term in claim:
            mask = 0
            for start, reading in zip(self._starts, self.readings, strict=True):
                mask |= reading.masks.get(term, 0) << start
            if mask:
                found.append(mask)
        return found

    def _around(self, claim: Terms) -> list[int]:
        """For each term the grounds that hold it, or one beside them does, or where they stand says it."""
        parts = [_with_neighbours(claim, reading) for reading in self.readings]
        if len(parts) == 1:
            return parts[0]
        found = []
        for masks in zip(*parts, strict=True):
            whole = 0
            for start, mask in zip(self._starts, masks, strict=True):
                whole |= mask << start
            found.append(whole)
        return found

    def _terms_around(self, at: int) -> Terms:
        _, reading, _ = self._grounds[at]
        place = at - max(start for start in self._starts if start <= at)
        beside = reading.grounds[max(place - 1, 0) : place + 2]
        return reading.above.union(*(ground.terms for ground in beside))
