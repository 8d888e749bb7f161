"""Scores of photos and maps of where, against loops over patches and pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decaf.errors import FeaturesError
from decaf.transfer.midlevel.patches import patches
from decaf.transfer.midlevel.scores import peak, photo_scores, where


def test_a_few_sure_patches_outweigh_many_that_are_not():
    sure = np.array([[0.9, 0.1]] + [[0.1, 0.3]] * 9, np.float32)
    assert photo_scores(sure, 1).argmax() == 1 and photo_scores(sure).argmax() == 0
    np.testing.assert_allclose(
        photo_scores(sure), [(0.9**5 + 9 * 0.1**5) / 10, (0.1**5 + 9 * 0.3**5) / 10], rtol=1e-5
    )


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([1.0, 2.5, 5.0]), st.integers(0, 99))
def test_maps_are_those_of_loops(width: int, height: int, power: float, seed: int):
    rng = np.random.default_rng(seed)
    found = patches(width, height)
    found = found[rng.random(len(found)) < 0.5]  # so that some pixels lie in none
    said = rng.random(len(found), np.float32)
    wanted = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            over = [
                float(p) ** power
                for (left, top, right, bottom), p in zip(found.tolist(), said, strict=True)
                if left <= x < right and top <= y < bottom
            ]
            wanted[y, x] = sum(over) / max(1, len(found))
    got = where(found, said, width, height, power)
    assert got.dtype == np.float32 and got.shape == (height, width)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_where_all_patches_lie_is_the_photos_score():
    found = patches(31, 31)
    said = np.zeros((len(found), 1), np.float32)
    assert (where(found, said[:, 0], 31, 31) == 0).all()
    over = (found[:, :2] <= 15).all(axis=1) & (found[:, 2:] > 15).all(axis=1)
    said[over] = np.random.default_rng(0).random((over.sum(), 1), np.float32)
    got = where(found, said[:, 0], 31, 31)
    assert got[15, 15] == pytest.approx(photo_scores(said)[0], rel=1e-5)
    assert got.max() == got[15, 15] > got[0, 0] > 0


def test_the_peak_is_the_middle_of_the_highest_rectangle():
    flat = np.zeros((20, 30), np.float32)
    flat[4:9, 10:21] = 0.5
    assert peak(flat) == (15, 6)
    flat[18, 2] = 0.6
    assert peak(flat) == (2, 18)
    ring = np.ones((9, 9), np.float32)
    ring[2:7, 2:7] = 0  # the centre of the highest pixels is not one of them
    x, y = peak(ring)
    assert ring[y, x] == 1


@pytest.mark.parametrize("power", [0.5, math.nan, math.inf, -1])
def test_powers_that_cannot_be(power: float):
    with pytest.raises(FeaturesError, match="power must be a number; expected at least 1"):
        photo_scores(np.ones((2, 2), np.float32), power)
    with pytest.raises(FeaturesError, match="power must be a number; expected at least 1"):
        where(patches(4, 4), np.ones(len(patches(4, 4)), np.float32), 4, 4, power)
