"""Maps -> numbers: one for each channel, wherever in the photo it fired.

    average:  out[n, c] = 1/(H W) * sum over y, x of maps[n, c, y, x]
    max:      out[n, c] = max over y, x of maps[n, c, y, x]

A convolutional layer gives C,H,W values a photo, of which most say where something is; pooled
over H and W the C that remain say what is there (Lin et al. 2013, "Network in Network").
SqueezeNet's last concatenation has 512 x 14 x 14 = 100,352 values, and 512 pooled ones.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError

POOLINGS = ("average", "max")


def check_pooling(pooling: str | None) -> None:
    """Raise a FeaturesError unless it is None or one of `POOLINGS`."""
    if pooling is not None and pooling not in POOLINGS:
        raise FeaturesError(
            f"pooling must be known; expected None, {' or '.join(map(repr, POOLINGS))}, "
            f"got {pooling!r}"
        )


def pooled_shape(shape: tuple[int, ...], pooling: str | None) -> tuple[int, ...]:
    """Shape of one image's features: (C,) for maps that are pooled, else as it was."""
    return shape[:1] if pooling else shape


def pool(values: NDArray[np.float32], pooling: str | None) -> NDArray[np.float32]:
    """Pool maps over their positions.

    Parameters
    ----------
    values : ndarray, float32
        (n, C, H, W), or (n, D), which has no positions and stays as it is.
    pooling : {None, "average", "max"}
        None leaves everything as it is.

    Returns
    -------
    ndarray, float32
        (n, C) or what was given.  The sum of a map is taken in pairs and in one order, so it
        has the same bits in any batch.
    """
    if pooling is None or values.ndim == 2:
        return values
    maps = values.reshape(*values.shape[:2], math.prod(values.shape[2:]))  # n, C, H*W
    pooled = maps.max(axis=2) if pooling == "max" else maps.mean(axis=2)
    return np.asarray(pooled, np.float32)
