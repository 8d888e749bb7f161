"""linear: kernel and reference against plain loops and torch."""

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


@both_backends
@cases
@given(
    n=st.integers(0, 9),
    d=st.integers(1, 67),
    o=st.integers(1, 19),
    with_bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_agrees_with_plain_loops(backend, n, d, o, with_bias, seed):
    x, weight = normal(n, d, seed=seed), normal(o, d, seed=seed + 1)
    bias = normal(o) if with_bias else None
    term = float(np.abs(x).max(initial=0) * np.abs(weight).max())
    got = layer("linear", backend)(x, weight, bias)
    assert_close("linear", got, oracles.linear(x, weight, bias), term)


@both_backends
@pytest.mark.parametrize("n", [1, 2, 3, 10, 33])
def test_agrees_with_torch_on_long_rows(backend, n):
    torch = import_torch()
    x, weight, bias = normal(n, 1153), normal(250, 1153, seed=1), normal(250, seed=2)
    want = torch.nn.functional.linear(
        *(torch.from_numpy(array.astype(np.float64)) for array in (x, weight, bias))
    )
    assert_close("linear", layer("linear", backend)(x, weight, bias), want.numpy())


@both_backends
def test_more_and_fewer_axes_in_front(backend):
    linear = layer("linear", backend)
    x, weight, bias = normal(2, 3, 5), normal(4, 5), normal(4)
    want = oracles.linear(x.reshape(6, 5), weight, bias)
    assert_close("linear", linear(x, weight, bias), want.reshape(2, 3, 4))
    assert_close("linear", linear(x[0, 0], weight, bias), want[0])


@both_backends
def test_out_batch_and_dtypes(backend):
    linear = layer("linear", backend)
    x, weight, bias = normal(33, 101), normal(50, 101), normal(50)
    check_out("linear", linear, x, weight, bias)
    check_out("linear", linear, normal(3, 5), normal(5, 5))
    check_batch(linear, x, weight, bias)
    check_batch(linear, x, weight)
    check_dtypes("linear", linear, x, weight)


@both_backends
def test_out_may_not_be_a_parameter(backend):
    square, bias = normal(4, 4), normal(4)
    with pytest.raises(ShapeError, match=r"^linear: out must not overlap"):
        layer("linear", backend)(normal(4, 4, seed=1), square, bias, out=square)
    with pytest.raises(ShapeError, match=r"^linear: out must not overlap"):
        layer("linear", backend)(normal(1, 4), square, bias, out=bias.reshape(1, 4))


@both_backends
def test_an_infinity_warns_nobody(backend):
    x = np.array([[np.inf, 1.0], [1e38, 1e38]], np.float32)
    got = layer("linear", backend)(x, np.array([[0.0, 1.0], [9.0, 9.0]], np.float32))
    np.testing.assert_array_equal(got, np.array([[np.nan, np.inf], [1e38, np.inf]], np.float32))


def test_float64_and_strides():
    linear = layer("linear", "numpy")
    x, weight, bias = (normal(*shape, dtype=np.float64) for shape in [(3, 40), (7, 40), (7,)])
    assert_close("linear", linear(x, weight, bias), oracles.linear(x, weight, bias))
    check_strided(linear, x, weight, bias)


@both_backends
def test_errors_name_the_argument(backend):
    linear = layer("linear", backend)
    x, weight = normal(3, 5), normal(4, 5)
    with pytest.raises(ShapeError, match=r"^linear: input must be N,D; .*D = 5, .*got \(3, 6\)"):
        linear(normal(3, 6), weight)
    with pytest.raises(ShapeError, match=r"^linear: weight must be O,D; expected 2 axes"):
        linear(x, normal(4, 5, 1, 1))
    with pytest.raises(ShapeError, match=r"^linear: bias must be O; expected \(4,\), got \(5,\)"):
        linear(x, weight, normal(5))
    with pytest.raises(ShapeError, match=r"^linear: weight must .*expected float32.*got float64"):
        linear(x, weight.astype(np.float64))
    with pytest.raises(ShapeError, match=r"^linear: bias must .*expected float32.*got float64"):
        linear(x, weight, np.zeros(4))
