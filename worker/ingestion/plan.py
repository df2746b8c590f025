"""What a job has to do: a pure function of the content, the rules and the release it builds upon."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.embedding_batches import BatchLimits
from shared.plans import PlannedShard

#: A shard is at most so many full requests of its embedder: few enough that a killed worker loses seconds.
SHARD_BATCHES: Final = 4
#: Into so many shards a site is cut before they grow: every worker process has work, and few requests are half empty.
FEWEST_SHARDS: Final = 6
#: Bytes of Markdown a passage and a token, on average over some thousand pages of documentation.
BYTES_A_PASSAGE: Final = 1400
BYTES_A_TOKEN: Final = 4
#: Pages a shard that are gone: nothing of theirs is embedded.
REMOVED_PAGES: Final = 500


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page on disk: its path below the content root, its size and its revision."""

    path: str
    size: int
    revision: str


def changed_pages(found: Sequence[FoundPage], live: Mapping[str, str], *, force: bool) -> list[FoundPage]:
    """The pages whose content or rules differ from the base release; with `force`, all of them.

    live: the revision of each page of the base release, by its path.
    """
    return [page for page in found if force or live.get(page.path) != page.revision]


def removed_pages(
    found: Sequence[FoundPage], live: Collection[str], unreadable: Sequence[str], scope: str
) -> list[str]:
    """The pages of the base release that are gone from below `scope`. A page that is there and cannot be read, or
    whose folder cannot, is not gone: its last good version stays."""
    present = {page.path for page in found}
    return sorted(
        path
        for path in live
        if path not in present and in_scope(path, scope) and not any(in_scope(path, kept) for kept in unreadable)
    )


def in_scope(path: str, scope: str) -> bool:
    """Whether a page lies in the folder, or is the file, that a job is about ("." is everything)."""
    return scope in (".", path) or path.startswith(f"{scope}/")


def cut_shards(changed: Sequence[FoundPage], removed: Sequence[str], batch: BatchLimits) -> tuple[PlannedShard, ...]:
    """Pages in order, in shards of equal size: a few requests of the embedder each, for which a full one is `batch`.

    Equal content gives equal shard ids, so that work done is known again.
    """
    total = sum(page.size for page in changed)
    count = -(-total // shard_bytes(total, batch)) or 1
    most_pages = SHARD_BATCHES * batch.items
    shards: list[PlannedShard] = []
    pages: list[FoundPage] = []
    size = 0
    for page in changed:
        # A page belongs to the shard that its middle falls into.
        is_over = (size + page.size / 2) * count > total * (len(shards) + 1)
        if pages and (is_over or len(pages) == most_pages):
            shards.append(_shard(pages, ()))
            pages = []
        pages.append(page)
        size += page.size
    if pages:
        shards.append(_shard(pages, ()))
    starts = range(0, len(removed), REMOVED_PAGES)
    shards += [_shard([], tuple(removed[start : start + REMOVED_PAGES])) for start in starts]
    return tuple(shards)


def shard_bytes(total: int, batch: BatchLimits) -> int:
    """Most bytes of Markdown a shard of a job that has `total` of them: from one full request to SHARD_BATCHES."""
    full = min(batch.items * BYTES_A_PASSAGE, batch.tokens * BYTES_A_TOKEN)
    return max(full, min(SHARD_BATCHES * full, -(-total // FEWEST_SHARDS)))


def _shard(pages: Sequence[FoundPage], removed: tuple[str, ...]) -> PlannedShard:
    content = "\0".join([*(f"{page.path}={page.revision}" for page in pages), *(f"{path}=gone" for path in removed)])
    id_ = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return PlannedShard(id_, tuple(page.path for page in pages), removed)
