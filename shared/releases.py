"""Records in Qdrant: releases, the pointer to the live one, and jobs. Redis may be flushed; this is the durable truth.

They live in a collection of their own without dense vectors. Publishing is one upsert of two points, the release's
record and the live pointer, so everything a reader sees flips at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, Literal
from uuid import uuid5

from qdrant_client import AsyncQdrantClient
from qdrant_client import models as q
from qdrant_client.http.exceptions import UnexpectedResponse

from shared.errors import NotFound
from shared.models import SERVERS_CHOICE, Placement, Release
from shared.points import NAMESPACE
from shared.qdrant_errors import qdrant_errors, waiting_visitor
from shared.schema import Schema, records_name

Kind = Literal["job", "release", "live"]
#: Records a request reads.
READ_BATCH: Final = 500
#: A collection wants at least one vector name; no record ever has a vector.
NO_VECTOR: Final = "none"


class Records:
    """Small JSON records by kind and key."""

    def __init__(
        self, client: AsyncQdrantClient, alias: str, schema: Schema, placement: Placement = SERVERS_CHOICE
    ) -> None:
        self._client = client
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

    async def get(self, kind: Kind, key: str) -> dict[str, Any] | None:
        async with waiting_visitor():
            await self._schema.check()
            try:
                found = await self._client.retrieve(self.collection, ids=[_id(kind, key)], with_payload=True)
            except UnexpectedResponse as error:
                if error.status_code == 404:  # nothing was ever written
                    return None
                raise
        return dict(found[0].payload or {}) if found else None

    async def all(self, kind: Kind, **among: Sequence[str]) -> list[dict[str, Any]]:
        """Every record of a kind whose fields are among these values."""
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
                    self.collection, scroll_filter=condition, limit=READ_BATCH, offset=offset, with_payload=True
                )
            found += [dict(record.payload or {}) for record in records]
            if offset is None:
                return found

    async def delete(self, kind: Kind, keys: Sequence[str]) -> None:
        ids: list[Any] = [_id(kind, key) for key in keys]
        with qdrant_errors():
            await self._client.delete(self.collection, points_selector=q.PointIdsList(points=ids), wait=True)

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
    """Which release is live, and which there are."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def live(self) -> Release | None:
        """What visitors are answered from; None before the first ingest."""
        pointer = await self._records.get("live", "live")
        return None if pointer is None else _release(pointer)

    async def head(self) -> Release | None:
        """The newest release, live or not: what the next one is built upon."""
        return max(await self.all(), key=lambda release: release.number, default=None)

    async def all(self) -> list[Release]:
        """Every kept release, oldest first."""
        return sorted((_release(r) for r in await self._records.all("release")), key=lambda r: r.number)

    async def get(self, number: int) -> Release:
        record = await self._records.get("release", str(number))
        if record is None:
            raise NotFound(f"there is no release {number}")
        return _release(record)

    async def publish(self, release: Release) -> None:
        """Make a finished release the live one, in one write."""
        payload = asdict(release)
        await self._records.put(("release", str(release.number), payload), ("live", "live", payload), strong=True)

    async def forget(self, releases: Sequence[Release]) -> None:
        """Drop the records of releases whose chunks are vacuumed."""
        if releases:
            await self._records.delete("release", [str(release.number) for release in releases])


def _id(kind: Kind, key: str) -> str:
    return str(uuid5(NAMESPACE, f"{kind}\0{key}"))


def _release(payload: Mapping[str, Any]) -> Release:
    return Release(
        number=payload["number"], collection=payload["collection"], documents=payload["documents"],
        chunks=payload["chunks"], job_id=payload["job_id"], created_at=payload["created_at"],
    )  # fmt: skip
