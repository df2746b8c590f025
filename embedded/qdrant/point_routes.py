"""Routes of points: writes, reads, queries."""

from __future__ import annotations

from collections.abc import Sequence

import qdrant_edge as edge
from pydantic import TypeAdapter
from qdrant_client.http import models as rest
from starlette.routing import Route

from embedded.qdrant import points, queries
from embedded.qdrant.answers import Call, endpoint
from embedded.qdrant.errors import NotFound
from embedded.qdrant.filters import point_id

_UPSERT: TypeAdapter[rest.PointInsertOperations] = TypeAdapter(rest.PointInsertOperations)
_SELECTOR: TypeAdapter[rest.PointsSelector] = TypeAdapter(rest.PointsSelector)
_SET_PAYLOAD = TypeAdapter(rest.SetPayload)
_DELETE_PAYLOAD = TypeAdapter(rest.DeletePayload)
_UPDATE_VECTORS = TypeAdapter(rest.UpdateVectors)
_DELETE_VECTORS = TypeAdapter(rest.DeleteVectors)
_BATCH = TypeAdapter(rest.UpdateOperations)
_RETRIEVE = TypeAdapter(rest.PointRequest)
_SCROLL = TypeAdapter(rest.ScrollRequest)
_COUNT = TypeAdapter(rest.CountRequest)
_FACET = TypeAdapter(rest.FacetRequest)
_QUERY = TypeAdapter(rest.QueryRequest)
_QUERIES = TypeAdapter(rest.QueryRequestBatch)


def upsert(call: Call) -> object:
    return call.write([points.upsert(call.collection.schema, call.parse(_UPSERT))])


def delete(call: Call) -> object:
    return call.write([points.delete(call.parse(_SELECTOR))])


def set_payload(call: Call) -> object:
    return call.write([points.set_payload(call.parse(_SET_PAYLOAD))])


def overwrite_payload(call: Call) -> object:
    return call.write([points.overwrite_payload(call.parse(_SET_PAYLOAD))])


def delete_payload(call: Call) -> object:
    return call.write([points.delete_payload(call.parse(_DELETE_PAYLOAD))])


def clear_payload(call: Call) -> object:
    return call.write([points.clear_payload(call.parse(_SELECTOR))])


def update_vectors(call: Call) -> object:
    return call.write([points.update_vectors(call.collection.schema, call.parse(_UPDATE_VECTORS))])


def delete_vectors(call: Call) -> object:
    return call.write([points.delete_vectors(call.collection.schema, call.parse(_DELETE_VECTORS))])


def batch(call: Call) -> object:
    changes = points.batch(call.collection.schema, call.parse(_BATCH).operations)
    done = call.write(changes)
    return [done] * len(changes)


def get_point(call: Call) -> object:
    given = call.path["id"]
    key = point_id(int(given) if given.isdecimal() else given)
    found = call.collection.shard.retrieve([key], with_payload=True, with_vector=True)
    if not found:
        raise NotFound(f"Not found: Point with id {given} does not exists!")
    return queries.rest_records(found)[0]


def retrieve(call: Call) -> object:
    body = call.parse(_RETRIEVE)
    points.require_unsharded(body)
    found = call.collection.shard.retrieve(
        [point_id(each) for each in body.ids],
        with_payload=queries.with_payload(body.with_payload, otherwise=True),
        with_vector=queries.with_vector(body.with_vector),
    )
    return queries.rest_records(found)


def scroll(call: Call) -> object:
    found, following = call.collection.shard.scroll(queries.scroll_request(call.parse(_SCROLL)))
    return {"points": queries.rest_records(found), "next_page_offset": following}


def count(call: Call) -> object:
    return {"count": call.collection.shard.count(queries.count_request(call.parse(_COUNT)))}


def facet(call: Call) -> object:
    hits = call.collection.shard.facet(queries.facet_request(call.parse(_FACET)))
    return {"hits": [{"value": hit.value, "count": hit.count} for hit in hits]}


def query(call: Call) -> object:
    return _found(call, [call.parse(_QUERY)])[0]


def query_batch(call: Call) -> object:
    return _found(call, call.parse(_QUERIES).searches)


def _found(call: Call, given: Sequence[rest.QueryRequest]) -> list[object]:
    """Each request's points. The engine plans a batch as a whole: one pass over the vectors serves them all."""
    collection = call.collection
    requests = [collection.queries.request(each) for each in given]
    results = collection.shard.query_batch(edge.QueryBatchRequest(requests))
    return [{"points": queries.rest_scored(found)} for found in results]


_POINTS = "/collections/{collection}/points"

ROUTES = [
    Route(_POINTS, endpoint(upsert), methods=["PUT"]),
    Route(_POINTS, endpoint(retrieve), methods=["POST"]),
    Route(f"{_POINTS}/delete", endpoint(delete), methods=["POST"]),
    Route(f"{_POINTS}/payload", endpoint(set_payload), methods=["POST"]),
    Route(f"{_POINTS}/payload", endpoint(overwrite_payload), methods=["PUT"]),
    Route(f"{_POINTS}/payload/delete", endpoint(delete_payload), methods=["POST"]),
    Route(f"{_POINTS}/payload/clear", endpoint(clear_payload), methods=["POST"]),
    Route(f"{_POINTS}/vectors", endpoint(update_vectors), methods=["PUT"]),
    Route(f"{_POINTS}/vectors/delete", endpoint(delete_vectors), methods=["POST"]),
    Route(f"{_POINTS}/batch", endpoint(batch), methods=["POST"]),
    Route(f"{_POINTS}/scroll", endpoint(scroll), methods=["POST"]),
    Route(f"{_POINTS}/count", endpoint(count), methods=["POST"]),
    Route(f"{_POINTS}/query", endpoint(query), methods=["POST"]),
    Route(f"{_POINTS}/query/batch", endpoint(query_batch), methods=["POST"]),
    Route(f"{_POINTS}/{{id}}", endpoint(get_point), methods=["GET"]),
    Route("/collections/{collection}/facet", endpoint(facet), methods=["POST"]),
]
