"""The marks by which a model names passages: `[1]`, and what models write instead of it."""

from __future__ import annotations

import re
from typing import Final

from api.chat.markdown import WAIT, Bracket, Wait

_WORD: Final = r"(?:passages?|sources?)"
_NUMBER: Final = rf"(?:{_WORD}[ \t]+)?[#^]?\d{{1,2}}"
_NEXT: Final = r"[ \t]*(?:,[ \t]*and\b|[,;&\u2013-]|and\b)[ \t]*"
#: What stands inside a mark: `1`, `^1`, `1, 3-5`, `Passage 1, Passage 3`, `1\u2020source`, `4:0\u2020source`.
_MARK: Final = re.compile(
    rf"(?:see[ \t]+)?{_NUMBER}(?:{_NEXT}{_NUMBER})*(?:(?::\d{{1,2}})?\u2020[^\[\]\u3010\u3011\n]{{0,60}})?",
    re.IGNORECASE,
)
_NUMBERS: Final = re.compile(rf"(\d+)(?:[ \t]*[-\u2013][ \t]*(?:{_WORD}[ \t]+)?[#^]?(\d+))?", re.IGNORECASE)
#: Longest mark that is waited for.
LONGEST: Final = 80
#: In parentheses a number is a mark only with the word.
_IN_PARENTHESES: Final = re.compile(rf"\(((?:see[ \t]+)?{_WORD}[^()\n]*)\)", re.IGNORECASE)
_IN_LENTICULAR: Final = re.compile(r"\u3010([^\u3010\u3011\n]*)\u3011")
#: What could still become one of these: words as far as they go, or a number and what follows it.
_WORDS_SO_FAR: Final = re.compile(r"(?:\(|\u3010[ \t]*)(?P<see>see[ \t]+)?(?P<word>[a-z]*)", re.IGNORECASE)
_NUMBER_SO_FAR: Final = re.compile(
    rf"(?:\((?:see[ \t]+)?{_WORD}[ \t]+|\u3010[ \t]*(?:see[ \t]+)?(?:{_WORD}[ \t]+)?)[#^]?(?:\d[^()\u3010\u3011\n]*)?",
    re.IGNORECASE,
)


def is_mark(content: str) -> bool:
    """Whether what stands between brackets is a mark."""
    return _MARK.fullmatch(content.strip()) is not None


def numbers_in(content: str) -> list[int]:
    """`1, 3-5` -> 1, 3, 4, 5. The largest number has two digits, so a range stays small."""
    found: list[int] = []
    for first, last in _NUMBERS.findall(re.split(r"[:\u2020]", content, maxsplit=1)[0]):
        found += range(int(first), int(last or first) + 1)
    return found


def read_mark(text: str, start: int, final: bool) -> Bracket | Wait | None:
    """The mark in parentheses or lenticular brackets that opens at `start`; None if it is none."""
    pattern = _IN_PARENTHESES if text[start] == "(" else _IN_LENTICULAR
    found = pattern.match(text, start, start + LONGEST)
    if found:
        return Bracket(found[1], None, found.end()) if is_mark(found[1]) else None
    return WAIT if not final and _may_become_one(text[start:]) else None


def _may_become_one(text: str) -> bool:
    if len(text) >= LONGEST:
        return False
    words = _WORDS_SO_FAR.fullmatch(text)
    if words:
        wholes = ("passages", "sources") if words["see"] else ("passages", "sources", "see")
        return any(whole.startswith(words["word"].lower()) for whole in wholes)
    return _NUMBER_SO_FAR.fullmatch(text) is not None
