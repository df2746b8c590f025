"""What a sentence claims: its content words, figures, names and identifiers; and whether it claims anything at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from api.chat.identifiers import checkable_names
from api.chat.overlap import ASKING, Terms, terms_of
from api.chat.quotes import code_in, rendered
from shared.bm25 import Bm25Encoder

#: A sentence of fewer content words, and no figure or name, says nothing that could be held against a passage.
LEAST_WORDS: Final = 2
#: Words that speak of the answer or of the docs as such.
OF_ITSELF: Final = (
    "above answer below case chapter context detail details docs documentation documents follow following guide "
    "here information more note overview page passage passages question read refer section sections see short "
    "snippet source sources step steps summary topic"
)

_DIGIT: Final = re.compile(r"\d")
_NUMBER: Final = re.compile(
    r"(?<![\w.])(?P<value>\d{1,3}(?:[,\u202f\u00a0'\u2019]\d{3})+(?:\.\d+)?|\d+(?:\.\d+)*|\.\d+)"
    r"(?P<suffix>%|[A-Za-z\u00b5\u03bc]{1,12})?(?![\w])"
    r"(?:[ \u00a0-]?(?P<noun>%|[A-Za-z\u00b5\u03bc]+))?"
)
_GROUPING: Final = re.compile(r"[,\u202f\u00a0'\u2019]")
_NUMBER_WORD: Final = re.compile(
    r"\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|hundred|dozen)"
    r"[ -]([a-z]+)"
)
_VALUES: Final = {
    "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "eleven": "11", "twelve": "12", "twenty": "20", "thirty": "30", "forty": "40", "fifty": "50",
    "sixty": "60", "hundred": "100", "dozen": "12",
}  # fmt: skip
_SCALES: Final = {"thousand": 1000, "k": 1000, "million": 10**6, "m": 10**6, "billion": 10**9}
_UNITS: Final = {
    **dict.fromkeys(("ms", "msec", "millisecond"), "millisecond"), **dict.fromkeys(("s", "sec", "second"), "second"),
    **dict.fromkeys(("min", "minute"), "minute"), **dict.fromkeys(("h", "hr", "hour"), "hour"), "day": "day",
    "week": "week", "month": "month", "year": "year", **dict.fromkeys(("%", "percent"), "percent"),
    **dict.fromkeys(("kb", "kilobyte"), "kilobyte"), **dict.fromkeys(("mb", "megabyte"), "megabyte"),
    **dict.fromkeys(("gb", "gigabyte"), "gigabyte"), "byte": "byte", "bit": "bit", "px": "pixel", "pixel": "pixel",
    "token": "token", "character": "character", "word": "word", "m": "meter", "km": "kilometer", "mile": "mile",
}  # fmt: skip
UNITS: Final = frozenset(_UNITS.values())
NEGATION: Final = re.compile(r"\b(?:not|never|no longer|cannot|neither|nor|without)\b|n['\u2019]t\b", re.IGNORECASE)
#: The words of these; "t" is the end of "don't".
_DENYING: Final = frozenset({"not", "never", "no", "cannot", "neither", "nor", "without", "t"})
_JOINING: Final = (
    "and or of to in is are was were the a an for with by on at as from if it that this when per than then but be "
    "unless"
)
_NO_NOUNS: Final = frozenset(_JOINING.split())
_SIGNPOST: Final = re.compile(r"\b(?:steps?|option|example|method|way)\s+\d+\b", re.IGNORECASE)
#: A word with a capital that does not begin a sentence.
_CAPITAL: Final = re.compile(r"(?<=[\w,;)] )[A-Z\u00c0-\u00de][\w\u2019'-]*[\w]")
_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\d_\u3040-\u30ff\u3400-\u9fff]+")
_SUBJECT: Final = (
    r"(?:passages?|docs|documentation|documents?|context|sources?|sections?|pages?|guides?|excerpts?|text|material)"
)
#: It says that the docs do not say.
_OF_THE_DOCS: Final = re.compile(
    rf"""
      \b{_SUBJECT}\b[^.]{{0,40}}\b(?:not|don['\u2019]?t|doesn['\u2019]?t|no|nothing|nowhere)\b[^.]{{0,20}}
        \b(?:say|mention|contain|include|specify|provide|cover|describe|explain|state|answer|discuss|address|give|list
        |information|details?|about)\w*\b
    | \b(?:no\s+(?:information|mention|details?|answer)|nothing|not\s+(?:\w+\s+){{0,2}}(?:in|by))\b[^.]{{0,60}}
        \b{_SUBJECT}\b
    | \b(?:not|never)\s+(?:explicitly\s+|directly\s+)?(?:mentioned|specified|covered|documented|described|stated)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
#: A sentence with none of these words does not, and need not be searched.
_SPEAKING: Final = frozenset(
    """
    passage passages docs documentation documents document context source sources section sections page pages guide
    guides excerpt excerpts text material mentioned specified covered documented described stated
    """.split()  # noqa: SIM905
)
#: It asks back, or talks to the visitor.
_TO_THE_VISITOR: Final = re.compile(
    r"""
      \W*(?:yes|no)\b.{0,20}\b(?:correct|right|wrong)\W*$
    | \W*(?:I|I['\u2019]\w+|let\s+me|let['\u2019]s|please|sorry|unfortunately|sure|certainly|of\s+course|great|hello|hi
        |thanks|thank\s+you|feel\s+free|hope|happy|based\s+on\s+the|you\s+can\s+(?:read|find|learn|see)\s+more
        |for\s+more|see|refer\s+to|if\s+you\s+(?:have|need|want|would|meant|mean)\b.*\b(?:question|ask|help|tell))\b
    """,
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and what it counts."""

    #: As it is written, and what else it may be written as: 2 million is 2000000.
    values: tuple[str, ...]
    #: The word behind it, as one and in lower case, a unit by its full name; "" where there is none.
    noun: str
    #: Written in digits. A number that is a word may well be the writer's own count.
    certain: bool = True

    def __str__(self) -> str:
        return f"{self.values[0]} {self.noun}" if self.noun in UNITS else self.values[0]


@dataclass(frozen=True, slots=True)
class Facts:
    """What of a sentence can be held against a passage."""

    terms: Terms
    figures: tuple[Figure, ...]
    #: Words with a capital within a sentence.
    names: tuple[str, ...]
    identifiers: tuple[str, ...]
    #: All its words, in lower case.
    words: frozenset[str]
    #: All of it, in plain words.
    text: str
    #: It is a block of code.
    code: bool = False
    #: It says that something is not so.
    negated: bool = False
    #: What of it is written as code.
    spans: tuple[str, ...] = ()


def facts_of(sentence: str, bm25: Bm25Encoder, *, code: bool = False) -> Facts | None:
    """The facts of a sentence in Markdown; None if it claims nothing."""
    if code:
        terms = terms_of(sentence, bm25)
        return (
            Facts(terms, (), (), (), words_of(sentence), sentence.strip(), code=True)
            if len(terms) >= LEAST_WORDS
            else None
        )
    text = rendered(sentence)
    words = words_of(text)
    if text.endswith(("?", ":")) or _TO_THE_VISITOR.match(text):
        return None
    if not words.isdisjoint(_SPEAKING) and _OF_THE_DOCS.search(text):
        return None
    figures = tuple(figures_in(_SIGNPOST.sub(" ", text) if _DIGIT.search(text) else text))
    identifiers = tuple(checkable_names(sentence))
    terms = terms_of(text, bm25)
    said = terms - _empty_words(bm25)
    if len(said) < LEAST_WORDS and not identifiers and not any(figure.certain for figure in figures):
        return None
    negated = NEGATION.search(text) is not None
    return Facts(terms, figures, names_of(text), identifiers, words, text, negated=negated, spans=code_in(sentence))


@lru_cache(4)
def _empty_words(bm25: Bm25Encoder) -> Terms:
    """The terms of words that say nothing about a subject, in this language."""
    return terms_of(f"{ASKING} {OF_ITSELF}", bm25)


def names_of(text: str) -> tuple[str, ...]:
    """The words of a plain sentence that have a capital and do not begin it."""
    found = _CAPITAL.findall(text)
    return tuple(dict.fromkeys(name.removesuffix("'s").removesuffix("\u2019s") for name in found))


def words_of(text: str) -> frozenset[str]:
    """Words in lower case; of scripts without spaces, their characters."""
    return frozenset(_WORD.findall(text.lower()))


def figures_in(text: str) -> Iterator[Figure]:
    """The numbers of a plain text."""
    for found in _NUMBER.finditer(text) if _DIGIT.search(text) else ():
        value = _GROUPING.sub("", found["value"])
        value = f"0{value}" if value.startswith(".") else value
        noun = _noun(found["suffix"] or found["noun"] or "")
        scale = _SCALES.get((found["suffix"] or found["noun"] or "").lower())
        scaled = (f"{float(value) * scale:.0f}",) if scale and value.count(".") < 2 else ()
        yield Figure((value, *scaled), noun)
    for found in _NUMBER_WORD.finditer(text.lower()):
        yield Figure((_VALUES[found[1]],), _noun(found[2]), certain=False)


def _noun(word: str) -> str:
    """What a number counts, as one: seconds -> second."""
    word = word.lower()
    singular = word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
    if word in _UNITS or singular in _UNITS:
        return _UNITS.get(word) or _UNITS[singular]
    return "" if word in _NO_NOUNS or len(word) < 3 else singular
