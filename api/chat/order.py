"""Whether the names of a sentence stand in their own places: beside the words that stand beside them in a passage.

"Redis stores the vectors, Qdrant the queue" has all the words of a passage that says the reverse. So the neighbours of
each name are looked up: if the passage has them beside another name, and not beside this one, it stands in the other's
place. In the same way a "not" is looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from api.chat.overlap import Terms, terms_of
from shared.bm25 import Bm25Encoder

#: Places to either side of a name in which its neighbours stand.
NEAR: Final = 5
#: What a neighbour on the other side counts: "for the vectors, Qdrant" against "Qdrant, for the vectors".
OTHER_SIDE: Final = 0.5
#: A name that has so much of its neighbours, weighed by nearness, is at home.
AT_HOME: Final = 0.85
#: What another name has to have of them, and how much more than this one, to be the one that is meant.
ANOTHER_S: Final = 0.5
BETTER: Final = 1.3
#: What a "not" has to have of those of its neighbours that the passage knows.
DENIED: Final = 0.65
#: Characters of a sentence that are looked at, and names: what has more is a list.
LONGEST: Final = 1000
MOST_NAMES: Final = 24
#: Words whose reading is remembered, and units whose order is: about 10 MB each.
WORDS_REMEMBERED: Final = 65_536
UNITS_REMEMBERED: Final = 2048

_TOKEN: Final = re.compile(
    r"((?:--?|[@$.])?[^\W_]\w*(?:(?:[./:'\u2019-]+|::)\w+)*(?:\(\))?|__?\w+)|([,;:()|\u2013\u2014\u2026.!?-])"
)
_POSSESSIVE: Final = re.compile(r"['\u2019]s\Z")
_DENYING: Final = re.compile(r"not|never|no|without|cannot|neither|nor|\w+n['\u2019]t", re.IGNORECASE)
_COUNT: Final = {
    "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12",
}  # fmt: skip
Role = Literal["word", "name", "empty", "joins", "begins", "lists", "by"]
#: What says nothing itself, but what stands beside what.
_ROLES: Final[dict[str, Role]] = {
    "by": "by", "and": "joins",
    # Behind a comma these begin a clause.
    **dict.fromkeys(("but", "while", "whereas", "so", "because", "since", "if", "when"), "begins"),
    # Between two names these make a list.
    **dict.fromkeys(("or", "&", "the", "a", "an"), "lists"),
}  # fmt: skip
_CLAUSE_ENDS: Final = frozenset(".;!?:\u2013\u2014")

#: The terms of a word; a number, and a "not", as they are.
Key = Terms | str
NOT: Final = "not"


@dataclass(frozen=True, slots=True)
class Word:
    """A content word, or one that denies."""

    key: Key
    #: Counted in content words and breaks. Names side by side or in a list share one, since they may change places.
    place: int
    clause: int
    text: str


@dataclass(frozen=True, slots=True)
class Order:
    """What stands where in a sentence."""

    words: tuple[Word, ...]
    places: dict[Key, tuple[int, ...]]
    #: Names, numbers and code.
    names: tuple[Word, ...]
    #: The names that follow a "by": in the passive voice subject and object change sides.
    agents: frozenset[Key]


@lru_cache(UNITS_REMEMBERED)
def order_of(text: str, code: tuple[str, ...], names: frozenset[str], bm25: Bm25Encoder) -> Order:
    """The order of a plain sentence.

    code: what of it is written as code. names: words that are names even where they begin a sentence.
    """
    of_code = {word for span in code for word, _ in _TOKEN.findall(span)} if code else names
    place = clause = 0
    broken = listing = joining = by = False
    words: list[Word] = []
    named: list[Word] = []
    agents: list[Key] = []
    for word, sign in _TOKEN.findall(text[:LONGEST]):
        if sign:
            ends = sign in _CLAUSE_ENDS
            listing = listing and not ends
            place += not (sign == "," and listing)
            clause += ends
            broken = True
            continue
        role, key = _role(word, bm25)
        if role in ("joins", "begins"):
            joining = role == "joins" and listing
            clause += broken and not joining
            joining = joining and broken
            broken = False
            listing = listing and role == "joins"
            continue
        broken = False
        if role == "by":
            by, listing = True, False
        elif role == "empty":
            listing = False
        if role not in ("word", "name"):
            continue
        is_name = role == "name" or word in of_code or word in names or bool(words and word[0].isupper())
        if not (is_name and listing):
            place += 1
            clause += joining
        joining, listing = False, is_name
        found = Word(key, place, clause, word)
        words.append(found)
        if is_name:
            named.append(found)
            if by:
                agents.append(key)
        by = False
    places: dict[Key, tuple[int, ...]] = {}
    for one in words:
        places[one.key] = (*places.get(one.key, ()), one.place)
    return Order(tuple(words), places, tuple(named), frozenset(agents))


@lru_cache(WORDS_REMEMBERED)
def _role(word: str, bm25: Bm25Encoder) -> tuple[Role, Key]:
    """What a word does in a sentence, and what it is the same as."""
    low = word.lower()
    if low in _ROLES:
        return _ROLES[low], ""
    if low in _COUNT:
        return "name", _COUNT[low]
    if _DENYING.fullmatch(low):
        return "word", NOT
    key = low if low.isdecimal() else terms_of(_POSSESSIVE.sub("", word), bm25)
    plain = word.replace("-", "").isalpha() and word[0] != "-"
    return ("word" if plain else "name") if key else "empty", key


def misplaced(claim: Order, units: Sequence[Order], others: Iterable[Order]) -> list[str]:
    """The names of a claim that stand in the place of others.

    units: the sentences that it is most like, which say what stands where. others: more of them, where a name may be at
    home as well.
    """
    suspects = [
        (name, *suspicion) for name in claim.names[:MOST_NAMES] if (suspicion := _suspicion(name, claim, units))
    ]
    if not suspects:
        return []
    rest = tuple(others)
    return [name.text for name, beside, theirs in suspects if theirs > BETTER * _fit(name.key, beside, claim, rest)]


def denies_as(claim: Order, units: Iterable[Order]) -> bool | None:
    """Whether every "not" of a claim stands beside the same words in one of these sentences; None if none has any."""
    denying = [unit for unit in units if NOT in unit.places]
    return all(_denies(word, claim, denying) for word in claim.words if word.key == NOT) if denying else None


def _denies(word: Word, claim: Order, units: Sequence[Order]) -> bool:
    for unit in units:
        beside = [(key, distance) for key, distance in _beside(word, claim) if key in unit.places]
        if _fit(NOT, beside, claim, (unit,)) > DENIED * _weight(beside):
            return True
    return False


def _suspicion(name: Word, claim: Order, units: Sequence[Order]) -> tuple[list[tuple[Key, int]], float] | None:
    """The neighbours of a name, and how well the name fits that has them in the passage; None if it is this one."""
    beside = _beside(name, claim)
    weight = _weight(beside)
    own = _fit(name.key, beside, claim, units)
    if own >= AT_HOME * weight:
        return None
    here = {word.key for word in claim.names if word.place == name.place}
    theirs = 0.0
    for unit in units:
        for other in unit.names:
            if other.key not in here and not _kindred(name.text, other.text):
                changed = [(name.key if key == other.key else key, distance) for key, distance in beside]
                theirs = max(theirs, _fit(other.key, changed, claim, (unit,)))
    return (beside, theirs) if theirs >= ANOTHER_S * weight and theirs > BETTER * own else None


def _beside(name: Word, claim: Order) -> list[tuple[Key, int]]:
    """The words near a name and how far off they are: those of its own clause, or all of them if these are too few."""
    near = [
        (word, word.place - name.place)
        for word in claim.words
        if -NEAR <= word.place - name.place <= NEAR and word.place != name.place and word.key != name.key
    ]
    own = [(word.key, distance) for word, distance in near if word.clause == name.clause]
    return own if len(own) > 1 else [(word.key, distance) for word, distance in near]


def _weight(beside: Sequence[tuple[Key, int]]) -> float:
    """What a name fits that has all these neighbours just so."""
    return sum([1 / abs(distance) for _, distance in beside])


def _fit(name: Key, beside: Sequence[tuple[Key, int]], claim: Order, units: Sequence[Order]) -> float:
    """How near a name stands to these words in one of the units, and to which side."""
    best = 0.0
    for unit in units:
        other_side = OTHER_SIDE if claim.agents == unit.agents else 1.0
        places = unit.places
        for at in places.get(name, ()):
            fit = 0.0
            for key, distance in beside:
                nearest = 0.0
                for place in places.get(key, ()):
                    held = place - at
                    if held:
                        far = max(abs(distance), abs(held))
                        nearest = max(nearest, (1.0 if (distance > 0) == (held > 0) else other_side) / far)
                fit += nearest
            best = max(best, fit)
    return best


def _kindred(one: str, other: str) -> bool:
    """Whether one name is a part of the other."""
    one, other = one.lower(), other.lower()
    return one in other or other in one
