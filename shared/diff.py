"""What a page's new passages mean for the index: which to write, which to keep, which to end. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from shared.models import FOREVER, Chunk, Page, StoredChunk, StoredPage
from shared.points import chunk_id, digest_of, page_id, text_hash_of


@dataclass(frozen=True, slots=True)
class PageDiff:
    """The change of one page between the base release and the one being built."""

    path: str
    #: Chunks to write; they begin with the new release.
    new: tuple[StoredChunk, ...]
    #: Chunks that stay as they are.
    kept: tuple[str, ...]
    #: Chunks and page records that end with the base release.
    closed_chunks: tuple[str, ...]
    closed_page: str | None
    #: The page's new record, or None if it is gone.
    page: StoredPage | None


def diff_page(
    page: Page,
    chunks: Sequence[Chunk],
    old_page: StoredPage | None,
    old_chunks: Sequence[StoredChunk],
    release: int,
) -> PageDiff:
    """Compare a page's passages with those that a reader of the base release sees.

    Equal passages are matched one to one by digest, so that a passage which occurs twice is kept twice.
    """
    position = {id_: number for number, id_ in enumerate(old_page.chunk_ids)} if old_page else {}
    unmatched: defaultdict[str, list[str]] = defaultdict(list)
    for old in sorted(old_chunks, key=lambda chunk: position.get(chunk.id, -1), reverse=True):
        unmatched[old.digest].append(old.id)
    order: list[str] = []
    new: list[StoredChunk] = []
    seen: defaultdict[str, int] = defaultdict(int)
    for chunk in chunks:
        digest = digest_of(chunk)
        if unmatched[digest]:
            order.append(unmatched[digest].pop())
            continue
        id_ = chunk_id(page.path, digest, seen[digest], release)
        seen[digest] += 1
        order.append(id_)
        new.append(StoredChunk(id_, chunk, digest, text_hash_of(chunk), since=release, until=FOREVER))
    added = {chunk.id for chunk in new}
    closed = tuple(id_ for ids in unmatched.values() for id_ in ids)
    record = StoredPage(page_id(page.path, release), page, tuple(order), since=release, until=FOREVER)
    unchanged = old_page is not None and old_page.page == page and old_page.chunk_ids == record.chunk_ids
    return PageDiff(
        path=page.path,
        new=tuple(new),
        kept=tuple(id_ for id_ in order if id_ not in added),
        closed_chunks=closed,
        closed_page=old_page.id if old_page and not unchanged else None,
        page=None if unchanged else record,
    )


def remove_page(old_page: StoredPage, old_chunks: Sequence[StoredChunk]) -> PageDiff:
    """The change that ends a page."""
    return PageDiff(old_page.page.path, (), (), tuple(chunk.id for chunk in old_chunks), old_page.id, None)
