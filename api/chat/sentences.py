"""Where a sentence ends, in a passage and in an answer that is still being written."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

#: A code span, which no full stop within it can end.
CODE_SPAN: Final = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
#: What may stand between a full stop and the space behind it.
CLOSING: Final = "\"')\\]*_\u201d\u2019"
_SENTENCE_END: Final = re.compile(
    rf"(?<=[.!?\u2026])[{CLOSING}]*\s+(?=[\"'(\[\\*_\u201c\u2018`]*[A-Z0-9\u00c0-\u00de\u0391-\u03a9\u0410-\u042f])|(?<=[\u3002\uff01\uff1f])\s*"
)
#: Words whose full stop ends no sentence, none of them longer than so many characters.
LONGEST_ABBREVIATION: Final = 8
_ABBREVIATED: Final = re.compile(
    r"(?:\b(?:[A-Z]|St|Mr|Mrs|Ms|Dr|Prof|vs|etc|No|Nr|Fig|cf|ca|approx|e\.g|i\.e|z\.B)\.)$"
)


#: Stands for the first code span of a text while that is changed around it, the next sign for the second, and so on.
#: They are of the plane that nobody writes with; no passage has as many code spans.
_STAND_IN: Final = 0x100000
_STAND_INS: Final = re.compile("[\U00100000-\U0010fffd]")
_MOST_STAND_INS: Final = 60_000


def around_code(text: str, change: Callable[[str], str], code: Callable[[str], str] = str) -> str:
    """`text` changed everywhere but in its code spans, in place of each of which stands what `code` makes of it. A span
    that the change takes out stays out."""
    if "`" not in text:
        return change(text)
    spans: list[str] = []

    def stand_in(found: re.Match[str]) -> str:
        spans.append(code(found.group()))
        return chr(_STAND_IN + len(spans) - 1)

    changed = change(CODE_SPAN.sub(stand_in, _STAND_INS.sub("", text), _MOST_STAND_INS))
    return _STAND_INS.sub(lambda found: "".join(spans[ord(found.group()) - _STAND_IN :][:1]), changed)


def sentence_ends(text: str, start: int = 0) -> list[tuple[int, int]]:
    """For each sentence of one line of text that another follows: where it ends, and where the next one begins.

    Full stops in code and after abbreviations end none. A sentence may begin with code.
    """
    masked = CODE_SPAN.sub(lambda found: "X" * len(found.group()), text) if "`" in text else text
    ends: list[tuple[int, int]] = []
    for end in _SENTENCE_END.finditer(masked, start):
        if not _ABBREVIATED.search(masked, max(start, end.start() - LONGEST_ABBREVIATION), end.start()):
            ends.append((end.start() + len(end.group().rstrip()), end.end()))
            start = end.end()
    return ends


def split_sentences(paragraph: str) -> list[str]:
    """Sentences of one line of text."""
    sentences: list[str] = []
    start = 0
    for _, following in sentence_ends(paragraph):
        sentences.append(paragraph[start:following].strip())
        start = following
    return [sentence for sentence in (*sentences, paragraph[start:].strip()) if sentence]
