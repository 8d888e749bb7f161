"""local_response_norm: kernel and reference against plain loops and torch; never k = 1 alone."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import (
    both_backends,
    cases,
    check_batch,
    check_dtypes,
    check_out,
    check_strided,
    layer,
    normal,
)
from support_torch import import_torch
from tolerances import assert_close

from decaf.errors import ShapeError

NAME = "local_response_norm"
options = st.tuples(
    st.integers(1, 7),  # size
    st.sampled_from([0.0, 1e-4, 0.3, 1.1, 20.0]),  # alpha
    st.sampled_from([0.5, 0.75, 1.0, 1.3, 0.0]),  # beta
    st.sampled_from([1.0, 2.0, 0.7]),  # k
)
shapes = st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 6), st.integers(1, 6))


@both_backends
@pytest.mark.parametrize("region", ["across", "within"])
@cases
@given(shape=shapes, option=options)
def test_agrees_with_plain_loops(backend, region, shape, option):
    x = 3 * normal(*shape)
    got = layer(NAME, backend)(x, *option, region=region)
    assert_close(NAME, got, oracles.local_response_norm(x, *option, region))


@both_backends
@cases
@given(shape=shapes, option=options)
def test_across_agrees_with_torch(backend, shape, option):
    """An even window reaches further to the front, as in torch; alpha is divided, as there."""
    torch = import_torch()
    x = 3 * normal(*shape)
    in_64 = torch.from_numpy(x.astype(np.float64))
    want = torch.nn.functional.local_response_norm(in_64, *option).numpy()
    assert_close(NAME, layer(NAME, backend)(x, *option), want)


@both_backends
@pytest.mark.parametrize("option", [(5, 1e-4, 0.75, 1.0), (5, 5e-4, 0.75, 2.0)])
def test_values_as_large_as_caffes(backend, option):
    """Where the sum matters: Caffe's nets see pixels up to 255, and conv1 gives thousands."""
    x = 1000 * normal(1, 96, 5, 5)
    assert_close(
        NAME, layer(NAME, backend)(x, *option), oracles.local_response_norm(x, *option, "across")
    )


@both_backends
def test_defaults_are_those_of_torch(backend):
    torch = import_torch()
    x = 100 * normal(2, 7, 3, 3)
    want = torch.nn.functional.local_response_norm(torch.from_numpy(x.astype(np.float64)), 5)
    assert_close(NAME, layer(NAME, backend)(x, 5), want.numpy())


@both_backends
@pytest.mark.parametrize("shape", [(3, 7), (3, 7, 4), (2, 7, 3, 2, 2)])
def test_across_takes_any_axes_after_the_channels(backend, shape):
    x = normal(*shape)
    got = layer(NAME, backend)(x, 3, 2.0, 0.6, 1.5)
    as_images = x.reshape(*shape[:2], -1, 1)
    want = oracles.local_response_norm(as_images, 3, 2.0, 0.6, 1.5, "across")
    assert_close(NAME, got, want.reshape(shape))


@both_backends
@pytest.mark.parametrize("region", ["across", "within"])
def test_out_batch_and_dtypes(backend, region):
    lrn = layer(NAME, backend)
    x = normal(5, 7, 5, 3)
    check_out(NAME, lrn, x, 3, 2.0, 0.75, 2.0, region=region)
    check_batch(lrn, x, 5, 2.0, 0.75, 2.0, region=region)
    check_dtypes(NAME, lrn, x, 5)


@both_backends
def test_numpys_own_numbers_are_the_same_as_pythons(backend):
    lrn = layer(NAME, backend)
    x = 9 * normal(2, 7, 3, 3)
    own = lrn(x, np.int64(5), np.float64(0.3), np.float64(0.7), np.float64(1.5))
    np.testing.assert_array_equal(own, lrn(x, 5, 0.3, 0.7, 1.5))


@both_backends
def test_overflow_warns_nobody(backend):
    x = np.array([[1e30, 1.0]], np.float32)
    np.testing.assert_array_equal(layer(NAME, backend)(x, 3, 1.0), [[0, 0]])


@pytest.mark.parametrize("region", ["across", "within"])
@pytest.mark.parametrize("size", [3, 4])
def test_float64_and_strides(region, size):
    x = normal(2, 5, 4, 6, dtype=np.float64)
    option = (size, 2.0, 0.75, 1.7)
    want = oracles.local_response_norm(x, *option, region)
    assert_close(NAME, layer(NAME, "numpy")(x, *option, region=region), want)
    check_strided(layer(NAME, "numpy"), x, *option, region=region)


@both_backends
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": 0}, "size must be at least 1; got 0"),
        ({"size": 2.5}, "size must be an integer; got 2.5"),
        ({"alpha": -1.0}, "alpha must be a finite number; expected one from 0 to inf, got -1.0"),
        ({"alpha": "0.5"}, "alpha must be a number; got '0.5'"),
        ({"beta": float("nan")}, "beta must be a finite number"),
        ({"k": -2}, "k must be a finite number"),
        ({"region": "around"}, 'region must .*expected "across" or "within", got \'around\''),
        ({"input": normal(4)}, "input must be N,C,...; expected at least 2 axes"),
        ({"input": normal(2, 4, 4), "region": "within"}, "input must be N,C,H,W; expected 4 axes"),
    ],
)
def test_errors_name_the_argument(backend, changed, message):
    arguments = {"input": normal(2, 4, 5, 5), "size": 5}
    with pytest.raises(ShapeError, match=f"^{NAME}: {message}"):
        layer(NAME, backend)(**(arguments | changed))
