"""linear: kernel and reference against plain loops and torch."""

from __future__ import annotations

import threading

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


# The engine's own class, for every instruction set that this processor has.


def instruction_sets():
    try:
        from decaf._kernels.isa import available
    except ImportError:  # the tests below skip
        return ["none"]
    return list(available())


each_isa = pytest.mark.parametrize("isa", instruction_sets())
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float16])


def run_steps(x, weight, bias=None, *, isa, relu=False, threads=1):
    """``x`` through the steps of a PackedLinear, with that many threads."""
    kernels = pytest.importorskip("decaf._kernels.linear", reason="the kernels are not built")
    crew = pytest.importorskip("decaf._kernels.crew")
    packed = kernels.PackedLinear(weight, bias, isa)
    out = np.full((len(x), len(weight)), np.nan, np.float32)
    floats = packed.workspace(len(x), threads)
    # What was left there must not matter, and nothing behind it may be touched.
    workspace = np.full(floats + 16, np.nan, np.float32)
    program = crew.Program(packed.steps(x, out, relu, threads, workspace[:floats]))
    helpers = crew.Helpers(threads)
    helpers.sleepers()
    others = [threading.Thread(target=helpers.help, args=(m,)) for m in range(1, threads)]
    for other in others:
        other.start()
    try:
        program.run(helpers)
    finally:
        helpers.dismiss()
        for other in others:
            other.join()
    assert np.isnan(workspace[floats:]).all()
    return out


@each_isa
@each_dtype
@cases
@given(
    n=st.integers(0, 40),
    d=st.integers(1, 67) | st.sampled_from([511, 512, 513, 1029]),
    o=st.integers(1, 67),
    with_bias=st.booleans(),
    relu=st.booleans(),
    threads=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_steps_agree_with_the_reference(isa, dtype, n, d, o, with_bias, relu, threads, seed):
    x, weight = normal(n, d, seed=seed), normal(o, d, seed=seed + 1).astype(dtype)
    bias = normal(o) if with_bias else None
    wide = weight.astype(np.float64)
    want = layer("linear", "numpy")(
        x.astype(np.float64), wide, None if bias is None else bias.astype(np.float64)
    )
    term = float(np.abs(x).max(initial=0) * np.abs(wide).max())
    got = run_steps(x, weight, bias, isa=isa, relu=relu, threads=threads)
    assert_close("linear", got, np.maximum(want, 0) if relu else want, term)


@each_isa
@each_dtype
@pytest.mark.parametrize(("d", "o"), [(1, 1), (1, 70), (15, 33), (1153, 67), (2048, 32)])
def test_same_bits_for_any_batch_place_and_threads(isa, dtype, d, o):
    x, bias = normal(80, d), normal(o, seed=2)
    weight = normal(o, d, seed=1).astype(dtype)
    alone = np.concatenate([run_steps(row[None], weight, bias, isa=isa) for row in x])
    for n in (1, 2, 3, 5, 7, 8, 10, 17, 32, 33, 37, 73):
        for threads in (1, 2, 3):
            start = (n + threads) % 7  # another place in the batch each time
            got = run_steps(x[start : start + n], weight, bias, isa=isa, threads=threads)
            np.testing.assert_array_equal(got, alone[start : start + n])


@each_isa
def test_every_float16_is_widened_exactly(isa):
    """All 65536 of them, in the vectors and in what is left of a row."""
    everything = np.arange(65536, dtype=np.uint16).view(np.float16)
    weight = np.repeat(everything[:, None], 19, axis=1)  # O,D
    for place in (0, 15, 16, 18):
        x = np.zeros((1, 19), np.float32)
        x[0, place] = 1
        finite = np.where(np.isfinite(weight), weight, 0).astype(np.float16)
        np.testing.assert_array_equal(
            run_steps(x, finite, isa=isa)[0], finite[:, place].astype(np.float32)
        )
        special = ~np.isfinite(everything)
        only = np.zeros((int(special.sum()), 19), np.float16)
        only[:, place] = everything[special]
        np.testing.assert_array_equal(
            run_steps(x, only, isa=isa)[0], only[:, place].astype(np.float32)
        )


@each_isa
@each_dtype
def test_nan_infinity_and_no_terms(isa, dtype):
    x = np.array([[np.nan, 1.0], [np.inf, 1.0], [1.0, 1.0]], np.float32).repeat(6, axis=0)
    weight = np.array([[0.0, 1.0], [-2.0, 1.0], [1.0, -np.inf]], dtype)
    want = [[np.nan] * 3, [np.nan, 0, np.nan], [1, 0, 0]]
    got = run_steps(x, weight, isa=isa, relu=True)
    np.testing.assert_array_equal(got, np.repeat(want, 6, axis=0))
    empty = run_steps(x[:, :0].copy(), weight[:, :0].copy(), normal(3), isa=isa)
    np.testing.assert_array_equal(empty, np.repeat(normal(3)[None], 18, axis=0))
    assert run_steps(x, weight[:0], isa=isa).shape == (18, 0)


def test_what_does_not_fit_is_refused():
    kernels = pytest.importorskip("decaf._kernels.linear", reason="the kernels are not built")
    packed = kernels.PackedLinear(normal(4, 5), normal(4))
    workspace = np.zeros(packed.workspace(9, 2), np.float32)
    x, out = normal(9, 5), np.zeros((9, 4), np.float32)
    packed.steps(x, out, False, 2, workspace)
    for wrong in [
        (normal(9, 6), out, False, 2, workspace),
        (x, out[:8], False, 2, workspace),
        (x, np.zeros((9, 3), np.float32), False, 2, workspace),
        (x, out, False, 2, workspace[:-1]),
    ]:
        with pytest.raises(ShapeError, match=r"^linear: input N,D, out N,O and workspace must fit"):
            packed.steps(*wrong)
    with pytest.raises(ShapeError, match=r"^linear: bias must be O; expected 4, got 3"):
        kernels.PackedLinear(normal(4, 5), normal(3))
    with pytest.raises(ShapeError, match=r"^linear: weight .*float32 or float16, got float64"):
        kernels.PackedLinear(np.zeros((2, 3)), None)
