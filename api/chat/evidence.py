"""What speaks for a sentence of an answer: its words, numbers and names, held against the passages that were shown.

No model is asked, so that every sentence can be checked while the answer streams. A sentence is supported if most of
its words stand close together in a passage, and all of its numbers and names do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from api.chat.claims import NEGATION, UNITS, Facts, Figure, facts_of, figures_in, names_of, words_of
from api.chat.events import Claim, Support
from api.chat.grounds import Ground, Reading, Shown, read, words_in
from api.chat.identifiers import holds
from api.chat.order import NOT, denies_as, misplaced, order_of
from api.chat.overlap import Terms, terms_of
from api.chat.quotes import Unit, rendered
from shared.bm25 import Bm25Encoder
from shared.models import Passage

#: The part of a sentence's words that has to stand close together in the passages for it to be supported, and for it
#: not to be called unsupported.
SUPPORTED: Final = 0.5
WEAK: Final = 0.3
#: A unit with so much of a sentence says the same or, with another sign, the opposite.
SAME: Final = 0.7
#: Of the words of an answer, the part that passages in its own language hold at least: "the", "is", "of".
OWN_LANGUAGE: Final = 0.25
#: So many of its commonest words make a text English; a short one has few of them.
SOME_ENGLISH: Final = 2
#: Words that a quote shares with its claim, at least.
QUOTED: Final = 2

_OPPOSITES: Final = (
    "enable disable", "enabled disabled", "enables disables", "allow deny", "allowed denied", "allows forbids",
    "before after", "minimum maximum", "min max", "increase decrease", "increases decreases", "always never",
    "true false", "required optional", "above below", "more less", "most least", "first last", "add remove",
    "adds removes", "accept reject", "accepts rejects", "include exclude", "includes excludes", "start stop",
    "starts stops", "mutable immutable", "synchronous asynchronous", "public private", "higher lower",
)  # fmt: skip
_COMMON: Final = (
    "the and of to is are be it its that this for with on by from at or as if you your can not but have has will which "
    "when what their they these those than then there do does how into only each other all more some such also"
)
_ENGLISH: Final = frozenset(_COMMON.split())
_OPPOSITE: Final = {
    one: other for pair in map(str.split, _OPPOSITES) for one, other in (tuple(pair), tuple(reversed(pair)))
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a sentence stands by the passages."""

    support: Support
    #: The passages that it was found in.
    numbers: tuple[int, ...]
    missing: tuple[str, ...] = ()
    #: The part of its words that was found.
    share: float = 0.0

    def better_than(self, other: Verdict) -> bool:
        return (_RANK[self.support], -len(self.missing), self.share) > (
            _RANK[other.support], -len(other.missing), other.share
        )  # fmt: skip


_RANK: Final = {"unsupported": 0, "weak": 1, "supported": 2}


class Evidence:
    """The passages that an answer was made from, to hold its sentences against."""

    def __init__(self, passages: Sequence[Passage], bm25: Bm25Encoder) -> None:
        """`passages` in the order of their numbers, from 1. They are read when the first sentence is checked."""
        self._chunks = {number: passage.chunk.chunk for number, passage in enumerate(passages, 1)}
        self._bm25 = bm25
        self._read: dict[int, Reading] = {}
        self._words: frozenset[str] | None = None
        self._side_by_side: dict[tuple[int, ...], Shown] = {}
        self._seen = 0
        self._known = 0

    def check(self, sentence: str, cited: Iterable[int] = (), *, code: bool = False) -> Claim | None:
        """The sentence as a claim, against the passages that it cites and, where they do not support it, against the
        others that were shown; None if it claims nothing.

        sentence: Markdown, without marks. code: it is a block of code, whose names are its author's to choose.
        """
        facts = facts_of(sentence, self._bm25, code=code)
        if facts is None:
            return None
        own = tuple(dict.fromkeys(number for number in cited if number in self._chunks))
        verdict = self._by_names(facts, own) if self._is_foreign(facts) else self._by_words(facts, own)
        return Claim(facts.text, verdict.support, verdict.numbers, verdict.missing)

    def quote(self, number: int, url: str, claim: str) -> Unit | None:
        """The unit under this heading of the passage that the claim rests on; None if none is close to it."""
        said = terms_of(rendered(claim), self._bm25)
        grounds = [ground for ground in self._reading(number).grounds if ground.url == url]
        best = max(grounds, key=lambda ground: _likeness(said, ground), default=None)
        if best is None or best.unit.kind == "heading" or len(said & best.terms) < min(QUOTED, len(best.terms)):
            return None
        return best.unit

    def read_ahead(self) -> Iterator[None]:
        """Reads one passage a step, which takes a millisecond or a few, so that no sentence has to wait for it."""
        for number, chunk in self._chunks.items():
            words_in(chunk)
            self._reading(number)
            yield

    def _reading(self, number: int) -> Reading:
        if number not in self._read:
            self._read[number] = read(self._chunks[number], self._bm25)
        return self._read[number]

    def _shown(self, numbers: tuple[int, ...]) -> Shown:
        if numbers not in self._side_by_side:
            self._side_by_side[numbers] = Shown([(number, self._reading(number)) for number in numbers])
        return self._side_by_side[numbers]

    def _by_words(self, facts: Facts, own: tuple[int, ...]) -> Verdict:
        """The verdict by the passages that are cited, or by all of them if that is a better one."""
        for number in own:
            if facts.text in self._reading(number).units:  # names in it may be none that could be told as such
                return Verdict("supported", (number,), share=1.0)
        cited = self._against(facts, own) if own else None
        if cited is not None and cited.support == "supported":
            return cited
        anywhere = self._against(facts, tuple(self._chunks))
        if cited is None or anywhere.better_than(cited):
            return anywhere if anywhere.support != "unsupported" else replace(anywhere, numbers=own)
        return replace(cited, numbers=own)

    def _against(self, facts: Facts, numbers: tuple[int, ...]) -> Verdict:
        """The verdict on a claim if these passages are all that there is."""
        shown = self._shown(numbers)
        readings = shown.readings
        used, held = shown.closest(facts.terms)
        share = len(held) / len(facts.terms) if facts.terms else 0.0
        near = (
            frozenset[Figure]().union(*(ground.figures for _, ground in used)) if facts.figures else frozenset[Figure]()
        )
        wrong = [str(figure) for figure in facts.figures if not _is_held(figure, near, readings)]
        strange = [name for name in facts.identifiers if not any(holds(reading.text, name) for reading in readings)]
        strange += [name for name in facts.names if not any(_stem(name) in reading.lower for reading in readings)]
        swapped = _swapped(facts, [ground for _, ground in used], near)
        where = tuple(dict.fromkeys(number for number, _ in used))
        if share < WEAK or any(figure.certain and not _stands(figure, readings) for figure in facts.figures):
            support: Support = "unsupported"
        elif wrong or strange or swapped or share < SUPPORTED or _contradicts(facts, used):
            support = "weak"
        elif moved := self._misplaced(facts, shown, used):
            support = "weak"
            swapped = [*swapped, *moved]
        else:
            support = "supported"
        if facts.code and support == "unsupported":
            support = "weak"
        return Verdict(support, where, tuple(dict.fromkeys((*wrong, *strange, *swapped))), share)

    def _misplaced(self, facts: Facts, shown: Shown, used: Sequence[tuple[int, Ground]]) -> list[str]:
        """The names of a sentence that stand in another one's place, and a "not" that does."""
        if facts.code:
            return []
        claim = order_of(facts.text, facts.spans, shown.names, self._bm25)
        if not (claim.names or facts.negated):
            return []
        alike, others = shown.alike(facts.terms, self._bm25)
        if found := misplaced(claim, alike, others):
            return found
        denied = denies_as(claim, (*alike, *others)) if facts.negated else True
        return [] if denied or (denied is None and not _is_repeated(facts, used)) else [NOT]

    def _by_names(self, facts: Facts, numbers: tuple[int, ...]) -> Verdict:
        """The verdict on a claim in another language than the passages': by what no translation changes."""
        readings = [self._reading(number) for number in numbers or self._chunks]
        strange = [str(figure) for figure in facts.figures if figure.certain and not _stands(figure, readings)]
        strange += [name for name in facts.identifiers if not any(holds(reading.text, name) for reading in readings)]
        return Verdict("supported" if numbers and not strange else "weak", numbers, tuple(strange))

    def _is_foreign(self, facts: Facts) -> bool:
        """Whether the answer is in another language than the passages, as far as can be told by now."""
        if self._words is None:
            self._words = frozenset[str]().union(*map(words_in, self._chunks.values()))
            if len(self._words & _ENGLISH) >= SOME_ENGLISH:
                self._words |= _ENGLISH
        self._seen += len(facts.words)
        self._known += len(facts.words & self._words)
        return self._known < OWN_LANGUAGE * self._seen


def _likeness(said: Terms, ground: Ground) -> float:
    """How much two sets of words have in common, 0..1: a short unit that says just this before a long one."""
    return 2 * len(said & ground.terms) / (len(said) + len(ground.terms)) if said or ground.terms else 0.0


def _stands(figure: Figure, readings: Sequence[Reading]) -> bool:
    return any(value in reading.values for reading in readings for value in figure.values)


def _is_held(figure: Figure, near: frozenset[Figure], readings: Sequence[Reading]) -> bool:
    """Whether a number stands where the claim comes from, and counts there what it counts in the claim."""
    values = set(figure.values)
    alike = [other for other in near if figure.noun and other.noun == figure.noun]
    if alike and not any(values.intersection(other.values) for other in alike):
        return False
    if not figure.certain:
        return True
    here = [other for other in near if values.intersection(other.values)]
    measured = [other.noun for other in here if other.noun in UNITS]
    return bool(here) and not (figure.noun in UNITS and measured and figure.noun not in measured)


def _swapped(facts: Facts, used: Sequence[Ground], near: frozenset[Figure]) -> list[str]:
    """The names and numbers that stand in none of the sentences that the claim repeats, if these have others which the
    claim has not."""
    own = frozenset[int]().union(*(ground.terms for ground in used))
    if 2 * len(own & facts.terms) < SAME * (len(own) + len(facts.terms)):
        return []
    text = " ".join(ground.unit.text for ground in used)
    held, said = text.lower(), frozenset(map(_stem, facts.names))
    names = [name for name in facts.names if _stem(name) not in held]
    others = names and [
        name for name in names_of(text) if _stem(name) not in said and _stem(name) not in facts.text.lower()
    ]
    figures = {value for figure in figures_in(text) for value in figure.values}
    theirs = figures.difference(*(figure.values for figure in facts.figures))
    counted = {(value, other.noun) for other in near for value in other.values if other.noun}
    numbers = [
        str(figure)
        for figure in facts.figures
        if figure.certain and not figures.intersection(figure.values) and (figure.values[0], figure.noun) not in counted
    ]
    return [*(names if others else ()), *(numbers if theirs else ())]


def _stem(name: str) -> str:
    """A name in lower case, as one."""
    return name.lower().removesuffix("s")


def _contradicts(facts: Facts, used: Sequence[tuple[int, Ground]]) -> bool:
    """Whether the sentence that is nearest to the claim says it the other way round."""
    if not _is_repeated(facts, used):
        return False
    theirs = used[0][1].unit.text
    if not facts.negated and NEGATION.search(theirs) is not None:
        return True
    turned = facts.words & _OPPOSITE.keys()
    words = words_of(theirs) if turned else frozenset()
    return any(_OPPOSITE[word] in words and _OPPOSITE[word] not in facts.words for word in turned - words)


def _is_repeated(facts: Facts, used: Sequence[tuple[int, Ground]]) -> bool:
    """Whether the claim has most of the words of the sentence that is nearest to it, and that of the claim's."""
    if not used or not facts.terms:
        return False
    theirs = used[0][1].terms
    return len(facts.terms & theirs) >= SAME * max(len(facts.terms), len(theirs))
