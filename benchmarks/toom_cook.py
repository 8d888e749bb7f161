"""The matrices of Winograd's convolution, for any points (Toom and Cook), in exact fractions.

F(m, r) computes m results of a convolution with r weights from n = m + r - 1 inputs, by n
multiplications where the formula has m * r:

    y = AT @ ((G @ g) * (BT @ d))         d: n inputs   g: r weights   y: m results

The idea: polynomials of degree m - 1 and r - 1 are multiplied by taking both at n - 1 points and
at infinity, multiplying there, and interpolating.  That is a linear map; its transpose is the
convolution.  Every row of BT is scaled by a power of two so that its largest value is near 1, and
G the other way round.  In exact arithmetic any points will do; in float32 they decide the error.

Source: Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016;
Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution", 2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


def toom_cook(m: int, r: int, points: Sequence[Fraction | int]) -> tuple[NDArray[np.object_], ...]:
    """Return AT (m,n), G (n,r) and BT (n,n), arrays of Fraction.

    Parameters
    ----------
    m, r : int
        Results and weights.
    points : sequence of Fraction or int
        n - 1 = m + r - 2 of them, all different; infinity comes last on its own.

    Raises
    ------
    ValueError
        If there are too few points, or too many, or two are equal.
    """
    n = m + r - 1
    if len(set(points)) != n - 1 or len(points) != n - 1:
        raise ValueError(f"F({m}, {r}) must have {n - 1} different points; got {list(points)}")

    def values(degree: int) -> NDArray[np.object_]:
        """What makes of coefficients the values at all points: n,degree."""
        powers = [[Fraction(p) ** k for k in range(degree)] for p in points]
        leading = [Fraction(int(k == degree - 1)) for k in range(degree)]  # at infinity
        return np.array([*powers, leading], dtype=object)

    AT, G, BT = values(m).T, values(r), inverse(values(n)).T
    for i in range(n):
        scale = Fraction(2) ** round(math.log2(max(abs(BT[i]))))
        BT[i], G[i] = BT[i] / scale, G[i] * scale
    return AT, G, BT


def inverse(matrix: NDArray[np.object_]) -> NDArray[np.object_]:
    """Gauss and Jordan, exactly, for a matrix of Fraction that has an inverse."""
    n = len(matrix)
    unit = np.array([[Fraction(int(i == j)) for j in range(n)] for i in range(n)], dtype=object)
    both = np.concatenate([matrix, unit], axis=1)
    for k in range(n):
        pivot = next(i for i in range(k, n) if both[i, k] != 0)
        both[[k, pivot]] = both[[pivot, k]]
        both[k] = both[k] / both[k, k]
        for i in range(n):
            if i != k:
                both[i] = both[i] - both[i, k] * both[k]
    return both[:, n:]
