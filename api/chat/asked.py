"""What kind of answer a question asks for: a definition, steps, a list, a number, a name, two things side by side."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from api.chat.overlap import Terms, terms_of, topic_of
from api.chat.wording import NEGATION
from shared.bm25 import Bm25Encoder

#: Words of a thing that is asked about by its name.
LONGEST_SUBJECT: Final = 5
#: Characters of a question that is read for what it compares or wants explained: longer ones tell a story.
LONGEST_PLAIN: Final = 300
#: A question of so few words that ask nothing is a thing's name.
BARE_NAME: Final = 2

_HOW_TO: Final = re.compile(
    r"\b(?:how\s+(?:do|to|can|does|should|would)|example|snippet|code|command|syntax|install|configure|set\s?up|usage)\b",
    re.IGNORECASE,
)
_TASK: Final = re.compile(r"\W*how\s+(?:do|to|can|should|would)\b", re.IGNORECASE)
_LISTING: Final = re.compile(
    r"\b(?:list|options|parameters|arguments|settings|steps|types|kinds|ways|values|fields|commands)\b"
    r"|\bwh(?:at|ich)(?:\s+\w+){1,3}\s+are\s+(?:there|available|supported)\b|\bwhat\s+are\b",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(
    r"\bhow\s+(?:many|much|long|old|big|large|often|far|fast|tall|high)\b"
    r"|\b(?:what|which)(?:\s+\w+)?\s+(?:percent\w*|version|port|number|size|limits?)\b",
    re.IGNORECASE,
)
_DATE: Final = re.compile(
    r"\bwhen\s+(?:did|was|were|is|are|will|has|had)\b"
    r"|\b(?:what|which)(?:\s+\w+)?\s+(?:year|date|day|month|century|decade)\b",
    re.IGNORECASE,
)
_NAME: Final = re.compile(
    r"\bwho(?:m|se)?\b|\bwhere\b|\bnamed?\b|\bcalled\b"
    r"|\b(?:what|which)(?:\s+\w+)?\s+(?:person|people|company|king|country|city|state|university)\b",
    re.IGNORECASE,
)
_YES_OR_NO: Final = re.compile(
    r"\W*(?:is|are|was|were|do|does|did|can|could|will|would|should|must|may|has|have)\b", re.IGNORECASE
)
_ASKS_WORD: Final = re.compile(
    r"\b(?:what|how|why|when|where|who|whom|whose|which|is|are|was|were|do|does|did|can|could|should|would|will)\b",
    re.I,
)
_DEFINES: Final = re.compile(
    r"\W*(?:(?:what|who)(?:\s+(?:is|are|was|were)|['\u2019]s)|define|explain)\s+(?:(?:an?|the)\s+)?(?P<subject>[^?!]+?)\W*",
    re.IGNORECASE,
)
_MEANS: Final = re.compile(
    r"\W*what\s+does\s+(?:(?:an?|the)\s+)?(?P<subject>[^?!]+?)\s+(?:mean|do|stand\s+for)\W*", re.I
)
#: "The capital of France" is no thing's name, but asks for one.
_RELATION: Final = re.compile(
    r"\b(?:of|in|for|to|by|on|from|with|that|when|who|between|and|or|at|difference|used)\b", re.I
)
_COMPARED: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:differences?|distinction|compar(?:e|ing|ison))\b(?:\s+(?:between|of))?\s+(?P<one>.+?)\s+(?:and|with|to|from)\s+(?P<other>.+)",
        r"(?P<one>.+?)\s+(?:vs\.?|versus|compared\s+(?:to|with))\s+(?P<other>.+)",
        r"\bhow\s+(?:is|are|does|do)\s+(?P<one>.+?)\s+differ(?:ent)?\s+from\s+(?P<other>.+)",
        r"\b(?:should|shall|can|do)\s+(?:I|we|you)\s+(?:use|choose|prefer|pick)\s+(?P<one>.+?)\s+or\s+(?P<other>.+)",
        r"\b(?:is|are)\s+(?P<one>.+?)\s+\w+er\s+than\s+(?P<other>.+)",
        r"\bhow\s+(?:do|can|should|would|to)\s+(?:(?:I|we|you|one)\s+)?(?P<one>.+?)\s+and\s+(?:then\s+|also\s+)?(?P<other>.+)",
    )
)
_ARTICLE: Final = re.compile(r"^(?:an?|the) ")
_NOT_WORDS: Final = re.compile(r"[\W_]+")
_DIGIT: Final = re.compile(r"\d")
_YEAR_OR_MONTH: Final = re.compile(
    r"\b(?:1\d{3}|20\d\d)s?\b|\bcentur(?:y|ies)\b"
    r"|\b(?:January|February|March|April|May|June|July|August|September|October|November|December)\b"
)
#: A word with a capital that does not begin its sentence.
_CAPITAL: Final = re.compile(r"(?<=[\w,;)\u201d\"] )[(\"\u201c]?([A-Z\u00c0-\u00de][\w\u2019'-]+)")


@dataclass(frozen=True, slots=True)
class Side:
    """One of two things that a question asks about."""

    #: As it is called, in lower case, without an article.
    name: str
    #: Its terms that the other one does not have.
    terms: Terms


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, read for what would answer it."""

    text: str
    #: Its words, each between single spaces.
    plain: str
    terms: Terms
    #: Those that say what it is about.
    topic: Terms
    #: Each of them in lower case, with its terms.
    words: tuple[tuple[str, Terms], ...]
    #: The thing whose name the question is, or that it asks to be explained; "" if it asks for something else.
    subject: str
    #: What is compared, or the parts that want an answer each; none if there is one thing alone.
    sides: tuple[Side, ...]
    how_to: bool
    #: It asks how something is done, and not how it is not.
    task: bool
    listing: bool
    yes_or_no: bool
    number: bool
    date: bool
    name: bool

    @property
    def fact(self) -> bool:
        """Whether a sentence answers it: a name explained, yes or no, a number, a comparison; no code, and no steps."""
        told = self.subject or self.sides or self.yes_or_no or self.number or self.date or self.name
        return bool(told) and not self.how_to and not self.listing


def read_question(text: str, bm25: Bm25Encoder) -> Asked:
    """What the question asks for."""
    first = text.partition("\n")[0].strip()
    short = first if len(first) <= LONGEST_PLAIN else ""
    words = tuple((word, terms_of(word, bm25)) for word in dict.fromkeys(plain(text).split()))
    return Asked(
        text=text, plain=plain(text), terms=terms_of(text, bm25), topic=topic_of(text, bm25), words=words,
        subject=_subject(short), sides=_sides(short, bm25),
        how_to=_HOW_TO.search(text) is not None, task=bool(_TASK.match(text)) and not NEGATION.search(text),
        listing=_LISTING.search(text) is not None,
        yes_or_no=_YES_OR_NO.match(text) is not None, number=_NUMBER.search(text) is not None,
        date=_DATE.search(text) is not None, name=_NAME.search(text) is not None,
    )  # fmt: skip


def holds_what_is_asked(text: str, asked: Asked) -> bool:
    """Whether a text has the number, date or name that is asked for; those of the question itself do not count."""
    if asked.date:
        return _YEAR_OR_MONTH.search(text) is not None
    if asked.number:
        return any(_DIGIT.search(word) and f" {word} " not in asked.plain for word in plain(text).split())
    return asked.name and any(plain(name) not in asked.plain for name in _CAPITAL.findall(text))


def defines(text: str, asked: Asked) -> bool:
    """Whether a text begins by saying what the subject is."""
    if not asked.subject:
        return False
    subject = re.escape(asked.subject)
    return (
        re.match(
            rf" (?:note |tip |info )?(?:an? |the )?(?:word |term |concept of |idea of )?{subject}(?:e?s)? "
            r"(?:in \w+ )?(?:is|are|was|were|means?|refers?|describes?|represents?|stands|lets?|allows?|provides?)\b",
            plain(text),
        )
        is not None
    )


def plain(text: str) -> str:
    """Words alone, in lower case, each between single spaces, so that one text can be looked for in another."""
    return f" {_NOT_WORDS.sub(' ', text).lower().strip()} "


def is_bare(text: str) -> bool:
    """Whether a text is a thing's name or a command, and asks nothing."""
    words = text.split()
    return bool(words) and len(words) <= BARE_NAME and not text.rstrip().endswith("?") and not _ASKS_WORD.search(text)


def _subject(text: str) -> str:
    found = _MEANS.fullmatch(text) or _DEFINES.fullmatch(text)
    bare = not _ASKS_WORD.search(text) and len(text.split()) <= BARE_NAME
    name = found["subject"] if found else text if bare else ""
    return "" if len(name.split()) > LONGEST_SUBJECT or _RELATION.search(name) else plain(name).strip()


def _sides(text: str, bm25: Bm25Encoder) -> tuple[Side, ...]:
    found = next(filter(None, (pattern.search(text) for pattern in _COMPARED)), None)
    if found is None:
        return ()
    one, other = (topic_of(side, bm25) for side in found.group("one", "other"))
    if not one - other or not other - one:
        return ()
    names = (_ARTICLE.sub("", plain(side).strip()) for side in found.group("one", "other"))
    return tuple(Side(name, terms) for name, terms in zip(names, (one - other, other - one), strict=True))
