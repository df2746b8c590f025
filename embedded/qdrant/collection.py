"""One collection: its shard of the engine, written by one thread at a time and read by many."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import qdrant_edge as edge

from embedded.qdrant.errors import BadRequest, NotFound
from embedded.qdrant.points import Change
from embedded.qdrant.queries import QueryTranslator
from embedded.qdrant.vectors import UNNAMED, VectorSchema


class Collection:
    """An open shard. Reads go straight to `shard`: the engine takes them from many threads, also during a write."""

    def __init__(self, folder: Path, schema: VectorSchema, shard: edge.EdgeShard) -> None:
        self.folder = folder
        self.schema = schema
        self.shard = shard
        self.queries = QueryTranslator(schema, self._stored_vector)
        self._writing = threading.Lock()
        self._unflushed = False
        self._operations = count()

    def apply(self, changes: Sequence[Change]) -> int:
        """Do the changes in order, with nothing in between; the number of the last operation.

        On return they are in the write-ahead log: `kill -9` does not lose them. Power loss may, until `flush`.
        """
        with self._writing:
            for change in changes:
                self._require(change.must_exist)
                self._unflushed = True
                self.shard.update(change.operation)
            return next(self._operations)

    def flush(self) -> None:
        """Bring everything that was applied to the disk; at once if there is nothing new."""
        with self._writing:
            if self._unflushed:
                self.shard.flush()
                self._unflushed = False

    def close(self, *, flush: bool = True) -> None:
        """Let go of the files. Requests that are still running get `Closing`."""
        with self._writing:
            if flush and self._unflushed:
                self.shard.flush()
            self.shard.close()
            self._unflushed = False

    def _require(self, ids: Sequence[int | uuid.UUID]) -> None:
        if not ids:
            return
        found = {record.id for record in self.shard.retrieve(list(ids), with_payload=False, with_vector=False)}
        for each in ids:
            if each not in found:
                raise NotFound(f"Not found: No point with id {each} found")

    def _stored_vector(self, key: int | uuid.UUID, using: str) -> edge.NamedVector:
        self.schema.require(using)
        wanted = True if using == UNNAMED else [using]
        records = self.shard.retrieve([key], with_payload=False, with_vector=wanted)
        if not records:
            raise NotFound(f"Not found: No point with id {key} found")
        held = records[0].vector
        vector = held.get(using) if isinstance(held, dict) else held
        if vector is None:
            raise BadRequest(f"Wrong input: the point {key} has no vector `{using}`")
        return vector
