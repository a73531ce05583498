"""An ONNX file in, its constant tensors by name out (no onnx package needed)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from emotalk_core.errors import WeightsError

# Field numbers of the public schema onnx.proto3.
MODEL_GRAPH, GRAPH_INITIALIZER = 7, 5
TENSOR_DIMS, TENSOR_NAME, TENSOR_RAW = 1, 8, 9
TENSOR_TYPE, FLOAT = 2, 1
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers


def float_tensors(path: Path) -> dict[str, np.ndarray]:
    """The float32 initializers of a model whose values lie in the file itself.

    Raises:
        WeightsError: the file is no ONNX model.
    """
    try:
        graph = next(v for n, v in _fields(path.read_bytes()) if n == MODEL_GRAPH)
        tensors = [_tensor(v) for n, v in _fields(graph) if n == GRAPH_INITIALIZER]
    except (IndexError, StopIteration, ValueError, TypeError) as error:
        raise WeightsError(f"{path}: not readable as ONNX ({error}); install it again") from error
    return {name: values for name, values in tensors if values is not None}


def _tensor(message: bytes) -> tuple[str, np.ndarray | None]:
    """(name, values) of a TensorProto; None for other types than float32."""
    name, raw, kind, dims = "", b"", 0, []
    for number, value in _fields(message):
        if number == TENSOR_NAME:
            name = bytes(value).decode()
        elif number == TENSOR_RAW:
            raw = value
        elif number == TENSOR_TYPE:
            kind = value
        elif number == TENSOR_DIMS:
            dims += [value] if isinstance(value, int) else list(_packed(value))
    if kind != FLOAT:
        return name, None
    return name, np.frombuffer(raw, dtype="<f4").reshape(dims)


def _packed(data: bytes) -> Iterator[int]:
    """Varints one after the other."""
    position = 0
    while position < len(data):
        value, position = _varint(data, position)
        yield value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """(value, position after it)."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, number or view of bytes) of each field of a message."""
    view, position = memoryview(data), 0
    while position < len(data):
        key, position = _varint(data, position)
        wire = key & 7
        if wire == VARINT:
            value, position = _varint(data, position)
            yield key >> 3, value
            continue
        if wire == BYTES:
            size, position = _varint(data, position)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire}")
        yield key >> 3, view[position : position + size]
        position += size
