"""reorder: N,C,H,W to N,H,W,C and back, against NumPy's transposition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import cases, normal

from decaf import ops
from decaf.errors import ShapeError

STEPS = {"ToChannelsLastStep": (0, 2, 3, 1), "ToChannelsFirstStep": (0, 3, 1, 2)}


@pytest.fixture
def reorder() -> Any:
    if "cython" not in ops.available():
        pytest.skip("the kernels are not built")
    return ops.kernel("reorder")


def check(name: str, x: np.ndarray) -> None:
    """The step moves every value to its place and writes nothing beyond."""
    want = x.transpose(STEPS[name])
    memory = np.full(x.size + 64, np.pi, np.float32)
    out = memory[32:-32].reshape(want.shape)
    getattr(ops.kernel("reorder"), name)(x, out).run()
    np.testing.assert_array_equal(out, want)
    np.testing.assert_array_equal(memory[:32], np.float32(np.pi))
    np.testing.assert_array_equal(memory[-32:], np.float32(np.pi))


@pytest.mark.usefixtures("reorder")
@pytest.mark.parametrize("name", STEPS)
@cases
@given(
    shape=st.tuples(st.integers(0, 2), st.integers(1, 40), st.integers(1, 9), st.integers(1, 40))
)
def test_every_value_finds_its_place(name, shape):
    check(name, normal(*shape))


@pytest.mark.usefixtures("reorder")
@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(
    ("c", "h", "w"),
    [
        (3, 224, 224),
        (512, 7, 7),
        (256, 6, 6),
        (9000, 1, 2),
        (1000, 1, 1),
        (1, 55, 55),
        (64, 32, 32),
    ],
)
def test_common_shapes_and_several_tasks(name, c, h, w):
    x = np.arange(2 * c * h * w, dtype=np.float32)
    last = name == "ToChannelsLastStep"
    check(name, x.reshape((2, c, h, w) if last else (2, h, w, c)))


def test_there_and_back(reorder):
    x = normal(2, 37, 5, 11)
    last, back = np.empty((2, 5, 11, 37), np.float32), np.empty_like(x)
    reorder.ToChannelsLastStep(x, last).run()
    reorder.ToChannelsFirstStep(last, back).run()
    np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("shape", [(1, 4, 5, 3), (2, 5, 4, 3), (2, 4, 5, 4), (2, 3, 4, 5)])
def test_shapes_that_do_not_fit_are_refused(reorder, shape):
    """The right one is (2, 4, 5, 3), from channels first to last."""
    first, last = normal(2, 3, 4, 5), normal(*shape)
    with pytest.raises(ShapeError, match=r"^reorder: out must have .*\(2, 3, 4, 5\)"):
        reorder.ToChannelsLastStep(first, last)
    with pytest.raises(ShapeError, match=r"^reorder: out must have .*\(2, 3, 4, 5\)"):
        reorder.ToChannelsFirstStep(last, first)
