"""Writes: REST bodies to the engine's operations. Everything is checked before the first of them is applied."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import qdrant_edge as edge
from qdrant_client.http import models as rest

from embedded.qdrant.errors import BadRequest, NotOffered
from embedded.qdrant.filters import edge_filter, point_id
from embedded.qdrant.names import engine_enum
from embedded.qdrant.payloads import require_shallow
from embedded.qdrant.vectors import UNNAMED, VectorSchema

_Operation = edge.UpdateOperation


@dataclass(frozen=True, slots=True)
class Change:
    """One operation on a collection."""

    operation: edge.UpdateOperation
    #: Points that must be there; without one of them nothing of the operation is done.
    must_exist: tuple[int | uuid.UUID, ...] = ()
    #: It makes room, and so it is done on a full disk too.
    deletes: bool = False


def upsert(schema: VectorSchema, given: rest.PointInsertOperations) -> Change:
    """Write whole points, in either of the two forms: a list of points, or a batch of columns."""
    require_unsharded(given)
    points = given.points if isinstance(given, rest.PointsList) else list(_rows(given.batch))
    for point in points:
        require_shallow(point.payload)
    return Change(
        _Operation.upsert_points(
            [edge.Point(point_id(each.id), schema.stored(each.vector), each.payload) for each in points],
            condition=edge_filter(given.update_filter),
            update_mode=engine_enum(edge.UpdateMode, given.update_mode) if given.update_mode else None,
        )
    )


def delete(given: rest.PointsSelector) -> Change:
    """Delete points by their ids, where a missing one is no fault, or by a filter."""
    require_unsharded(given)
    if isinstance(given, rest.PointIdsList):
        ids: list[edge.PointId] = [point_id(each) for each in given.points]
        return Change(_Operation.delete_points(ids), deletes=True)
    return Change(_Operation.delete_points_by_filter(_filter(given)), deletes=True)


def set_payload(given: rest.SetPayload) -> Change:
    """Set the payload's keys, and leave others as they are."""
    require_shallow(given.payload, given.key)
    if (ids := _ids(given)) is not None:
        return Change(_Operation.set_payload(list(ids), given.payload, given.key), ids)
    return Change(_Operation.set_payload_by_filter(_filter(given), given.payload, given.key))


def overwrite_payload(given: rest.SetPayload) -> Change:
    """Put the payload in place of the old one."""
    require_shallow(given.payload, given.key)
    if (ids := _ids(given)) is not None:
        return Change(_Operation.overwrite_payload(list(ids), given.payload, given.key), ids)
    return Change(_Operation.overwrite_payload_by_filter(_filter(given), given.payload, given.key))


def delete_payload(given: rest.DeletePayload) -> Change:
    """Delete keys of the payload."""
    if (ids := _ids(given)) is not None:
        return Change(_Operation.delete_payload(list(ids), given.keys), ids)
    return Change(_Operation.delete_payload_by_filter(_filter(given), given.keys))


def clear_payload(given: rest.PointsSelector) -> Change:
    """Delete the whole payload."""
    if (ids := _ids(given)) is not None:
        return Change(_Operation.clear_payload(list(ids)), ids)
    return Change(_Operation.clear_payload_by_filter(_filter(given)))


def update_vectors(schema: VectorSchema, given: rest.UpdateVectors) -> Change:
    """Write the vectors that are named, and leave others as they are."""
    require_unsharded(given)
    points = [edge.PointVectors(point_id(each.id), schema.stored(each.vector)) for each in given.points]
    ids = tuple(point_id(each.id) for each in given.points)
    return Change(_Operation.update_vectors(points, condition=edge_filter(given.update_filter)), ids)


def delete_vectors(schema: VectorSchema, given: rest.DeleteVectors) -> Change:
    """Delete the vectors that are named."""
    for name in given.vector:
        schema.require(name)
    if (ids := _ids(given)) is not None:
        return Change(_Operation.delete_vectors(list(ids), given.vector), ids)
    return Change(_Operation.delete_vectors_by_filter(_filter(given), given.vector))


def batch(schema: VectorSchema, given: Sequence[rest.UpdateOperation]) -> list[Change]:
    """Operations of any kind, to be applied in this order."""
    return [_change(schema, each) for each in given]


def require_unsharded(given: Any) -> None:
    """Raise `NotOffered` for a request that names a shard key."""
    if given.shard_key is not None:
        raise NotOffered("shard keys")


def _change(schema: VectorSchema, given: rest.UpdateOperation) -> Change:  # noqa: PLR0911 - one line a kind
    match given:
        case rest.UpsertOperation(upsert=body):
            return upsert(schema, body)
        case rest.DeleteOperation(delete=body):
            return delete(body)
        case rest.SetPayloadOperation(set_payload=body):
            return set_payload(body)
        case rest.OverwritePayloadOperation(overwrite_payload=body):
            return overwrite_payload(body)
        case rest.DeletePayloadOperation(delete_payload=body):
            return delete_payload(body)
        case rest.ClearPayloadOperation(clear_payload=body):
            return clear_payload(body)
        case rest.UpdateVectorsOperation(update_vectors=body):
            return update_vectors(schema, body)
        case rest.DeleteVectorsOperation(delete_vectors=body):
            return delete_vectors(schema, body)


def _rows(given: rest.Batch) -> Iterator[rest.PointStruct]:
    """The points of a batch, whose ids, vectors and payloads stand in columns of one length."""
    payloads: Sequence[rest.Payload | None] = given.payloads or [None] * len(given.ids)
    vectors: Any = given.vectors
    columns = vectors if isinstance(vectors, dict) else {UNNAMED: vectors}
    if any(len(column) != len(given.ids) for column in (payloads, *columns.values())):
        raise BadRequest(f"Wrong input: {len(given.ids)} ids in a batch, and not as many vectors or payloads")
    for row, (id_, payload) in enumerate(zip(given.ids, payloads, strict=True)):
        vector = {name: column[row] for name, column in columns.items()}
        yield rest.PointStruct.model_construct(id=id_, vector=vector, payload=payload)


def _ids(given: Any) -> tuple[int | uuid.UUID, ...] | None:
    """The points that a request names; None where it goes by a filter."""
    require_unsharded(given)
    points = getattr(given, "points", None)
    return None if points is None else tuple(point_id(each) for each in points)


def _filter(given: Any) -> edge.Filter:
    if (chosen := edge_filter(given.filter)) is None:
        raise BadRequest("Wrong input: neither points nor a filter given")
    return chosen
