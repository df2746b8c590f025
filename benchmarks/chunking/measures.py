"""What a reader, a model and a bill notice about passages. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

from benchmarks.chunking.splitters import SIZE, Passage
from shared.tokens import count_tokens

#: A passage of fewer tokens says hardly anything by itself.
TINY: Final = 32
#: Characters of a listing that nobody has a reason to cut.
SMALL_LISTING: Final = range(30, 1401)

_FENCE_LINE: Final = re.compile(r"^[ \t>]*(?:[-*+] +|\d+[.)] +)*(?:`{3,}|~{3,})", re.MULTILINE)
_OPENS: Final = re.compile(r"[ \t]*(`{3,}|~{3,})[^`]*\Z")
_COLUMNS: Final = re.compile(r"[ \t]*\|?[ \t:|-]*-[ \t:|-]*")
#: Comments that only tell the site what to colour.
_COLOURING: Final = re.compile(r"highlight-(?:next-line|start|end)")
_HEADING_LINE: Final = re.compile(r"^#{1,6} ", re.MULTILINE)
#: A line that leads to the listing below it: prose, not a heading, a mark of an admonition, a tag or a fence.
_PROSE_LINE: Final = re.compile(r"[ \t]*(?!#|:::|///|<|`{3}|~{3}|\||import |export |!!!|\?\?\?)\S*\w\S* \S")


class Listing(NamedTuple):
    """A small fenced block, without whitespace."""

    #: The last line of prose before it; "" if there is none.
    lead: str
    body: str


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares are of passages, or of small listings, in per cent."""

    passages: int
    tokens_p50: int
    tokens_p95: int
    tokens_max: int
    over: float
    tiny: float
    unbalanced: float
    headed: float
    orphans: float
    cut_listings: float
    led_listings: float
    #: Rows of tables that stand whole in no passage that has the names of their columns too.
    lost_rows: float


def quality(pages: Sequence[tuple[str, Sequence[Passage]]]) -> Quality:
    """Of the passages of all pages, each page with its own source text."""
    passages = list(chain.from_iterable(passages for _, passages in pages))
    tokens = sorted(count_tokens(passage.text) for passage in passages)
    whole = led = count = leads = rows = read_rows = 0
    for text, parts in pages:
        squeezed = [_squeezed(part.text) for part in parts]
        for listing in small_listings(text):
            count += 1
            whole += any(listing.body in part for part in squeezed)
            leads += bool(listing.lead)
            led += bool(listing.lead) and any(_leads(listing, part) for part in squeezed)
        for header, row in table_rows(text):
            rows += 1
            read_rows += any(row in part and header in part for part in squeezed)
    return Quality(
        passages=len(passages),
        tokens_p50=tokens[len(tokens) // 2],
        tokens_p95=tokens[len(tokens) * 95 // 100],
        tokens_max=tokens[-1],
        over=_share(count_of > SIZE for count_of in tokens),
        tiny=_share(count_of < TINY for count_of in tokens),
        unbalanced=_share(len(_FENCE_LINE.findall(passage.text)) % 2 for passage in passages),
        headed=_share(passage.headed or bool(_HEADING_LINE.search(passage.text)) for passage in passages),
        orphans=_share(_ends_on_a_heading(passage.text) for passage in passages),
        cut_listings=100 * (1 - whole / count) if count else 0,
        led_listings=100 * led / leads if leads else 0,
        lost_rows=100 * (1 - read_rows / rows) if rows else 0,
    )


def small_listings(text: str) -> Iterator[Listing]:
    """The fenced blocks of a page that are small and not empty."""
    above, opener, body = "", "", list[str]()
    for line in text.splitlines():
        if opener:
            if line.strip().startswith(opener) and not line.strip().strip(opener[0]):
                if len("\n".join(body)) in SMALL_LISTING:
                    lead = above if _PROSE_LINE.match(above) else ""
                    yield Listing(_squeezed(lead), _squeezed("\n".join(body)))
                above = opener = ""
            else:
                body.append(line)
        elif opens := _OPENS.match(line):
            opener, body = opens[1], []
        elif line.strip():
            above = line


def _squeezed(text: str) -> str:
    """Without whitespace and without comments about colours."""
    return "".join("".join(line.split()) for line in text.splitlines() if not _COLOURING.search(line))


def table_rows(text: str) -> Iterator[tuple[str, str]]:
    """Rows of a page's tables with the names of their columns, without whitespace; those with HTML are left out, of
    which some splitters keep the text alone."""
    header, above, fenced = "", "", False
    for line in text.splitlines():
        fenced ^= bool(_OPENS.match(line))
        if fenced or "|" not in line:
            header = above = ""
            continue
        if header:
            if "<" not in line:
                yield header, _squeezed(line)
        elif _COLUMNS.fullmatch(line) and above:
            header = _squeezed(above)
        above = line


def _leads(listing: Listing, passage: str) -> bool:
    at = passage.find(listing.lead)
    return at >= 0 and listing.body in passage[at:]


def _ends_on_a_heading(text: str) -> bool:
    return bool(_HEADING_LINE.match(text.rstrip().rpartition("\n")[2]))


def _share(cases: Iterable[bool | int]) -> float:
    marks = [bool(case) for case in cases]
    return 100 * sum(marks) / len(marks) if marks else 0
