"""Turns the marks [n] of a streamed answer into links to the passages they name, and lets no other link through."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from api.chat.events import Citation
from api.chat.evidence import Evidence
from api.chat.markdown import is_plain_target, link, plain_target
from api.chat.marks import is_mark, numbers_in
from api.chat.places import Place, place_of, places_of
from api.chat.quotes import LONGEST_QUOTE, Unit, fragment_link
from api.chat.safe_markdown import SafeMarkdown
from shared.models import Passage

#: Characters of a passage that stand beside a citation.
SNIPPET_LENGTH: Final = 200

_LEADING_HEADINGS: Final = re.compile(r"\A(?:\s*#{1,6}[ \t][^\n]*(?:\n|\Z))+")
#: What begins a line and is not said: headings' hashes, quote marks, fences with their language, rules under tables.
_LINE_SIGNS: Final = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]|>[ \t]?|(?:`{3,}|~{3,}|:{3,})[^\n]*$|[|: -]+$)|\|", re.MULTILINE
)
_LINKED: Final = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\s]*\)")
_INLINE_SIGNS: Final = re.compile(r"`+|\*{2,3}|(?<!\w)[*_]{1,3}(?=\w)|(?<=\w)[*_]{1,3}(?!\w)")


class Written(NamedTuple):
    """A finished piece of the answer, and the passages that it is the first to name."""

    text: str
    cited: tuple[Citation, ...] = ()


class CitationWriter:
    """Feed it a model's words as they come, and send on what it returns."""

    def __init__(
        self, passages: Sequence[Passage], evidence: Evidence | None = None, *, other_marks: bool = True
    ) -> None:
        """`passages` in the order of their numbers, from 1; `evidence` of the same, where citations shall quote.

        other_marks: take `(passage 1)` and the like for marks as well.
        """
        #: Headings named so far, in the order of their first mention.
        self.cited: list[Citation] = []
        self._passages = dict(enumerate(passages, 1))
        places = [(n, place) for n, passage in self._passages.items() for place in places_of(passage.chunk.chunk)]
        self._places = {plain_target(place.url): (number, place) for number, place in reversed(places)}
        self._site = tuple({origin for _, place in places if (origin := _origin(place.url))})
        self._named: set[tuple[int, str]] = set()
        self._evidence = evidence
        #: Takes a delta, and whether it is the last: the text of `feed` and `finish`, with what is no prose apart, as
        #: `Whole`.
        self.pieces = SafeMarkdown(self, other_marks=other_marks).pieces

    def feed(self, delta: str) -> Written:
        """What can be said for sure after `delta`; never half a mark or link."""
        return self._advance(delta, final=False)

    def finish(self) -> Written:
        """What was held back until the end was known."""
        return self._advance("", final=True)

    def _advance(self, delta: str, final: bool) -> Written:
        known = len(self.cited)
        text = "".join(self.pieces(delta, final))
        return Written(text, tuple(self.cited[known:]))

    def mark(self, content: str, claim: str) -> list[tuple[int, str]] | None:
        """The numbers that `[content]` stands for, each with a link to the heading that the claim is from; those that
        name no passage are left out."""
        if not is_mark(content):
            return None
        return [(number, self.link(number, claim)) for number in numbers_in(content) if number in self._passages]

    def link(self, number: int, claim: str) -> str:
        """A link to what a passage says about the claim, which counts as cited from now on."""
        passage = self._passages[number]
        place = place_of(passage.chunk.chunk, claim)
        self._cite(number, place, claim)
        return link_to(passage, place)

    def number_at(self, target: str) -> int | None:
        """The number of the passage that stands at an address, if one of those shown does."""
        known = self._places.get(target)
        return known[0] if known else None

    def allows(self, target: str, claim: str) -> bool:
        """Whether an address belongs to the site: a passage's own, under the same origin, or relative to it."""
        known = self._places.get(target)
        if known is not None:
            self._cite(*known, claim)
            return True
        if not is_plain_target(target):
            return False
        on_site = target.startswith("#") or (target[0] == "/" and not target.startswith("//"))
        return on_site or target.startswith(self._site)

    def _cite(self, number: int, place: Place, claim: str) -> None:
        if (number, place.url) not in self._named:
            self._named.add((number, place.url))
            self.cited.append(citation(number, self._passages[number], place, self._quote(number, place, claim)))

    def _quote(self, number: int, place: Place, claim: str) -> Unit | None:
        return self._evidence.quote(number, place.url, claim) if self._evidence else None


def citation(number: int, passage: Passage, place: Place | None = None, quote: Unit | None = None) -> Citation:
    """What a visitor is shown of a passage that the answer names; of one of its headings, if several were joined."""
    chunk = passage.chunk.chunk
    place = place or places_of(chunk)[0]
    plain = plain_text(place.text)
    own_id = place.url == chunk.url
    return Citation(
        number=number, id=passage.chunk.id if own_id else f"{passage.chunk.id}#{place.anchor}",
        chunk_id=passage.chunk.id,
        text=plain if len(plain) <= SNIPPET_LENGTH else plain[:SNIPPET_LENGTH].rstrip() + "...",
        chapter=chunk.page_title, section=section_of(passage, place), heading=place.heading,
        page_title=chunk.page_title, path=chunk.path, url=place.url,
        score=min(max(passage.cosine or 0.0, 0.0), 1.0),
        quote=quote.text[:LONGEST_QUOTE] if quote else "",
        quote_url=fragment_link(place.url, quote) if quote else place.url,
    )  # fmt: skip


def link_to(passage: Passage, place: Place | None = None) -> str:
    """`[Page title - Section](url)`; the section is left out where it adds nothing."""
    section = section_of(passage, place)
    chunk = passage.chunk.chunk
    return link(f"{chunk.page_title} - {section}" if section else chunk.page_title, place.url if place else chunk.url)


def section_of(passage: Passage, place: Place | None = None) -> str:
    """The heading that a passage stands under; "" where that is the page's own."""
    chunk = passage.chunk.chunk
    heading = place.heading if place else chunk.heading
    return "" if heading.strip() == chunk.page_title.strip() else heading


def plain_text(markdown: str) -> str:
    """A passage's words on one line, without the signs of Markdown: what a list of sources shows."""
    text = _LEADING_HEADINGS.sub("", markdown)
    text = _LINE_SIGNS.sub(" ", text)
    text = _LINKED.sub(r"\1", text)
    return " ".join(_INLINE_SIGNS.sub("", text).split())


def _origin(url: str) -> str:
    """`https://site.example/`; "" for an address without one."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/" if parts.scheme and parts.netloc else ""
