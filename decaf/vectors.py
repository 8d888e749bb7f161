"""Rows of numbers, made comparable: what the protocols do to features before they compare them.

    L2:            out[n] = rows[n] / |rows[n]|
    signed power:  out[n, d] = sign(rows[n, d]) |rows[n, d]|^p

A photo's features grow with its contrast; divided by their length only their direction counts,
and the inner product of two is the cosine between them.  The signed power with p < 1 lets no
single feature rule (Perronnin et al. 2010, p = 1/2); with p > 1 the strong ones rule
(Razavian et al. 2014, who retrieve photos with p = 2).
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError


def l2_normalised(rows: NDArray[Any]) -> NDArray[Any]:
    """Divide each row by its length.

    Parameters
    ----------
    rows : ndarray
        (N, D), or (..., D), of floats.

    Returns
    -------
    ndarray
        The same shape and dtype; rows of zeros stay zeros.  The length is summed in float64, so
        neither large values overflow nor small ones vanish.
    """
    wide = rows.astype(np.float64, copy=False)
    largest = np.abs(wide).max(axis=-1, keepdims=True, initial=0.0)
    scaled = wide / np.where(largest > 0, largest, 1.0)
    length = np.linalg.norm(scaled, axis=-1, keepdims=True)
    return (scaled / np.where(length > 0, length, 1.0)).astype(rows.dtype, copy=False)


def signed_power(rows: NDArray[Any], power: float) -> NDArray[Any]:
    """Raise magnitudes to a power and keep the signs.

    Parameters
    ----------
    rows : ndarray
        Any shape, of floats.
    power : float
        Above 0; 1 leaves everything as it is.

    Returns
    -------
    ndarray
        The same shape and dtype.

    Raises
    ------
    FeaturesError
        If the power is not a finite number above 0.
    """
    if not (isinstance(power, Real) and math.isfinite(power) and power > 0):
        raise FeaturesError(f"power must be a number; expected more than 0, got {power!r}")
    if power == 1:
        return rows
    return np.asarray(np.sign(rows) * np.abs(rows) ** power, rows.dtype)
