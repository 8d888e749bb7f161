"""ONNX as it lies in a file: the few messages of its schema that a network needs, and tensors.

An ONNX file is one protocol buffer.  Read with :mod:`decaf.formats.protobuf` and this schema,
parameters are views of the file, and reading needs no package and has bounds; the package
``onnx`` writes files (:mod:`decaf.formats.onnx_writer`) and is what the tests compare with.

Source: ``onnx/onnx.proto`` of https://github.com/onnx/onnx; the numbers of fields never change.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.errors import WeightsError
from decaf.formats.bfloat16 import widen
from decaf.formats.protobuf import Message, Schema

TENSOR: Schema = {
    1: ("dims", "int"),
    2: ("data_type", "int"),
    3: ("segment", "bytes"),
    4: ("float_data", "floats"),
    5: ("int32_data", "int"),
    7: ("int64_data", "int"),
    8: ("name", "string"),
    9: ("raw_data", "bytes"),
    10: ("double_data", "doubles"),
    13: ("external_data", "bytes"),
    14: ("data_location", "int"),
}
ATTRIBUTE: Schema = {
    1: ("name", "string"),
    2: ("f", "float"),
    3: ("i", "int"),
    4: ("s", "string"),
    5: ("t", TENSOR),
    6: ("g", "bytes"),  # a graph inside, as If and Loop have
    7: ("floats", "float"),
    8: ("ints", "int"),
    11: ("graphs", "bytes"),
    21: ("ref_attr_name", "string"),
}
NODE: Schema = {
    1: ("input", "string"),
    2: ("output", "string"),
    3: ("name", "string"),
    4: ("op_type", "string"),
    5: ("attribute", ATTRIBUTE),
    7: ("domain", "string"),
}
SHAPE: Schema = {1: ("dim", {1: ("dim_value", "int"), 2: ("dim_param", "string")})}
TYPE: Schema = {1: ("tensor_type", {1: ("elem_type", "int"), 2: ("shape", SHAPE)})}
VALUE: Schema = {1: ("name", "string"), 2: ("type", TYPE)}
GRAPH: Schema = {
    1: ("node", NODE),
    2: ("name", "string"),
    5: ("initializer", TENSOR),
    11: ("input", VALUE),
    12: ("output", VALUE),
    15: ("sparse_initializer", "bytes"),
}
MODEL: Schema = {
    1: ("ir_version", "int"),
    7: ("graph", GRAPH),
    8: ("opset_import", {1: ("domain", "string"), 2: ("version", "int")}),
    14: ("metadata_props", {1: ("key", "string"), 2: ("value", "string")}),
    25: ("functions", "bytes"),
}

BFLOAT16 = 16
DTYPES = {1: "<f4", 10: "<f2", 11: "<f8", BFLOAT16: "<u2", 6: "<i4", 7: "<i8", 9: "|u1"}
FIELDS = {1: "float_data", 11: "double_data", 7: "int64_data"}  # the others: int32_data
MOST_DIMENSIONS = 32


def one(message: Message, name: str, default: Any = None) -> Any:
    """Return the value of a field that must not stand twice; `default` where it is missing."""
    values = message.get(name, [default])
    if len(values) > 1:
        raise WeightsError(f"{name} must stand once in its message; got {len(values):,}")
    return values[0] if values else default


def tensor(message: Message) -> NDArray[Any]:
    """View the values of a TensorProto: in ``raw_data``, or in the field of its type.

    Returns
    -------
    ndarray
        Read-only, of the shape and type that the message says; bfloat16 widened to float32,
        booleans as bytes.

    Raises
    ------
    WeightsError
        If values lie in another file, which is not opened; if they are not as many as the
        shape says; for types that are not numbers.
    """
    name = one(message, "name", "")
    if message.get("external_data") or one(message, "data_location", 0) != 0:
        raise WeightsError(
            f"{name!r:.100}: values must lie in the file itself; got external data: "
            "save the model with them inside"
        )
    kind, shape = one(message, "data_type", 0), tuple(message.get("dims", []))
    if kind not in DTYPES or "segment" in message:
        raise WeightsError(
            f"{name!r:.100}: must be float32, float16, float64, bfloat16 or integers, in one "
            f"piece; got type {kind}"
        )
    if len(shape) > MOST_DIMENSIONS or min(shape, default=1) < 1:
        raise WeightsError(
            f"{name!r:.100}: shape must be at most {MOST_DIMENSIONS} sizes of at least 1; "
            f"got {shape!s:.100}"
        )
    dtype = np.dtype(DTYPES[kind])
    raw = one(message, "raw_data")
    field = FIELDS.get(kind, "int32_data")
    if raw is not None and len(raw) % dtype.itemsize == 0:
        values = raw.view(dtype)
    elif raw is not None:
        values = np.empty(0, dtype)  # as many bytes as make no whole number: refused below
    elif field in ("float_data", "double_data"):
        runs = message.get(field, [])
        values = runs[0] if len(runs) == 1 else np.concatenate(runs or [np.empty(0, dtype)])
    elif dtype.kind == "f":  # float16: its bits, as whole numbers
        values = _integers(message.get(field, []), np.dtype("<u2")).view(dtype)
    else:
        values = _integers(message.get(field, []), dtype)
    if len(values) != math.prod(shape):
        raise WeightsError(
            f"{name!r:.100}: values must be as many as the shape says; expected {shape!s:.100}, "
            f"got {len(values):,}"
        )
    values = (widen(values) if kind == BFLOAT16 else values).reshape(shape)
    values.flags.writeable = False
    return values


def _integers(numbers: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    bounds = np.iinfo(dtype)
    if numbers and not bounds.min <= min(numbers) <= max(numbers) <= bounds.max:
        raise WeightsError(f"integers must fit their type, {dtype}; got others")
    return np.array(numbers, dtype)
