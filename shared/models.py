"""The value objects that cross borders between packages. Frozen: nobody changes what somebody else holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal

#: One embedding: `dimensions` floats.
Vector = list[float]
#: What a chunk is found by: one row, or one row a window where the model's window is shorter than the chunk.
Vectors = list[Vector]


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Term weights: the hash of a word and its weight, position by position."""

    indices: list[int]
    values: list[float]


ChunkKind = Literal["prose", "code", "table"]

#: `until` of a chunk or page that is still alive: larger than any release number will be.
FOREVER = 2**53 - 1
#: Of the headings in front of each passage that is embedded: four or five of the usual length.
MAX_PLACE_BYTES = 320


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a page. `anchor` is the id in the published page's HTML; None for the page's first H1."""

    level: int
    text: str
    anchor: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """One source file of the site, as a visitor would know it."""

    #: POSIX path relative to the content root: `guide/install.mdx`.
    path: str
    title: str
    #: Address of the published page, without an anchor.
    url: str
    #: What decides what its chunks are (`shared.revisions`). Equal means: nothing to do.
    revision: str
    #: Of the docs that it belongs to, as the site names it; "" where there is one only.
    version: str = ""
    #: Its language, as the site names it; "" where there is one only.
    locale: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A small section that was joined to a chunk: a claim from it links to its own heading."""

    #: Where its heading begins in the chunk's text, in characters.
    start: int
    anchor: str | None
    #: The published page at that heading.
    url: str
    trail: tuple[str, ...]


@lru_cache(maxsize=1024)
def place_of(page_title: str, trail: tuple[str, ...]) -> str:
    """`Page > Chapter > Section` in at most `MAX_PLACE_BYTES` of UTF-8: of a longer one the end, which says most."""
    names = list(dict.fromkeys((page_title, *trail)))
    place = " > ".join(names)
    while len(place.encode()) > MAX_PLACE_BYTES:
        if len(names) == 1:
            return place.encode()[:MAX_PLACE_BYTES].decode(errors="ignore")
        del names[0]
        place = " > ".join(names)
    return place


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of one section: the unit that is stored, found and cited."""

    path: str
    page_title: str
    #: The published page with the heading's anchor: `https://site/docs/install#linux`.
    url: str
    anchor: str | None
    #: Headings from the page's top down to this passage's own; empty for text before the first heading.
    trail: tuple[str, ...]
    #: Markdown, as written.
    text: str
    kind: ChunkKind
    #: Tokens of `text`, counted by `shared.tokens`.
    tokens: int
    #: Characters at the start of `text` that repeat the end of the chunk before.
    overlap: int = 0
    #: Small sections that were joined to the first one, in the order of their text.
    parts: tuple[Part, ...] = ()
    #: The page's.
    version: str = ""
    locale: str = ""

    @property
    def heading(self) -> str:
        """The heading that the passage stands under, or the page's title."""
        return self.trail[-1] if self.trail else self.page_title

    @property
    def place(self) -> str:
        """Where the passage stands, as one line: `Page > Chapter > Section`."""
        return place_of(self.page_title, self.trail)

    @property
    def embedded_text(self) -> str:
        """What the embedding model reads: the place, so that a passage knows where it belongs, then the passage."""
        return f"{self.place}\n\n{self.text}"


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk as the index holds it. Visible to readers of every release R with `since <= R < until`."""

    id: str
    chunk: Chunk
    #: SHA-256 over everything that is shown of the chunk and how its words are read; equal digests need no write.
    digest: str
    #: SHA-256 of the embedded text; equal hashes need no embedding.
    text_hash: str
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class StoredPage:
    """A page as the index holds it, with its chunks in reading order."""

    id: str
    page: Page
    chunk_ids: tuple[str, ...]
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What tells two versions of a page apart, without its passages."""

    path: str
    title: str
    url: str
    revision: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk that was found for a question."""

    chunk: StoredChunk
    #: Fused rank score: orders passages of one query, says nothing about how good they are.
    score: float
    #: Cosine of question and passage (best window), -1..1; None if the dense side did not return it.
    cosine: float | None = None
    #: BM25 score; None if the sparse side did not return it.
    bm25: float | None = None
    #: Ids of chunks whose text was joined to this one's.
    joined: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placement:
    """How the collections of a Qdrant cluster are laid out when they are made. None leaves it to the server."""

    #: Parts that a collection's points are shared out over.
    shards: int | None = None
    #: Copies of each part, each on another node.
    replicas: int | None = None
    #: Copies that have a write before it counts as done.
    write_consistency: int | None = None


SERVERS_CHOICE = Placement()


#: `held`: built, and kept from visitors by the gate. `leaving`: being dropped, and not to be made live any more.
ReleaseState = Literal["published", "held", "leaving"]


@dataclass(frozen=True, slots=True)
class Release:
    """A whole, immutable state of the docs. Number 0 is the empty one before the first ingest."""

    number: int
    #: The collection that holds its chunks; another embedding model means another collection.
    collection: str
    documents: int
    chunks: int
    job_id: str
    #: ISO 8601, UTC.
    created_at: str
    state: ReleaseState = "published"


class JobState(StrEnum):
    """Where a job stands. The last three are terminal."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class PageFault:
    """A page that could not be indexed, with what is wrong and how to mend it."""

    path: str
    reason: str


#: What builds the release: a worker from the content, or a `lectern import` from a file.
JobKind = Literal["ingest", "import"]


@dataclass(frozen=True, slots=True)
class Job:
    """One run that builds a release. The durable record; its live progress stands in Redis (`shared.jobs`)."""

    id: str
    state: JobState
    #: Folder or file, relative to the content root; "." for all of it. Of an import, the name of its file.
    content_path: str
    force: bool
    created_at: str
    started_at: str | None = None
    finished_at: str | None = None
    #: The release that the job builds or has built; None when nothing had changed.
    release: int | None = None
    #: Why it failed or what it found, in words for the owner.
    reason: str | None = None
    attempts: int = 0
    faults: tuple[PageFault, ...] = ()
    totals: Mapping[str, int] = field(default_factory=dict)
    kind: JobKind = "ingest"
    #: Says what an ingest would do, and does nothing.
    dry_run: bool = False
    #: What it would do and cost; None until that is known, and of a job that is no dry run.
    estimate: Mapping[str, Any] | None = None
    #: What kind of site the content is, in a line.
    profile: str = ""
    #: The job that this one tries again.
    retry_of: str | None = None
    #: What the files below the content path looked like when the job read them (`shared.content_mark`); "" before.
    content_mark: str = ""


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What one shard did. Set by shard id, never added up, so that a second delivery changes nothing."""

    shard_id: str
    pages: int
    pages_written: int
    pages_closed: int
    chunks_written: int
    chunks_kept: int
    chunks_closed: int
    texts_embedded: int
    texts_reused: int
    requests: int
    tokens: int
    faults: tuple[PageFault, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """A running job's state, summed over its shards at the moment of reading."""

    stage: Literal["waiting", "planning", "indexing", "publishing", "done"]
    pages_total: int
    pages_done: int
    chunks_done: int
    shards_total: int
    shards_done: int
    #: 0..100
    percent: float
    #: Seconds, estimated from the rate so far; None before the first shard has finished.
    seconds_left: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    #: Of `chunks_done`, those that were new or had changed.
    chunks_written: int = 0
