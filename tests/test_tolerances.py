"""The tolerance table catches planted errors: a test that cannot fail tests nothing."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
from support import layer, normal
from tolerances import FLOAT32, assert_close

X = normal(2, 6, 7, 8)


@pytest.mark.parametrize("name", FLOAT32)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_wrong_element_fails(name, dtype):
    want = X.astype(np.float64)
    largest = np.unravel_index(np.abs(want).argmax(), want.shape)
    got = want.astype(dtype)
    assert_close(name, got, want)
    got[largest] *= 1.001
    with pytest.raises(AssertionError, match=f"^{name}: error .* allowed"):
        assert_close(name, got, want)


def test_wrong_shape_and_misplaced_nan_fail():
    with pytest.raises(AssertionError, match=r"^relu: shape \(2, 6, 7, 8\), expected"):
        assert_close("relu", X, X.reshape(2, 6, 56))
    with_nan = X.copy()
    with_nan[0, 0, 0, 0] = np.nan
    assert_close("relu", with_nan, with_nan)
    for got, want in [(X, with_nan), (with_nan, X)]:
        with pytest.raises(AssertionError):
            assert_close("relu", got, want)


@pytest.mark.parametrize("region", ["across", "within"])
@pytest.mark.parametrize("k", [1.0, 2.0])
def test_lrn_with_alpha_not_divided_fails(region, k):
    """The error of the paper's formula against Caffe's, with AlexNet's options and values."""
    x = 20 * X
    want = oracles.local_response_norm(x, 5, 1e-4, 0.75, k, region)
    members = 5 if region == "across" else 25
    lrn = layer("local_response_norm", "numpy")
    assert_close("local_response_norm", lrn(x, 5, 1e-4, 0.75, k, region=region), want)
    for wrong in [(1e-4 * members, 0.75, k), (1e-4, 0.75, 3 - k), (1e-4, 0.7501, k + 1e-3)]:
        with pytest.raises(AssertionError, match="error"):
            assert_close("local_response_norm", lrn(x, 5, *wrong, region=region), want)


def test_convolution_shifted_by_a_pixel_fails():
    weight = normal(4, 6, 3, 3)
    options = ((1, 1), (1, 1), (1, 1), 1)
    want = oracles.conv2d(X, weight, None, *options)
    conv2d = layer("conv2d", "numpy")
    assert_close("conv2d", conv2d(X, weight, None, *options), want)
    with pytest.raises(AssertionError, match="error"):
        assert_close("conv2d", conv2d(np.roll(X, 1, axis=3), weight, None, *options), want)
    with pytest.raises(AssertionError, match="error"):
        assert_close("conv2d", conv2d(X, weight[..., ::-1].copy(), None, *options), want)


def test_pooling_that_rounds_the_wrong_way_or_miscounts_fails():
    options = ((3, 3), (2, 2), (1, 1))
    want = oracles.avg_pool2d(X, *options, True, True)
    pool = layer("avg_pool2d", "numpy")
    assert_close("avg_pool2d", pool(X, *options, True), want)
    with pytest.raises(AssertionError, match="shape"):
        assert_close("avg_pool2d", pool(X, *options, False), want)
    with pytest.raises(AssertionError, match="error"):
        assert_close("avg_pool2d", pool(X, *options, True, False), want)
