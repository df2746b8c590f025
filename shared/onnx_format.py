"""As much of the ONNX file format as the local embedding model needs: read a model's tensors, write a model.

ONNX files are Protocol Buffers messages. The field numbers below are those of `onnx.proto`, which never change; writing
them out spares the `onnx` package, which is larger than the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: `TensorProto.DataType`, of the types that the model uses.
TYPE_NUMBERS: Final[dict[np.dtype[Any], int]] = {
    np.dtype(np.float32): 1,
    np.dtype(np.int8): 3,
    np.dtype(np.int64): 7,
}
DTYPES: Final = {number: dtype for dtype, number in TYPE_NUMBERS.items()}

IR_VERSION: Final = 10
#: Version of the standard operators (18 made ReduceMean's axes an input) and of ONNX Runtime's own.
OPERATOR_SETS: Final = {"": 18, "com.microsoft": 1}

#: `AttributeProto.AttributeType`.
FLOAT_ATTRIBUTE: Final = 1
INT_ATTRIBUTE: Final = 2

# Wire types of Protocol Buffers: how the bytes after a field's tag are to be read.
VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: what it reads and writes by name. An empty input name leaves an optional input out."""

    operator: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    domain: str = ""
    attributes: Mapping[str, int | float] = field(default_factory=dict)


def read_tensors(model: bytes) -> dict[str, Array]:
    """The model's constants by name, in file order. Raises ValueError for a file that is not such a model.

    Tensors of types that the model's weights do not have (its shape constants) are left out where they carry no raw
    bytes.
    """
    tensors = {}
    for number, graph in _fields(memoryview(model)):
        if number != 7:
            continue
        for inner, value in _fields(graph):
            if inner == 5:
                name, array = _read_tensor(value)
                if array is not None:
                    tensors[name] = array
    return tensors


def write_model(nodes: Sequence[Node], tensors: Mapping[str, Array], tokens: str, vectors: str) -> bytes:
    """A model whose input `tokens` is int64 of any (batch, length) and whose output `vectors` is float32."""
    graph = b"".join(
        (
            *(_sub(1, _node(node)) for node in nodes),
            _text(2, "graph"),
            *(_sub(5, _tensor(name, array)) for name, array in tensors.items()),
            _sub(11, _value_info(tokens, np.dtype(np.int64), ("batch", "length"))),
            _sub(12, _value_info(vectors, np.dtype(np.float32), ("batch", "dimensions"))),
        )
    )
    operators = b"".join(_sub(8, _text(1, domain) + _int(2, version)) for domain, version in OPERATOR_SETS.items())
    return _int(1, IR_VERSION) + _sub(7, graph) + operators


# Reading


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Field numbers and values: an int for a varint, a view for bytes and for fixed-size numbers."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, at = _read_varint(message, at)
            yield number, value
            continue
        if wire == BYTES:
            length, at = _read_varint(message, at)
        elif wire in (FIXED64, FIXED32):
            length = 8 if wire == FIXED64 else 4
        else:
            raise ValueError("not an ONNX file")
        if at + length > len(message):
            raise ValueError("the ONNX file is cut short")
        yield number, message[at : at + length]
        at += length


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("the ONNX file is cut short")


def _read_tensor(message: memoryview) -> tuple[str, Array | None]:
    shape: list[int] = []
    number, name, raw = 0, "", None
    for inner, value in _fields(message):
        if inner == 1:
            shape += [value] if isinstance(value, int) else _packed(value)
        elif inner == 2:
            number = value
        elif inner == 8:
            name = bytes(value).decode()
        elif inner == 9:
            raw = value
    if raw is None or number not in DTYPES:
        return name, None
    return name, np.frombuffer(raw, DTYPES[number]).reshape(shape)


def _packed(message: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(message):
        value, at = _read_varint(message, at)
        values.append(value)
    return values


# Writing


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _int(number: int, value: int) -> bytes:
    """Negative numbers are written in two's complement of 64 bits."""
    return _varint(number << 3 | VARINT) + _varint(value & (2**64 - 1))


def _float(number: int, value: float) -> bytes:
    return _varint(number << 3 | FIXED32) + np.float32(value).tobytes()


def _sub(number: int, message: bytes) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(len(message)) + message


def _text(number: int, value: str) -> bytes:
    return _sub(number, value.encode())


def _node(node: Node) -> bytes:
    return b"".join(
        (
            *(_text(1, name) for name in node.inputs),
            *(_text(2, name) for name in node.outputs),
            _text(4, node.operator),
            *(_sub(5, _attribute(name, value)) for name, value in node.attributes.items()),
            _text(7, node.domain),
        )
    )


def _attribute(name: str, value: float) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _int(3, value) + _int(20, INT_ATTRIBUTE)
    return _text(1, name) + _float(2, value) + _int(20, FLOAT_ATTRIBUTE)


def _tensor(name: str, array: Array) -> bytes:
    dimensions = b"".join(_int(1, size) for size in array.shape)
    content = np.ascontiguousarray(array).tobytes()
    return dimensions + _int(2, TYPE_NUMBERS[array.dtype]) + _text(8, name) + _sub(9, content)


def _value_info(name: str, dtype: np.dtype[Any], dimensions: Sequence[str]) -> bytes:
    shape = b"".join(_sub(1, _text(2, dimension)) for dimension in dimensions)
    return _text(1, name) + _sub(2, _sub(1, _int(1, TYPE_NUMBERS[dtype]) + _sub(2, shape)))
