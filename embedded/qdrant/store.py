"""The collections and aliases of one data folder, as long as a process has it open."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import qdrant_edge as edge
from qdrant_client.http import models as rest

from embedded.qdrant import folder
from embedded.qdrant.aliases import changed_aliases
from embedded.qdrant.collection import Collection
from embedded.qdrant.disk import DiskGuard
from embedded.qdrant.errors import AlreadyExists, CannotStart, EngineFailed, NotFound, is_engine_error
from embedded.qdrant.flusher import Flusher
from embedded.qdrant.payload_indexes import edge_schema
from embedded.qdrant.points import Change
from embedded.qdrant.schema import collection_info, edge_config, require_name, require_offered, updated
from embedded.qdrant.state import State, StoredCollection, write_state

log = logging.getLogger(__name__)


class Store:
    """Opened with `Store(data, least_free)`, which may raise `CannotStart`; `close` it to leave nothing unflushed.

    Readers take no lock: the state and the open collections are replaced as a whole, never changed.
    """

    def __init__(self, data: Path, least_free: int) -> None:
        self._data = data
        self._lock = folder.take(data)
        try:
            self._state = folder.recover(data)
            self._open, self._broken = folder.open_collections(data, self._state)
        except CannotStart:
            self._lock.close()
            raise
        self._disk = DiskGuard(data, least_free)
        self._changing = threading.Lock()
        self._flusher = Flusher(self._collections)
        self._flusher.start()

    @property
    def state(self) -> State:
        """What there is at this moment."""
        return self._state

    def resolve(self, name: str) -> str:
        """The collection that a name or an alias stands for; `NotFound` if it stands for none."""
        real = self._state.aliases.get(name, name)
        if real not in self._state.collections:
            raise NotFound(f"Not found: Collection `{name}` doesn't exist!")
        return real

    def collection(self, name: str) -> Collection:
        """The open collection of this name or alias; `EngineFailed` if its files do not open."""
        real = self.resolve(name)
        if (found := self._open.get(real)) is not None:
            return found
        if real in self._broken:
            raise EngineFailed(f"Service internal error: collection `{real}`: {self._broken[real]}")
        raise NotFound(f"Not found: Collection `{name}` doesn't exist!")

    def info(self, name: str) -> rest.CollectionInfo:
        """Everything about a collection."""
        shard = self.collection(name).shard.info()
        return collection_info(self._state.collections[self.resolve(name)], shard)

    def create(self, name: str, config: rest.CreateCollection) -> None:
        """Make an empty collection; `AlreadyExists` if a collection or an alias has the name."""
        require_name(name)
        require_offered(config)
        self._disk.require_room()
        with self._changing:
            if name in self._state.collections or name in self._state.aliases:
                raise AlreadyExists(f"Wrong input: Collection `{name}` already exists!")
            stored = StoredCollection(folder=folder.new_name(name), created_at=datetime.now(UTC), config=config)
            made = folder.make_collection(self._data, stored, edge_config(config))
            try:
                self._save(collections={**self._state.collections, name: stored})
            except EngineFailed:
                self._discard(made)
                raise
            self._open = {**self._open, name: made}

    def delete(self, name: str) -> bool:
        """Delete a collection with its aliases and files; False if there is none of this name."""
        with self._changing:
            if (stored := self._state.collections.get(name)) is None:
                return False
            self._save(
                collections={key: value for key, value in self._state.collections.items() if key != name},
                aliases={alias: real for alias, real in self._state.aliases.items() if real != name},
            )
            self._broken.pop(name, None)
            gone = self._open.get(name)
            self._open = {key: value for key, value in self._open.items() if key != name}
            if gone is not None:
                self._discard(gone)
            else:
                shutil.rmtree(self._data / "collections" / stored.folder, ignore_errors=True)
            return True

    def update(self, name: str, patch: rest.UpdateCollection) -> None:
        """Change a collection's metadata and hints."""
        with self._changing:
            real = self.resolve(name)
            stored = self._state.collections[real]
            self._store(real, stored.model_copy(update={"config": updated(stored.config, patch)}))

    def change_aliases(self, actions: Sequence[rest.AliasOperations]) -> None:
        """Do all the actions in one step: a reader sees none of them or all."""
        with self._changing:
            self._save(aliases=changed_aliases(self._state, actions))

    def write(self, name: str, changes: Sequence[Change], *, strong: bool = False) -> int:
        """Apply changes in order; the number of the operation. `strong`: see `embedded.qdrant.flusher`."""
        collection = self.collection(name)
        if not all(change.deletes for change in changes):
            self._disk.require_room()
        if strong:
            self._flush_all()
        number = collection.apply(changes)
        if strong:
            collection.flush()
        return number

    def create_index(self, name: str, field: str, schema: rest.PayloadFieldSchema) -> int:
        """Index a field of the payload."""
        build = Change(edge.UpdateOperation.create_field_index(field, edge_schema(schema)))
        with self._changing:
            number = self.write(name, [build])
            real = self.resolve(name)
            stored = self._state.collections[real]
            self._store(real, stored.model_copy(update={"indexes": {**stored.indexes, field: schema}}))
            return number

    def delete_index(self, name: str, field: str) -> int:
        """Delete the index of a field; if there is none, nothing is to be done."""
        with self._changing:
            drop = Change(edge.UpdateOperation.delete_field_index(field), deletes=True)
            number = self.write(name, [drop])
            real = self.resolve(name)
            stored = self._state.collections[real]
            indexes = {key: value for key, value in stored.indexes.items() if key != field}
            self._store(real, stored.model_copy(update={"indexes": indexes}))
            return number

    def close(self) -> None:
        """Flush and close everything, and let another process have the folder."""
        self._flusher.stop()
        for collection in self._collections():
            try:
                collection.close()
            except BaseException as error:
                if not is_engine_error(error):
                    raise
                # Nothing is lost that was acknowledged: the next start replays the log.
                log.warning("cannot close %s: %s", collection.folder, error)
        self._lock.close()

    def _collections(self) -> Iterable[Collection]:
        return self._open.values()

    def _flush_all(self) -> None:
        for collection in self._collections():
            collection.flush()

    def _discard(self, collection: Collection) -> None:
        collection.close(flush=False)
        shutil.rmtree(collection.folder, ignore_errors=True)

    def _store(self, name: str, stored: StoredCollection) -> None:
        self._save(collections={**self._state.collections, name: stored})

    def _save(self, **changed: object) -> None:
        """Write the state first, and believe it after."""
        state = self._state.model_copy(update=changed)
        try:
            write_state(self._data, state)
        except OSError as error:
            raise EngineFailed(f"Service internal error: cannot write {self._data}: {error.strerror}") from error
        self._state = state
