"""What must hold of an index, asked of Qdrant itself: none of the product's own reading is trusted here.

A release is whole if the pages that a reader at its number sees name exactly the passages that this reader sees, if
there are as many of both as its record says, and if each page speaks of one revision and all of them make up one
edition of the site.
"""

from __future__ import annotations

import math
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from qdrant_client import QdrantClient
from qdrant_client import models as q

from shared.chunk_collections import DENSE
from shared.releases import READ_BATCH
from shared.schema import records_name
from tests.faults.editions import Edition, revisions_in

#: What of a point depends on the number of the release that brought it, and so on how many there were before.
NUMBERED: Final = frozenset({"since", "until", "chunk_ids"})

#: A sweep is two requests to Qdrant.
SWEEP_SECONDS: Final = 3

Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Point:
    id: str
    payload: Payload
    vector: Sequence[float] | None


@dataclass(frozen=True, slots=True)
class Release:
    number: int
    collection: str
    documents: int
    chunks: int


@dataclass(frozen=True, slots=True)
class View:
    """What a reader of one release sees."""

    release: Release
    pages: tuple[Point, ...]
    chunks: tuple[Point, ...]

    @property
    def edition(self) -> Edition:
        """The revision of each page; of a page that speaks of none or of several, 0."""
        spoken: dict[str, set[int]] = {page.payload["path"]: set() for page in self.pages}
        for chunk in self.chunks:
            spoken.setdefault(chunk.payload["path"], set()).update(revisions_in(chunk.payload["text"]))
        return {path: revisions.pop() if len(revisions) == 1 else 0 for path, revisions in spoken.items()}

    def faults(self, editions: Sequence[Edition] | None) -> Iterator[str]:
        """Why the release is not whole. Without `editions`, pages may be of any revision, each of one."""
        number = self.release.number
        if not self.pages or not self.chunks:
            yield f"release {number} is empty"
        counted, recorded = (len(self.pages), len(self.chunks)), (self.release.documents, self.release.chunks)
        if counted != recorded:
            yield f"release {number} shows {counted} pages and passages, its record says {recorded}"
        named = [chunk_id for page in self.pages for chunk_id in page.payload["chunk_ids"]]
        seen = {chunk.id for chunk in self.chunks}
        if missing := set(named) - seen:
            yield f"release {number} lacks {len(missing)} passages that its pages name"
        if orphans := seen - set(named):
            yield f"release {number} shows {len(orphans)} passages that no page names"
        if len(named) != len(set(named)):
            yield f"release {number} names a passage twice"
        if twice := [path for path, times in Counter(page.payload["path"] for page in self.pages).items() if times > 1]:
            yield f"release {number} shows pages twice: {twice}"
        edition = self.edition
        if broken := [path for path, revision in edition.items() if not revision]:
            yield f"release {number} shows pages of no revision, or of several: {broken}"
        if editions is not None and edition not in editions:
            yield f"release {number} is no edition of the site but a mixture"


@dataclass(frozen=True, slots=True)
class Index:
    """Everything that is stored: the live release, and what is left over."""

    live: View
    kept: tuple[Release, ...]
    #: Points that a reader of no kept release sees.
    orphans: tuple[Point, ...]
    #: Passages that a page shows more than once though its text has them once.
    duplicates: tuple[Point, ...] = field(default=())


@contextmanager
def qdrant(url: str, api_key: str) -> Iterator[QdrantClient]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
        client = QdrantClient(url=url, api_key=api_key, check_compatibility=False, timeout=5)
    with closing(client):
        yield client


def live_release(client: QdrantClient, alias: str) -> Release | None:
    """The release that the live pointer names. Raises what the client raises."""
    if not client.collection_exists(records_name(alias)):
        return None
    found = _records(client, alias, "live")
    return found[0] if found else None


def view_of(client: QdrantClient, release: Release, *, vectors: bool = False) -> View:
    """Everything that a reader of the release sees, in one pass over Qdrant's own pages of points."""
    visible = q.Filter(
        must=[
            q.FieldCondition(key="since", range=q.Range(lte=release.number)),
            q.FieldCondition(key="until", range=q.Range(gt=release.number)),
        ]
    )
    points = _points(client, release.collection, visible, vectors=vectors)
    return View(
        release,
        tuple(point for point in points if point.payload["record"] == "page"),
        tuple(point for point in points if point.payload["record"] == "chunk"),
    )


def index_of(client: QdrantClient, alias: str) -> Index:
    """The whole index, at a moment when nobody writes to it."""
    live = live_release(client, alias)
    assert live is not None, "no release is live"
    kept = tuple(_records(client, alias, "release"))
    names = {collection.name for collection in client.get_collections().collections} - {records_name(alias)}
    orphans = [
        point
        for name in sorted(names)
        if name.startswith(alias)
        for point in _points(client, name, None)
        if not any(
            release.collection == name and point.payload["since"] <= release.number < point.payload["until"]
            for release in kept
        )
    ]
    view = view_of(client, live, vectors=True)
    digests = Counter((chunk.payload["path"], chunk.payload["text"]) for chunk in view.chunks)
    duplicates = tuple(c for c in view.chunks if digests[c.payload["path"], c.payload["text"]] > 1)
    return Index(view, kept, tuple(orphans), duplicates)


def settled_index(client: QdrantClient, alias: str) -> Index:
    """The index once what no kept release shows has been swept, or as it is if nobody sweeps: the sweep may follow the
    job's end."""
    deadline = time.monotonic() + SWEEP_SECONDS
    while (index := index_of(client, alias)).orphans and time.monotonic() < deadline:
        time.sleep(0.2)
    return index


def by_id(view: View) -> dict[str, Payload]:
    """For two indexes with the same history of releases: every point in full."""
    return {point.id: point.payload for point in (*view.pages, *view.chunks)}


def by_content(view: View) -> Counter[tuple[str, ...]]:
    """For two indexes whose releases are numbered otherwise: all but ids and numbers, which derive from the number."""
    return Counter(
        tuple(f"{name}={value!r}" for name, value in sorted(point.payload.items()) if name not in NUMBERED)
        for point in (*view.pages, *view.chunks)
    )


def wrong_vectors(view: View, clean: View) -> list[str]:
    """Passages whose vector is not the one that the same text has in the clean index."""
    expected = {chunk.payload["text_hash"]: chunk.vector for chunk in clean.chunks}
    return [
        chunk.payload["path"]
        for chunk in view.chunks
        if not _alike(chunk.vector, expected.get(chunk.payload["text_hash"]))
    ]


def _alike(one: Sequence[float] | None, other: Sequence[float] | None) -> bool:
    if one is None or other is None or len(one) != len(other):
        return False
    return all(math.isclose(a, b, abs_tol=1e-5) for a, b in zip(one, other, strict=True))


def _records(client: QdrantClient, alias: str, kind: str) -> list[Release]:
    condition = q.Filter(must=[q.FieldCondition(key="record", match=q.MatchValue(value=kind))])
    found = _points(client, records_name(alias), condition)
    # One that is leaving is out of readers' reach already; one that is held back is kept, and seen if its owner wants.
    return [
        Release(p.payload["number"], p.payload["collection"], p.payload["documents"], p.payload["chunks"])
        for p in found
        if p.payload.get("state") != "leaving"
    ]


def _points(client: QdrantClient, collection: str, condition: q.Filter | None, *, vectors: bool = False) -> list[Point]:
    points: list[Point] = []
    offset: Any = None
    while True:
        records, offset = client.scroll(
            collection, scroll_filter=condition, limit=READ_BATCH, offset=offset,
            with_payload=True, with_vectors=[DENSE] if vectors else False,
        )  # fmt: skip
        for record in records:
            named: Any = record.vector or {}
            points.append(Point(str(record.id), dict(record.payload or {}), named.get(DENSE)))
        if offset is None:
            return points
