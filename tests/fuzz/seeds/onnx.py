"""Graphs of ONNX, with the operators of an exporter and with those of another."""

from __future__ import annotations

from typing import Any

import numpy as np
from fuzz.mutate import Proto, Seed
from fuzz.seeds.network import parameters
from fuzz.seeds.protobuf import field, message, nested
from numpy.typing import NDArray


def _attribute(name: str, value: int | list[int] | bytes) -> tuple[int, bytes]:
    """Attribute of a node: a number, numbers, or a tensor."""
    if isinstance(value, int):
        return 5, message((1, name.encode()), (3, value), (20, 2))
    if isinstance(value, list):
        return 5, message((1, name.encode()), *((8, v) for v in value), (20, 7))
    return 5, message((1, name.encode()), (5, value), (20, 4))


def _node(op: str, reads: str, writes: str, *attributes: tuple[int, bytes]) -> tuple[int, bytes]:
    inputs = ((1, name.encode()) for name in reads.split())
    return 1, message(*inputs, (2, writes.encode()), (3, writes.encode()), (4, op.encode()),
                      *attributes)  # fmt: skip


def _tensor(name: str, array: NDArray[Any]) -> bytes:
    kind = {"f4": 1, "f8": 11, "f2": 10, "i8": 7}[array.dtype.str[1:]]
    dims = tuple((1, n) for n in array.shape)
    return message(*dims, (2, kind), (8, name.encode()), (9, array.tobytes()))


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(field(1, field(1, n) if n else field(2, b"N")) for n in shape)
    return message((1, name.encode()), (2, field(1, field(1, 1) + field(2, dims))))


def _model(nodes: list[tuple[int, bytes]], tensors: dict[str, NDArray[Any]], out: str) -> bytes:
    graph = message(
        *nodes, (2, b"tiny"), *((5, _tensor(name, a)) for name, a in tensors.items()),
        (11, _value("data", (0, 3, 7, 6))), (12, _value(out, (0, 5))),
    )  # fmt: skip
    return message((1, 8), (2, b"fuzz"), (7, graph), (8, message((1, b""), (2, 13))))


def valid() -> list[Seed]:
    p = parameters()
    tensors = {name.replace("/", "_"): array for name, array in p.items()}
    pads = _attribute("pads", [1, 1, 1, 1])
    pool = _attribute("kernel_shape", [3, 3]), _attribute("strides", [2, 2])
    common = [
        _node("Conv", "data conv1_weight conv1_bias", "conv1", pads),
        _node("Relu", "conv1", "relu1"),
        _node("MaxPool", "relu1", "pool1", *pool),
    ]
    plain = _model(
        [*common, _node("Flatten", "pool1", "flat", _attribute("axis", 1)),
         _node("Gemm", "flat fc2_weight fc2_bias", "fc2", _attribute("transB", 1)),
         _node("Softmax", "fc2", "prob", _attribute("axis", 1))],
        tensors, "prob",
    )  # fmt: skip
    shape = _tensor("", np.array([-1, 36], np.int64))
    turned = {**tensors, "fc2_weight": np.ascontiguousarray(p["fc2/weight"].T)}
    other = _model(
        [*common, _node("LRN", "pool1", "norm1", _attribute("size", 3)),
         _node("Dropout", "norm1", "drop1"),
         _node("Constant", "", "shape", _attribute("value", shape)),
         _node("Reshape", "drop1 shape", "flat"),
         _node("MatMul", "flat fc2_weight", "product"), _node("Add", "product fc2_bias", "fc2")],
        turned, "fc2",
    )  # fmt: skip
    return [Proto(plain), Proto(other)]


def hostile() -> dict[str, bytes]:
    whole = valid()[0].whole()

    def graph(*fields: tuple[int, int | bytes]) -> bytes:
        return message((1, 8), (7, message(*fields)), (8, field(2, 13)))

    outside = message((1, 4), (2, 1), (8, b"w"), (14, 1),
                       (13, message((1, b"location"), (2, b"/etc/passwd"))))  # fmt: skip
    huge = message(*((1, 2**62),) * 3, (2, 1), (8, b"w"))
    axis = _attribute("axis", 1)
    relus = [_node("Relu", f"r{i}" if i else "data", f"r{i + 1}") for i in range(4000)]
    ends = (11, _value("data", (1, 3, 7, 6))), (12, _value("r4000", (1, 3, 7, 6)))
    inside = nested(7, 20_000)
    return {
        "many empty nodes": graph(*((1, b""),) * 60_000),
        "many tensors": graph(*((5, b""),) * 60_000),
        "many attributes": graph(_node("Relu", "a", "b", *((5, b""),) * 60_000)),
        "many inputs": graph((1, message(*((1, b"a"),) * 60_000, (2, b"b"), (4, b"Concat")))),
        "a chain of 4,000": graph(*relus, *ends),
        "concats of concats": graph(
            *(_node("Concat", f"c{i} c{i}" if i else "data data", f"c{i + 1}", axis)
              for i in range(64)), ends[0], (12, _value("c64", (1, 3, 7, 6)))),
        "concats of concats that grow": graph(
            *(_node("Concat", " ".join([f"{i}" if i else "data"] * 4), f"{i + 1}")
              for i in range(7300)),
            _node("Conv", "7300 w", "y", _attribute("group", 2)),
            (5, _tensor("w", np.ones((2, 1, 1, 1), np.float32))), ends[0], (12, _value("y", (2,)))),
        "notes of dictionaries": whole + b"".join(
            field(14, message((1, b"decaf." + name), (2, b"[" + b"{}," * 300_000 + b"{}]")))
            for name in (b"architecture", b"preprocessing", b"labels", b"label_ids")),
        "a note with a key twice": whole
        + field(14, message((1, b"decaf.architecture"), (2, b'{"name": "a", "name": "b"}'))),
        "a node that reads itself": graph(_node("Relu", "a", "a"), *ends),
        "values in another file": graph((5, outside), *ends),
        "a tensor of 2^186": graph((5, huge), *ends),
        "a graph inside a graph": graph(
            _node("If", "a", "b", (5, message((1, b"then"), (6, inside))))
        ),
        "groups": b"\x0b" * 100_000,
        "messages inside messages": inside,
        "numbers one by one": graph((5, message((1, 1), (2, 1), *((4, b"\0\0\0\0"),) * 30_000))),
        "many axes": graph((5, message(*((1, 1),) * 50_000, (2, 1), (9, b"\0\0\0\0")))),
        "twice": whole + whole,
    }  # fmt: skip
