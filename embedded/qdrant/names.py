"""Translates the REST API's enum values to the engine's: `max_sim` is `MaxSim` there."""

from __future__ import annotations

from enum import Enum
from typing import Any

from embedded.qdrant.errors import NotOffered


def engine_enum(kind: type[Any], value: Enum) -> Any:
    """The member of the engine's enum `kind` for a REST value; `NotOffered` if the engine lacks it."""
    text = str(value.value)
    name = "".join(part[:1].upper() + part[1:] for part in text.split("_"))
    try:
        return getattr(kind, name)
    except AttributeError:
        raise NotOffered(f"{kind.__name__} `{text}`") from None
