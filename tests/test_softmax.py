"""softmax: kernel and reference against plain loops and torch."""

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

from decaf import ops
from decaf.errors import ShapeError


def _kernel(module):
    if "cython" not in ops.available():
        pytest.skip("the cython kernels are not built")
    return ops.kernel(module)


shapes_and_dims = st.lists(st.integers(1, 6), min_size=1, max_size=4).flatmap(
    lambda shape: st.tuples(st.just(tuple(shape)), st.integers(0, len(shape) - 1))
)
spreads = st.sampled_from([0.1, 1.0, 30.0, 1000.0])


@both_backends
@cases
@given(shape_and_dim=shapes_and_dims, spread=spreads)
def test_agrees_with_plain_loops(backend, shape_and_dim, spread):
    shape, dim = shape_and_dim
    x = normal(*shape) * np.float32(spread)
    assert_close("softmax", layer("softmax", backend)(x, dim), oracles.softmax(x, dim))


@both_backends
@cases
@given(shape_and_dim=shapes_and_dims, spread=spreads)
def test_agrees_with_torch(backend, shape_and_dim, spread):
    torch = import_torch()
    shape, dim = shape_and_dim
    x = normal(*shape) * np.float32(spread)
    want = torch.softmax(torch.from_numpy(x.astype(np.float64)), dim).numpy()
    assert_close("softmax", layer("softmax", backend)(x, dim - len(shape)), want)


@both_backends
def test_a_thousand_classes(backend):
    x = 10 * normal(3, 1000)
    got = layer("softmax", backend)(x)
    assert_close("softmax", got, oracles.softmax(x, 1))
    np.testing.assert_allclose(got.sum(axis=1, dtype=np.float64), 1, rtol=2e-6)


@both_backends
def test_large_scores_do_not_overflow(backend):
    x = np.array([[3e38, 3e38, -3e38], [-1e30, -1e30, -np.inf], [0, -200, -1e4]], np.float32)
    got = layer("softmax", backend)(x)
    np.testing.assert_allclose(got, [[0.5, 0.5, 0], [0.5, 0.5, 0], [1, 0, 0]], atol=1e-30)


@both_backends
def test_nan_stays_in_its_row(backend):
    x = np.array([[np.nan, 1], [1, 1], [np.inf, 1]], np.float32)
    got = layer("softmax", backend)(x)
    assert np.isnan(got[0]).all()
    np.testing.assert_array_equal(got[1], [0.5, 0.5])
    assert np.isnan(got[2, 0])


@both_backends
@pytest.mark.parametrize("shape", [(7, 1000), (5, 10, 1, 1), (5, 6, 3, 4)])
def test_out_batch_and_dtypes(backend, shape):
    softmax = layer("softmax", backend)
    x = 5 * normal(*shape)
    if shape[-1] > 1:
        check_out("softmax", softmax, x, in_place=True)
    check_batch(softmax, x)
    check_dtypes("softmax", softmax, x)


def test_float64_and_strides():
    x = 3 * normal(4, 5, 3, dtype=np.float64)
    for dim in range(3):
        got = layer("softmax", "numpy")(x, dim)
        assert_close("softmax", got, oracles.softmax(x, dim))
        check_strided(layer("softmax", "numpy"), x, dim)


@both_backends
def test_errors_name_the_argument(backend):
    softmax = layer("softmax", backend)
    with pytest.raises(
        ShapeError, match=r"^softmax: dim must name an axis; expected -2 to 1, got 2"
    ):
        softmax(normal(2, 3), 2)
    with pytest.raises(ShapeError, match=r"^softmax: dim must be at least -2; got -3"):
        softmax(normal(2, 3), -3)
    with pytest.raises(ShapeError, match=r"^softmax: dim must be an integer; got None"):
        softmax(normal(2, 3), None)
    with pytest.raises(
        ShapeError, match=r"^softmax: input must have at least one value along axis 1"
    ):
        softmax(normal(2, 0))


def test_a_step_refuses_another_shape():
    kernel = _kernel("softmax")
    with pytest.raises(ShapeError, match=r"^softmax: out must .*\(2, 3\), got \(3, 2\)"):
        kernel.SoftmaxStep(normal(2, 3), normal(3, 2))


def test_a_step_in_place():
    x = 3 * normal(5, 7)
    want = oracles.softmax(x, 1)
    _kernel("softmax").SoftmaxStep(x, x).run()
    assert_close("softmax", x, want)
