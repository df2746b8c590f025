"""What a job will do: a plan and its shards, and how they are written down.

The head of a plan and each of its shards are kept apart, so that who works on one shard reads that one alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from shared.models import PageFault, ShardResult


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """A job's unit of queued work. `removed` pages are closed; the others read, cut and compared."""

    id: str
    pages: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job will do, as a pure function of the content and of the release it builds upon."""

    release: int
    #: Release number that is compared with; 0 for nothing.
    base: int
    collection: str
    #: Size of the collection's vectors.
    dimensions: int
    pages_total: int
    #: Chunks and pages that a reader of the base sees.
    base_chunks: int
    base_pages: int
    #: Of a plan that was read for one shard (`Jobs.shard`), that one alone.
    shards: tuple[PlannedShard, ...]
    faults: tuple[PageFault, ...] = ()
    #: What kind of site the content is, in a line.
    profile: str = ""
    #: The commit or the like of a remote source that the job reads; "" for a folder.
    source_revision: str = ""


def shown_pages(shard: PlannedShard) -> list[str]:
    """A shard's pages as a message names them, for people."""
    return [*shard.pages, *(f"{path} (gone)" for path in shard.removed)]


def head_text(plan: Plan) -> str:
    """A plan without its shards, as text."""
    return json.dumps(asdict(replace(plan, shards=())))


def plan_of(head: str, shards: Sequence[PlannedShard]) -> Plan:
    raw = json.loads(head)
    raw.pop("shards")
    return Plan(shards=tuple(shards), faults=faults_of(raw.pop("faults")), **raw)


def shard_text(shard: PlannedShard) -> str:
    return json.dumps([shard.pages, shard.removed])


def shard_of(id_: str, text: str) -> PlannedShard:
    pages, removed = json.loads(text)
    return PlannedShard(id_, tuple(pages), tuple(removed))


def result_text(result: ShardResult) -> str:
    return json.dumps(asdict(result))


def result_of(text: str) -> ShardResult:
    raw = json.loads(text)
    return ShardResult(**{**raw, "faults": faults_of(raw["faults"])})


def faults_of(raw: Sequence[Mapping[str, str]]) -> tuple[PageFault, ...]:
    return tuple(PageFault(fault["path"], fault["reason"]) for fault in raw)
