"""What tells from a question and its passages whether they answer it, in figures that mean the same in every corpus.

Words alone say what the docs speak of. Whether they say the very thing that is asked shows in the sentence that comes
closest: whether it holds the question's words together and in their order, its names and numbers, and its sense.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from api.chat.overlap import Terms, share, terms_of, topic_of, weigh
from api.chat.sentences import split_sentences
from api.chat.wording import ASIDE, NEGATION, OPPOSITES, TURN_OF_PHRASE
from shared.bm25 import Bm25Encoder
from shared.models import Passage

#: Passages that are compared with each other, which is what a term's weight goes by.
COMPARED: Final = 5
#: Passages whose sentences are read. What stands in none of the first three, an answer seldom finds in the fourth.
READ: Final = 3
#: Passages whose sentences are remembered, at about 40 kB each: a site's popular ones.
READ_PASSAGES: Final = 256
#: Names that are counted as missing: a third one says no more than two do.
MOST_UNNAMED: Final = 2
#: Words between two that stand together in the question, for them to stand together in a sentence as well.
TOGETHER: Final = 3
#: Without vectors: what a passage that holds every word is close in meaning, fitted on three sets of questions. Words
#: alone let twice as many questions about other things through.
FROM_WORDS: Final = 0.85
#: Of a question without two words to its subject: what stands together says neither this nor that.
UNTOLD: Final = 0.5

_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019][a-z]+)?")
#: What stands before a word whose capital says nothing.
_BEGINS: Final = re.compile(r"(?:\A|[.?!:;\n])[\W_]*\Z")
_POSSESSIVE: Final = re.compile(r"['\u2019]s$")
#: Names of several words: "King Harold II", "George V Bridge", "Node 18".
_NAME: Final = re.compile(r"(?:[A-Z][\w\u2019'-]*|\d[\w.]*)(?:\s+(?:[A-Z][\w\u2019'-]*|\d[\w.]*))+")
#: Between paragraphs, items and rows: no sentence reaches across.
_BLOCK: Final = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*+]\s|\d+[.)]\s|[|#]))")


@dataclass(frozen=True, slots=True)
class AskedWord:
    """A word of the question that says what it is about."""

    text: str
    terms: Terms
    #: A name by its capital, or a number.
    named: bool
    number: bool


@dataclass(frozen=True, slots=True)
class Features:
    """How well passages match a question. All but `meaning` are read off the words."""

    #: 0 for what questions about other things reach in this release, 1 for what its own headings reach.
    meaning: float
    #: The part of the question's words that two sentences in a row hold, 0..1.
    together: float
    #: The part of its pairs of words that stand in one sentence in the same order, 0..1.
    ordered: float
    #: The part of its words that no passage holds, 0..1.
    missing: float
    #: Names and numbers that no passage holds.
    unnamed: int
    #: It asks about a number that no passage holds.
    other_number: bool
    #: It says "not" where the closest sentence does not.
    negated: bool
    #: A name of several words stands nowhere as a whole.
    other_name: bool
    #: The closest sentence has a word's contrary in its place.
    contrary: bool


def asked_words(question: str, bm25: Bm25Encoder) -> list[AskedWord]:
    """The words of a question that say what it is about, in their order."""
    words: list[AskedWord] = []
    for found in _WORD.finditer(question):
        text = _POSSESSIVE.sub("", found.group())
        terms = terms_of(text, bm25)
        if terms and text.lower() not in ASIDE:
            number = any(map(str.isdigit, text))
            amid = not _BEGINS.search(question, 0, found.start())
            words.append(AskedWord(text, terms, number or (amid and text[0].isupper()), number))
    return words


def features(question: str, passages: Sequence[Passage], meaning: float | None, bm25: Bm25Encoder) -> Features:
    """Read them off the passages, best first. `meaning` as in `Features`; None where there was no vector to compare."""
    passages = passages[:COMPARED]
    words = asked_words(question, bm25)
    texts = [terms_of(passage.chunk.chunk.embedded_text, bm25) for passage in passages]
    weights = weigh(frozenset().union(*(word.terms for word in words)) or topic_of(question, bm25), texts)
    read = [_read(passage.chunk.chunk.embedded_text, bm25) for passage in passages[:READ]]
    sentences = [[held for _, held in part] for part in read]
    closest = _closest(weights, read)
    missing = unheld(words, texts[:READ])
    absent = len(missing) / len(words) if words else 0.0
    return Features(
        meaning=FROM_WORDS - absent if meaning is None else meaning,
        together=_together(weights, sentences) if words else UNTOLD,
        ordered=_ordered(words, closest, bm25),
        missing=absent,
        unnamed=min(sum(word.named for word in unheld(words, texts)), MOST_UNNAMED),
        other_number=any(word.number for word in missing),
        negated=bool(NEGATION.search(question)) and not NEGATION.search(closest) and not TURN_OF_PHRASE.match(question),
        other_name=_other_name(question, [passage.chunk.chunk.embedded_text for passage in passages[:READ]]),
        contrary=_contrary(words, terms_of(closest, bm25), bm25),
    )


def unheld(words: Sequence[AskedWord], texts: Sequence[Terms]) -> list[AskedWord]:
    """The words that stand in none of these texts."""
    return [word for word in words if not any(word.terms & text for text in texts)]


@lru_cache(maxsize=READ_PASSAGES)
def _read(text: str, bm25: Bm25Encoder) -> tuple[tuple[str, Terms], ...]:
    """A passage's sentences and their words."""
    return tuple(
        (sentence, terms_of(sentence, bm25))
        for block in _BLOCK.split(text)
        for sentence in split_sentences(" ".join(block.split()))
    )


def _closest(weights: Mapping[int, float], read: Sequence[Sequence[tuple[str, Terms]]]) -> str:
    """The sentence that holds most of the question; the first of equals."""
    every = [(share(weights, held), text) for part in read for text, held in part]
    return max(every, key=lambda pair: pair[0], default=(0.0, ""))[1]


def _together(weights: Mapping[int, float], sentences: Sequence[Sequence[Terms]]) -> float:
    """The largest part of the question that two sentences in a row hold."""
    return max(
        (
            share(weights, held | following)
            for part in sentences
            for held, following in zip(part, [*part[1:], frozenset()], strict=False)  # a blank passage has none
        ),
        default=0.0,
    )


def _ordered(words: Sequence[AskedWord], sentence: str, bm25: Bm25Encoder) -> float:
    places: dict[int, list[int]] = {}
    for place, found in enumerate(_WORD.finditer(sentence)):
        for term in terms_of(found.group(), bm25):
            places.setdefault(term, []).append(place)

    def where(word: AskedWord) -> list[int]:
        return [place for term in word.terms for place in places.get(term, ())]

    pairs = [(where(one), where(other)) for one, other in pairwise(words)]
    if not pairs:
        return UNTOLD if all(map(where, words)) else 0.0
    held = sum(any(0 < b - a <= TOGETHER for a in one for b in other) for one, other in pairs)
    return held / len(pairs)


def _other_name(question: str, texts: Sequence[str]) -> bool:
    for name in _NAME.finditer(question):
        words = [_POSSESSIVE.sub("", word) for word in name.group().split()]
        if not question[: name.start()].strip("\"' \u201c"):
            words = words[1:]  # a capital that begins the question names nothing
        if len(words) > 1:
            spelt = r"[\W_]+".join(map(re.escape, words))
            whole = re.compile(rf"(?<!\w){spelt}(?!\w)", re.IGNORECASE)
            if not any(whole.search(text) for text in texts):
                return True
    return False


def _contrary(words: Sequence[AskedWord], sentence: Terms, bm25: Bm25Encoder) -> bool:
    absent = frozenset().union(*(word.terms for word in words)) - sentence
    return any(
        (one & absent and other & sentence) or (other & absent and one & sentence) for one, other in _opposites(bm25)
    )


@lru_cache(maxsize=1)
def _opposites(bm25: Bm25Encoder) -> tuple[tuple[Terms, Terms], ...]:
    return tuple((terms_of(word, bm25), terms_of(contrary, bm25)) for word, contrary in OPPOSITES)
