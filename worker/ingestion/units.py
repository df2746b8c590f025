"""Cuts the blocks of a section into units that fit into a chunk, at the places where a reader would.

Nothing is lost and nothing is made up: units in a row are the text that they were cut from, but for the opening lines
of listings and the headers of tables, which each of their parts repeats.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from shared.models import ChunkKind
from worker.ingestion.markup.markdown import Block
from worker.ingestion.measure import Measure

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


def units_of(blocks: Iterable[Block], measure: Measure, minimum: int) -> Iterator[Unit]:
    """Paragraphs, listings and tables; of those that are larger than a chunk parts that are not."""
    waiting = 0
    for block in blocks:
        if block.kind == "prose":
            units = [unit for text in _paragraphs(block.text) for unit in _cut_prose(text, measure)]
            waiting += sum([unit.weight for unit in units])
        else:
            # Leaves room for the line that introduces a listing, if that is all there is so far.
            room = measure.size - waiting if waiting < minimum else measure.size
            units = _cut_block(block, measure, room)
            waiting = units[-1].weight
        for unit in units:
            # What is nothing but blanks separates; it is no passage.
            if not unit.text.isspace():
                yield unit


def _paragraphs(text: str) -> list[str]:
    """`text` cut at empty lines; no part is blank unless all of it is."""
    parts: list[str] = []
    waiting: list[str] = []
    for number, paragraph in enumerate(text.split("\n\n")):
        waiting.append(f"\n\n{paragraph}" if number else paragraph)
        if paragraph and not paragraph.isspace():
            parts.append("".join(waiting) if len(waiting) > 1 else waiting[0])
            waiting.clear()
    rest = "".join(waiting)
    return [*parts[:-1], parts[-1] + rest] if parts else [rest]


def _cut_prose(text: str, measure: Measure) -> Iterable[Unit]:
    unit = _unit("prose", text, measure)
    return (unit,) if unit.weight <= measure.size else _cut(unit, measure, measure.size, _PROSE_CUTS)


def _cut_block(block: Block, measure: Measure, room: int) -> list[Unit]:
    """A listing or table: one unit if it fits into a piece, else in parts of at most `room`."""
    whole = _unit(block.kind, block.text, measure)
    if whole.weight <= measure.size:
        return [whole]
    return _cut_table(whole, measure, room) if block.kind == "table" else _cut_listing(whole, measure, room)


def _unit(kind: ChunkKind, text: str, measure: Measure) -> Unit:
    return Unit(kind, text, *measure.weigh(text))


class Cut(NamedTuple):
    """Where text may be cut: before the blank that is a match's last group, or else all of it."""

    at: re.Pattern[str]
    #: Characters that a part must have at least.
    least: int = 1


_BLANK_LINES: Final = Cut(re.compile(r"\n(?:[ \t]*+\n)++"))
_ITEMS: Final = Cut(re.compile(r"\n(?=[ \t>]*+(?:[-*+]|\d{1,9}[.)])[ \t])"))
_LINES: Final = Cut(re.compile(r"\n"))
#: What follows the end of a sentence does not go on in small letters. CJK stops need no blank.
SENTENCES: Final = Cut(
    re.compile(
        r"[.!?\u2026\u3002\uff01\uff1f](?:(?<=[.!?\u2026])[\"')\]*_`]{0,3}(\s++)(?![a-z])|(?<=[\u3002\uff01\uff1f])())"
    )
)
_WRITTEN: Final = re.compile(r"\S")
_WORDS: Final = Cut(re.compile(r"\s++"))
#: Some fifty tokens at a time: single words are looked at only where one of them is too long.
_PHRASES: Final = _WORDS._replace(least=200)
_LINE_CUTS: Final = (_LINES, _PHRASES, _WORDS)
_PROSE_CUTS: Final = (_BLANK_LINES, _ITEMS, SENTENCES, *_LINE_CUTS)


def _cut(unit: Unit, measure: Measure, room: int, cuts: Sequence[Cut]) -> Iterator[Unit]:
    """`unit` in parts of at most `room`, cut as coarsely as possible."""
    if unit.weight <= room:
        yield unit
    elif not cuts:
        yield from _cut_word(unit, measure, room)
    else:
        for text in parts_of(unit.text, cuts[0]):
            part = _unit(unit.kind, text, measure)
            if part.weight <= room:
                yield part
            else:
                yield from _cut(part, measure, room, cuts[1:])


def parts_of(text: str, cut: Cut) -> Iterator[str]:
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


def _cut_word(unit: Unit, measure: Measure, room: int) -> Iterator[Unit]:
    """A word that is larger than a chunk, in runs of characters that are as long as they may be."""
    most = int(room * measure.bytes_per_token) + 1
    certain = max(1, measure.certain * room // measure.size)
    text, start, length = unit.text, 0, most
    while start < len(text):
        while (part := _unit(unit.kind, text[start : start + length], measure)).weight > room and length > 1:
            # By how much it is too large, but never below what fits whatever the characters are.
            length = max(min(length - 1, length * room // part.weight), certain)
        yield part._replace(inside_word=start > 0)
        start += length
        # A word is of one kind: the next run is likely to be as long, or a little longer.
        length = min(length + length // 4 + 1, most)


_OPENER: Final = re.compile(r"(?P<bare>[ \t>]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)*+[`~]*+)(?P<info>.*)")


def _cut_listing(unit: Unit, measure: Measure, room: int) -> list[Unit]:
    """A fenced listing in listings that fit, each with the opening line, cut where the code pauses."""
    opener, *lines, closer = unit.text.removeprefix("\n").split("\n")
    info: list[Unit] = []
    if not _frames(opener, closer, measure, room) and (parts := _OPENER.match(opener)):
        # What is said about the listing is too long to be repeated.
        said = _unit("prose", f"\n{parts['info']}", measure)
        opener, info = parts["bare"], list(_cut(said, measure, room, _LINE_CUTS))
    if not _frames(opener, closer, measure, room):
        return list(_cut(unit, measure, room, _LINE_CUTS))
    frame = _unit("code", f"\n{opener}\n{closer}", measure)
    room -= frame.weight
    parts_of_it = _share(_lines_that_fit("code", lines, measure, room), room, _best_pause)
    written = (part for part in parts_of_it if any(map(str.strip, _texts(part))))
    return [*info, *(_together(frame, "\n".join(("", opener, *_texts(part), closer)), part) for part in written)]


def _frames(opener: str, closer: str, measure: Measure, room: int) -> bool:
    """Whether the lines around a listing leave at least half of a piece to the listing itself."""
    return _unit("code", f"\n{opener}\n{closer}", measure).weight * 2 <= room


def _cut_table(unit: Unit, measure: Measure, room: int) -> list[Unit]:
    """A table in tables that fit, each with the header."""
    names, columns, *rows = unit.text.removeprefix("\n").split("\n")
    header = _unit("table", f"\n{names}\n{columns}", measure)
    if header.weight * 2 > room:
        return list(_cut(unit, measure, room, _LINE_CUTS))
    room -= header.weight
    parts = _share(_lines_that_fit("table", rows, measure, room), room, lambda _rows, _first, last: last)
    return [_together(header, "\n".join((header.text, *_texts(part))), part) for part in parts]


def _together(frame: Unit, text: str, lines: Sequence[Unit]) -> Unit:
    """Lines in what frames them, with the sums of what they weigh."""
    tokens = frame.tokens + sum([line.tokens for line in lines])
    return Unit(frame.kind, text, tokens, frame.weight + sum([line.weight for line in lines]))


def _texts(lines: Sequence[Unit]) -> list[str]:
    return [line.text for line in lines]


def _lines_that_fit(kind: ChunkKind, lines: Iterable[str], measure: Measure, room: int) -> list[Unit]:
    """The lines, weighed with the line break before them; those that no part has room for are cut into several."""
    line_break = _unit(kind, "\n", measure).weight
    fitting: list[Unit] = []
    for line in lines:
        unit = _unit(kind, f"\n{line}", measure)
        if unit.weight <= room:
            fitting.append(unit._replace(text=line))
        else:
            parts = _cut(unit, measure, room - line_break, (_PHRASES, _WORDS))
            fitting += [p._replace(text=p.text.removeprefix("\n"), weight=p.weight + line_break) for p in parts]
    return fitting


def _share(
    lines: Sequence[Unit], room: int, pause: Callable[[Sequence[Unit], int, int], int]
) -> Iterator[Sequence[Unit]]:
    """Runs of lines of at most `room`, about equally large. `pause` picks the end among the lines first..last."""
    left = sum([line.weight for line in lines])
    fair = min(room, math.ceil(left / max(1, math.ceil(left / room)) * SLACK))
    start = 0
    while left > room:
        end, used = start, 0
        while end == start or used + lines[end].weight <= fair:
            used += lines[end].weight
            end += 1
        end = pause(lines, start + (end - start + 1) // 2, end)
        yield lines[start:end]
        left -= sum([line.weight for line in lines[start:end]])
        start = end
    if start < len(lines):
        yield lines[start:]


def _best_pause(lines: Sequence[Unit], first: int, last: int) -> int:
    """Where to end a part of a listing: before the line that is indented least, best after a blank one, best late."""
    return min(range(max(first, 1), last + 1), key=lambda i: _interruption(lines[i - 1].text, lines[i].text, last - i))


def _interruption(above: str, below: str, distance: int) -> tuple[int, int, int]:
    """How much a cut between two lines would disturb: smaller is better."""
    written = below.lstrip()
    if not written:
        return (1_000, 0, distance)
    indentation = len(below) - len(written)
    return (indentation + (100 if written[0] in ")]}" else 0), int(bool(above.strip())), distance)
