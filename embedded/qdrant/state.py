"""What the server knows beside the engine's files: collections, aliases, metadata. One file, replaced as a whole."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from qdrant_client.http import models as rest

from embedded.qdrant.errors import CannotStart

_FILE = "state.json"


class StoredCollection(BaseModel):
    """A collection as it was asked for."""

    model_config = ConfigDict(frozen=True)

    #: Name of its folder under `collections/`; another one each time that a collection of this name is made.
    folder: str
    created_at: datetime
    config: rest.CreateCollection
    #: Payload indexes by field.
    indexes: dict[str, rest.PayloadFieldSchema] = {}


class State(BaseModel):
    """All collections and aliases. Never changed: `model_copy`, then `write_state`."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    collections: dict[str, StoredCollection] = {}
    #: Collections by alias.
    aliases: dict[str, str] = {}


def read_state(folder: Path) -> State | None:
    """The state in `folder`; None if there is none yet. Raises `CannotStart` if it cannot be understood."""
    path = folder / _FILE
    try:
        return State.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise CannotStart(f"{path} cannot be read: {first}") from error


def write_state(folder: Path, state: State) -> None:
    """Replace the state in `folder`: after a crash or a power cut it holds the old one or the new one, whole."""
    path, new = folder / _FILE, folder / f"{_FILE}.new"
    with new.open("wb") as file:
        file.write(state.model_dump_json(exclude_none=True, by_alias=True, indent=1).encode())
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
