"""Weights, inputs and photos from a seed: the same bits with every NumPy, on every machine.

NumPy may change how it makes normal numbers; the raw bits of PCG64 it never changes.  So
everything here is uniform, and made of those bits by exact operations and one rounding.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from decaf.specs import LRN, Architecture, Shape

RECORDED = {"alexnet": 11, "caffenet": 12, "squeezenet1_1": 13}  # their seeds
RECORDED_IMAGES = 2
POSITIONS = 64  # values of a layer that are recorded


def uniform(shape: Shape, deviation: float, *seed: int) -> NDArray[np.float32]:
    """Uniform around zero with this standard deviation."""
    size = math.prod(shape)
    words = np.random.PCG64(seed).random_raw((size + 1) // 2).astype("<u8", copy=False)
    values = (words.view("<u4")[:size] >> 8).astype(np.float32)  # 24 bits, which float32 holds
    values *= np.float32(2**-23)
    values -= 1  # -1 to 1
    values *= np.float32(math.sqrt(3) * deviation)
    return values.reshape(shape)


def he_parameters(architecture: Architecture, seed: int) -> dict[str, NDArray[np.float32]]:
    """He-scaled weights (σ = √(2 / fan_in)), biases of σ = 0.1: no layer lets the signal die."""
    return {
        name: uniform(
            shape,
            math.sqrt(2 / math.prod(shape[1:])) if name.endswith("/weight") else 0.1,
            seed,
            number,
        )
        for number, (name, shape) in enumerate(architecture.parameter_shapes.items())
    }


def network(
    architecture: Architecture, n: int, seed: int
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
    """Parameters, and n inputs of variance 1.

    Caffe's networks take photos from 0 to 255, and their LRN does nothing to smaller values.
    So theirs are inputs of σ = 64, and a last layer that takes this out again before Softmax.
    """
    parameters = he_parameters(architecture, seed)
    x = uniform((n, *architecture.input_shape), 1.0, seed, 1000)
    if any(isinstance(layer, LRN) and layer.alpha < 0.01 for layer in architecture.layers):
        x *= 64
        parameters["fc8/weight"] /= 64
    return parameters, x


def recorded_network(
    architecture: Architecture,
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
    """Parameters and inputs of one of the networks whose values are recorded."""
    return network(architecture, RECORDED_IMAGES, RECORDED[architecture.name])


def photo(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """H,W,3 uint8: slopes, edges where they wrap, and noise."""
    y, x, channel = np.ogrid[:height, :width, :3]
    words = np.random.PCG64((seed, height, width)).random_raw(height * width * 3)
    noise = (words >> np.uint64(59)).astype(np.int64).reshape(height, width, 3)  # 0..31
    return ((3 * x + 2 * y * (1 + channel) + 40 * channel + noise) % 256).astype(np.uint8)


def sample(values: NDArray[np.generic], count: int = POSITIONS) -> NDArray[np.generic]:
    """Values from all over an array, at positions that depend on its size alone."""
    scattered = np.arange(count, dtype=np.uint64) * np.uint64(2654435761)
    return values.reshape(-1)[scattered % np.uint64(values.size)]
