"""Mean images: of Caffe, and of NumPy."""

from __future__ import annotations

import numpy as np
from fuzz.mutate import Proto, Seed
from fuzz.seeds.caffemodel import blob
from fuzz.seeds.npy import npy


def valid() -> list[Seed]:
    array = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)
    return [
        Proto(blob(array[None], "old")), Proto(blob(array, "new")), npy(array),
        npy(array.mean(axis=(1, 2)).astype(np.float64)), npy(np.asfortranarray(array)),
    ]  # fmt: skip
