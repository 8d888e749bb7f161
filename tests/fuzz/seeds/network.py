"""The network of the seeds: small, so that a case takes a millisecond."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.preprocessing import Preprocessing
from decaf.specs import Architecture, Conv, Linear, MaxPool, ReLU, Softmax

# No two lengths are the same.
ARCHITECTURE = Architecture(
    "tiny",
    (3, 7, 6),
    (
        Conv("conv1", 4, (3, 2), padding=1, groups=1),  # 4 x 7 x 7
        ReLU("relu1"),
        MaxPool("pool1", 3, stride=2),  # 4 x 3 x 3
        Linear("fc2", 5),
        Softmax("prob"),
    ),
)
LABELS = ("ant", "bee", "cat", "dog", "élan")
PREPROCESSING = Preprocessing(resize=(8, 8), crop=(7, 6), channels="BGR", mean=(0.4, 0.5, 0.6))


def parameters() -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(0)
    shapes = ARCHITECTURE.parameter_shapes
    return {
        name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
    }
