"""What the tests share: functions by backend, random arrays, checks for every layer."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np
import pytest
from numpy.typing import NDArray

import decaf.layers
from decaf.errors import ShapeError

# Runs a test once for each implementation of the layers.
both_backends = pytest.mark.parametrize("backend", ["numpy", "cython"])

# The same cases on every run, and no time limit on a slow machine.
cases = hypothesis.settings(
    max_examples=50, deadline=None, derandomize=True, database=None, print_blob=False
)


def layer(name: str, backend: str) -> Callable[..., Any]:
    """The function ``name`` of one backend; skips the test where that backend is not built."""
    if importlib.util.find_spec("decaf.ops") is None:
        if backend == "numpy":
            return getattr(decaf.layers, name)
        pytest.skip("decaf.ops does not exist, and with it no kernels")
    from decaf import ops

    if backend not in ops.available():
        pytest.skip(f"the {backend} kernels are not built")
    return ops.function(name, backend)


def normal(*shape: int, dtype: Any = np.float32, seed: int = 0) -> NDArray[Any]:
    """Random values with mean 0 and variance 1, the same for the same arguments."""
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(dtype)


def check_out(
    name: str,
    function: Callable[..., Any],
    input: Any,
    *rest: Any,
    in_place: bool = False,
    **options: Any,
) -> None:
    """``out=`` is written and returned; one that does not fit, or overlaps, is refused."""
    want = function(input, *rest, **options)
    assert want.dtype == input.dtype
    assert want.flags.c_contiguous

    out = np.full(want.shape, np.nan, want.dtype)
    assert function(input, *rest, out=out, **options) is out
    np.testing.assert_array_equal(out, want)

    *front, last = want.shape
    read_only = np.empty_like(want)
    read_only.flags.writeable = False
    wrong_outs = [
        (np.empty((*front, last + 1), want.dtype), "the shape and dtype"),
        (np.empty((1, *want.shape), want.dtype), "the shape and dtype"),
        (np.empty(want.shape, np.float16), "the shape and dtype"),
        (np.empty((*front, 2 * last), want.dtype)[..., ::2], "C-contiguous"),
        (read_only, "writeable"),
        (want.tolist(), "an array"),
    ]
    for wrong, reason in wrong_outs:
        with pytest.raises(ShapeError, match=f"^{name}: out must .*{reason}"):
            function(input, *rest, out=wrong, **options)

    memory = np.zeros(max(input.size, want.size) + 1, want.dtype)
    read = memory[: input.size].reshape(input.shape)
    read[...] = input
    with pytest.raises(ShapeError, match=f"^{name}: out must not overlap"):
        function(read, *rest, out=memory[1 : 1 + want.size].reshape(want.shape), **options)
    on_top = memory[: want.size].reshape(want.shape)
    if in_place:
        assert function(read, *rest, out=on_top, **options) is on_top
        np.testing.assert_array_equal(on_top, want)
    else:
        with pytest.raises(ShapeError, match=f"^{name}: out must not overlap"):
            function(read, *rest, out=on_top, **options)


def check_batch(function: Callable[..., Any], input: Any, *rest: Any, **options: Any) -> None:
    """An image's result has the same bits alone and in any place of a batch; no image is fine."""
    together = function(input, *rest, **options)
    for n in range(len(input)):
        alone = function(input[n : n + 1].copy(), *rest, **options)
        np.testing.assert_array_equal(alone[0], together[n])
    tail = function(input[1:].copy(), *rest, **options)
    np.testing.assert_array_equal(tail, together[1:])
    assert function(input[:0], *rest, **options).shape == (0, *together.shape[1:])


def check_dtypes(name: str, function: Callable[..., Any], input: Any, *rest: Any) -> None:
    """What is neither float32 nor float64, or no array at all, is refused."""
    for dtype in (np.int64, np.float16, np.complex64, ">f4", bool):
        with pytest.raises(ShapeError, match=f"^{name}: input.* must be of one float dtype"):
            function(input.astype(dtype), *rest)
    with pytest.raises(ShapeError, match=f"^{name}: input.* must be an array.*got list"):
        function(input.tolist(), *rest)


def check_strided(function: Callable[..., Any], input: Any, *rest: Any, **options: Any) -> None:
    """An input that is not C-contiguous gives the same bits as its contiguous copy."""
    strided = np.empty((*input.shape[::-1], 2), input.dtype)[..., 0].T
    strided[...] = input
    assert not strided.flags.c_contiguous
    np.testing.assert_array_equal(
        function(strided, *rest, **options), function(input, *rest, **options)
    )
