"""The mean of every pixel over the photos that a network was trained on, as Caffe subtracts it."""

from __future__ import annotations

import hashlib
import math
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf.errors import ImageError

LARGEST_SIDE = 4096  # pixels


class MeanImage:
    """An array (C, h, w) that cannot change, and so can be part of a recipe.

    Parameters
    ----------
    values : array
        Floats, finite, C,h,w, with the channels in the order that the network takes; C is 1 or 3.

    Attributes
    ----------
    values : ndarray, float32
        A read-only copy.

    Raises
    ------
    ImageError
        For another shape, another dtype, or values that are not finite.
    """

    def __init__(self, values: ArrayLike) -> None:
        try:
            array = np.asarray(values)
        except ValueError as error:  # nested lists of uneven lengths
            raise ImageError(f"a mean image must be an array; {error}") from error
        fits = array.ndim == 3 and array.shape[0] in (1, 3)
        if array.dtype.kind != "f" or not fits or not 0 < max(array.shape) <= LARGEST_SIDE:
            raise ImageError(
                "a mean image must be floats of the shape C,h,w; expected C 1 or 3 and sides of "
                f"at most {LARGEST_SIDE}, got {array.dtype} {array.shape}"
            )
        with np.errstate(over="ignore"):
            self.values: NDArray[np.float32] = np.array(array, np.float32, order="C")
        if not (array.size and np.isfinite(self.values).all()):
            raise ImageError("a mean image must have values, all finite; got none, or others")
        self.values.flags.writeable = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """C,h,w."""
        c, h, w = self.values.shape
        return c, h, w

    @property
    def colour(self) -> tuple[float, ...]:
        """Mean of each channel."""
        return tuple(float(m) for m in self.values.mean(axis=(1, 2), dtype=np.float64))

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the values as little-endian float32, in hexadecimal."""
        return hashlib.sha256(self.values.astype("<f4").tobytes()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MeanImage) and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape))
        return f"<MeanImage {size}, {math.fsum(self.colour) / len(self.colour):g} on average>"
