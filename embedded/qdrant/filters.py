"""REST filters to the engine's."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date

import numpy as np
import qdrant_edge as edge
from qdrant_client.http import models as rest

from embedded.qdrant.errors import BadRequest, NotOffered


def edge_filter(given: rest.Filter | None) -> edge.Filter | None:
    """The same filter for the engine; no filter stays none."""
    return None if given is None else _filter(given)


def without(ids: Sequence[int | uuid.UUID], given: edge.Filter | None) -> edge.Filter | None:
    """`given`, less the points `ids`: a query by example does not find the example."""
    if not ids:
        return given
    return edge.Filter(must=[given] if given else None, must_not=[edge.HasIdCondition(set(ids))])


def point_id(given: int | str | uuid.UUID) -> int | uuid.UUID:
    """An id as the engine returns it; `BadRequest` unless it is an unsigned 64-bit integer or a UUID."""
    if isinstance(given, uuid.UUID):
        return given
    if isinstance(given, int):
        if 0 <= given < 2**64:
            return given
    else:
        try:
            return uuid.UUID(given)
        except ValueError:
            pass
    raise BadRequest(
        f"Format error in JSON body: value {given!r} is not a valid point ID, "
        "valid values are either an unsigned integer or a UUID"
    )


def _filter(given: rest.Filter) -> edge.Filter:
    least = given.min_should
    return edge.Filter(
        must=_conditions(given.must),
        should=_conditions(given.should),
        must_not=_conditions(given.must_not),
        min_should=edge.MinShould([_condition(each) for each in least.conditions], least.min_count) if least else None,
    )


def _conditions(given: list[rest.Condition] | rest.Condition | None) -> list[edge.ConditionType] | None:
    if given is None:
        return None
    return [_condition(each) for each in (given if isinstance(given, list) else [given])]


def _condition(given: rest.Condition) -> edge.ConditionType:  # noqa: PLR0911 - one line a kind
    match given:
        case rest.FieldCondition():
            return _field(given)
        case rest.Filter():
            return _filter(given)
        case rest.NestedCondition(nested=nested):
            return edge.NestedCondition(nested.key, _filter(nested.filter))
        case rest.IsEmptyCondition(is_empty=field):
            return edge.IsEmptyCondition(field.key)
        case rest.IsNullCondition(is_null=field):
            return edge.IsNullCondition(field.key)
        case rest.HasIdCondition(has_id=ids):
            return edge.HasIdCondition({point_id(each) for each in ids})
        case rest.HasVectorCondition(has_vector=name):
            return edge.HasVectorCondition(name)
        case _:
            raise NotOffered(f"the condition {type(given).__name__}")


def _field(given: rest.FieldCondition) -> edge.FieldCondition:
    if all(value is None for name, value in given if name != "key"):
        raise BadRequest(f"Validation error in JSON body: no condition on the field {given.key!r}")
    count, box, radius, polygon = (
        given.values_count,
        given.geo_bounding_box,
        given.geo_radius,
        given.geo_polygon,
    )
    return edge.FieldCondition(
        given.key,
        match=_match(given.match) if given.match else None,
        range=_range(given.range) if given.range else None,
        geo_bounding_box=edge.GeoBoundingBox(_place(box.top_left), _place(box.bottom_right)) if box else None,
        geo_radius=edge.GeoRadius(_place(radius.center), radius.radius) if radius else None,
        geo_polygon=edge.GeoPolygon(_line(polygon.exterior), [_line(each) for each in polygon.interiors or []] or None)
        if polygon
        else None,
        values_count=edge.ValuesCount(lt=count.lt, gt=count.gt, lte=count.lte, gte=count.gte) if count else None,
        is_empty=given.is_empty,
        is_null=given.is_null,
    )


def _match(given: rest.Match) -> edge.MatchType:  # noqa: PLR0911 - one line a kind
    match given:
        case rest.MatchValue(value=bool(value)):
            # Python's bool is an int to the engine, and an int never equals a stored boolean. NumPy's is not.
            return edge.MatchValue(np.bool_(value))  # type: ignore[arg-type]
        case rest.MatchValue(value=value):
            return edge.MatchValue(value)
        case rest.MatchAny(any=values):
            return edge.MatchAny(values)
        case rest.MatchExcept(except_=values):
            return edge.MatchExcept(values)
        case rest.MatchText(text=text):
            return edge.MatchText(text)
        case rest.MatchTextAny(text_any=text):
            return edge.MatchTextAny(text)
        case rest.MatchPhrase(phrase=text):
            return edge.MatchPhrase(text)
        case rest.MatchPrefix(prefix=text):
            return edge.MatchPrefix(text)
        case rest.MatchSubstring(substring=text):
            return edge.MatchSubstring(text)
        case _:
            raise NotOffered(f"the match {type(given).__name__}")


def _range(given: rest.RangeInterface) -> edge.RangeType:
    if isinstance(given, rest.Range):
        return edge.RangeFloat(gte=given.gte, gt=given.gt, lte=given.lte, lt=given.lt)
    return edge.RangeDateTime(
        gte=_moment(given.gte), gt=_moment(given.gt), lte=_moment(given.lte), lt=_moment(given.lt)
    )


def _moment(given: date | None) -> str | None:
    """ISO 8601; without a zone it is UTC, to the engine as to a server."""
    return given.isoformat() if given else None


def _place(given: rest.GeoPoint) -> edge.GeoPoint:
    return edge.GeoPoint(lon=given.lon, lat=given.lat)


def _line(given: rest.GeoLineString) -> list[edge.GeoPoint]:
    return [_place(point) for point in given.points]
