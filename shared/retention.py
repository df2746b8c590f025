"""What stays of releases: drops what no kept one can see, and takes back what was written for one never published."""

from __future__ import annotations

from shared.models import Release
from shared.releases import Releases
from shared.vector_store import VectorStore


async def vacuum(store: VectorStore, releases: Releases, newest: Release, keep: int) -> None:
    """Forget releases beyond the number to keep, and delete what none of the kept ones can see."""
    known = [release for release in await releases.all() if release.number <= newest.number]
    kept = known[-keep:]
    old = known[: -len(kept)]
    # Before their records, which are what names them.
    for collection in {release.collection for release in old} - {release.collection for release in kept}:
        await store.drop_collection(collection)
    await releases.forget(old)
    await store.vacuum(newest.collection, min(release.number for release in kept))


async def undo_unpublished(store: VectorStore, releases: Releases) -> None:
    """Take back everything beyond the newest release, wherever it was written; also collections made for it."""
    known = await releases.all()
    number = max((release.number for release in known), default=0) + 1
    for collection in await store.collections():
        await store.undo(collection, number)
        if collection not in {release.collection for release in known} and await store.is_empty(collection):
            await store.drop_collection(collection)
