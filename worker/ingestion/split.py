"""Cuts what is larger than a chunk into pieces that are not, at the places where a reader would.

Nothing is lost and nothing is made up: units in a row are the text that they were cut from, but for the opening lines
of listings and the headers of tables, which each of their parts repeats.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from shared.models import ChunkKind
from shared.tokens import count_tokens
from worker.ingestion.markdown import Block

#: Characters that pass for a token where the tokenizer sees fewer: blanks, combining marks. Real text has 3 to 6.
CHARACTERS_PER_TOKEN: Final = 16
#: Unicode writes one character as up to four when it takes it apart, and each may be a token.
TOKENS_PER_CHARACTER: Final = 4
#: Where to look for sentences to repeat, for each token that may be repeated; most text has 3 to 6.
CHARACTERS_WORTH_REPEATING: Final = 8
#: How far a part of a listing may exceed its fair share, so that it can end at a better line.
SLACK: Final = 1.25


class Unit(NamedTuple):
    """The smallest thing that packing moves; its text begins with what separates it from the one before."""

    kind: ChunkKind
    text: str
    tokens: int
    #: Tokens, or more for text that is long and has few.
    weight: int
    #: Goes on in the middle of a word: nothing may stand before it in its piece, or counts would not add up.
    inside_word: bool = False


class Piece(NamedTuple):
    """A part of a section that fits into one chunk."""

    kind: ChunkKind
    text: str
    tokens: int
    #: Characters at the start of `text` that repeat the end of the piece before.
    overlap: int = 0


def fits(tokens: int, length: int, size: int) -> bool:
    """Whether a text of so many tokens and characters may be one chunk of at most `size` tokens."""
    return tokens <= size and length <= size * CHARACTERS_PER_TOKEN


def split_blocks(blocks: Iterable[Block], size: int, overlap: int, minimum: int) -> list[Piece]:
    """Pieces of at most `size` tokens, about equally large; prose that follows prose repeats up to `overlap` tokens."""
    packs = _pack(list(_units(blocks, size, minimum)), size, overlap)
    return [_piece(pack) for pack in _without_tiny_end(packs, size, minimum)]


def majority(blocks: Sequence[Block | Unit]) -> ChunkKind:
    """The kind that most characters are of."""
    kinds = {block.kind for block in blocks}
    if len(kinds) == 1:
        return kinds.pop()
    return max(kinds, key=lambda kind: (sum(len(block.text) for block in blocks if block.kind == kind), kind))


# ---- units


def _units(blocks: Iterable[Block], size: int, minimum: int) -> Iterator[Unit]:
    waiting = 0
    for block in blocks:
        if block.kind == "prose":
            paragraphs = _parts(block.text, _PARAGRAPHS)
            units = [unit for text in paragraphs for unit in _cut(_unit("prose", text), size, _PROSE_CUTS)]
            waiting += sum(unit.weight for unit in units)
        else:
            # Leaves room for the line that introduces a listing, if that is all there is so far.
            units = _cut_block(block, size, room=size - waiting if waiting < minimum else size)
            waiting = units[-1].weight
        # What is nothing but blanks separates; it is no passage.
        yield from (unit for unit in units if not unit.text.isspace())


def _cut_block(block: Block, size: int, room: int) -> list[Unit]:
    """A listing or table: one unit if it fits into a piece, else in parts of at most `room`."""
    whole = _unit(block.kind, block.text)
    if whole.weight <= size:
        return [whole]
    return _cut_table(whole, room) if block.kind == "table" else _cut_listing(whole, room)


def _unit(kind: ChunkKind, text: str) -> Unit:
    tokens = count_tokens(text)
    return Unit(kind, text, tokens, max(tokens, -(-len(text) // CHARACTERS_PER_TOKEN)))


class _Cut(NamedTuple):
    """Where text may be cut: before the blank that is a match's last group, or else all of it."""

    at: re.Pattern[str]
    #: Characters that a part must have at least.
    least: int = 1


_PARAGRAPHS: Final = _Cut(re.compile(r"\n(?:[ \t]*+\n)++"))
_ITEMS: Final = _Cut(re.compile(r"\n(?=[ \t>]*+(?:[-*+]|\d{1,9}[.)])[ \t])"))
_LINES: Final = _Cut(re.compile(r"\n"))
#: What follows the end of a sentence does not go on in small letters. CJK stops need no blank.
_SENTENCES: Final = _Cut(re.compile(r"[.!?\u2026][\"')\]*_`]{0,3}(\s++)(?![a-z])|[\u3002\uff01\uff1f]()"))
_WRITTEN: Final = re.compile(r"\S")
_WORDS: Final = _Cut(re.compile(r"\s++"))
#: Some fifty tokens at a time: single words are looked at only where one of them is too long.
_PHRASES: Final = _WORDS._replace(least=200)
_LINE_CUTS: Final = (_LINES, _PHRASES, _WORDS)
_PROSE_CUTS: Final = (_ITEMS, _SENTENCES, *_LINE_CUTS)


def _cut(unit: Unit, size: int, cuts: Sequence[_Cut]) -> Iterator[Unit]:
    """`unit` in parts that fit, cut as coarsely as possible."""
    if unit.weight <= size:
        yield unit
    elif not cuts:
        yield from _cut_word(unit, size)
    else:
        for part in _parts(unit.text, cuts[0]):
            yield from _cut(_unit(unit.kind, part), size, cuts[1:])


def _parts(text: str, cut: _Cut) -> Iterator[str]:
    """`text` cut wherever `cut` says; no part is blank unless all of it is."""
    start, written = 0, _first_written(text, 0)
    for match in cut.at.finditer(text):
        end = match.start(match.lastindex or 0)
        if end > written and end - start >= cut.least:
            yield text[start:end]
            start, written = end, _first_written(text, end)
    if start < len(text):
        yield text[start:]


def _first_written(text: str, start: int) -> int:
    """Where the first character stands that is not blank."""
    found = _WRITTEN.search(text, start)
    return found.start() if found else len(text)


def _cut_word(unit: Unit, size: int) -> Iterator[Unit]:
    """A word that is larger than a chunk, in runs of characters that are as long as they may be."""
    text, start, length = unit.text, 0, size * CHARACTERS_PER_TOKEN
    while start < len(text):
        while (part := _unit(unit.kind, text[start : start + length])).weight > size:
            # By how much it is too large, but never below what fits whatever the characters are.
            length = max(min(length - 1, length * size // part.weight), size // TOKENS_PER_CHARACTER)
        yield part._replace(inside_word=start > 0)
        start += length
        # A word is of one kind: the next run is likely to be as long, or a little longer.
        length = min(length + length // 4 + 1, size * CHARACTERS_PER_TOKEN)


_OPENER: Final = re.compile(r"(?P<bare>[ \t>]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)*+[`~]*+)(?P<info>.*)")


def _cut_listing(unit: Unit, size: int) -> list[Unit]:
    """A fenced listing in listings that fit, each with the opening line, cut where the code pauses."""
    opener, *lines, closer = unit.text.removeprefix("\n").split("\n")
    info: list[Unit] = []
    if not _frames(opener, closer, size) and (parts := _OPENER.match(opener)):
        # What is said about the listing is too long to be repeated.
        opener, info = parts["bare"], list(_cut(_unit("prose", f"\n{parts['info']}"), size, _LINE_CUTS))
    if not _frames(opener, closer, size):
        return list(_cut(unit, size, _LINE_CUTS))
    room = size - _unit("code", f"{opener}\n{closer}\n").weight
    parts_of_it = _share(_lines_that_fit(lines, room), room, _best_pause)
    listings = ("\n".join(("", opener, *part, closer)) for part in parts_of_it if any(map(str.strip, part)))
    return [*info, *(_unit("code", listing) for listing in listings)]


def _frames(opener: str, closer: str, size: int) -> bool:
    """Whether the lines around a listing leave at least half of a piece to the listing itself."""
    return _unit("code", f"{opener}\n{closer}\n").weight * 2 <= size


def _cut_table(unit: Unit, size: int) -> list[Unit]:
    """A table in tables that fit, each with the header."""
    names, columns, *rows = unit.text.removeprefix("\n").split("\n")
    header = _unit("table", f"\n{names}\n{columns}")
    if header.weight * 2 > size or any(_unit("table", f"{row}\n").weight > size - header.weight for row in rows):
        return list(_cut(unit, size, _LINE_CUTS))
    parts = _share(rows, size - header.weight, lambda _rows, _first, last: last)
    return [_unit("table", "\n".join((header.text, *part))) for part in parts]


def _lines_that_fit(lines: Iterable[str], room: int) -> list[str]:
    """The lines, those that no listing has room for cut into several."""
    fitting: list[str] = []
    for line in lines:
        fitting.extend(part.text for part in _cut(_unit("code", line), room, (_PHRASES, _WORDS)))
    return fitting


def _share(lines: Sequence[str], room: int, pause: Callable[[Sequence[str], int, int], int]) -> Iterator[Sequence[str]]:
    """Runs of lines of at most `room`, about equally large. `pause` picks the end among the lines first..last."""
    weights = [_unit("code", f"{line}\n").weight for line in lines]
    total = sum(weights)
    fair = min(room, math.ceil(total / max(1, math.ceil(total / room)) * SLACK))
    start = 0
    while start < len(lines):
        end, used = start, 0
        while end < len(lines) and (end == start or used + weights[end] <= fair):
            used += weights[end]
            end += 1
        if end < len(lines):
            end = pause(lines, start + (end - start + 1) // 2, end)
        yield lines[start:end]
        start = end


def _best_pause(lines: Sequence[str], first: int, last: int) -> int:
    """Where to end a part of a listing: before the line that is indented least, best after a blank one, best late."""
    return min(range(max(first, 1), last + 1), key=lambda i: _interruption(lines[i - 1], lines[i], last - i))


def _interruption(above: str, below: str, distance: int) -> tuple[int, int, int]:
    """How much a cut between two lines would disturb: smaller is better."""
    if not below.strip():
        return (1_000, 0, distance)
    closes = below.lstrip()[0] in ")]}"
    indentation = len(below) - len(below.lstrip())
    return (indentation + (100 if closes else 0), int(bool(above.strip())), distance)


# ---- packing


class _Pack(NamedTuple):
    """Units that make one piece, after `repeated` from the end of the pack before."""

    units: list[Unit]
    repeated: str = ""
    repeated_weight: int = 0

    @property
    def weight(self) -> int:
        return self.repeated_weight + sum(unit.weight for unit in self.units)


def _pack(units: Sequence[Unit], size: int, overlap: int) -> list[_Pack]:
    total = sum(unit.weight for unit in units)
    fair = total / max(1, math.ceil(total / size))
    packs: list[_Pack] = []
    used = 0
    for unit in units:
        if packs and not _must_end(packs[-1], unit, used, size, fair):
            packs[-1].units.append(unit)
            used += unit.weight
            continue
        repeated = _repeated(packs[-1], min(overlap, size - unit.weight)) if packs and _goes_on(packs[-1], unit) else ""
        weight = _unit("prose", repeated).weight if repeated else 0
        packs.append(_Pack([unit], repeated, weight))
        used = weight + unit.weight
    return packs


def _must_end(pack: _Pack, unit: Unit, used: int, size: int, fair: float) -> bool:
    """Whether `unit` starts a new piece: it does not fit, or the piece has its share and announces nothing."""
    if used + unit.weight > size or unit.inside_word:
        return True
    return used >= fair and not pack.units[-1].text.rstrip().endswith(":")


def _goes_on(pack: _Pack, unit: Unit) -> bool:
    return unit.kind == pack.units[-1].kind == "prose" and not unit.inside_word


def _repeated(pack: _Pack, budget: int) -> str:
    """Whole sentences from the end of a pack's prose, as many as the budget of tokens holds."""
    window = budget * CHARACTERS_WORTH_REPEATING
    prose = ""
    for unit in reversed(pack.units):
        if unit.kind != "prose" or len(prose) > window:
            break
        prose = unit.text + prose
    sentences = list(_parts(prose[-window:], _SENTENCES)) if window > 0 else []
    repeated, used = "", 0
    # The first one may begin before the window: it is not known to be whole.
    for sentence in reversed(sentences[1:]):
        used += _unit("prose", sentence).weight
        if used > budget:
            break
        repeated = sentence + repeated
    return repeated.lstrip()


def _without_tiny_end(packs: list[_Pack], size: int, minimum: int) -> list[_Pack]:
    """The last pack joined to the one before, if it is hardly worth a chunk and there is room."""
    if len(packs) < 2:
        return packs
    *others, before, last = packs
    weight = sum(unit.weight for unit in last.units)
    if weight >= minimum or last.units[0].inside_word or before.weight + weight > size:
        return packs
    return [*others, before._replace(units=[*before.units, *last.units])]


def _piece(pack: _Pack) -> Piece:
    text = "".join(unit.text for unit in pack.units)
    separator = text[: len(text) - len(text.lstrip())]
    # Without the blanks between sentences, but with the indentation of a list item or a listing.
    own = text.strip("\n") if separator.startswith("\n") else text.strip()
    tokens = sum(unit.tokens for unit in pack.units)
    if not pack.repeated:
        return Piece(majority(pack.units), own.rstrip(), tokens)
    tokens += count_tokens(pack.repeated)
    repeated = pack.repeated + separator
    return Piece(majority(pack.units), (repeated + text.lstrip()).rstrip(), tokens, len(repeated))
