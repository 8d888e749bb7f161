"""Parameters of Caffe, with the network in the forms of 2014 and of today."""

from __future__ import annotations

from typing import Any

import numpy as np
from formats.wire import packed, unpacked, varint
from fuzz.mutate import Proto, Seed
from fuzz.seeds.network import parameters
from fuzz.seeds.protobuf import field, message, nested
from numpy.typing import NDArray


def blob(array: NDArray[Any], form: str = "new") -> bytes:
    """BlobProto: with its shape, or four sides; packed or one number at a time; double."""
    four = (1,) * (4 - array.ndim) + array.shape
    sides = message(*((1 + i, n) for i, n in enumerate(four)))
    if form == "old":
        return sides + packed(5, array.astype("<f4"))
    if form == "unpacked":
        return sides + unpacked(5, array.astype("<f4").ravel())
    shape = field(7, field(1, b"".join(map(varint, array.shape))))
    return packed(8, array.astype("<f8")) + shape


def valid() -> list[Seed]:
    arrays = parameters()

    def blobs(number: int, layer: str, form: str) -> tuple[tuple[int, bytes], ...]:
        return tuple((number, blob(arrays[f"{layer}/{p}"], form)) for p in ("weight", "bias"))

    conv = message((1, 4), (3, 1), (11, 3), (12, 2))
    pool = message((1, 0), (2, 3), (3, 2))
    size = field(1, field(1, 1) + field(1, 3) + field(1, 7) + field(1, 6))
    new = message(
        (1, b"tiny"),
        (100, message((1, b"data"), (2, b"Input"), (4, b"data"), (143, size))),
        (100, message((1, b"conv1"), (2, b"Convolution"), (3, b"data"), (4, b"conv1"),
                      *blobs(7, "conv1", "new"), (106, conv), (10, 1))),
        (100, message((1, b"relu1"), (2, b"ReLU"), (3, b"conv1"), (4, b"conv1"))),
        (100, message((1, b"pool1"), (2, b"Pooling"), (3, b"conv1"), (4, b"p"), (121, pool))),
        (100, message((1, b"fc2"), (2, b"InnerProduct"), (3, b"p"), (4, b"fc2"),
                      *blobs(7, "fc2", "new"), (117, field(1, 5)))),
        (100, message((1, b"prob"), (2, b"Softmax"), (3, b"fc2"), (4, b"prob"))),
    )  # fmt: skip
    made = [new]
    for form in ("old", "unpacked"):
        made.append(message(
            (1, b"tiny"), (3, b"data"), (4, 1), (4, 3), (4, 7), (4, 6),
            (2, message((4, b"conv1"), (5, 4), (2, b"data"), (3, b"conv1"),
                        *blobs(6, "conv1", form), (10, conv))),
            (2, message((4, b"relu1"), (5, 18), (2, b"conv1"), (3, b"conv1"))),
            (2, message((4, b"pool1"), (5, 17), (2, b"conv1"), (3, b"p"), (19, pool))),
            (2, message((4, b"fc2"), (5, 14), (2, b"p"), (3, b"fc2"),
                        *blobs(6, "fc2", form), (17, field(1, 5)))),
            (2, message((4, b"prob"), (5, 20), (2, b"fc2"), (3, b"prob"))),
        ))  # fmt: skip
    return [Proto(data) for data in made]


def hostile() -> dict[str, bytes]:
    conv = field(100, message((1, b"conv1"), (2, b"Convolution")))
    conv_and_blobs = field(100, message((1, b"conv1"), (7, blob(np.zeros(4)))))
    huge = message(*((1 + i, 2**31 - 1) for i in range(4)))
    return {
        "many empty layers": field(100, b"") * 80_000,
        "many empty blobs": field(100, message((1, b"conv1")) + field(7, b"") * 80_000),
        "groups that never end": b"\x0b" * 100_000,
        "groups inside groups": b"\x0b" * 50_000 + b"\x0c" * 50_000,
        "a message inside itself": nested(100, 20_000),
        "a blob of 2^124 values": conv + field(100, message((1, b"conv1"), (7, huge))),
        "a blob of many axes": field(
            100, message((1, b"conv1"), (7, field(7, field(1, b"\x01" * 50_000))))
        ),
        "the same blob a thousand times": field(
            100, message((1, b"conv1"), *((7, blob(np.zeros(16))),) * 1000)
        ),
        "unpacked numbers": field(
            100, message((1, b"conv1"), (7, unpacked(5, np.zeros(50_000, "<f4"))))
        ),
        "two layers of one name": conv_and_blobs + conv_and_blobs,
        "data beside double_data": field(
            100, message((1, b"conv1"), (7, blob(np.zeros(4), "old") + blob(np.zeros(4))))
        ),
        "a name that looks like XML": field(1, b"!DOCTYPE html><html>".ljust(60)) + conv,
        "a dropout that scales": field(
            100, message((1, b"drop1"), (2, b"Dropout"), (108, field(2, 0)))
        ),
        "a varint without end": b"\x08" + b"\xff" * 100_000,
        "a length of 2^63": varint(100 << 3 | 2) + varint(2**63),
        "a long name": field(100, message((1, b"a" * 200_000), (2, b"Convolution"))),
    }
