"""Lengths and powers of rows: against plain loops, at the ends of the number range."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from support import normal

from decaf.errors import FeaturesError
from decaf.vectors import l2_normalised, signed_power


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_divided_by_their_lengths(dtype: type) -> None:
    rows = normal(4, 7, dtype=dtype)
    found = l2_normalised(rows)
    assert found.dtype == dtype
    for row, out in zip(rows.tolist(), found.tolist(), strict=True):
        length = math.sqrt(sum(value * value for value in row))
        assert out == pytest.approx([value / length for value in row], rel=1e-6)


def test_rows_of_more_axes_are_the_last_axis() -> None:
    rows = normal(2, 3, 5)
    np.testing.assert_array_equal(l2_normalised(rows)[1, 2], l2_normalised(rows[1, 2:])[0])


@pytest.mark.parametrize("size", [1e-40, 1e-30, 1e30])
def test_the_length_neither_overflows_nor_vanishes(size: float) -> None:
    rows = (np.array([[3.0, -4.0]]) * size).astype(np.float32)  # 1e-40 is subnormal: few digits
    np.testing.assert_allclose(l2_normalised(rows), [[0.6, -0.8]], rtol=1e-4)
    np.testing.assert_allclose(l2_normalised(np.array([[3e300, -4e300]])), [[0.6, -0.8]])


def test_rows_of_zeros_stay_zeros_and_the_input_is_left_alone() -> None:
    rows = np.array([[0.0, 0.0], [0.0, -2.0]])
    np.testing.assert_array_equal(l2_normalised(rows), [[0, 0], [0, -1]])
    np.testing.assert_array_equal(rows, [[0, 0], [0, -2]])


def test_no_row_is_fine() -> None:
    assert l2_normalised(np.empty((0, 3), np.float32)).shape == (0, 3)


@pytest.mark.parametrize("power", [0.5, 2.0, 3.0])
def test_the_power_is_of_the_magnitude_and_the_sign_stays(power: float) -> None:
    rows = normal(3, 6)
    found = signed_power(rows, power)
    assert found.dtype == np.float32
    want = [[math.copysign(abs(v) ** power, v) for v in row] for row in rows.tolist()]
    np.testing.assert_allclose(found, want, rtol=1e-6)
    assert signed_power(np.zeros((1, 2)), power).tolist() == [[0, 0]]


def test_power_1_changes_nothing() -> None:
    rows = normal(3, 6)
    np.testing.assert_array_equal(signed_power(rows, 1.0), rows)


@pytest.mark.parametrize("power", [0.0, -1.0, math.nan, math.inf, "1", None, 1j])
def test_other_powers_are_refused(power: Any) -> None:
    with pytest.raises(FeaturesError, match="^power must be a number; expected more than 0, got"):
        signed_power(normal(1, 2), power)
