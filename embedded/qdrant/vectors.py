"""Vectors: what a collection holds, and REST values to the engine's and back.

Everything is checked here, before the engine sees it. The engine writes an operation to its log first and looks at
it after; one that it refuses is applied, in part, when the log is replayed at the next start.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import qdrant_edge as edge
from qdrant_client.http import models as rest

from embedded.qdrant import bm25
from embedded.qdrant.errors import BadRequest, NotOffered

#: The name of the one vector of a collection whose vectors have no names.
UNNAMED = ""
_LARGEST_FLOAT = 3.4028235e38  # of 32 bits


@dataclass(frozen=True, slots=True)
class DenseField:
    """A dense vector of `size` floats; a multivector holds one or more rows of them."""

    size: int
    multivector: bool


@dataclass(frozen=True, slots=True)
class VectorSchema:
    """The vectors that a collection's points may have, by name."""

    dense: Mapping[str, DenseField]
    sparse: frozenset[str]

    @classmethod
    def of(cls, config: rest.CreateCollection) -> VectorSchema:
        """Read it from the collection's configuration."""
        dense = {
            name: DenseField(params.size, params.multivector_config is not None)
            for name, params in dense_params(config).items()
        }
        return cls(dense, frozenset(config.sparse_vectors or {}))

    def require(self, name: str) -> None:
        """Raise `BadRequest` if no vector has this name."""
        if name not in self.dense and name not in self.sparse:
            raise BadRequest(f"Wrong input: Not existing vector name error: {name}")

    def stored(self, given: rest.VectorStruct) -> dict[str, edge.NamedVector]:
        """A point's vectors, by name. The schema may have more: a point need not have them all."""
        named = given if isinstance(given, dict) else {UNNAMED: given}
        return {name: self._vector(name, vector, as_query=False) for name, vector in named.items()}

    def queried(self, name: str, given: rest.Vector) -> edge.NamedVector:
        """The vector to search `name` with."""
        return self._vector(name, given, as_query=True)

    def _vector(self, name: str, given: rest.Vector, *, as_query: bool) -> edge.NamedVector:
        if name in self.sparse:
            return _sparse(name, given, as_query=as_query)
        self.require(name)
        return _dense(name, self.dense[name], given)


def dense_params(config: rest.CreateCollection) -> dict[str, rest.VectorParams]:
    """The dense vectors' parameters by name, also where the only vector has none."""
    if isinstance(config.vectors, rest.VectorParams):
        return {UNNAMED: config.vectors}
    return config.vectors or {}


def rest_vectors(given: edge.Vector | None) -> Any:
    """A point's vectors as JSON's plain values; None if they were not asked for."""
    if not isinstance(given, dict):
        return given
    return {
        name: {"indices": vector.indices, "values": vector.values} if isinstance(vector, edge.SparseVector) else vector
        for name, vector in given.items()
    }


def _sparse(name: str, given: rest.Vector, *, as_query: bool) -> edge.SparseVector:
    if isinstance(given, rest.Document):
        return bm25.embed(given, as_query=as_query)
    if not isinstance(given, rest.SparseVector):
        raise _wrong_kind(name, "a sparse vector", given)
    indices, values = given.indices, given.values
    if len(indices) != len(values):
        raise BadRequest(f"Wrong input: {len(indices)} indices and {len(values)} values in `{name}`")
    if len(set(indices)) != len(indices):
        raise BadRequest(f"Wrong input: indices of the sparse vector `{name}` are not unique")
    if indices and (min(indices) < 0 or max(indices) >= 2**32):
        raise BadRequest(f"Wrong input: an index of the sparse vector `{name}` is not an unsigned 32-bit integer")
    _require_finite(name, values)
    return edge.SparseVector(indices, values)


def _dense(name: str, field: DenseField, given: rest.Vector) -> edge.NamedVector:
    if not isinstance(given, list):
        raise _wrong_kind(name, "a dense vector", given)
    several = bool(given) and isinstance(given[0], list)
    if several and not field.multivector:
        raise _wrong_kind(name, "one dense vector", given)
    rows: list[Any] = given if several else [given]
    for row in rows:
        if len(row) != field.size:
            raise BadRequest(f"Wrong input: Vector dimension error: expected dim: {field.size}, got {len(row)}")
        _require_finite(name, row)
    return rows if field.multivector else rows[0]


def _wrong_kind(name: str, wanted: str, given: rest.Vector) -> BadRequest | NotOffered:
    if isinstance(given, rest.Document | rest.Image | rest.InferenceObject):
        return NotOffered(f"embedding by a model for the vector `{name}`")
    return BadRequest(f"Wrong input: `{name}` takes {wanted}")


def _require_finite(name: str, row: list[float]) -> None:
    # The engine stores NaN without a word, and then finds nothing. It keeps 32 bits, where 1e39 is infinite; a length
    # within them means that every number is, and it is infinite or NaN as soon as one of them is.
    if not math.hypot(*row) <= _LARGEST_FLOAT:
        raise BadRequest(f"Wrong input: `{name}` holds a number that is not finite in 32 bits")
