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


@dataclass(frozen=True, slots=True)
class EmbeddingReply:
    """Vectors of length one in the order of the texts that were sent."""

    vectors: tuple[Vector, ...]
    #: Tokens that the provider says it has read; None if it does not say.
    tokens: int | None


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
    vectors = []
    for item in _in_order(data):
        vector = _vector(item.get("embedding"))
        dimensions = dimensions or len(vector)
        if len(vector) != dimensions:
            raise ProviderMalformed(
                f"the provider sent a vector of {len(vector)} numbers instead of {dimensions}; "
                "check EMBEDDING_MODEL and EMBEDDING_DIMENSIONS"
            )
        vectors.append(_normalised(vector))
    usage = body.get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
    return EmbeddingReply(tuple(vectors), tokens if type(tokens) is int and tokens >= 0 else None)


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


def _vector(value: object) -> NDArray[np.float64]:
    """From a list of numbers, or from base64 of little-endian float32."""
    if isinstance(value, str):
        try:
            return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4").astype(np.float64)
        except (binascii.Error, ValueError) as error:
            raise ProviderMalformed("the provider sent a vector that is not base64 of floats") from error
    if not isinstance(value, list) or not all(type(number) in (float, int) for number in value):
        raise ProviderMalformed("the provider sent a vector that is not a list of numbers")
    try:
        return np.array(value, dtype=np.float64)
    except OverflowError as error:
        raise ProviderMalformed("the provider sent a vector with numbers that are too large") from error


def _normalised(vector: NDArray[np.float64]) -> Vector:
    with np.errstate(all="ignore"):
        norm = float(np.linalg.norm(vector))
    if not np.isfinite(norm):
        raise ProviderMalformed("the provider sent a vector with numbers that are not finite")
    if norm < LEAST_NORM:
        raise ProviderMalformed("the provider sent a vector of zeros")
    scaled: Vector = (vector / norm).tolist()
    return scaled
