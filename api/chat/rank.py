"""The order of passages beyond what search says of them, and which of them only repeat another.

What is added here is small beside the fused score (0..2): it decides between passages that search takes for alike.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from api.chat.overlap import READ_PASSAGES, Terms, sequence_of, share, terms_of, weigh
from api.chat.page_address import PageAddress
from shared.bm25 import Bm25Encoder
from shared.models import Chunk, Passage

#: What a heading made of the question's words is worth. On the half of each set that it was chosen on, from 0 to .2 a
#: product's docs go from nDCG@10 .81 to .85; an encyclopedia's questions and conversations stay as they are.
HEADING_BONUS: Final = 0.2
#: What it is worth that words stand side by side as in the question, the rarer the more. On the same halves: an
#: encyclopedia's questions from .920 to .927, the others within .005.
PAIRS_BONUS: Final = 0.5
#: What it is worth to hold every quoted phrase and every identifier of the question, letter for letter.
VERBATIM_BONUS: Final = 0.5
#: What it is worth to stand on the page that the visitor is on: enough to decide between equals.
PAGE_BONUS: Final = 0.1
#: ... and on the page of the words that they have marked.
SELECTED_PAGE_BONUS: Final = 0.4
#: Two texts that share so many of their words are one text to a visitor.
SAME: Final = 0.95

_WORDS: Final = re.compile(r"\w+")
_QUOTED: Final = re.compile(r"\"([^\"\n]{2,200})\"|“([^”\n]{2,200})”|«([^»\n]{2,200})»|(?<!`)`+([^`\n]{1,200})`+")
#: Words that are no words: `--flag`, `snake_case`, `camelCase`, `Class.method`, `E0308`, `/etc/hosts`, `@scope/pkg`;
#: and `HTTP 404`.
_IDENTIFIER: Final = re.compile(
    r"(?<![\w$@./-])(?:[A-Z]{2,10} \d+(?!\w)|(?=\S{2,100}(?:\s|$))"
    r"(?:-{1,2}[A-Za-z][\w-]*|[$@./][\w{][\w./{}-]*\w|\w+(?:[._/:]+|->|\#)\w[\w./:>\#-]*|\w*[a-z][A-Z]\w*|[A-Z]+\d\w*))"
)

_INITIALS: Final = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]?")  # e.g., U.S.


@dataclass(frozen=True, slots=True)
class Wanted:
    """What passages are ordered by."""

    question: str
    #: Where the visitor is.
    page: PageAddress | None = None
    #: Pages of the words that the visitor has marked.
    selected_paths: Collection[str] = ()


def rank(wanted: Wanted, passages: Sequence[Passage], bm25: Bm25Encoder) -> list[Passage]:
    """Passages by their fused score and what speaks for them besides, best first."""
    asked = terms_of(wanted.question, bm25)
    words = sequence_of(wanted.question, bm25)
    pairs = frozenset(pairwise(words))
    texts = [sequence_of(passage.chunk.chunk.embedded_text, bm25) for passage in passages]
    weights = weigh(frozenset(words), [frozenset(text) for text in texts])
    of_pairs = {pair: weights[pair[0]] + weights[pair[1]] for pair in pairs}
    phrases = verbatim(wanted.question)

    def score(passage: Passage, text: Sequence[int]) -> float:
        held = pairs.intersection(pairwise(text))
        return (
            passage.score
            + HEADING_BONUS * _named(asked, passage.chunk.chunk, bm25)
            + PAIRS_BONUS * share(of_pairs, held)
            + VERBATIM_BONUS * _held(phrases, passage.chunk.chunk)
            + _at_home(wanted, passage.chunk.chunk)
        )

    scores = [score(passage, text) for passage, text in zip(passages, texts, strict=True)]
    return [passages[place] for place in sorted(range(len(scores)), key=lambda place: -scores[place])]


def collapse(passages: Sequence[Passage], k: int) -> list[Passage]:
    """The first `k` passages, without those that only repeat an earlier one, on this page or on another."""
    kept: list[Passage] = []
    seen: list[frozenset[str]] = []
    for passage in passages:
        words = _words_of(passage.chunk.chunk.text)
        if not any(_are_one(words, other) for other in seen):
            kept.append(passage)
            seen.append(words)
        if len(kept) == k:
            break
    return kept


def _are_one(words: frozenset[str], others: frozenset[str]) -> bool:
    fewer, more = sorted((len(words), len(others)))
    return fewer >= SAME * more and len(words & others) >= SAME * len(words | others)


@lru_cache(maxsize=READ_PASSAGES)
def _words_of(text: str) -> frozenset[str]:
    return frozenset(_WORDS.findall(text.lower()))


def verbatim(question: str) -> list[str]:
    """What of a question is meant letter for letter: quoted phrases and identifiers, in lower case."""
    quoted = [next(filter(None, found)) for found in _QUOTED.findall(question)]
    named = [found.rstrip(".,:;?!)'\"/") for found in _IDENTIFIER.findall(_QUOTED.sub(" ", question))]
    named = [name for name in named if not _INITIALS.fullmatch(name)]
    texts = (" ".join(text.lower().split()) for text in (*quoted, *named))
    return list(dict.fromkeys(filter(None, texts)))


def _held(phrases: Sequence[str], chunk: Chunk) -> float:
    """The part of the phrases that a passage holds as they are, 0..1."""
    if not phrases:
        return 0.0
    text = " ".join(chunk.embedded_text.lower().split())
    return sum(_stands_in(phrase, text) for phrase in phrases) / len(phrases)


def _stands_in(phrase: str, text: str) -> bool:
    """Whether a phrase stands in a text and is not a part of longer words."""
    before = r"(?<![\w-])" if phrase[0] == "-" or phrase[0].isalnum() else ""
    after = r"(?![\w])" if phrase[-1].isalnum() else ""
    return phrase in text and re.search(f"{before}{re.escape(phrase)}{after}", text) is not None


def _named(asked: Terms, chunk: Chunk, bm25: Bm25Encoder) -> float:
    """The part of a passage's heading that the question speaks of, 0..1."""
    heading = terms_of(chunk.heading, bm25)
    return len(asked & heading) / len(heading) if heading else 0.0


def _at_home(wanted: Wanted, chunk: Chunk) -> float:
    if chunk.path in wanted.selected_paths:
        return SELECTED_PAGE_BONUS
    return PAGE_BONUS if wanted.page is not None and wanted.page.is_of(chunk.path, chunk.url) else 0.0
