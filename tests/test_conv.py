"""conv2d: kernel and reference against plain loops and torch."""

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
from support_steps import convolve, each_isa
from support_torch import import_torch
from tolerances import assert_close

from decaf import layers
from decaf.errors import ShapeError


@st.composite
def convolutions(draw, largest_channels):
    """(input, weight, bias, stride, padding, dilation, groups) that fit together."""

    def two(low, high):
        return draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    groups = draw(st.integers(1, 3))
    c_group, o_group = (draw(st.integers(1, largest_channels)) for _ in "co")
    kernel, stride, padding, dilation = two(1, 4), two(1, 3), two(0, 3), two(1, 2)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    least = [max(1, span - 2 * p) for span, p in zip(spans, padding, strict=True)]
    extra = two(0, 4)
    size = [a + b for a, b in zip(least, extra, strict=True)]
    seed = draw(st.integers(0, 99))
    x = normal(draw(st.integers(1, 2)), groups * c_group, *size, seed=seed)
    weight = normal(groups * o_group, c_group, *kernel, seed=seed + 1)
    bias = draw(st.sampled_from([None, normal(groups * o_group)]))
    return x, weight, bias, stride, padding, dilation, groups


def largest_term(x, weight):
    return float(np.abs(x).max() * np.abs(weight).max())


@both_backends
@cases
@given(arguments=convolutions(largest_channels=2))
def test_agrees_with_plain_loops(backend, arguments):
    got = layer("conv2d", backend)(*arguments)
    assert_close("conv2d", got, oracles.conv2d(*arguments), largest_term(*arguments[:2]))


@both_backends
@cases
@given(arguments=convolutions(largest_channels=9))
def test_agrees_with_torch(backend, arguments):
    torch = import_torch()
    *arrays, stride, padding, dilation, groups = arguments
    tensors = [None if a is None else torch.from_numpy(a.astype(np.float64)) for a in arrays]
    want = torch.nn.functional.conv2d(*tensors, stride, padding, dilation, groups).numpy()
    got = layer("conv2d", backend)(*arguments)
    assert_close("conv2d", got, want, largest_term(*arguments[:2]))


# Smaller than AlexNet's layers, of the same kinds: (input, weight, stride, padding, groups).
ALEXNET_KINDS = [
    ((2, 3, 67, 67), (24, 3, 11, 11), 4, 2, 1),
    ((2, 3, 67, 59), (24, 3, 11, 11), 4, 0, 1),
    ((2, 24, 15, 15), (64, 12, 5, 5), 1, 2, 2),
    ((2, 64, 13, 13), (96, 64, 3, 3), 1, 1, 1),
    ((2, 96, 13, 13), (64, 48, 3, 3), 1, 1, 2),
    ((3, 64, 7, 7), (16, 64, 1, 1), 1, 0, 1),
]


@both_backends
@pytest.mark.parametrize(("shape", "weight_shape", "stride", "padding", "groups"), ALEXNET_KINDS)
def test_kinds_of_alexnet_agree_with_torch(backend, shape, weight_shape, stride, padding, groups):
    torch = import_torch()
    arrays = normal(*shape), normal(*weight_shape, seed=1), normal(weight_shape[0], seed=2)
    tensors = [torch.from_numpy(a.astype(np.float64)) for a in arrays]
    want = torch.nn.functional.conv2d(*tensors, stride, padding, 1, groups).numpy()
    conv2d = layer("conv2d", backend)
    assert_close("conv2d", conv2d(*arrays, stride, padding, 1, groups), want)
    check_batch(conv2d, *arrays, stride, padding, 1, groups)


@both_backends
def test_depthwise(backend):
    x, weight = normal(2, 6, 5, 4), normal(6, 1, 3, 2, seed=1)
    got = layer("conv2d", backend)(x, weight, None, 1, (1, 0), 1, 6)
    want = oracles.conv2d(x, weight, None, (1, 1), (1, 0), (1, 1), 6)
    assert_close("conv2d", got, want)


@both_backends
def test_out_batch_and_dtypes(backend):
    conv2d = layer("conv2d", backend)
    x, weight, bias = normal(5, 4, 9, 7), normal(6, 2, 3, 2), normal(6)
    check_out("conv2d", conv2d, x, weight, bias, (2, 1), (1, 0), (1, 2), 2)
    check_out("conv2d", conv2d, normal(2, 3, 4, 4), normal(3, 3, 1, 1))  # same size in and out
    check_batch(conv2d, x, weight, bias, (2, 1), (1, 0), (1, 2), 2)
    check_dtypes("conv2d", conv2d, normal(5, 2, 9, 7), weight)


@both_backends
def test_out_may_not_be_a_parameter(backend):
    weight = normal(1, 4, 1, 4)
    with pytest.raises(ShapeError, match=r"^conv2d: out must not overlap"):
        layer("conv2d", backend)(normal(1, 4, 1, 19), weight, out=weight.reshape(1, 1, 1, 16))


@both_backends
def test_an_infinity_warns_nobody(backend):
    x = np.array([np.inf, 1.0, 1e38, 1e38], np.float32).reshape(1, 1, 1, 4)
    weight = np.array([-1.0, 9.0], np.float32).reshape(1, 1, 1, 2)
    got = layer("conv2d", backend)(x, weight, stride=2)
    np.testing.assert_array_equal(got.ravel(), np.array([-np.inf, np.inf], np.float32))


def test_float64_and_strides():
    conv2d = layer("conv2d", "numpy")
    shapes = [(2, 4, 6, 5), (6, 2, 3, 2), (6,)]
    x, weight, bias = (normal(*shape, dtype=np.float64) for shape in shapes)
    options = ((2, 1), (1, 2), (1, 2), 2)
    want = oracles.conv2d(x, weight, bias, *options)
    assert_close("conv2d", conv2d(x, weight, bias, *options), want)
    check_strided(conv2d, x, weight, bias, *options)
    fortran = np.asfortranarray(weight)
    np.testing.assert_array_equal(
        conv2d(x, fortran, bias, *options), conv2d(x, weight, bias, *options)
    )


@both_backends
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"input": normal(4, 9, 7)}, "input must be N,C,H,W; expected 4 axes, got shape"),
        (
            {"weight": normal(6, 4, 3, 2)},
            r"weight must be O,C/G,KH,KW; expected \(6, 2, 3, 2\), got \(6, 4, 3, 2\)",
        ),
        ({"weight": normal(6, 12)}, "weight must be O,C/G,KH,KW; expected 4 axes"),
        ({"bias": normal(5)}, r"bias must be O; expected \(6,\), got \(5,\)"),
        ({"weight": np.zeros((6, 2, 3, 2))}, "weight must .*expected float32.*got float64"),
        ({"bias": np.zeros(6)}, "bias must .*expected float32.*got float64"),
        ({"groups": 3}, "groups must divide the channels C and O; got 3, C = 4, O = 6"),
        ({"groups": 0}, "groups must be at least 1; got 0"),
        ({"groups": 2.0}, "groups must be an integer; got 2.0"),
        ({"stride": 0}, "stride must be at least 1; got 0"),
        ({"padding": (0, -1)}, "padding must be at least 0; got -1"),
        ({"padding": "same"}, "padding must be an integer; got 'same'"),
        ({"dilation": 0}, "dilation must be at least 1; got 0"),
        ({"dilation": 7}, "the window must fit .*expected a span of at most 9, got 15"),
    ],
)
def test_errors_name_the_argument(backend, changed, message):
    arguments = {"input": normal(2, 4, 9, 7), "weight": normal(6, 2, 3, 2), "groups": 2}
    with pytest.raises(ShapeError, match=f"^conv2d: {message}"):
        layer("conv2d", backend)(**(arguments | changed))


@both_backends
def test_no_channels_are_refused(backend: str) -> None:
    x, weight = normal(1, 0, 5, 5), normal(3, 0, 2, 2)
    with pytest.raises(ShapeError, match="conv2d: input must have channels; expected C >= 1"):
        layer("conv2d", backend)(x, weight)


def test_arrays_that_do_not_fit_the_layer_are_refused() -> None:
    conv = pytest.importorskip("decaf._kernels.conv")
    options = ((1, 1), (1, 1), (1, 1), 1, (20, 20))
    packed = conv.PackedConv2d(normal(6, 10, 3, 3), None, *options)
    good = (2, 20, 20, 10), (2, 20, 20, 6), packed.workspace(2, 3)
    for place, wrong in ((0, (2, 2, 20, 10)), (1, (2, 20, 20, 7)), (2, packed.workspace(2, 2))):
        shapes = [*good]
        shapes[place] = wrong
        arrays = [np.zeros(shape, np.float32) for shape in shapes]
        with pytest.raises(ShapeError, match="^conv2d: input, out and workspace must be"):
            packed.steps(arrays[0], arrays[1], False, 3, arrays[2])


@both_backends
def test_numbers_that_could_overflow_are_refused(backend: str) -> None:
    conv2d = layer("conv2d", backend)
    with pytest.raises(ShapeError, match="stride must be at most"):
        conv2d(normal(1, 1, 2, 2), normal(1, 1, 1, 1), stride=2**40, padding=2**30)


def test_a_padded_input_beyond_all_bounds_is_refused() -> None:
    conv2d = layer("conv2d", "cython")
    with pytest.raises(ShapeError, match="padded input of a group must be of a size"):
        conv2d(normal(1, 1, 2, 2), normal(1, 1, 1, 1), stride=2**31 - 1, padding=2**30)


@each_isa
def test_every_instruction_set(isa: str) -> None:
    conv = pytest.importorskip("decaf._kernels.conv")
    for shape, weight_shape, stride, padding, groups in ALEXNET_KINDS:
        x, weight = normal(*shape), normal(*weight_shape, seed=1)
        bias = normal(weight_shape[0], seed=2)
        want = layers.conv2d(
            *(a.astype(np.float64) for a in (x, weight, bias)), stride, padding, 1, groups
        )
        options = (x, weight, bias, (stride,) * 2, (padding,) * 2, (1, 1), groups)
        got = convolve(conv.PackedConv2d, *options, isa=isa)
        assert_close("conv2d", got, want)
        shared = convolve(conv.PackedConv2d, *options, isa=isa, threads=3, relu=True)
        np.testing.assert_array_equal(shared, np.maximum(got, 0))
