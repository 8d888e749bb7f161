"""dropout: the identity at inference; while training, statistics and repeatability."""

from __future__ import annotations

import numpy as np
import pytest
from support import both_backends, check_batch, check_dtypes, check_out, layer, normal
from support_torch import import_torch
from tolerances import assert_close

from decaf.errors import ShapeError


@both_backends
@pytest.mark.parametrize("p", [0, 0.5, 0.9, 1])
def test_inference_is_the_identity(backend, p):
    x = normal(3, 5, 2)
    x.flat[:3] = np.nan, np.inf, -0.0
    got = layer("dropout", backend)(x, p)
    np.testing.assert_array_equal(got, x)
    assert not np.shares_memory(got, x)


@both_backends
@pytest.mark.parametrize("p", [0.2, 0.5, 0.75])
def test_training_drops_a_share_and_scales_the_rest(backend, p):
    x = normal(100, 100) + 10  # no value is zero by itself
    got = layer("dropout", backend)(x, p, True, rng=np.random.default_rng(1))
    kept = got != 0
    assert_close("dropout", got, np.where(kept, x / (1 - p), 0))
    assert abs(kept.mean() - (1 - p)) < 5 * np.sqrt(p * (1 - p) / x.size)
    # Independent of each other: neighbours are both kept as often as chance has it.
    both = (kept[:, 1:] & kept[:, :-1]).mean()
    assert abs(both - (1 - p) ** 2) < 0.03


@both_backends
def test_training_agrees_with_torch_on_what_is_kept(backend):
    torch = import_torch()
    x = torch.from_numpy(normal(50, 40) + 10)
    torch.manual_seed(0)
    theirs = torch.nn.functional.dropout(x, 0.3, training=True).numpy()
    ours = layer("dropout", backend)(x.numpy(), 0.3, True, rng=np.random.default_rng(0))
    both = (theirs != 0) & (ours != 0)
    assert both.any()
    assert_close("dropout", ours[both], theirs[both])


@both_backends
def test_the_generator_decides(backend):
    dropout = layer("dropout", backend)
    x = np.ones((20, 20), np.float32)
    first, again, other = (
        dropout(x, 0.5, True, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@both_backends
def test_extreme_probabilities(backend):
    dropout = layer("dropout", backend)
    x = normal(4, 5)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(dropout(x, 0, True, rng=rng), x)
    np.testing.assert_array_equal(dropout(x, 1, True, rng=rng), np.zeros_like(x))


@both_backends
def test_out_batch_and_dtypes(backend):
    dropout = layer("dropout", backend)
    x = normal(3, 5, 7)
    check_out("dropout", dropout, x, in_place=True)
    check_batch(dropout, x)
    check_dtypes("dropout", dropout, x)
    same = x.copy()
    want = dropout(x, 0.5, True, rng=np.random.default_rng(3))
    assert dropout(same, 0.5, True, rng=np.random.default_rng(3), out=same) is same
    np.testing.assert_array_equal(same, want)


def test_float64():
    x = normal(30, 5, dtype=np.float64) + 10
    got = layer("dropout", "numpy")(x, 0.4, True, rng=np.random.default_rng(1))
    assert_close("dropout", got, np.where(got != 0, x / 0.6, 0))


@both_backends
@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_p_must_be_a_probability(backend, p):
    with pytest.raises(ShapeError, match=r"^dropout: p must .*expected one from 0 to 1, got"):
        layer("dropout", backend)(normal(2, 3), p)


@both_backends
def test_p_must_be_a_number(backend):
    with pytest.raises(ShapeError, match=r"^dropout: p must be a number; got '0.5'"):
        layer("dropout", backend)(normal(2, 3), "0.5")


@both_backends
@pytest.mark.parametrize("rng", [None, 7])
def test_training_needs_a_generator(backend, rng):
    with pytest.raises(ShapeError, match=r"^dropout: rng must be given while training"):
        layer("dropout", backend)(normal(2, 3), 0.5, True, rng=rng)
