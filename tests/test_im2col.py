"""im2col: kernel and reference against plain loops and torch's unfold; sizes of windows."""

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
from decaf.layers.shapes import conv_output_size


@st.composite
def windows(draw):
    """(input shape, kernel, stride, padding, dilation) that fit together."""

    def two(low, high):
        return draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    kernel, stride, padding, dilation = two(1, 4), two(1, 4), two(0, 3), two(1, 3)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    least = [max(1, span - 2 * p) for span, p in zip(spans, padding, strict=True)]
    extra = two(0, 5)
    size = [a + b for a, b in zip(least, extra, strict=True)]
    n, c = draw(st.integers(0, 2)), draw(st.integers(1, 3))
    return (n, c, *size), kernel, stride, padding, dilation


@both_backends
@cases
@given(window=windows())
def test_agrees_with_plain_loops(backend, window):
    shape, *options = window
    x = normal(*shape)
    assert_close("im2col", layer("im2col", backend)(x, *options), oracles.im2col(x, *options))


@both_backends
@cases
@given(window=windows())
def test_agrees_with_torch(backend, window):
    torch = import_torch()
    (n, *shape), kernel, stride, padding, dilation = window
    x = normal(n + 1, *shape)
    want = torch.nn.functional.unfold(
        torch.from_numpy(x), kernel, dilation=dilation, padding=padding, stride=stride
    )
    got = layer("im2col", backend)(x, kernel, stride, padding, dilation)
    np.testing.assert_array_equal(got, want.numpy())


@both_backends
def test_numbers_and_pairs_are_the_same(backend):
    im2col = layer("im2col", backend)
    x = normal(2, 3, 9, 8)
    np.testing.assert_array_equal(
        im2col(x, 3, 2, 1, 2), im2col(x, [3, 3], (2, 2), (1, 1), np.array(2))
    )


@both_backends
def test_out_batch_and_dtypes(backend):
    im2col = layer("im2col", backend)
    x = normal(3, 2, 9, 7)
    check_out("im2col", im2col, x, (3, 2), (2, 1), (1, 0))
    check_batch(im2col, x, (3, 2), (2, 1), (1, 0), (2, 1))
    check_dtypes("im2col", im2col, x, 3)


def test_float64_and_strides():
    x = normal(2, 3, 6, 5, dtype=np.float64)
    options = ((3, 2), (1, 2), (1, 0), (1, 2))
    got = layer("im2col", "numpy")(x, *options)
    assert_close("im2col", got, oracles.im2col(x, *options))
    check_strided(layer("im2col", "numpy"), x, *options)


@both_backends
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((8,), "im2col: the window must fit .*expected a span of at most 7, got 8"),
        ((3, 1, 0, 4), "im2col: the window must fit .*expected a span of at most 7, got 9"),
        ((0,), "im2col: kernel_size must be at least 1; got 0"),
        ((2.0,), "im2col: kernel_size must be an integer; got 2.0"),
        (((3, 3, 3),), r"im2col: kernel_size must be an integer or a pair \(h, w\); got"),
        ((3, 0), "im2col: stride must be at least 1; got 0"),
        ((3, (1, -2)), "im2col: stride must be at least 1; got -2"),
        ((3, 1, -1), "im2col: padding must be at least 0; got -1"),
        ((3, 1, "same"), "im2col: padding must be an integer; got 'same'"),
        ((3, 1, 0, 0), "im2col: dilation must be at least 1; got 0"),
    ],
)
def test_errors_name_the_argument(backend, arguments, message):
    with pytest.raises(ShapeError, match=f"^{message}"):
        layer("im2col", backend)(normal(1, 2, 7, 7), *arguments)


@both_backends
def test_input_must_have_four_axes(backend):
    with pytest.raises(ShapeError, match=r"^im2col: input must be N,C,H,W; expected 4 axes, got"):
        layer("im2col", backend)(normal(2, 7, 7), 3)


@cases
@given(
    size=st.integers(1, 30),
    kernel=st.integers(1, 6),
    stride=st.integers(1, 5),
    padding=st.integers(0, 4),
    dilation=st.integers(1, 4),
)
def test_conv_output_size_counts_the_places(size, kernel, stride, padding, dilation):
    span = dilation * (kernel - 1) + 1
    places = len(oracles.window_starts(size, span, stride, padding))
    if places:
        assert conv_output_size(size, kernel, stride, padding, dilation) == places
    else:
        with pytest.raises(ShapeError, match=r"^conv9: the window must fit"):
            conv_output_size(size, kernel, stride, padding, dilation, name="conv9")


def test_conv_output_size_refuses_nonsense():
    for wrong in [(0, 1, 1, 0, 1), (5, 0, 1, 0, 1), (5, 1, 0, 0, 1), (5, 1, 1, -1, 1)]:
        with pytest.raises(ShapeError, match=r"^conv2d: .* must be at least"):
            conv_output_size(*wrong)
