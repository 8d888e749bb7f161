"""The ladder's matrices of Winograd: in exact fractions they are a convolution, for any points."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
from toom_cook import toom_cook


def fractions(seed: int, *shape: int) -> np.ndarray:
    values = np.random.default_rng(seed).integers(-50, 50, shape)
    return np.vectorize(lambda value: Fraction(int(value), 7), otypes=[object])(values)


CASES = [
    (2, 1, (5,)),
    (2, 3, (0, 1, -1)),
    (4, 3, (0, Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2))),
    (3, 2, (Fraction(1, 3), -7, 2)),
    (4, 5, (0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2))),
]


@pytest.mark.parametrize(("m", "r", "points"), CASES)
def test_they_convolve_exactly(m: int, r: int, points: tuple[Fraction | int, ...]) -> None:
    AT, G, BT = toom_cook(m, r, points)
    n = m + r - 1
    assert (AT.shape, G.shape, BT.shape) == ((m, n), (n, r), (n, n))
    d, g = fractions(1, n, n), fractions(2, r, r)
    got = AT @ ((G @ g @ G.T) * (BT @ d @ BT.T)) @ AT.T  # m,m
    want = [[np.sum(d[i : i + r, j : j + r] * g) for j in range(m)] for i in range(m)]
    assert got.tolist() == want


@pytest.mark.parametrize("points", [(0, 1), (0, 1, -1, 2), (0, 1, 1)])
def test_wrong_points_are_refused(points: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must have 3 different points"):
        toom_cook(2, 3, points)
