"""relu: kernel and reference against plain loops and torch."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import both_backends, cases, check_batch, check_dtypes, check_out, layer, normal
from support_torch import import_torch
from tolerances import assert_close

from decaf import ops
from decaf.errors import ShapeError


def _kernel(module):
    if "cython" not in ops.available():
        pytest.skip("the cython kernels are not built")
    return ops.kernel(module)


shapes = st.lists(st.integers(0, 9), min_size=1, max_size=4).map(tuple)


@both_backends
@cases
@given(shape=shapes, seed=st.integers(0, 99))
def test_agrees_with_plain_loops(backend, shape, seed):
    x = normal(*shape, seed=seed)
    assert_close("relu", layer("relu", backend)(x), oracles.relu(x))


@both_backends
def test_agrees_with_torch(backend):
    torch = import_torch()
    x = normal(2, 5, 7, 9)
    x.flat[:4] = np.nan, np.inf, -np.inf, -0.0
    want = torch.nn.functional.relu(torch.from_numpy(x)).numpy()
    np.testing.assert_array_equal(layer("relu", backend)(x), want)


@both_backends
def test_nan_and_infinities(backend):
    x = np.array([[np.nan, -np.inf, np.inf, -1e-45, 1e-45, -0.0]] * 7, np.float32)
    want = [[np.nan, 0, np.inf, 0, 1e-45, 0]] * 7
    np.testing.assert_array_equal(layer("relu", backend)(x), np.array(want, np.float32))


@both_backends
def test_out_batch_and_dtypes(backend):
    relu = layer("relu", backend)
    x = normal(3, 5, 7, 9)
    check_out("relu", relu, x, in_place=True)
    check_batch(relu, x)
    check_dtypes("relu", relu, x)


def test_float64():
    x = normal(3, 5, dtype=np.float64)
    assert_close("relu", layer("relu", "numpy")(x), oracles.relu(x))
    check_out("relu", layer("relu", "numpy"), x, in_place=True)


def test_input_stays_as_it_was():
    x = normal(3, 5)
    before = x.copy()
    layer("relu", "numpy")(x)
    np.testing.assert_array_equal(x, before)


def test_oracle_rejects_a_leaky_relu():
    x = normal(3, 5)
    with pytest.raises(AssertionError):
        assert_close("relu", np.where(x > 0, x, 0.01 * x), oracles.relu(x))


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 40000])
def test_steps_of_several_tasks(size):
    x = normal(size)
    _kernel("relu").ReluStep(x, x).run()
    np.testing.assert_array_equal(x, oracles.relu(normal(size)))


def test_a_step_refuses_another_length():
    with pytest.raises(ShapeError, match=r"^relu: out must .*expected 3, got 2"):
        _kernel("relu").ReluStep(normal(3), normal(2))
