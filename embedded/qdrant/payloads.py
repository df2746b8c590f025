"""Payloads: what may be stored."""

from __future__ import annotations

from typing import Any

from embedded.qdrant.errors import BadRequest

#: Levels of nesting. The engine accepts 126 and more, and then cannot open its own index again.
_DEEPEST = 64


def require_shallow(payload: dict[str, Any] | None, key: str | None = None) -> None:
    """Raise `BadRequest` for a payload that is nested deeper than 64 levels, counted from the point's root.

    `key` is the path under which the payload is set, `a.b[0]`: each of its steps makes a level.
    """
    steps = 1 + key.count(".") + key.count("[") if key else 0
    if payload is not None and _deeper_than(payload, _DEEPEST - steps):
        raise BadRequest(f"Wrong input: a payload is nested deeper than {_DEEPEST} levels")


def _deeper_than(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        return levels < 1 or any(_deeper_than(each, levels - 1) for each in value.values())
    if isinstance(value, list):
        return levels < 1 or any(_deeper_than(each, levels - 1) for each in value)
    return False
