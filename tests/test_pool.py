"""Max, average and adaptive pooling: kernel and reference against plain loops and torch."""

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
from decaf.layers.shapes import pool_output_size

POOLS = ["max_pool2d", "avg_pool2d"]
# Instruction sets; none, so that their tests skip, where the kernels are not built.
ISAS = ops.kernel("isa").available() if "cython" in ops.available() else ()


@st.composite
def poolings(draw, as_torch=False):
    """(input, kernel, stride, padding, ceil_mode) that fit together."""
    kernel, stride, padding, size = [], [], [], []
    ceil_mode = draw(st.booleans())
    for _ in "hw":
        k, s = draw(st.integers(1, 5)), draw(st.integers(1, 6))
        p = draw(st.integers(0, k // 2 if as_torch else k - 1))
        least = max(1, k - 2 * p - (s - 1 if ceil_mode else 0))
        kernel.append(k)
        stride.append(s)
        padding.append(p)
        size.append(draw(st.integers(least, least + 9)))
    n, c = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    x = normal(n, c, *size, seed=draw(st.integers(0, 99)))
    return x, tuple(kernel), tuple(stride), tuple(padding), ceil_mode


@both_backends
@cases
@given(arguments=poolings())
def test_max_agrees_with_plain_loops(backend, arguments):
    got = layer("max_pool2d", backend)(*arguments)
    assert_close("max_pool2d", got, oracles.max_pool2d(*arguments))


@both_backends
@cases
@given(arguments=poolings(), count_include_pad=st.booleans())
def test_average_agrees_with_plain_loops(backend, arguments, count_include_pad):
    got = layer("avg_pool2d", backend)(*arguments, count_include_pad)
    want = oracles.avg_pool2d(*arguments, count_include_pad)
    assert_close("avg_pool2d", got, want, float(np.abs(arguments[0]).max()))


@both_backends
@cases
@given(arguments=poolings(as_torch=True))
def test_max_agrees_with_torch(backend, arguments):
    torch = import_torch()
    x, kernel, stride, padding, ceil_mode = arguments
    want = torch.nn.functional.max_pool2d(
        torch.from_numpy(x), kernel, stride, padding, ceil_mode=ceil_mode
    )
    np.testing.assert_array_equal(layer("max_pool2d", backend)(*arguments), want.numpy())


@both_backends
@cases
@given(arguments=poolings(as_torch=True), count_include_pad=st.booleans())
def test_average_agrees_with_torch(backend, arguments, count_include_pad):
    torch = import_torch()
    x, *options = arguments
    want = torch.nn.functional.avg_pool2d(
        torch.from_numpy(x.astype(np.float64)), *options, count_include_pad
    )
    got = layer("avg_pool2d", backend)(*arguments, count_include_pad)
    assert_close("avg_pool2d", got, want.numpy(), float(np.abs(x).max()))


@both_backends
@cases
@given(
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    output_size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    c=st.integers(1, 3),
)
def test_adaptive_agrees_with_plain_loops_and_torch(backend, size, output_size, c):
    torch = import_torch()
    x = normal(2, c, *size)
    got = layer("adaptive_avg_pool2d", backend)(x, output_size)
    term = float(np.abs(x).max())
    assert_close("adaptive_avg_pool2d", got, oracles.adaptive_avg_pool2d(x, output_size), term)
    in_64 = torch.from_numpy(x.astype(np.float64))
    want = torch.nn.functional.adaptive_avg_pool2d(in_64, output_size).numpy()
    assert_close("adaptive_avg_pool2d", got, want, term)


@both_backends
@pytest.mark.parametrize("name", POOLS)
def test_stride_is_the_kernel_by_default(backend, name):
    pool = layer(name, backend)
    x = normal(2, 3, 9, 8)
    np.testing.assert_array_equal(pool(x, (3, 2)), pool(x, (3, 2), (3, 2)))
    np.testing.assert_array_equal(pool(x, 3, None, 1, True), pool(x, [3, 3], 3, (1, 1), True))


@both_backends
def test_adaptive_takes_a_number(backend):
    pool = layer("adaptive_avg_pool2d", backend)
    x = normal(2, 3, 9, 8)
    np.testing.assert_array_equal(pool(x, 4), pool(x, (4, 4)))
    np.testing.assert_array_equal(pool(x, (9, 8)), x)


@both_backends
def test_average_of_a_window_that_sticks_out(backend):
    """Size 4, kernel 3, stride 2, padding 1, rounded up: the last window has 2 padded pixels."""
    x = np.full((1, 1, 1, 4), 6, np.float32)
    pool = layer("avg_pool2d", backend)
    options = ((1, 3), (1, 2), (0, 1), True)
    np.testing.assert_allclose(pool(x, *options).ravel(), [4, 6, 3], rtol=1e-6)
    np.testing.assert_allclose(pool(x, *options, False).ravel(), [6, 6, 6], rtol=1e-6)


@both_backends
def test_maximum_of_nan_and_infinities(backend):
    torch = import_torch()
    x = np.full((1, 2, 6, 7), -np.inf, np.float32)
    x[0, 0, 2, 3] = np.nan
    x[0, 0, 2, 4] = np.inf
    x[0, 1, 3, 3] = -3e38
    want = torch.nn.functional.max_pool2d(torch.from_numpy(x), 3, 2, 1, ceil_mode=True).numpy()
    assert np.isnan(want).any()
    got = layer("max_pool2d", backend)(x, 3, 2, 1, True)
    np.testing.assert_array_equal(got, want)


@both_backends
@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_out_batch_and_dtypes(backend, name, ceil_mode):
    pool = layer(name, backend)
    x = normal(5, 3, 10, 9)
    check_out(name, pool, x, (3, 2), (2, 3), (1, 0), ceil_mode)
    check_out(name, pool, x, 3, 1, 1, ceil_mode)  # same size in and out
    check_batch(pool, x, (3, 4), 2, 1, ceil_mode)
    check_dtypes(name, pool, x, 3)


@both_backends
@pytest.mark.parametrize("output_size", [(6, 6), (4, 3), (1, 1), (13, 15)])
def test_adaptive_out_batch_and_dtypes(backend, output_size):
    pool = layer("adaptive_avg_pool2d", backend)
    x = normal(5, 3, 10, 9)
    check_out("adaptive_avg_pool2d", pool, x, output_size)
    check_batch(pool, x, output_size)
    check_dtypes("adaptive_avg_pool2d", pool, x, output_size)


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_float64_and_strides(ceil_mode):
    x = normal(2, 3, 7, 6, dtype=np.float64)
    options = ((3, 2), (2, 2), (2, 1), ceil_mode)
    want = oracles.max_pool2d(x, *options)
    assert_close("max_pool2d", layer("max_pool2d", "numpy")(x, *options), want)
    for count_include_pad in (False, True):
        want = oracles.avg_pool2d(x, *options, count_include_pad)
        got = layer("avg_pool2d", "numpy")(x, *options, count_include_pad)
        assert_close("avg_pool2d", got, want)
    got = layer("adaptive_avg_pool2d", "numpy")(x, (3, 4))
    assert_close("adaptive_avg_pool2d", got, oracles.adaptive_avg_pool2d(x, (3, 4)))
    for name in POOLS:
        check_strided(layer(name, "numpy"), x, *options)
    check_strided(layer("adaptive_avg_pool2d", "numpy"), x, (3, 4))


@both_backends
@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((9,), "the window must fit .*expected a span of at most 8, got 9"),
        ((3, 1, 3), "padding must be less than the kernel; expected at most 2, got 3"),
        (((3, 1), 1, 1), "padding must be less than the kernel; expected at most 0, got 1"),
        ((0,), "kernel_size must be at least 1; got 0"),
        (((3, 2.5),), "kernel_size must be an integer; got 2.5"),
        ((3, 0), "stride must be at least 1; got 0"),
        ((3, (1, -2)), "stride must be at least 1; got -2"),
        ((3, 1, -1), "padding must be at least 0; got -1"),
        ((3, (1, 2, 3)), "stride must be an integer or a pair"),
    ],
)
def test_errors_name_the_argument(backend, name, arguments, message):
    with pytest.raises(ShapeError, match=f"^{name}: {message}"):
        layer(name, backend)(normal(1, 2, 8, 8), *arguments)


@both_backends
@pytest.mark.parametrize("name", [*POOLS, "adaptive_avg_pool2d"])
def test_input_must_have_four_axes(backend, name):
    with pytest.raises(ShapeError, match=f"^{name}: input must be N,C,H,W; expected 4 axes"):
        layer(name, backend)(normal(3, 8, 8), 2)


@both_backends
def test_adaptive_errors(backend):
    pool = layer("adaptive_avg_pool2d", backend)
    with pytest.raises(ShapeError, match=r"^adaptive_avg_pool2d: output_size must be at least 1"):
        pool(normal(1, 2, 8, 8), (3, 0))
    with pytest.raises(ShapeError, match=r"^adaptive_avg_pool2d: input height must be at least 1"):
        pool(normal(1, 2, 0, 8), 3)
    with pytest.raises(ShapeError, match=r"^adaptive_avg_pool2d: input width must be at least 1"):
        pool(normal(1, 2, 8, 0), 3)


@cases
@given(
    size=st.integers(1, 30),
    kernel=st.integers(1, 6),
    stride=st.integers(1, 7),
    padding=st.integers(0, 5),
    ceil_mode=st.booleans(),
)
def test_pool_output_size_counts_the_places(size, kernel, stride, padding, ceil_mode):
    torch = import_torch()
    options = (size, kernel, stride, padding, ceil_mode)
    if padding >= kernel:
        with pytest.raises(ShapeError, match=r"^pool9: padding must be less than the kernel"):
            pool_output_size(*options, name="pool9")
        return
    room = size + 2 * padding + (stride - 1 if ceil_mode else 0)
    if kernel > room:
        with pytest.raises(ShapeError, match=r"^pool9: the window must fit"):
            pool_output_size(*options, name="pool9")
        return
    assert pool_output_size(*options) == len(oracles.pool_starts(*options))
    if padding <= kernel // 2:
        row = torch.zeros(1, 1, size)
        result = torch.nn.functional.max_pool1d(row, kernel, stride, padding, ceil_mode=ceil_mode)
        assert pool_output_size(*options) == result.shape[-1]


def run_step(name: str, x: np.ndarray, shape: tuple[int, ...], *options: object) -> np.ndarray:
    """Run a step on an N,C,H,W array; fail if it writes beyond its result."""
    n, c, oh, ow = shape
    memory = np.full(n * c * oh * ow + 64, np.pi, np.float32)
    out = memory[32:-32].reshape(n, oh, ow, c)
    input = np.ascontiguousarray(x.transpose(0, 2, 3, 1))  # N,H,W,C
    getattr(ops.kernel("pool"), name)(input, out, *options).run()
    np.testing.assert_array_equal(memory[:32], np.float32(np.pi))
    np.testing.assert_array_equal(memory[-32:], np.float32(np.pi))
    return out.transpose(0, 3, 1, 2)  # N,C,OH,OW


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("c", [1, 3, 5, 16, 37, 64, 131])  # with and without a rest
def test_every_instruction_set_agrees_with_plain_loops(isa, c):
    x = normal(2, c, 8, 7)
    term = float(np.abs(x).max())
    options = ((3, 2), (2, 3), (1, 1))
    want = oracles.max_pool2d(x, *options, True)
    assert_close("max_pool2d", run_step("MaxPoolStep", x, want.shape, *options, isa), want)
    for include_pad in (False, True):
        want = oracles.avg_pool2d(x, *options, True, include_pad)
        got = run_step("AvgPoolStep", x, want.shape, *options, include_pad, isa)
        assert_close("avg_pool2d", got, want, term)
    for output_size in [(3, 4), (1, 1), (9, 7)]:
        want = oracles.adaptive_avg_pool2d(x, output_size)
        got = run_step("AdaptiveAvgPoolStep", x, want.shape, isa)
        assert_close("adaptive_avg_pool2d", got, want, term)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("c", [1, 5, 37, 64])
def test_every_instruction_set_lets_nan_win(isa, c):
    """Wherever in the window it stands, and whatever stands beside it."""
    for place in range(9):
        x = normal(1, c, 3, 3)
        x[0, :, 1, 1], x[0, :, 2, 0] = np.inf, -np.inf
        x[0, c // 2].flat[place] = np.nan
        got = run_step("MaxPoolStep", x, (1, c, 1, 1), (3, 3), (1, 1), (0, 0), isa)
        want = np.full(c, np.inf)
        want[c // 2] = np.nan
        np.testing.assert_array_equal(got.ravel(), want)


@pytest.mark.parametrize("isa", ISAS)
def test_images_of_several_tasks(isa):
    x = normal(2, 192, 27, 27)
    options = ((3, 3), (2, 2), (0, 0))
    want = ops.function("max_pool2d", "numpy")(x, *options)
    got = run_step("MaxPoolStep", x, want.shape, *options, isa)
    np.testing.assert_array_equal(got, want)
    alone = run_step("MaxPoolStep", x[1:], (1, *want.shape[1:]), *options, isa)
    np.testing.assert_array_equal(alone, want[1:])


@pytest.mark.parametrize("isa", ISAS)
def test_a_large_average_keeps_its_digits(isa):
    """4096 values next to 1000, and one that float32 sums would lose."""
    x = np.full((1, 3, 64, 64), 1000, np.float32)
    x[0, :, 63, 63] += 0.25
    got = run_step("AdaptiveAvgPoolStep", x, (1, 3, 1, 1), isa)
    np.testing.assert_array_equal(got.ravel(), np.float32(1000 + 0.25 / 4096))
    x[...] = 0.1
    got = run_step("AdaptiveAvgPoolStep", x, (1, 3, 1, 1), isa)
    np.testing.assert_array_equal(got.ravel(), np.float32(0.1))


@pytest.mark.parametrize("isa", ISAS[:1])
@pytest.mark.parametrize("shape", [(1, 5, 4, 4), (2, 4, 4, 4)])
def test_a_step_refuses_other_images_or_channels(isa, shape):
    with pytest.raises(ShapeError, match=r"^pooling: out must .*expected 2 and 5, got"):
        run_step("AdaptiveAvgPoolStep", normal(2, 5, 8, 8), shape, isa)
