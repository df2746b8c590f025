"""The data folder: taking it for this process, and opening what it holds.

DATA/lock           held while a process has the folder open
DATA/state.json     what there is; see `embedded.qdrant.state`
DATA/collections/   one folder a collection, with the engine's files
"""

from __future__ import annotations

import fcntl
import logging
import re
import shutil
import uuid
from io import TextIOWrapper
from pathlib import Path

import qdrant_edge as edge

from embedded.qdrant.collection import Collection
from embedded.qdrant.errors import CannotStart, is_engine_error
from embedded.qdrant.state import State, StoredCollection, read_state, write_state
from embedded.qdrant.vectors import VectorSchema

log = logging.getLogger(__name__)


def take(data: Path) -> TextIOWrapper:
    """Make the folder if need be and lock it; the lock holds until the returned file is closed."""
    try:
        (data / "collections").mkdir(parents=True, exist_ok=True)
        lock = (data / "lock").open("w")
    except OSError as error:
        raise CannotStart(f"cannot write to the data folder {data}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise CannotStart(f"the data folder {data} is in use by another process") from error
    except OSError as error:
        lock.close()
        raise CannotStart(f"cannot lock the data folder {data}: {error.strerror}") from error
    return lock


def recover(data: Path) -> State:
    """The folder's state, and nothing beside it: a folder that no collection owns is what a crash left behind."""
    state = read_state(data)
    folders = [each for each in (data / "collections").iterdir() if each.is_dir()]
    if state is None:
        if folders:
            raise CannotStart(f"{data / 'state.json'} is missing, and {data / 'collections'} is not empty")
        state = State()
        try:
            write_state(data, state)
        except OSError as error:
            raise CannotStart(f"cannot write to the data folder {data}: {error.strerror}") from error
    owned = {stored.folder for stored in state.collections.values()}
    for folder in folders:
        if folder.name not in owned:
            shutil.rmtree(folder, ignore_errors=True)
    return state


def open_collections(data: Path, state: State) -> tuple[dict[str, Collection], dict[str, str]]:
    """Open every shard: the collections, and the reasons of those that do not open, by name."""
    opened: dict[str, Collection] = {}
    broken: dict[str, str] = {}
    for name, stored in state.collections.items():
        folder = data / "collections" / stored.folder
        try:
            opened[name] = Collection(folder, VectorSchema.of(stored.config), edge.EdgeShard.load(str(folder)))
        except BaseException as error:
            if not is_engine_error(error):
                raise
            if "WouldBlock" in str(error):
                raise CannotStart(f"the data folder {data} is in use by another process") from error
            broken[name] = f"the folder {folder} does not open: {error}"
            log.warning("collection `%s` is not served: %s", name, broken[name])
    return opened, broken


def make_collection(data: Path, stored: StoredCollection, config: edge.EdgeConfig) -> Collection:
    """A new, empty shard in the folder that `stored` names."""
    folder = data / "collections" / stored.folder
    return Collection(folder, VectorSchema.of(stored.config), edge.EdgeShard.create(str(folder), config))


def new_name(collection: str) -> str:
    """A folder's name that was never used, in which a person still recognises the collection."""
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', collection)[:80]}-{uuid.uuid4().hex[:12]}"
