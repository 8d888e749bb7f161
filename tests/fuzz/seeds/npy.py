"""Single arrays of NumPy."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from fuzz.mutate import Packed, Tokens
from numpy.typing import NDArray


def npy_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npy(array: NDArray[Any]) -> Packed:
    """Its header as words, with a length that fits."""
    data = npy_bytes(array)
    header, values = data[10:128], data[128:]

    def pack(made: dict[str, bytes]) -> bytes:
        text = made.get("header", b"")[:65_535]
        return data[:8] + len(text).to_bytes(2, "little") + text + made.get("values", b"")

    return Packed({"header": Tokens(header), "values": values}, pack)
