"""Makes a page's chunks: one passage of one section each, never over the limit, nothing left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from shared.models import Chunk, Heading, Page, Part, place_of
from worker.ingestion.markup.markdown import Block, Section
from worker.ingestion.measure import Measure
from worker.ingestion.routes import anchored
from worker.ingestion.split import Piece, majority, split_blocks

#: Longer sections are taken for too large and go through splitting, which counts their parts: counting them as a whole
#: first would be for nothing, since real text has 3 to 4. A rare one that does fit comes back in one piece.
CHARACTERS_PER_TOKEN_AT_MOST: Final = 5


@dataclass(frozen=True, slots=True)
class ChunkRules:
    """Sizes in tokens, counted on a chunk's text."""

    #: No chunk is larger.
    size: int = 600
    #: Prose that is cut repeats up to this much.
    overlap: int = 100
    #: Smaller sections are joined to neighbours where that makes sense.
    minimum: int = 50
    #: Tokens of its own that the embedding model reads of a chunk and its place; None for a model that reads windows.
    limit: int | None = None


def make_chunks(page: Page, sections: Sequence[Section], rules: ChunkRules) -> tuple[Chunk, ...]:
    """All chunks of `page` in reading order. Their `overlap`s aside, they hold each word of the sections once.

    A chunk's own heading is in its `trail`, not in its `text`; the headings of sections that were joined to it stand in
    the text, where they were.
    """
    passages = _join_small(list(_passages(page, sections, rules)), rules)
    return tuple([chunk for passage in passages for chunk in _chunks_of(page, passage, rules)])


class _Passage:
    """A section, and the small ones that were joined to it."""

    __slots__ = ("blocks", "carried", "first", "joined", "measure", "text", "tokens", "weight")

    def __init__(self, section: Section, carried: tuple[Heading, ...], measure: Measure) -> None:
        self.first = section
        #: Headings in front of this one that have no text of their own, and this one's.
        self.carried = carried
        self.measure = measure
        self.blocks: Sequence[Block] = section.blocks
        #: Which block begins with the heading of which joined section.
        self.joined: list[tuple[int, Section]] = []
        self.text = section.blocks[0].text if len(section.blocks) == 1 else section.text
        if len(self.text) <= measure.size * CHARACTERS_PER_TOKEN_AT_MOST:
            self.tokens, self.weight = measure.weigh(self.text)
        else:
            self.tokens = self.weight = measure.size + 1

    def belongs_to(self, other: _Passage) -> bool:
        """Whether it stands beside `other`'s heading, under the same parent, or below it."""
        mine, theirs = self.first, other.first
        below = len(mine.trail) > len(theirs.trail) and mine.trail[: len(theirs.trail)] == theirs.trail
        return below or (theirs.heading is not None and mine.trail[:-1] == theirs.trail[:-1])

    def join(self, other: _Passage) -> bool:
        """Append `other` with its headings, if both fit into one chunk."""
        if self.tokens + other.tokens > self.measure.size:
            return False
        headings = "".join(f"\n\n{'#' * heading.level} {heading.text}" for heading in other.carried)
        ours, theirs = _without_blank_end(self.blocks), _without_blank_start(other.blocks)
        blocks = [*ours, Block("prose", headings), *theirs]
        text = "".join([block.text for block in blocks])
        tokens, weight = self.measure.weigh(text)
        if weight > self.measure.size:
            return False
        start = len(ours)
        self.joined += [(start, other.first), *((start + 1 + at, section) for at, section in other.joined)]
        self.blocks, self.text, self.tokens, self.weight = blocks, text, tokens, weight
        return True


def _without_blank_end(blocks: Sequence[Block]) -> list[Block]:
    return [*blocks[:-1], blocks[-1]._replace(text=blocks[-1].text.rstrip())] if blocks else []


def _without_blank_start(blocks: Sequence[Block]) -> list[Block]:
    """One blank line between a heading and its text, however many the page has."""
    return [blocks[0]._replace(text="\n\n" + blocks[0].text.lstrip("\n")), *blocks[1:]] if blocks else []


def _passages(page: Page, sections: Sequence[Section], rules: ChunkRules) -> Iterator[_Passage]:
    """One for each section; a heading directly above another one lives on in the trails below it."""
    measure = Measure.of(rules.size, None, "")
    carried: tuple[Heading, ...] = ()
    for section, following in zip_longest(sections, sections[1:]):
        if section.heading is not None:
            carried = (*carried, section.heading)
        if not section.blocks and following is not None and len(following.trail) > len(section.trail):
            continue
        if rules.limit is not None:
            measure = Measure.of(rules.size, rules.limit, place_of(page.title, section.trail))
        yield _Passage(section, carried, measure)
        carried = ()


def _join_small(passages: list[_Passage], rules: ChunkRules) -> list[_Passage]:
    """Join small neighbours to each other, and what is still small to the passage before it.

    A large section is never joined to a small one in front: it would lose its own heading and anchor for it.
    """
    together: list[_Passage] = []
    for passage in passages:
        last = together[-1] if together else None
        small = passage.tokens < rules.minimum
        wanting = last is not None and last.tokens < rules.minimum
        if not (last and small and wanting and passage.belongs_to(last) and last.join(passage)):
            together.append(passage)
    kept: list[_Passage] = []
    for passage in together:
        small = passage.tokens < rules.minimum
        if not (kept and small and passage.belongs_to(kept[-1]) and kept[-1].join(passage)):
            kept.append(passage)
    return kept


def _chunks_of(page: Page, passage: _Passage, rules: ChunkRules) -> Iterator[Chunk]:
    heading = passage.first.heading
    anchor = heading.anchor if heading else None
    url = anchored(page.url, anchor)
    parts = tuple(_parts_of(page, passage)) if passage.joined else ()
    trail = passage.first.trail
    for kind, text, tokens, overlap in _pieces_of(passage, rules):
        yield Chunk(
            page.path, page.title, url, anchor, trail, text, kind, tokens, overlap, parts, page.version, page.locale
        )


def _parts_of(page: Page, passage: _Passage) -> Iterator[Part]:
    """Where the joined sections begin. A passage that has some is one chunk: they were joined because they fit."""
    texts = [block.text for block in passage.blocks]
    leading = len(passage.text) - len(passage.text.lstrip("\n"))
    for at, section in passage.joined:
        before = "".join(texts[:at])
        # The block of a heading begins with the blank line in front of it.
        start = len(before) + len(texts[at]) - len(texts[at].lstrip("\n")) - leading
        anchor = section.heading.anchor if section.heading else None
        yield Part(max(start, 0), anchor, anchored(page.url, anchor), section.trail)


def _pieces_of(passage: _Passage, rules: ChunkRules) -> Iterable[Piece]:
    if not passage.blocks:
        # A heading with nothing under it: it is all there is to find.
        return split_blocks([Block("prose", passage.first.trail[-1])], passage.measure, rules.overlap, rules.minimum)
    if passage.weight <= passage.measure.size:
        return (Piece(majority(passage.blocks), passage.text.strip("\n").rstrip(), passage.tokens),)
    return split_blocks(passage.blocks, passage.measure, rules.overlap, rules.minimum)
