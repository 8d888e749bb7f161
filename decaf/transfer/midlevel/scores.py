"""From the patches back to the photo: one score a class, and a map of where.

    score[k]     = 1/P  sum over all P patches p of  y[p, k]^5
    map[i, j]    = 1/P  sum over the patches that cover pixel (i, j) of  y[p, k]^5

y[p, k] is the probability of class k in patch p.  The power lets the few patches that are sure
outweigh the many that are not; with 1 it would be the plain mean, with infinity the maximum.  A
pixel of the map says which part of the photo's score comes from patches that show that pixel.

Source
    Oquab et al. 2014, section 3.3 for the score.  Their maps (figures 1 and 5) show the scores of
    patches over the photo; how these become one map is left open.

Why not the mean over the patches that cover a pixel
    Few patches cover the pixels at a photo's edges, so one that is sure by mistake decides there.
    On composed scenes the sum's peak lies in the object far more often than the mean's
    (``benchmarks/results/midlevel.json``).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from decaf.transfer.midlevel.options import check_number

POWER = 5.0


def check_power(power: float) -> None:
    """Raise a FeaturesError unless it is a finite number of at least 1."""
    check_number("power", power, "at least 1", lambda value: 1 <= value < math.inf)


def photo_scores(probabilities: NDArray[np.float32], power: float = POWER) -> NDArray[np.float64]:
    """Return the score of each class for a photo.

    Parameters
    ----------
    probabilities : ndarray
        (P, K), from 0 to 1: those of its patches.
    power : float
        At least 1.

    Returns
    -------
    ndarray
        (K,) float64, from 0 to 1.
    """
    check_power(power)
    found: NDArray[np.float64] = np.mean(probabilities.astype(np.float64) ** power, axis=0)
    return found


def where(
    patches: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    width: int,
    height: int,
    power: float = POWER,
) -> NDArray[np.float32]:
    """Return the map of a class.

    Parameters
    ----------
    patches : ndarray
        (P, 4): left, top, right, bottom in pixels.
    probabilities : ndarray
        (P,), of the class.
    width, height : int
        Of the photo, in pixels.
    power : float
        At least 1.

    Returns
    -------
    ndarray
        (H, W) float32, from 0 to the photo's score; 0 where no patch lies.
    """
    check_power(power)
    left, top, right, bottom = patches.T
    part = probabilities.astype(np.float64) ** power / max(1, len(patches))
    changes = np.zeros((height + 1, width + 1))  # at the corners; their sums fill the patches
    for y, x, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
        np.add.at(changes, (y, x), sign * part)
    found = changes.cumsum(axis=0).cumsum(axis=1)[:height, :width]
    # Differences leave rounding errors, of either sign where the sum is 0.
    result: NDArray[np.float32] = np.clip(found, 0, 1).astype(np.float32)
    return result


def peak(found: NDArray[np.float32]) -> tuple[int, int]:
    """Return (x, y), the pixel of a map with the largest value.

    A map consists of flat rectangles; of several pixels with the largest value it is the one
    nearest to their centre.
    """
    y, x = np.nonzero(found == found.max())
    nearest = np.argmin((x - x.mean()) ** 2 + (y - y.mean()) ** 2)
    return int(x[nearest]), int(y[nearest])
