"""Reads a provider's reply to an embeddings request, and trusts nothing of it. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import ProviderMalformed
from shared.models import Vector

#: A vector shorter than this cannot be scaled to length one without losing what it says.
LEAST_NORM: Final = 1e-12


#: One vector a row.
Matrix = NDArray[np.float32]
NOTHING: Final[Matrix] = np.empty((0, 0), dtype=np.float32)
#: Decimals of a vector's numbers: a half of the last one is less than float32, as which they are kept, can tell.
DECIMALS: Final = 9


@dataclass(frozen=True, slots=True)
class EmbeddingReply:
    """Vectors of length one in the order of the texts that were sent."""

    vectors: Matrix
    #: Tokens that the provider says it has read; None if it does not say.
    tokens: int | None


def rows(vectors: Matrix) -> list[Vector]:
    """As lists of floats, with no more digits than they have: half as many bytes where they are written as text."""
    listed: list[Vector] = np.round(vectors.astype(np.float64), DECIMALS).tolist()
    return listed


def read_reply(content: bytes, count: int, dimensions: int | None) -> EmbeddingReply:
    """`content` is the reply's body, `count` the number of texts sent; without `dimensions` the first vector sets them.

    Raises ProviderMalformed, which says what is wrong, for anything but `count` usable vectors.
    """
    body = _json_object(content)
    data = body.get("data")
    if not isinstance(data, list) or not all(isinstance(item, Mapping) for item in data):
        raise ProviderMalformed("the provider's reply holds no list of embeddings")
    if len(data) != count:
        raise ProviderMalformed(f"the provider sent {len(data)} embeddings for {count} texts")
    vectors = [_vector(item.get("embedding")) for item in _in_order(data)]
    dimensions = dimensions or len(vectors[0])
    for vector in vectors:
        if len(vector) != dimensions:
            raise ProviderMalformed(
                f"the provider sent a vector of {len(vector)} numbers instead of {dimensions}; "
                "check EMBEDDING_MODEL and EMBEDDING_DIMENSIONS"
            )
    matrix = _normalised(np.stack(vectors))
    usage = body.get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
    return EmbeddingReply(matrix, tokens if type(tokens) is int and tokens >= 0 else None)


def _json_object(content: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ProviderMalformed("the provider's reply is not JSON") from error
    if not isinstance(body, dict):
        raise ProviderMalformed("the provider's reply is not a JSON object")
    return body


def _in_order(data: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """By `index` where the indices are a permutation; else as sent, since Gemini leaves out the index 0."""
    by_index = {index: item for item in data if type(index := item.get("index")) is int}
    return [by_index[place] for place in range(len(data))] if by_index.keys() == set(range(len(data))) else data


def _vector(value: object) -> NDArray[np.floating[Any]]:
    """From a list of numbers, or from base64 of little-endian float32."""
    if isinstance(value, str):
        try:
            return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")
        except (binascii.Error, ValueError) as error:
            raise ProviderMalformed("the provider sent a vector that is not base64 of floats") from error
    if not isinstance(value, list) or not {type(number) for number in value} <= {float, int}:
        raise ProviderMalformed("the provider sent a vector that is not a list of numbers")
    try:
        return np.array(value, dtype=np.float64)
    except OverflowError as error:
        raise ProviderMalformed("the provider sent a vector with numbers that are too large") from error


def _normalised(vectors: NDArray[np.floating[Any]]) -> Matrix:
    with np.errstate(all="ignore"):
        norms = np.linalg.norm(vectors.astype(np.float64, copy=False), axis=1, keepdims=True)
    if not np.isfinite(norms).all():
        raise ProviderMalformed("the provider sent a vector with numbers that are not finite")
    if norms.size == 0 or norms.min() < LEAST_NORM:
        raise ProviderMalformed("the provider sent a vector of zeros")
    scaled: Matrix = (vectors / norms).astype(np.float32)
    return scaled
