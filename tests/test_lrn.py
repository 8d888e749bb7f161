"""local_response_norm: kernel and reference against plain loops and torch; never k = 1 alone."""

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

from decaf import ops
from decaf.errors import ShapeError

NAME = "local_response_norm"
# Instruction sets; none, so that their tests skip, where the kernels are not built.
ISAS = ops.kernel("isa").available() if "cython" in ops.available() else ()
options = st.tuples(
    st.integers(1, 7),  # size
    st.sampled_from([0.0, 1e-4, 0.3, 1.1, 20.0]),  # alpha
    st.sampled_from([0.5, 0.75, 1.0, 1.3, 0.0]),  # beta
    st.sampled_from([1.0, 2.0, 0.7]),  # k
)
shapes = st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 6), st.integers(1, 6))


@both_backends
@pytest.mark.parametrize("region", ["across", "within"])
@cases
@given(shape=shapes, option=options)
def test_agrees_with_plain_loops(backend, region, shape, option):
    x = 3 * normal(*shape)
    got = layer(NAME, backend)(x, *option, region=region)
    assert_close(NAME, got, oracles.local_response_norm(x, *option, region))


@both_backends
@cases
@given(shape=shapes, option=options)
def test_across_agrees_with_torch(backend, shape, option):
    """An even window reaches further to the front, as in torch; alpha is divided, as there."""
    torch = import_torch()
    x = 3 * normal(*shape)
    in_64 = torch.from_numpy(x.astype(np.float64))
    want = torch.nn.functional.local_response_norm(in_64, *option).numpy()
    assert_close(NAME, layer(NAME, backend)(x, *option), want)


@both_backends
@pytest.mark.parametrize("option", [(5, 1e-4, 0.75, 1.0), (5, 5e-4, 0.75, 2.0)])
def test_values_as_large_as_caffes(backend, option):
    """Where the sum matters: Caffe's nets see pixels up to 255, and conv1 gives thousands."""
    x = 1000 * normal(1, 96, 5, 5)
    assert_close(
        NAME, layer(NAME, backend)(x, *option), oracles.local_response_norm(x, *option, "across")
    )


@both_backends
def test_defaults_are_those_of_torch(backend):
    torch = import_torch()
    x = 100 * normal(2, 7, 3, 3)
    want = torch.nn.functional.local_response_norm(torch.from_numpy(x.astype(np.float64)), 5)
    assert_close(NAME, layer(NAME, backend)(x, 5), want.numpy())


@both_backends
@pytest.mark.parametrize("shape", [(3, 7), (3, 7, 4), (2, 7, 3, 2, 2)])
def test_across_takes_any_axes_after_the_channels(backend, shape):
    x = normal(*shape)
    got = layer(NAME, backend)(x, 3, 2.0, 0.6, 1.5)
    as_images = x.reshape(*shape[:2], -1, 1)
    want = oracles.local_response_norm(as_images, 3, 2.0, 0.6, 1.5, "across")
    assert_close(NAME, got, want.reshape(shape))


@both_backends
@pytest.mark.parametrize("region", ["across", "within"])
def test_out_batch_and_dtypes(backend, region):
    lrn = layer(NAME, backend)
    x = normal(5, 7, 5, 3)
    check_out(NAME, lrn, x, 3, 2.0, 0.75, 2.0, region=region)
    check_batch(lrn, x, 5, 2.0, 0.75, 2.0, region=region)
    check_dtypes(NAME, lrn, x, 5)


@both_backends
def test_numpys_own_numbers_are_the_same_as_pythons(backend):
    lrn = layer(NAME, backend)
    x = 9 * normal(2, 7, 3, 3)
    own = lrn(x, np.int64(5), np.float64(0.3), np.float64(0.7), np.float64(1.5))
    np.testing.assert_array_equal(own, lrn(x, 5, 0.3, 0.7, 1.5))


@both_backends
def test_overflow_warns_nobody(backend):
    x = np.array([[1e30, 1.0]], np.float32)
    np.testing.assert_array_equal(layer(NAME, backend)(x, 3, 1.0), [[0, 0]])


@pytest.mark.parametrize("region", ["across", "within"])
@pytest.mark.parametrize("size", [3, 4])
def test_float64_and_strides(region, size):
    x = normal(2, 5, 4, 6, dtype=np.float64)
    option = (size, 2.0, 0.75, 1.7)
    want = oracles.local_response_norm(x, *option, region)
    assert_close(NAME, layer(NAME, "numpy")(x, *option, region=region), want)
    check_strided(layer(NAME, "numpy"), x, *option, region=region)


@both_backends
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": 0}, "size must be at least 1; got 0"),
        ({"size": 2.5}, "size must be an integer; got 2.5"),
        ({"alpha": -1.0}, "alpha must be a finite number; expected one from 0 to inf, got -1.0"),
        ({"alpha": "0.5"}, "alpha must be a number; got '0.5'"),
        ({"beta": float("nan")}, "beta must be a finite number"),
        ({"k": -2}, "k must be a finite number"),
        ({"region": "around"}, 'region must .*expected "across" or "within", got \'around\''),
        ({"input": normal(4)}, "input must be N,C,...; expected at least 2 axes"),
        ({"input": normal(2, 4, 4), "region": "within"}, "input must be N,C,H,W; expected 4 axes"),
    ],
)
def test_errors_name_the_argument(backend, changed, message):
    arguments = {"input": normal(2, 4, 5, 5), "size": 5}
    with pytest.raises(ShapeError, match=f"^{NAME}: {message}"):
        layer(NAME, backend)(**(arguments | changed))


def step(x, out, region, size, alpha, beta, k, isa=None, threads=1):
    """A step between N,H,W,C arrays, with just the scratch memory that it asks for."""
    lrn = ops.kernel("lrn")
    _, _, w, c = x.shape
    if region == "across":
        make, floats = lrn.LrnAcrossStep, lrn.across_workspace(c, threads)
    else:
        make, floats = lrn.LrnWithinStep, lrn.within_workspace(w, c, threads)
    workspace = np.full(floats, np.nan, np.float32)  # what lies there must not matter
    return make(x, out, size, alpha, beta, k, threads, workspace, isa)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("region", ["across", "within"])
@pytest.mark.parametrize("c", [1, 3, 5, 16, 37, 64, 131])  # with and without a rest
@pytest.mark.parametrize("size", [1, 2, 5, 8])
@pytest.mark.parametrize("beta", [0.75, 0.6])
def test_every_instruction_set_agrees_with_plain_loops(isa, region, c, size, beta):
    x = 3 * normal(2, c, 3, 4)
    memory = np.full(x.size + 64, np.pi, np.float32)
    out = memory[32:-32].reshape(2, 3, 4, c)
    input = np.ascontiguousarray(x.transpose(0, 2, 3, 1))  # N,H,W,C
    step(input, out, region, size, 1.1, beta, 2.0, isa).run()
    want = oracles.local_response_norm(x, size, 1.1, beta, 2.0, region)
    assert_close(NAME, out.transpose(0, 3, 1, 2), want)
    np.testing.assert_array_equal(memory[:32], np.float32(np.pi))
    np.testing.assert_array_equal(memory[-32:], np.float32(np.pi))


@both_backends
@pytest.mark.parametrize("region", ["across", "within"])
@pytest.mark.parametrize("size", [9, 20])
def test_windows_larger_than_the_array(backend, region, size):
    x = 3 * normal(2, 3, 2, 4)
    option = (size, 5.0, 0.75, 1.5)
    got = layer(NAME, backend)(x, *option, region=region)
    assert_close(NAME, got, oracles.local_response_norm(x, *option, region))


@pytest.mark.skipif(not ISAS, reason="the kernels are not built")
@pytest.mark.parametrize("region", ["across", "within"])
def test_a_vast_window_takes_no_vast_memory(region):
    x = 3 * normal(2, 3, 2, 4)
    got = layer(NAME, "cython")(x, 10**9, 1e9, 0.75, 1.5, region=region)
    assert np.isfinite(got).all()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("region", ["across", "within"])
def test_the_same_bits_with_a_helper(isa, region):
    """Images of several tasks, and scratch memory of its own for each thread."""
    crew = ops.kernel("crew")
    x = 3 * normal(2, 27, 27, 50)  # N,H,W,C
    want, got = np.empty_like(x), np.empty_like(x)
    step(x, want, region, 5, 2.0, 0.75, 1.0, isa).run()

    helpers = crew.Helpers(2)
    program = crew.Program([step(x, got, region, 5, 2.0, 0.75, 1.0, isa, threads=2)])

    def help_until_dismissed():
        while helpers.help(1):
            pass

    thread = threading.Thread(target=help_until_dismissed)
    thread.start()
    try:
        for _ in range(20):
            got.fill(np.nan)
            program.run(helpers)
            np.testing.assert_array_equal(got, want)
    finally:
        helpers.dismiss()
        thread.join()


@pytest.mark.parametrize("isa", ISAS[:1])
def test_a_step_refuses_what_does_not_fit(isa):
    x = normal(2, 3, 4, 5)
    with pytest.raises(ShapeError, match=r"^LRN: out must .*\(2, 3, 4, 5\), got \(2, 3, 5, 5\)"):
        step(x, np.empty((2, 3, 5, 5), np.float32), "across", 5, 1.0, 0.75, 1.0, isa)
    lrn = ops.kernel("lrn")
    for make, floats in [
        (lrn.LrnAcrossStep, lrn.across_workspace(5, 2)),
        (lrn.LrnWithinStep, lrn.within_workspace(4, 5, 2)),
    ]:
        small = np.empty(floats - 1, np.float32)
        with pytest.raises(ShapeError, match=rf"^LRN: workspace must .*expected {floats} floats"):
            make(x, np.empty_like(x), 5, 1.0, 0.75, 1.0, 2, small)
