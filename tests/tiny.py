"""A small network with every kind of layer of CaffeNet, for photos of 12 x 12 pixels.

Its first convolution is just large enough that a batch of 7 is worth several threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from decaf import layers
from decaf.preprocessing import Preprocessing
from decaf.specs import (
    LRN,
    Architecture,
    Conv,
    Dropout,
    Linear,
    MaxPool,
    ReLU,
    Softmax,
)
from decaf.weights import save_weights

ARCHITECTURE = Architecture(
    "tiny <&>",  # to be escaped in HTML
    (3, 12, 12),
    (
        Conv("conv1", 16, 5, padding=2),                  # 16 x 12 x 12
        ReLU("relu1"),
        MaxPool("pool1", 3, stride=2, ceil_mode=True),    # 16 x 6 x 6
        LRN("norm1", size=3, alpha=0.5, beta=0.75, k=2.0),
        Conv("conv2", 10, (3, 2), padding=1, groups=2),   # 10 x 6 x 7
        ReLU("relu2"),
        MaxPool("pool5", 3, stride=2, ceil_mode=True),    # 10 x 3 x 3
        Linear("fc6", 11),
        ReLU("relu6"),
        Dropout("drop6", 0.5),
        Linear("fc7", 9),
        ReLU("relu7"),
        Dropout("drop7", 0.5),
        Linear("fc8", 5),
        Softmax("prob"),
    ),
)  # fmt: skip
NAMES = tuple(layer.name for layer in ARCHITECTURE.layers)
LABELS = ("ant", "bee", "cat", "dog", "élan <b>")
PREPROCESSING = Preprocessing(
    resize=(14, 15),
    crop=(12, 12),
    channels="BGR",
    mean=(0.4, 0.5, 0.6),
    std=(0.2, 0.25, 0.3),
)


def parameters(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """He-scaled random values, so that the signal neither dies nor explodes."""
    random = np.random.default_rng(seed)
    made = {}
    for name, shape in ARCHITECTURE.parameter_shapes.items():
        scale = math.sqrt(2 / math.prod(shape[1:])) if name.endswith("weight") else 0.1
        made[name] = (scale * random.standard_normal(shape)).astype(np.float32)
    return made


def save(path: Path, labels: Sequence[str] = LABELS) -> Path:
    save_weights(
        path,
        ARCHITECTURE,
        parameters(),
        preprocessing=PREPROCESSING,
        labels=labels,
        provenance={"source": "random numbers"},
    )
    return path


def reference(x: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Every layer's output, by the readable layers in float64, without plan or buffers."""
    p = {name: array.astype(np.float64) for name, array in parameters().items()}
    out = {"data": x.astype(np.float64)}

    def put(name: str, value: NDArray[np.float64]) -> NDArray[np.float64]:
        out[name] = value
        return value

    v = put("conv1", layers.conv2d(out["data"], p["conv1/weight"], p["conv1/bias"], padding=2))
    v = put("relu1", layers.relu(v))
    v = put("pool1", layers.max_pool2d(v, 3, 2, ceil_mode=True))
    v = put("norm1", layers.local_response_norm(v, 3, alpha=0.5, beta=0.75, k=2.0))
    v = put("conv2", layers.conv2d(v, p["conv2/weight"], p["conv2/bias"], padding=1, groups=2))
    v = put("relu2", layers.relu(v))
    v = put("pool5", layers.max_pool2d(v, 3, 2, ceil_mode=True)).reshape(len(x), -1)  # N, D
    for number in (6, 7):
        weight, bias = p[f"fc{number}/weight"], p[f"fc{number}/bias"]
        v = put(f"fc{number}", layers.linear(v, weight, bias))
        v = put(f"relu{number}", layers.relu(v))
        put(f"drop{number}", v)
    v = put("fc8", layers.linear(v, p["fc8/weight"], p["fc8/bias"]))
    put("prob", layers.softmax(v))
    return out


def photo(seed: int, height: int = 20, width: int = 17) -> NDArray[np.uint8]:
    """A colour photo of random pixels."""
    random = np.random.default_rng((seed, height, width))
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)
