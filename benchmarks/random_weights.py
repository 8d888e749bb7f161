"""Random parameters and inputs, He-scaled: a signal of size one keeps its size through all layers.

What a layer computes takes as long with these as with trained ones.  Not quite with zeros, nor
where a signal dies away: processors are slow on the tiniest of numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from decaf.specs import Architecture

Array = NDArray[np.float32]


def normal(*shape: int, seed: int = 0) -> Array:
    """Random values with mean 0 and variance 1, the same for the same arguments."""
    return np.random.default_rng((seed, *shape)).standard_normal(shape, np.float32)


def he_parameter(shape: Sequence[int], seed: int = 0) -> Array:
    """A weight (σ² = 2 / its number of inputs) or, with one axis, a bias (σ = 0.1)."""
    scale = math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 0.1
    return normal(*shape, seed=seed) * np.float32(scale)


def he_parameters(architecture: Architecture, seed: int = 0) -> dict[str, Array]:
    """All parameters of a network: ``{"conv1/weight": …, "conv1/bias": …}``."""
    shapes = architecture.parameter_shapes.items()
    return {name: he_parameter(shape, seed + i) for i, (name, shape) in enumerate(shapes)}
