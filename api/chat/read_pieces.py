"""The pieces of a passage with all of them that no question changes, worked out once for each passage."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from api.chat.asked import plain
from api.chat.flaws import flaw_of_form, is_question
from api.chat.overlap import Terms, terms_of
from api.chat.pieces import Piece, split_pieces
from shared.bm25 import Bm25Encoder

#: Passages whose pieces are remembered: some 10 MB. What visitors ask is answered from the same few pages mostly.
PASSAGES_REMEMBERED: Final = 512
#: ... and words with the term that each comes to, some 5 MB.
WORDS_REMEMBERED: Final = 32_768
#: First letters by which words are taken for kin.
BEGINNING: Final = 5

#: "Default: 600"
LABELLED: Final = re.compile(
    r"(?!\W*(?:note|tip|info|warning|danger|caution|important|example|or|so|and|but)\b)"
    r"[*_`]*([^\W\d_]\w*(?: \w+){0,2})[*_`]*:[*_`]*(?: \S+){1,9}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ReadPiece:
    """A piece with all of it that no question changes."""

    piece: Piece
    #: Its words alone.
    plain: str
    terms: Terms
    #: A block's line by line.
    lines: tuple[Terms, ...]
    #: Of its heading inside the passage.
    heading: Terms
    #: The first letters of its longer words.
    beginnings: frozenset[str]
    #: A term for each of its words that is no stop word, in their order.
    sequence: tuple[int, ...]
    #: What it loses for its form.
    flaw: float
    asks: bool
    #: "default", of "Default: 600".
    label: str


@lru_cache(maxsize=PASSAGES_REMEMBERED)
def read_pieces(text: str, whole_lists: bool, bm25: Bm25Encoder) -> tuple[ReadPiece, ...]:
    """The pieces of a passage's text in reading order. whole_lists: see `split_pieces`."""
    return tuple(_read_piece(piece, bm25) for piece in split_pieces(text, whole_lists=whole_lists))


def _read_piece(piece: Piece, bm25: Bm25Encoder) -> ReadPiece:
    words = plain(piece.text)
    label = LABELLED.fullmatch(piece.text) if piece.kind == "sentence" else None
    return ReadPiece(
        piece=piece,
        plain=words,
        terms=terms_of(piece.whole, bm25),
        lines=() if piece.kind == "sentence" else tuple(terms_of(line, bm25) for line in piece.text.splitlines()),
        heading=terms_of(piece.heading, bm25) if piece.heading else frozenset(),
        beginnings=frozenset(word[:BEGINNING] for word in words.split() if len(word) >= BEGINNING),
        sequence=sequence_of_words(words, bm25),
        flaw=flaw_of_form(piece),
        asks=is_question(piece),
        label=plain(label[1]) if label else "",
    )


def sequence_of_words(plain_text: str, bm25: Bm25Encoder) -> tuple[int, ...]:
    """A term for each word that is no stop word, in their order."""
    return tuple([term for word in plain_text.split() if (term := _term(word, bm25)) is not None])


@lru_cache(maxsize=WORDS_REMEMBERED)
def _term(word: str, bm25: Bm25Encoder) -> int | None:
    return min(terms_of(word, bm25), default=None)
