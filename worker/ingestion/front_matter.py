"""Reads the YAML block at a page's top: flat values only, bounded, and never a reason not to index the page."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

import yaml

Scalar = str | int | float | bool
Value = Scalar | tuple[Scalar, ...]

#: Larger blocks are data, not front matter; parsing time grows with them.
MAX_BYTES: Final = 16 * 1024
MAX_KEYS: Final = 200
#: Collections within each other. Only flat values are kept, so that deeper ones are read for nothing.
MAX_DEPTH: Final = 8
#: Integers that every store and JSON reader can hold.
MAX_INTEGER: Final = 2**53

_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BLOCK: Final = re.compile(r"---[ \t]*\n(.*?)(?<=\n)---[ \t]*(?:\n|\Z)", re.DOTALL)
_OPENING: Final = re.compile(r"---[ \t]*(?:\n|\Z)")


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """A page's front matter and the text below it."""

    body: str
    values: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))
    #: What is wrong with the block, in words for the page's author; its values are then lost, the body is not.
    fault: str | None = None

    def text(self, key: str) -> str | None:
        """A value as text; None if it is missing, empty or a list."""
        value = self.values.get(key)
        return None if value is None or isinstance(value, tuple) else str(value).strip() or None

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.values.get(key, default)
        return value if isinstance(value, bool) else str(value).lower() == "true"


def read_front_matter(text: str) -> FrontMatter:
    """Split a page into its front matter and its body. Without a closed block, all of it is body."""
    if not _OPENING.match(text):
        return FrontMatter(text)
    block = _BLOCK.match(text)
    if block is None:
        return FrontMatter(text, fault="the front matter is not closed; end it with a line of three dashes")
    body = text[block.end() :]
    try:
        return FrontMatter(body, _flat_values(block[1]))
    except (_Refused, yaml.YAMLError, ValueError, RecursionError) as error:
        return FrontMatter(body, fault=f"the front matter is ignored: {_first_line(error)}")


class _Refused(Exception):
    """Raised for YAML that is valid and has no place in front matter."""


def _flat_values(block: str) -> Mapping[str, Value]:
    if len(block.encode()) > MAX_BYTES:
        raise _Refused(f"it is larger than {MAX_BYTES // 1024} KiB")
    _refuse_hostile(block)
    loaded = yaml.load(block, Loader=_Loader)  # noqa: S506  a SafeLoader: builds plain values only
    if loaded is None:
        return MappingProxyType({})
    if not isinstance(loaded, dict):
        raise _Refused("it is not a list of `key: value` lines")
    if len(loaded) > MAX_KEYS:
        raise _Refused(f"it has more than {MAX_KEYS} keys")
    flat = {str(key): _flatten(value) for key, value in loaded.items()}
    return MappingProxyType({key: value for key, value in flat.items() if value is not None})


def _refuse_hostile(block: str) -> None:
    """Walks the parser's events, so that nothing is built of what a few bytes can blow up."""
    depth = 0
    for event in yaml.parse(block, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Refused("anchors and aliases (& and *) are not supported; quote the value if it is text")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _Refused(f"it is nested deeper than {MAX_DEPTH} levels")


def _flatten(value: object) -> Value | None:
    """A scalar or a list of scalars; None for anything that is neither."""
    if isinstance(value, list):
        scalars = (_scalar(item) for item in islice(value, MAX_KEYS))
        return tuple(scalar for scalar in scalars if scalar is not None)
    return _scalar(value)


def _scalar(value: object) -> Scalar | None:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= MAX_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return None


def _first_line(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem:
        # Line 1 of the file is the opening dashes.
        where = f" (line {error.problem_mark.line + 2})" if error.problem_mark else ""
        return f"{error.problem}{where}"
    return str(error).partition("\n")[0] or type(error).__name__
