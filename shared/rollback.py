"""Makes a release that is there the live one: backwards, forwards, or past the gate. One write, at once for all."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import ReleaseGone
from shared.models import Release
from shared.releases import Releases
from shared.vector_store import VectorStore


@dataclass(frozen=True, slots=True)
class Activated:
    """What visitors are answered from now, and what they were answered from before."""

    release: Release
    before: Release | None

    @property
    def is_change(self) -> bool:
        return self.before is None or self.before.number != self.release.number


async def activate(store: VectorStore, releases: Releases, number: int) -> Activated:
    """Make a release live. Safe to repeat; of two at once the later one counts.

    Raises NotFound for an unknown release, and ReleaseGone for one that is being dropped or whose passages are gone.
    """
    await releases.get(number)
    async with releases.pinned(number):
        # Looked at again under the pin: from here on nobody begins to drop it.
        release = await releases.get(number)
        if release.collection not in await store.collections():
            raise ReleaseGone(
                f"release {number} cannot be made live: its collection {release.collection} is not in Qdrant any more; "
                "ingest the docs again with the embedding model that it was made with"
            )
        before = await releases.live()
        if before is None or before.number != number:
            release = await releases.publish(release)
    await store.point_alias(release.collection)
    return Activated(release, before)
