"""What stays of releases: drops what no kept one can see, and takes back what was written for one never published."""

from __future__ import annotations

from collections.abc import Sequence

from shared.models import Release
from shared.releases import Releases
from shared.vector_store import VectorStore


async def vacuum(store: VectorStore, releases: Releases, newest: Release, keep: int) -> None:
    """Forget releases beyond the number to keep, and delete what none of the kept ones can see.

    The live release stays, however old; so does the one that it took the place of, unless one alone is to be kept. Safe
    to repeat: one that was interrupted is finished by the next.
    """
    known = [release for release in await releases.all(leaving=True) if release.number <= newest.number]
    leaving = await _leaving(releases, known, keep)
    kept = [release for release in known if release not in leaving]
    # Before their records, which are what names them.
    for collection in {release.collection for release in leaving} - {release.collection for release in kept}:
        await store.drop_collection(collection)
    for collection in {release.collection for release in kept}:
        seen_by = [release.number for release in kept if release.collection == collection]
        # The next release may be built upon what a collection holds of the newest number, whosever that is.
        await store.vacuum(collection, sorted({*seen_by, newest.number}))
    await releases.forget(leaving)


async def _leaving(releases: Releases, known: Sequence[Release], keep: int) -> list[Release]:
    """The releases to drop: marked as such, and none of them live or about to be."""
    live = await releases.live()
    changes = await releases.changes(live.number) if live and keep > 1 else None
    staying = {*numbers_to_keep(known, live, keep), changes["base"] if changes else None}
    chosen = [release for release in known if release.number not in staying]
    fresh = [release for release in chosen if release.state != "leaving"]
    await releases.mark_leaving(fresh)
    # In this order: a pin that is gone by now was let go of after its release went live.
    pins, live = await releases.pins(), await releases.live()
    wanted = {*pins, *([live.number] if live else [])}
    rescued = [release for release in fresh if release.number in wanted]
    if rescued:
        marked = {release.number for release in await releases.all(leaving=True) if release.state == "leaving"}
        await releases.save([release for release in rescued if release.number in marked])
    return [release for release in chosen if release not in rescued]


def numbers_to_keep(known: Sequence[Release], live: Release | None, keep: int) -> set[int]:
    """The newest published ones, the live one, the head, and what the gate has held back since the oldest of them."""
    published = [release.number for release in known if release.state == "published"][-keep:]
    oldest = min(published, default=0)
    held = [release.number for release in known if release.state == "held" and release.number > oldest]
    head = [release.number for release in known][-1:]
    return {*published, *held[-keep:], *head, *([live.number] if live else [])}


async def undo_unpublished(store: VectorStore, releases: Releases) -> None:
    """Take back everything beyond the newest release, wherever it was written; also collections made for it."""
    known = await releases.all(leaving=True)
    number = max((release.number for release in known), default=0) + 1
    for collection in await store.collections():
        await store.undo(collection, number)
        if collection not in {release.collection for release in known} and await store.is_empty(collection):
            await store.drop_collection(collection)
