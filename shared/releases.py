"""Records in Qdrant: releases, the pointer to the live one, and jobs. Redis may be flushed; this is the durable truth.

They live in a collection of their own without dense vectors. Publishing is one upsert of two points, the release's
record and the live pointer, so everything a reader sees flips at once.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any, Final, Literal
from uuid import uuid4, uuid5

from qdrant_client import AsyncQdrantClient
from qdrant_client import models as q
from qdrant_client.http.exceptions import UnexpectedResponse

from shared.errors import NotFound, ReleaseGone
from shared.models import SERVERS_CHOICE, Placement, Release
from shared.points import NAMESPACE
from shared.qdrant_errors import qdrant_errors
from shared.qdrant_reads import QdrantReads
from shared.schema import Schema, records_name

#: `changes`: what a release's pages differ in from those of the one before. `pin`: a release that is being made live.
#: `turn`: which job waits for a content path. `wish`: what the owner wants of a job that runs.
Kind = Literal["job", "release", "live", "changes", "pin", "turn", "wish"]
#: Records a request reads.
READ_BATCH: Final = 500
#: Making a release live takes a few requests. A pin that is older was left by a process that died.
PIN_SECONDS: Final = 120
#: A collection wants at least one vector name; no record ever has a vector.
NO_VECTOR: Final = "none"


class Records:
    """Small JSON records by kind and key."""

    def __init__(
        self,
        client: AsyncQdrantClient,
        reads: QdrantReads,
        alias: str,
        schema: Schema,
        placement: Placement = SERVERS_CHOICE,
    ) -> None:
        self._client = client
        self._reads = reads
        self._placement = placement
        self.collection = records_name(alias)
        self._schema = schema
        self._ready = False

    async def put(self, *records: tuple[Kind, str, Mapping[str, Any]], strong: bool = False) -> None:
        """Write records in one request: all of them or none.

        strong: only after everything written before is on disk, so that no power cut can keep this and lose that.
        """
        ordering = q.WriteOrdering.STRONG if strong else None
        await self._ensure()
        points = [
            q.PointStruct(id=_id(kind, key), vector={}, payload={**payload, "record": kind, "key": key})
            for kind, key, payload in records
        ]
        with qdrant_errors():
            await self._client.upsert(self.collection, points=points, wait=True, ordering=ordering)

    async def insert(self, kind: Kind, key: str, payload: Mapping[str, Any]) -> None:
        """Write a record unless there is one: of many that try at once, one succeeds. Who, `get` tells."""
        await self._put_if(kind, key, payload, update_mode=q.UpdateMode.INSERT_ONLY)

    async def replace(self, kind: Kind, key: str, payload: Mapping[str, Any], **among: Sequence[str]) -> None:
        """Write a record anew if its fields are among these values just then; if not, or without one, do nothing."""
        condition = q.Filter(must=[q.FieldCondition(key=n, match=q.MatchAny(any=list(v))) for n, v in among.items()])
        await self._put_if(kind, key, payload, update_mode=q.UpdateMode.UPDATE_ONLY, update_filter=condition)

    async def _put_if(self, kind: Kind, key: str, payload: Mapping[str, Any], **condition: Any) -> None:
        await self._ensure()
        point = q.PointStruct(id=_id(kind, key), vector={}, payload={**payload, "record": kind, "key": key})
        strong = q.WriteOrdering.STRONG
        with qdrant_errors():
            await self._client.upsert(self.collection, points=[point], wait=True, ordering=strong, **condition)

    async def get(self, kind: Kind, key: str) -> dict[str, Any] | None:
        if not self._schema.is_known:
            async with self._reads.turn():
                await self._schema.check()
        try:
            found = await self._reads.ask(self.collection, "points", {"ids": [_id(kind, key)], "with_payload": True})
        except UnexpectedResponse as error:
            if error.status_code == 404:  # nothing was ever written
                return None
            raise
        return dict(found[0]["payload"] or {}) if found else None

    async def all(self, kind: Kind, payload: bool | list[str] = True, **among: Sequence[str]) -> list[dict[str, Any]]:
        """Every record of a kind whose fields are among these values; with `payload`, only these fields of it."""
        await self._ensure()
        values = {"record": [kind], **among}
        condition = q.Filter(
            must=[q.FieldCondition(key=key, match=q.MatchAny(any=list(any_))) for key, any_ in values.items()]
        )
        found: list[dict[str, Any]] = []
        offset: Any = None
        while True:
            with qdrant_errors():
                records, offset = await self._client.scroll(
                    self.collection, scroll_filter=condition, limit=READ_BATCH, offset=offset, with_payload=payload
                )
            found += [dict(record.payload or {}) for record in records]
            if offset is None:
                return found

    async def delete(self, kind: Kind, keys: Sequence[str]) -> None:
        ids: list[Any] = [_id(kind, key) for key in keys]
        with qdrant_errors():
            await self._client.delete(self.collection, points_selector=q.PointIdsList(points=ids), wait=True)

    async def delete_if(self, kind: Kind, key: str, **is_: str) -> None:
        """Delete a record if its fields have these values just then."""
        await self._ensure()
        has_id = q.HasIdCondition(has_id=[_id(kind, key)])
        condition = [q.FieldCondition(key=name, match=q.MatchValue(value=value)) for name, value in is_.items()]
        selector = q.FilterSelector(filter=q.Filter(must=[has_id, *condition]))
        with qdrant_errors():
            await self._client.delete(self.collection, points_selector=selector, wait=True)

    async def _ensure(self) -> None:
        """Make the collection unless it is there, and bring what is there up to this version's schema."""
        if self._ready:
            return
        with qdrant_errors():
            if not await self._client.collection_exists(self.collection):
                await self._create()
            await self._schema.migrate()
            if "record" not in (await self._client.get_collection(self.collection)).payload_schema:
                await self._client.create_payload_index(self.collection, "record", q.PayloadSchemaType.KEYWORD)
        self._ready = True

    async def _create(self) -> None:
        """Empty and unmarked: the migrations add the rest."""
        try:
            await self._client.create_collection(
                self.collection,
                vectors_config={},
                sparse_vectors_config={NO_VECTOR: q.SparseVectorParams()},
                shard_number=1,  # there are too few records to share out
                replication_factor=self._placement.replicas,
                write_consistency_factor=self._placement.write_consistency,
            )
        except UnexpectedResponse as error:
            if error.status_code != 409:  # another process was first
                raise


class Releases:
    """Which release is live, which there are, and what each has changed."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def live(self) -> Release | None:
        """What visitors are answered from; None before the first ingest."""
        pointer = await self._records.get("live", "live")
        return None if pointer is None else _release(pointer)

    async def head(self) -> Release | None:
        """The newest release, live or not: what the next one is built upon."""
        return max(await self.all(), key=lambda release: release.number, default=None)

    async def all(self, *, leaving: bool = False) -> list[Release]:
        """Every kept release, oldest first; with `leaving`, those too that are just being dropped."""
        found = map(_release, await self._records.all("release"))
        return sorted((r for r in found if leaving or r.state != "leaving"), key=lambda release: release.number)

    async def get(self, number: int) -> Release:
        """One release. Raises NotFound, with the numbers that there are, and ReleaseGone for one that is leaving."""
        record = await self._records.get("release", str(number))
        if record is None:
            kept = ", ".join(str(release.number) for release in await self.all())
            raise NotFound(f"there is no release {number}; " + (f"kept: {kept}" if kept else "nothing is indexed yet"))
        release = _release(record)
        if release.state == "leaving":
            raise ReleaseGone(f"release {number} is being dropped, because newer ones have taken its place")
        return release

    async def publish(self, release: Release, changes: Mapping[str, Any] | None = None) -> Release:
        """Make a finished release the live one, in one write. Returns it as it is now recorded.

        changes: what it has changed, ready for JSON; None leaves what is recorded as it is.
        """
        release = replace(release, state="published")
        payload = asdict(release)
        key = str(release.number)
        recorded: list[tuple[Kind, str, Mapping[str, Any]]] = [] if changes is None else [("changes", key, changes)]
        await self._records.put(("release", key, payload), ("live", "live", payload), *recorded, strong=True)
        return release

    async def hold(self, release: Release, changes: Mapping[str, Any]) -> Release:
        """Record a finished release without making it live. Returns it as it is now recorded."""
        release = replace(release, state="held")
        key = str(release.number)
        await self._records.put(("release", key, asdict(release)), ("changes", key, changes), strong=True)
        return release

    async def save_changes(self, number: int, changes: Mapping[str, Any]) -> None:
        """Replace what is recorded of a release's changes."""
        await self._records.put(("changes", str(number), changes))

    async def changes(self, number: int) -> Mapping[str, Any] | None:
        """What a release has changed; None where that was not recorded, as by older versions."""
        return await self._records.get("changes", str(number))

    async def change_totals(self) -> dict[int, Mapping[str, int]]:
        """How many pages each release has changed, without their names, by its number."""
        records = await self._records.all("changes", payload=["key", "totals"])
        return {int(record["key"]): record["totals"] for record in records}

    # Dropping: `mark_leaving` and `pinned` are the two flags by which a release is never dropped while it is made live.
    # Each side raises its own and only then looks at the other's, so at least one of them sees the other and stops.

    @asynccontextmanager
    async def pinned(self, number: int) -> AsyncIterator[None]:
        """Nobody drops this release meanwhile, unless that has begun already: look at its state inside."""
        key = f"{number} {uuid4().hex}"
        await self._records.put(("pin", key, {"number": number, "at": time.time()}))
        try:
            yield
        finally:
            await self._records.delete("pin", [key])

    async def pins(self) -> set[int]:
        """The releases that are being made live at this moment."""
        found = await self._records.all("pin")
        stale = [pin["key"] for pin in found if time.time() - pin["at"] > PIN_SECONDS]
        if stale:
            await self._records.delete("pin", stale)
        return {pin["number"] for pin in found if pin["key"] not in stale}

    async def mark_leaving(self, releases: Sequence[Release]) -> None:
        await self.save([replace(release, state="leaving") for release in releases])

    async def save(self, releases: Sequence[Release]) -> None:
        """Write the records of releases as they are given, all in one request."""
        if releases:
            await self._records.put(*(("release", str(release.number), asdict(release)) for release in releases))

    async def forget(self, releases: Sequence[Release]) -> None:
        """Drop the records of releases whose chunks are vacuumed."""
        keys = [str(release.number) for release in releases]
        if keys:
            await self._records.delete("changes", keys)
            await self._records.delete("release", keys)


def _id(kind: Kind, key: str) -> str:
    return str(uuid5(NAMESPACE, f"{kind}\0{key}"))


def _release(payload: Mapping[str, Any]) -> Release:
    return Release(
        number=payload["number"], collection=payload["collection"], documents=payload["documents"],
        chunks=payload["chunks"], job_id=payload["job_id"], created_at=payload["created_at"],
        state=payload.get("state", "published"),
    )  # fmt: skip
