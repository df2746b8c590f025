"""What a release changes for a visitor: pages added, changed, moved and removed, each with a reason in words.

It is worked out when a release is published and kept as a record of its own, because what the pages were before is
vacuumed in time.
"""

from __future__ import annotations

import heapq
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from os.path import basename
from typing import Any, Final

from shared.models import PageFacts, Release
from shared.revisions import Part, changed_parts, same_text
from shared.vector_store import PAGE_BATCH, VectorStore

#: Names that each list keeps; the totals count all.
NAMES_KEPT: Final = 1000
#: Pages on each side whose words are compared, once equal texts have been paired: some seconds of reading.
MOVES_COMPARED: Final = 500
#: Two pages that share so many of their phrases are one page that has moved, as for git.
SAME_PAGE: Final = 0.5
#: Phrases by which a page is known again.
SKETCH_SIZE: Final = 128
#: Words of a phrase.
PHRASE: Final = 3

NEW: Final = "new page"
GONE: Final = "the file is gone"
HIDDEN: Final = "the page is hidden (draft or unlisted), or has no text any more"
#: In the order in which they are named.
REASONS: Final[Mapping[Part, str]] = {
    "text": "the text changed",
    "included": "a file that it includes changed",
    "place": "the site's configuration gives it another place",
    "rules": "it is read by other rules: a setting such as CHUNK_SIZE, or another version of Lectern",
}

_WORD: Final = re.compile(r"\w+")
#: Hashes of some of a page's phrases: always the same ones for the same text.
Sketch = frozenset[int]


@dataclass(frozen=True, slots=True)
class PageChange:
    """One page that is not as it was, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What a release differs in from the one that visitors had before. Each list is in the order of its paths."""

    #: The release that was live before; None for the first one.
    base: int | None
    added: tuple[PageChange, ...] = ()
    changed: tuple[PageChange, ...] = ()
    moved: tuple[PageChange, ...] = ()
    removed: tuple[PageChange, ...] = ()
    #: How many there are of each; the lists hold the first NAMES_KEPT.
    totals: Mapping[str, int] = field(default_factory=dict)
    #: What else there is to say of the release as a whole.
    note: str | None = None

    def record(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


@dataclass(slots=True)
class Pairing:
    """Versions of pages that are gone, and those that took their place."""

    added: dict[str, PageFacts]
    removed: dict[str, PageFacts]
    changed: list[tuple[PageFacts, PageFacts]]
    moved: list[tuple[PageFacts, PageFacts]] = field(default_factory=list)

    @property
    def unsettled(self) -> bool:
        """Whether a page that was edited may have moved as well: only their words can tell."""
        return bool(self.added and self.removed)


async def changes_of(
    store: VectorStore, release: Release, before: Release | None, hidden: Container[str] = ()
) -> Changes:
    """What a reader of `release` finds other than a reader of `before`, which is an earlier one.

    hidden: paths of pages that are still there and that no visitor may be shown, or that have no text.
    """
    gained, lost = await _versions(store, release, before)
    pairing = pair_up(gained, lost)
    if before is not None and pairing.unsettled:
        new = await sketches_at(store, release, sorted(pairing.added))
        old = await sketches_at(store, before, sorted(pairing.removed))
        pair_similar(pairing, new, old)
    note = None
    if before is not None and before.collection != release.collection:
        model = (await store.spec_of(release.collection)).model
        note = f"every page was embedded with another model: {model}"
    return describe(pairing, before.number if before else None, hidden, note)


def pair_up(gained: Iterable[PageFacts], lost: Iterable[PageFacts]) -> Pairing:
    """Pair versions of one path, and pages of equal text. A page that went and came back as it was is no change."""
    new = {page.path: page for page in gained}
    old = {page.path: page for page in lost}
    both = sorted(new.keys() & old.keys())
    pairing = Pairing(
        added={path: new[path] for path in sorted(new.keys() - old.keys())},
        removed={path: old[path] for path in sorted(old.keys() - new.keys())},
        changed=[(old[path], new[path]) for path in both if old[path] != new[path]],
    )
    by_text: defaultdict[str, list[PageFacts]] = defaultdict(list)
    for page in pairing.removed.values():
        by_text[same_text(page.revision)].append(page)
    for page in list(pairing.added.values()):
        candidates = by_text[same_text(page.revision)]
        if candidates:
            # Of several equal pages, such as empty indexes, the one of the same name.
            origin = max(candidates, key=lambda candidate: basename(candidate.path) == basename(page.path))
            candidates.remove(origin)
            _move(pairing, origin, page)
    return pairing


def pair_similar(pairing: Pairing, new: Mapping[str, Sketch], old: Mapping[str, Sketch]) -> None:
    """Pair pages that moved and were edited as well, by their sketches."""
    holders: defaultdict[int, list[str]] = defaultdict(list)
    for path, sketch in old.items():
        for phrase in sketch:
            holders[phrase].append(path)
    for path, sketch in new.items():
        shared = Counter(holder for phrase in sketch for holder in holders[phrase] if holder in pairing.removed)
        likeness = {holder: count / max(1, min(len(sketch), len(old[holder]))) for holder, count in shared.items()}
        best = max(likeness, key=lambda holder: (likeness[holder], basename(holder) == basename(path)), default=None)
        if best is not None and likeness[best] >= SAME_PAGE:
            _move(pairing, pairing.removed[best], pairing.added[path])


def describe(pairing: Pairing, base: int | None, hidden: Container[str] = (), note: str | None = None) -> Changes:
    """The lists with a reason for each page."""
    lists = {
        "added": [PageChange(path, NEW) for path in sorted(pairing.added)],
        "changed": [PageChange(new.path, _why_changed(old, new)) for old, new in pairing.changed],
        "moved": [PageChange(new.path, _moved_from(old, new)) for old, new in pairing.moved],
        "removed": [PageChange(path, HIDDEN if path in hidden else GONE) for path in sorted(pairing.removed)],
    }
    kept = {
        name: tuple(heapq.nsmallest(NAMES_KEPT, pages, key=lambda page: page.path)) for name, pages in lists.items()
    }
    return Changes(base, **kept, totals={name: len(pages) for name, pages in lists.items()}, note=note)


def sketch_of(texts: Iterable[str]) -> Sketch:
    """The phrases with the smallest hashes, of all the texts of a page."""
    words = _WORD.findall(" ".join(texts).lower())
    phrases = {
        zlib.crc32(" ".join(words[start : start + PHRASE]).encode("utf-8", "surrogatepass"))
        for start in range(max(1, len(words) - PHRASE + 1))
    }
    return frozenset(heapq.nsmallest(SKETCH_SIZE, phrases)) if words else frozenset()


async def _versions(
    store: VectorStore, release: Release, before: Release | None
) -> tuple[list[PageFacts], list[PageFacts]]:
    """The versions of pages that came, and those that went."""
    if before is None:
        return [page async for page in store.page_facts(release.collection, release.number)], []
    if before.collection == release.collection:
        numbers = (before.number, release.number)
        gained = [page async for page in store.pages_gained(release.collection, *numbers)]
        return gained, [page async for page in store.pages_lost(release.collection, *numbers)]
    old = {page.path: page async for page in store.page_facts(before.collection, before.number)}
    came = []
    async for page in store.page_facts(release.collection, release.number):
        if old.get(page.path) == page:
            del old[page.path]
        else:
            came.append(page)
    return came, list(old.values())


async def sketches_at(store: VectorStore, release: Release, paths: Sequence[str]) -> dict[str, Sketch]:
    """The sketch of each of these pages at a release, the first MOVES_COMPARED of them. Reads a few at a time."""
    sketches: dict[str, Sketch] = {}
    compared = paths[:MOVES_COMPARED]
    for start in range(0, len(compared), PAGE_BATCH):
        texts: defaultdict[str, list[str]] = defaultdict(list)
        for stored in await store.chunks_of(release.collection, release.number, compared[start : start + PAGE_BATCH]):
            texts[stored.chunk.path].append(stored.chunk.text[stored.chunk.overlap :])
        sketches |= {path: sketch_of(parts) for path, parts in texts.items()}
    return sketches


def _move(pairing: Pairing, origin: PageFacts, page: PageFacts) -> None:
    del pairing.removed[origin.path], pairing.added[page.path]
    pairing.moved.append((origin, page))


def _why_changed(old: PageFacts, new: PageFacts) -> str:
    parts = changed_parts(old.revision, new.revision)
    reasons = [reason for part, reason in REASONS.items() if part in parts]
    if not reasons and old.url != new.url:
        reasons.append("its address changed")
    if not reasons and old.title != new.title:
        reasons.append("its title changed")
    return "; ".join(reasons)


def _moved_from(old: PageFacts, new: PageFacts) -> str:
    edited = "; the text changed" if same_text(old.revision) != same_text(new.revision) else ""
    return f"moved from {old.path}{edited}"
