"""What a job has to do: a pure function of the content, the rules and the release it builds upon."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.jobs import PlannedShard
from shared.models import StoredPage

#: Markdown a shard: about three seconds of the local model, one or two requests of a provider.
SHARD_BYTES: Final = 64 * 1024
#: Pages a shard, where pages are tiny.
SHARD_PAGES: Final = 50


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page on disk: its path below the content root, its size and its revision."""

    path: str
    size: int
    revision: str


def changed_pages(found: Sequence[FoundPage], live: Mapping[str, StoredPage], *, force: bool) -> list[FoundPage]:
    """The pages whose content or rules differ from the base release; with `force`, all of them."""
    return [page for page in found if force or page.path not in live or live[page.path].page.revision != page.revision]


def removed_pages(
    found: Sequence[FoundPage], live: Mapping[str, StoredPage], unreadable: Sequence[str], scope: str
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


def cut_shards(changed: Sequence[FoundPage], removed: Sequence[str]) -> tuple[PlannedShard, ...]:
    """Pages in order, a few seconds of work each. Equal content gives equal shard ids, so work done is known again."""
    shards: list[PlannedShard] = []
    pages: list[FoundPage] = []
    size = 0
    for page in changed:
        if pages and (size + page.size > SHARD_BYTES or len(pages) == SHARD_PAGES):
            shards.append(_shard(pages, ()))
            pages, size = [], 0
        pages.append(page)
        size += page.size
    if pages:
        shards.append(_shard(pages, ()))
    shards += [_shard([], tuple(removed[start : start + SHARD_PAGES])) for start in range(0, len(removed), SHARD_PAGES)]
    return tuple(shards)


def _shard(pages: Sequence[FoundPage], removed: tuple[str, ...]) -> PlannedShard:
    content = "\0".join([*(f"{page.path}={page.revision}" for page in pages), *(f"{path}=gone" for path in removed)])
    id_ = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return PlannedShard(id_, tuple(page.path for page in pages), removed)
