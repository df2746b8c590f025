"""Turns the marks [n] of a streamed answer into links to the passages they name, and lets no other link through."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from api.chat.events import Citation
from api.chat.markdown import is_plain_target, link, plain_target
from api.chat.safe_markdown import SafeMarkdown
from shared.models import Passage

#: Characters of a passage that stand beside a citation.
SNIPPET_LENGTH: Final = 200

_MARK: Final = re.compile(
    r"(?:(?:passages?|sources?)\s+)?\^?\d{1,2}(?:\s*(?:,|;|&|-|\u2013|and)\s*\^?\d{1,2})*", re.IGNORECASE
)
_NUMBERS: Final = re.compile(r"(\d+)(?:\s*[-\u2013]\s*\^?(\d+))?")


@dataclass(frozen=True, slots=True)
class Written:
    """A finished piece of the answer, and the passages that it is the first to name."""

    text: str
    cited: tuple[Citation, ...] = ()


class CitationWriter:
    """Feed it a model's words as they come, and send on what it returns."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        """`passages` in the order of their numbers, from 1."""
        #: Passages named so far, in the order of their first mention.
        self.cited: list[Citation] = []
        self._citations = {number: citation(number, passage) for number, passage in enumerate(passages, 1)}
        self._links = {number: link_to(passage) for number, passage in enumerate(passages, 1)}
        self._numbers = {plain_target(c.url): c.number for c in reversed(self._citations.values())}
        self._site = tuple({origin for c in self._citations.values() if (origin := _origin(c.url))})
        self._text = SafeMarkdown(self)

    def feed(self, delta: str) -> Written:
        """What can be said for sure after `delta`; never half a mark or link."""
        return self._advance(delta, final=False)

    def finish(self) -> Written:
        """What was held back until the end was known."""
        return self._advance("", final=True)

    def _advance(self, delta: str, final: bool) -> Written:
        known = len(self.cited)
        text = self._text.feed(delta, final)
        return Written(text, tuple(self.cited[known:]))

    def mark(self, content: str) -> list[str] | None:
        """The links that `[content]` stands for; numbers that name no passage are left out."""
        if not _MARK.fullmatch(content.strip()):
            return None
        numbers = [number for number in _numbers(content) if number in self._citations]
        for number in numbers:
            self._cite(number)
        return [self._links[number] for number in numbers]

    def allows(self, target: str) -> bool:
        """Whether an address belongs to the site: a passage's own, under the same origin, or relative to it."""
        number = self._numbers.get(target)
        if number is not None:
            self._cite(number)
            return True
        if not is_plain_target(target):
            return False
        on_site = target.startswith("#") or (target[0] == "/" and not target.startswith("//"))
        return on_site or target.startswith(self._site)

    def _cite(self, number: int) -> None:
        if self._citations[number] not in self.cited:
            self.cited.append(self._citations[number])


def citation(number: int, passage: Passage) -> Citation:
    """What a visitor is shown of a passage that the answer names."""
    chunk = passage.chunk.chunk
    plain = " ".join(chunk.text.split())
    return Citation(
        number=number, id=passage.chunk.id, chunk_id=passage.chunk.id,
        text=plain if len(plain) <= SNIPPET_LENGTH else plain[:SNIPPET_LENGTH].rstrip() + "...",
        chapter=chunk.page_title, section=section_of(passage), heading=chunk.heading,
        page_title=chunk.page_title, path=chunk.path, url=chunk.url,
        score=min(max(passage.cosine or 0.0, 0.0), 1.0),
    )  # fmt: skip


def link_to(passage: Passage) -> str:
    """`[Page title - Section](url)`; the section is left out where it adds nothing."""
    section = section_of(passage)
    title = passage.chunk.chunk.page_title
    return link(f"{title} - {section}" if section else title, passage.chunk.chunk.url)


def section_of(passage: Passage) -> str:
    """The heading that a passage stands under; "" where that is the page's own."""
    chunk = passage.chunk.chunk
    return "" if chunk.heading.strip() == chunk.page_title.strip() else chunk.heading


def _numbers(content: str) -> list[int]:
    """`1, 3-5` -> 1, 3, 4, 5. The largest number has two digits, so a range stays small."""
    found: list[int] = []
    for first, last in _NUMBERS.findall(content):
        found += range(int(first), int(last or first) + 1)
    return found


def _origin(url: str) -> str:
    """`https://site.example/`; "" for an address without one."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/" if parts.scheme and parts.netloc else ""
