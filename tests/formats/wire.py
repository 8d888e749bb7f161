"""Protocol buffers written by hand: just enough to make Caffe files of every form."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.formats.protobuf import Enum, Schema


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, wire_type: int, content: bytes) -> bytes:
    head = varint(number << 3 | wire_type)
    return head + (varint(len(content)) + content if wire_type == 2 else content)


def packed(number: int, values: NDArray[Any]) -> bytes:
    return field(number, 2, values.tobytes())


def unpacked(number: int, values: NDArray[Any]) -> bytes:
    wire_type = {4: 5, 8: 1}[values.itemsize]
    return b"".join(field(number, wire_type, value.tobytes()) for value in values)


def encode(message: dict[str, Any], schema: Schema, *, run: Any = packed) -> bytes:
    """``{"name": value or list of values}`` as bytes; arrays are written by ``run``."""
    numbers = {name: (number, kind) for number, (name, kind) in schema.items()}
    out = []
    for name, values in message.items():
        number, kind = numbers[name]
        if isinstance(values, np.ndarray):
            out.append(run(number, values))
            continue
        for value in values if isinstance(values, list) else [values]:
            if isinstance(kind, Enum):
                index = next(i for i, known in kind.items() if known == value)
                out.append(field(number, 0, varint(index)))
            elif isinstance(kind, dict):
                out.append(field(number, 2, encode(value, kind, run=run)))
            elif kind == "string":
                out.append(field(number, 2, value.encode()))
            elif kind == "float":
                out.append(field(number, 5, struct.pack("<f", value)))
            else:
                out.append(field(number, 0, varint(int(value))))
    return b"".join(out)
