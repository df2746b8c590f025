"""What the release routes send."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class ReleaseOut(BaseModel):
    """A state of the docs that is in the index."""

    number: int
    state: Literal["live", "kept", "held"]
    live: bool
    #: Built, and kept from visitors by the gate.
    held: bool
    documents: int
    chunks: int
    job_id: str
    created_at: str
    collection: str
    #: The embedding model; None where its collection is gone.
    model: str | None
    dimensions: int | None
    #: How many pages were added, changed, moved and removed; None where that was not recorded.
    changes: dict[str, int] | None


class ReleaseList(BaseModel):
    releases: list[ReleaseOut]
    total: int
    live: int | None


class ReleasePage(BaseModel):
    """A page that a release has changed, and why."""

    path: str
    reason: str


class GoldenAnswer(BaseModel):
    """A golden question that is not answered, with the places where the answer should stand."""

    question: str
    expected: list[str]
    line: int


class ReleaseGate(BaseModel):
    """What asking the golden questions has shown."""

    file: str
    asked: int
    answered: int
    #: Of the release that was live then; None if there was none.
    answered_before: int | None
    lost: list[GoldenAnswer]
    lost_total: int
    unanswered: list[GoldenAnswer]
    allowed: int
    faults: list[str]


class ReleaseDetail(ReleaseOut):
    """With the pages that differ from those of `base`, the release that was live before; the first 1,000 of each."""

    base: int | None
    added: list[ReleasePage]
    changed: list[ReleasePage]
    moved: list[ReleasePage]
    removed: list[ReleasePage]
    note: str | None
    gate: ReleaseGate | None


class ReleaseActivated(BaseModel):
    release: ReleaseOut
    #: The release that was live before.
    previous: int | None
    #: False where it was live already.
    changed: bool
    message: str
    warning: str | None
