"""Winograd's convolution: against the reference, for every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import cases, normal
from support_steps import convolve, each_isa
from tolerances import assert_close

from decaf import layers
from decaf.errors import ShapeError

winograd = pytest.importorskip("decaf._kernels.winograd")

# (input, weight, padding, groups): layers of AlexNet and CaffeNet, and what does not come out even.
KINDS = [
    ((2, 64, 27, 27), (192, 64, 5, 5), (2, 2), 1),
    ((2, 96, 27, 27), (64, 48, 5, 5), (2, 2), 2),
    ((2, 192, 13, 13), (384, 192, 3, 3), (1, 1), 1),
    ((1, 384, 13, 13), (64, 384, 3, 3), (1, 1), 1),
    ((3, 17, 9, 11), (19, 17, 3, 3), (0, 1), 1),
    ((2, 34, 12, 16), (38, 17, 3, 3), (2, 0), 2),
    ((1, 20, 15, 5), (33, 20, 5, 5), (1, 4), 1),
    ((1, 16, 4, 4), (16, 16, 3, 3), (1, 1), 1),
]


@each_isa
@pytest.mark.parametrize(("shape", "weight_shape", "padding", "groups"), KINDS)
def test_agrees_with_the_reference(isa, shape, weight_shape, padding, groups):
    x, weight = normal(*shape), normal(*weight_shape, seed=1)
    bias = normal(weight_shape[0], seed=2)
    want = layers.conv2d(*(a.astype(np.float64) for a in (x, weight, bias)), 1, padding, 1, groups)
    options = (winograd.PackedWinograd, x, weight, bias, (1, 1), padding, (1, 1), groups)
    got = convolve(*options, isa=isa)
    assert_close("winograd", got, want)
    np.testing.assert_array_equal(convolve(*options, isa=isa, relu=True), np.maximum(got, 0))


@cases
@given(data=st.data())
def test_any_size_agrees_with_the_reference(data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    taps, groups = data.draw(st.sampled_from([3, 5])), draw(1, 2)
    c, o, n = draw(1, 20), draw(1, 50), draw(1, 3)
    padding = draw(0, taps), draw(0, taps)
    size = [draw(max(1, taps - 2 * p), 12) for p in padding]
    x, weight = normal(n, groups * c, *size), normal(groups * o, c, taps, taps, seed=1)
    want = layers.conv2d(
        x.astype(np.float64), weight.astype(np.float64), None, 1, padding, 1, groups
    )
    got = convolve(winograd.PackedWinograd, x, weight, None, (1, 1), padding, (1, 1), groups)
    assert_close("winograd", got, want, float(np.abs(x).max() * np.abs(weight).max()))


@each_isa
@pytest.mark.parametrize("taps", [3, 5])
def test_same_bits_in_any_batch_and_for_any_threads(isa, taps):
    # Large enough for several blocks of tiles, whose borders fall inside images.
    x, weight = normal(40, 64, 13, 13), normal(48, 64, taps, taps, seed=1)
    padding = (taps // 2, taps // 2)
    options = (weight, None, (1, 1), padding)
    together = convolve(winograd.PackedWinograd, x, *options, isa=isa)
    for n in (0, 1, 17, 39):
        alone = convolve(winograd.PackedWinograd, x[n : n + 1], *options, isa=isa)
        np.testing.assert_array_equal(alone[0], together[n])
    for threads in (2, 3):
        shared = convolve(winograd.PackedWinograd, x, *options, isa=isa, threads=threads)
        np.testing.assert_array_equal(shared, together)


def test_blocks_bound_the_scratch_memory():
    packed = winograd.PackedWinograd(
        normal(48, 64, 3, 3), None, (1, 1), (1, 1), (1, 1), 1, (13, 13)
    )
    assert packed.workspace(1, 1) < packed.workspace(8, 1)
    assert packed.workspace(1000, 1) == packed.workspace(2000, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_image(bad):
    x, weight = normal(3, 32, 13, 13), normal(32, 32, 3, 3, seed=1)
    want = convolve(winograd.PackedWinograd, x, weight, padding=(1, 1))
    x[1, 5, 6, 7] = bad
    got = convolve(winograd.PackedWinograd, x, weight, padding=(1, 1))
    np.testing.assert_array_equal(got[[0, 2]], want[[0, 2]])
    assert not np.isfinite(got[1, :, 5:8, 6:9]).any()  # all that the direct sum would spoil, too


def test_suits_by_shape_alone():
    def suits(shape, size, stride=(1, 1), dilation=(1, 1), groups=1, padding=(1, 1)):
        return winograd.suits(shape, stride, padding, dilation, groups, size)

    assert suits((384, 192, 3, 3), (13, 13))
    assert suits((192, 64, 5, 5), (27, 27), padding=(2, 2))
    assert not suits((384, 192, 3, 3), (13, 13), stride=(2, 2))
    assert not suits((384, 192, 3, 3), (13, 13), dilation=(2, 2))
    assert not suits((384, 192, 1, 1), (13, 13))
    assert not suits((384, 192, 3, 5), (13, 13))
    assert not suits((64, 3, 3, 3), (224, 224))  # three channels: the additions outweigh
    assert not suits((64, 64, 3, 3), (1, 1))  # a tile would be nearly all padding
    assert not suits((64, 1, 3, 3), (13, 13), groups=64)


def test_arrays_that_do_not_fit_the_layer_are_refused():
    packed = winograd.PackedWinograd(
        normal(48, 64, 3, 3), None, (1, 1), (1, 1), (1, 1), 1, (13, 13)
    )
    good = (2, 13, 13, 64), (2, 13, 13, 48), packed.workspace(2, 1)
    for place, wrong in ((0, (2, 2, 13, 64)), (1, (1, 13, 13, 48)), (2, 16)):
        shapes = [*good]
        shapes[place] = wrong
        arrays = [np.zeros(shape, np.float32) for shape in shapes]
        with pytest.raises(ShapeError, match="^conv2d: input, out and workspace must be"):
            packed.steps(arrays[0], arrays[1], False, 1, arrays[2])
