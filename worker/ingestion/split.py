"""Packs a section that is larger than a chunk into pieces that are not, about equally large."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from shared.models import ChunkKind
from worker.ingestion.markup.markdown import Block
from worker.ingestion.measure import Measure
from worker.ingestion.units import SENTENCES, Unit, parts_of, units_of

#: Where to look for sentences to repeat, for each token that may be repeated; most text has 3 to 6.
CHARACTERS_WORTH_REPEATING: Final = 8


class Piece(NamedTuple):
    """A part of a section that fits into one chunk."""

    kind: ChunkKind
    text: str
    tokens: int
    #: Characters at the start of `text` that repeat the end of the piece before.
    overlap: int = 0


def split_blocks(blocks: Iterable[Block], measure: Measure, overlap: int, minimum: int) -> list[Piece]:
    """Pieces that fit into a chunk; prose that follows prose repeats up to `overlap` tokens.

    One below `minimum` is there only where it fits to neither of its neighbours.
    """
    packs = _pack(list(units_of(blocks, measure, minimum)), measure, overlap, minimum)
    return [_piece(pack) for pack in _without_tiny(packs, measure.size, minimum)]


def majority(blocks: Sequence[Block | Unit]) -> ChunkKind:
    """The kind that most characters are of."""
    if len(blocks) == 1:
        return blocks[0].kind
    kinds = {block.kind for block in blocks}
    if len(kinds) == 1:
        return kinds.pop()
    return max(kinds, key=lambda kind: (sum(len(block.text) for block in blocks if block.kind == kind), kind))


class _Repeated(NamedTuple):
    """What a pack repeats from the end of the one before."""

    text: str = ""
    tokens: int = 0
    weight: int = 0


_NOTHING: Final = _Repeated()


class _Pack:
    """Units that make one piece, after what is repeated in front of them."""

    __slots__ = ("repeated", "units", "weight")

    def __init__(self, unit: Unit, repeated: _Repeated) -> None:
        self.units = [unit]
        self.repeated = repeated
        self.weight = repeated.weight + unit.weight

    def add(self, unit: Unit) -> None:
        self.units.append(unit)
        self.weight += unit.weight

    @property
    def own_weight(self) -> int:
        return self.weight - self.repeated.weight


def _pack(units: Sequence[Unit], measure: Measure, overlap: int, minimum: int) -> list[_Pack]:
    size = measure.size
    total = sum([unit.weight for unit in units])
    fair = total / max(1, math.ceil(total / size))
    packs: list[_Pack] = []
    for unit in units:
        last = packs[-1] if packs else None
        if last is not None and not _must_end(last, unit, size, fair):
            last.add(unit)
        elif last is not None and _introduces(last, unit, size, minimum):
            introduction = last.units.pop()
            last.weight -= introduction.weight
            packs.append(_Pack(introduction, _NOTHING))
            packs[-1].add(unit)
        else:
            goes_on = last is not None and unit.kind == last.units[-1].kind == "prose" and not unit.inside_word
            repeated = _repeat(last, measure, min(overlap, size - unit.weight)) if last and goes_on else _NOTHING
            packs.append(_Pack(unit, repeated))
    return packs


def _must_end(pack: _Pack, unit: Unit, size: int, fair: float) -> bool:
    """Whether `unit` starts a new piece: it does not fit, or the piece has its share and announces nothing."""
    if pack.weight + unit.weight > size or unit.inside_word:
        return True
    last = pack.units[-1]
    together = last.kind == "prose" != unit.kind or last.text.rstrip().endswith(":")
    return pack.weight >= fair and not together


def _introduces(pack: _Pack, unit: Unit, size: int, minimum: int) -> bool:
    """Whether the last paragraph of `pack` goes with the listing or table `unit`, and `pack` can do without it."""
    last = pack.units[-1]
    if unit.kind == "prose" or last.kind != "prose" or len(pack.units) == 1 or last.inside_word:
        return False
    return last.weight + unit.weight <= size and pack.own_weight - last.weight >= minimum


def _repeat(pack: _Pack, measure: Measure, budget: int) -> _Repeated:
    """Whole sentences from the end of a pack's prose, as many as the budget of tokens holds."""
    window = budget * CHARACTERS_WORTH_REPEATING
    if window <= 0:
        return _NOTHING
    prose = ""
    for unit in reversed(pack.units):
        if unit.kind != "prose" or len(prose) > window:
            break
        prose = unit.text + prose
    text, tokens, weight = "", 0, 0
    # The first one may begin before the window: it is not known to be whole.
    for sentence in reversed(list(parts_of(prose[-window:], SENTENCES))[1:]):
        more, heavier = measure.weigh(sentence)
        if weight + heavier > budget:
            break
        text, tokens, weight = sentence + text, tokens + more, weight + heavier
    return _Repeated(text.lstrip(), tokens, weight)


def _without_tiny(packs: list[_Pack], size: int, minimum: int) -> list[_Pack]:
    """Packs that are hardly worth a chunk joined to the one before, or else to the one behind."""
    kept: list[_Pack] = []
    for pack in packs:
        if kept and min(kept[-1].own_weight, pack.own_weight) < minimum and _join(kept[-1], pack, size):
            continue
        kept.append(pack)
    return kept


def _join(pack: _Pack, other: _Pack, size: int) -> bool:
    """Append the units of `other`, without what it repeats, if there is room."""
    if other.units[0].inside_word or pack.weight + other.own_weight > size:
        return False
    pack.units += other.units
    pack.weight += other.own_weight
    return True


def _piece(pack: _Pack) -> Piece:
    text = "".join([unit.text for unit in pack.units])
    written = text.lstrip()
    separator = text[: len(text) - len(written)]
    tokens = sum([unit.tokens for unit in pack.units])
    if pack.repeated.text:
        repeated = pack.repeated.text + separator
        return Piece(majority(pack.units), (repeated + written).rstrip(), tokens + pack.repeated.tokens, len(repeated))
    # Without the blanks between sentences, but with the indentation of a list item or a listing.
    own = text.strip("\n") if separator.startswith("\n") else written
    return Piece(majority(pack.units), own.rstrip(), tokens)
