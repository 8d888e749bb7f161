"""concat: kernel and reference against plain loops and torch."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import both_backends, cases, layer, normal
from support_torch import import_torch
from tolerances import assert_close

from decaf import ops
from decaf.errors import ShapeError


def _kernel(module):
    if "cython" not in ops.available():
        pytest.skip("the cython kernels are not built")
    return ops.kernel(module)


@st.composite
def joins(draw):
    """(list of arrays, dim) that fit together."""
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    dim = draw(st.integers(0, len(shape) - 1))
    lengths = draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
    shapes = [(*shape[:dim], length, *shape[dim + 1 :]) for length in lengths]
    return [normal(*each, seed=number) for number, each in enumerate(shapes)], dim


@both_backends
@cases
@given(join=joins())
def test_agrees_with_plain_loops_and_torch(backend, join):
    torch = import_torch()
    inputs, dim = join
    got = layer("concat", backend)(inputs, dim)
    assert_close("concat", got, oracles.concat(inputs, dim))
    want = torch.cat([torch.from_numpy(array) for array in inputs], dim).numpy()
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(layer("concat", backend)(inputs, dim - inputs[0].ndim), want)


@both_backends
def test_channels_by_default(backend):
    inputs = (normal(2, 3, 4, 5), normal(2, 1, 4, 5))
    got = layer("concat", backend)(inputs)
    np.testing.assert_array_equal(got[:, :3], inputs[0])
    np.testing.assert_array_equal(got[:, 3:], inputs[1])
    assert not np.shares_memory(got, inputs[0])


@both_backends
def test_empty_batch_and_one_input(backend):
    concat = layer("concat", backend)
    assert concat([normal(0, 3, 4), normal(0, 2, 4)]).shape == (0, 5, 4)
    x = normal(2, 3)
    got = concat([x])
    np.testing.assert_array_equal(got, x)
    assert not np.shares_memory(got, x)


@both_backends
def test_out(backend):
    concat = layer("concat", backend)
    memory = np.zeros(100, np.float32)
    inputs = [normal(2, 3), memory[50:58].reshape(2, 4)]
    inputs[1][...] = normal(2, 4)
    out = np.full((2, 7), np.nan, np.float32)
    assert concat(inputs, out=out) is out
    np.testing.assert_array_equal(out, np.hstack(inputs))

    read_only = np.empty_like(out)
    read_only.flags.writeable = False
    for wrong, reason in [
        (np.empty((2, 8), np.float32), r"the shape and dtype .*expected \(2, 7\)"),
        (np.empty((2, 7), np.float64), "the shape and dtype"),
        (np.empty((2, 14), np.float32)[:, ::2], "C-contiguous"),
        (read_only, "writeable"),
        (memory[40:54].reshape(2, 7), "not overlap .*array 1 of 2"),
    ]:
        with pytest.raises(ShapeError, match=f"^concat: out must .*{reason}"):
            concat(inputs, out=wrong)


@both_backends
def test_out_may_not_be_the_only_input(backend):
    x = normal(2, 3)
    with pytest.raises(ShapeError, match=r"^concat: out must not overlap"):
        layer("concat", backend)([x], out=x)


def test_float64_and_strides():
    inputs = [normal(2, 3, 4, dtype=np.float64), normal(4, 5, 2, dtype=np.float64).T]
    assert_close("concat", layer("concat", "numpy")(inputs), oracles.concat(inputs, 1))


@both_backends
@pytest.mark.parametrize(
    ("inputs", "dim", "message"),
    [
        ([], 1, "inputs must be a list or tuple of arrays; expected at least one"),
        (normal(2, 3), 1, "inputs must be a list or tuple of arrays; .*got ndarray"),
        (
            [normal(2, 3, 4), normal(2, 3, 5)],
            1,
            r"inputs\[1\] must be as inputs\[0\] but for axis 1; "
            r"expected \(2, 3, 4\), got \(2, 3, 5\)",
        ),
        ([normal(2, 3), normal(2, 3, 1)], 1, r"inputs\[1\] must be as inputs\[0\]"),
        ([normal(2, 3), np.zeros((2, 3))], 1, r"inputs\[1\] must .*float32.*got float64"),
        ([normal(2, 3), [[1, 2], [3, 4]]], 1, r"inputs\[1\] must be an array"),
        ([np.zeros((2, 3), int)], 1, r"inputs\[0\] must be of one float dtype"),
        ([normal(2, 3)], 2, "dim must name an axis; expected -2 to 1, got 2"),
    ],
)
def test_errors_name_the_argument(backend, inputs, dim, message):
    with pytest.raises(ShapeError, match=f"^concat: {message}"):
        layer("concat", backend)(inputs, dim)


@pytest.mark.parametrize(("rows", "width"), [(0, 5), (3, 0), (1, 20000), (700, 64), (5000, 3)])
def test_a_step_writes_its_columns_alone(rows, width):
    x = normal(rows, width)
    out = np.full((rows, width + 5), np.pi, np.float32)
    _kernel("concat").CopyStep(x, out, 2).run()
    np.testing.assert_array_equal(out[:, 2 : 2 + width], x)
    np.testing.assert_array_equal(out[:, :2], np.float32(np.pi))
    np.testing.assert_array_equal(out[:, 2 + width :], np.float32(np.pi))


@pytest.mark.parametrize(("shape", "first"), [((2, 7), 5), ((2, 7), -1), ((3, 7), 0), ((2, 2), 0)])
def test_a_step_refuses_what_does_not_fit(shape, first):
    with pytest.raises(ShapeError, match=r"^concat: out must have room; expected 2 rows"):
        _kernel("concat").CopyStep(normal(2, 3), np.empty(shape, np.float32), first)
