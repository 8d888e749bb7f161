"""The layers that learn: gradients against finite differences and PyTorch, and training itself."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support_torch import import_torch

from decaf.errors import FeaturesError, ShapeError
from decaf.transfer.midlevel import training
from decaf.transfer.midlevel.adaptation import (
    Adaptation,
    gradients,
    linear_gradient,
    linear_input_gradient,
    loss_of,
    probabilities,
    random_weights,
    relu_dropout_gradient,
    softmax_gradient,
)
from decaf.transfer.midlevel.training import Training, step, train

N, D, H, K = 7, 5, 11, 4
QUICK = Training(hidden=32, batch=16, rate=0.01, epochs=30)


def batch(seed: int = 0) -> tuple[Adaptation, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    weights = random_weights(D, K, H, rng)
    for bias in (weights.bias_a, weights.bias_b):
        bias[:] = rng.standard_normal(bias.shape) * 0.3
    return weights, rng.standard_normal((N, D), np.float32), rng.integers(0, K, N)


def mask_of(dropout: float, seed: int) -> np.ndarray:
    """What ``decaf.layers.dropout`` multiplies with."""
    return (np.random.default_rng(seed).random((N, H)) >= dropout) / (1 - dropout)


def plain_loss(arrays: list[np.ndarray], x: np.ndarray, labels: np.ndarray, mask: np.ndarray):
    """The loss in float64, written anew."""
    weight_a, bias_a, weight_b, bias_b = arrays
    y = np.maximum(x @ weight_a.T + bias_a, 0) * mask
    z = y @ weight_b.T + bias_b
    return np.mean([math.log(np.exp(row - row[k]).sum()) for row, k in zip(z, labels, strict=True)])


@pytest.mark.parametrize("dropout", [0.0, 0.5, 0.3])
def test_gradients_are_finite_differences(dropout: float):
    weights, x, labels = batch()
    loss, found = gradients(weights, x, labels, dropout, np.random.default_rng(5))
    arrays, mask = [array.astype(np.float64) for array in weights.arrays()], mask_of(dropout, 5)
    assert loss == pytest.approx(plain_loss(arrays, x, labels, mask), rel=1e-5)
    for array, gradient in zip(arrays, found.arrays(), strict=True):
        assert gradient.dtype == np.float32 and gradient.shape == array.shape
        numeric = np.empty(array.shape)
        for index in np.ndindex(array.shape):
            kept, around = array[index], []
            for change in (1e-6, -1e-6):
                array[index] = kept + change
                around.append(plain_loss(arrays, x, labels, mask))
            array[index] = kept
            numeric[index] = (around[0] - around[1]) / 2e-6
        np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-6)
        assert np.abs(numeric).max() > 1e-3  # there is something to compare


def test_gradients_are_those_of_pytorch():
    torch = import_torch()
    weights, x, labels = batch(1)
    loss, found = gradients(weights, x, labels, 0.0, np.random.default_rng(0))
    tensors = [torch.tensor(array, requires_grad=True) for array in weights.arrays()]
    hidden = torch.relu(torch.nn.functional.linear(torch.tensor(x), tensors[0], tensors[1]))
    scores = torch.nn.functional.linear(hidden, tensors[2], tensors[3])
    wanted = torch.nn.functional.cross_entropy(scores, torch.tensor(labels))
    wanted.backward()
    assert loss == pytest.approx(wanted.item(), rel=1e-6)
    for tensor, gradient in zip(tensors, found.arrays(), strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(
        probabilities(weights, x), torch.softmax(scores, 1).detach().numpy(), rtol=1e-5
    )


def test_each_gradient_alone_is_that_of_pytorch():
    torch = import_torch()
    rng = np.random.default_rng(2)
    x, dz = rng.standard_normal((N, D), np.float32), rng.standard_normal((N, H), np.float32)
    weight = rng.standard_normal((H, D), np.float32)
    tensors = [torch.tensor(array, requires_grad=True) for array in (x, weight, dz[0])]
    torch.nn.functional.linear(*tensors).backward(torch.tensor(dz))
    dweight, dbias = linear_gradient(dz, x)
    found = linear_input_gradient(dz, weight), dweight, dbias
    for tensor, gradient in zip(tensors, found, strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-5, atol=1e-6)

    labels = rng.integers(0, H, N)
    scores = torch.tensor(dz, requires_grad=True)
    torch.nn.functional.cross_entropy(scores, torch.tensor(labels)).backward()
    p = torch.softmax(scores, 1).detach().numpy()
    np.testing.assert_allclose(softmax_gradient(p, labels), scores.grad.numpy(), atol=1e-7)

    hidden = torch.tensor(dz, requires_grad=True)
    y = torch.relu(hidden) * torch.tensor(mask_of(0.5, 3), dtype=torch.float32)
    y.backward(torch.tensor(dz[::-1].copy()))
    found_dx = relu_dropout_gradient(dz[::-1].copy(), y.detach().numpy(), 0.5)
    np.testing.assert_array_equal(found_dx, hidden.grad.numpy())


def test_steps_are_those_of_pytorchs_sgd():
    torch = import_torch()
    weights, x, labels = batch(3)
    tensors = [torch.tensor(array.copy(), requires_grad=True) for array in weights.arrays()]
    optimiser = torch.optim.SGD(tensors, lr=0.05, momentum=0.9, weight_decay=0.01)
    speeds = [np.zeros_like(array) for array in weights.arrays()]
    for _ in range(5):
        _, found = gradients(weights, x, labels, 0.0, np.random.default_rng(0))
        for tensor, gradient in zip(tensors, found.arrays(), strict=True):
            tensor.grad = torch.tensor(gradient)
        optimiser.step()
        step(weights, speeds, found, 0.05, 0.9, 0.01)
    for tensor, array in zip(tensors, weights.arrays(), strict=True):
        np.testing.assert_allclose(array, tensor.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_the_loss_of_certain_and_impossible():
    p = np.array([[1.0, 0.0], [0.25, 0.75]], np.float32)
    assert loss_of(p, np.array([0, 0])) == pytest.approx(math.log(4) / 2)
    assert math.isfinite(loss_of(p, np.array([1, 1])))


# --- training -------------------------------------------------------------------------------


def clouds(seed: int = 0, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three classes that no straight line parts: rings; four patches a photo."""
    rng = np.random.default_rng(seed)
    labels = np.arange(360) % 3
    angle, radius = rng.uniform(0, 2 * np.pi, 360), 1 + labels + rng.uniform(-0.3, 0.3, 360)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return (scale * x).astype(np.float32), labels, np.arange(360) // 4


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_it_learns_what_no_linear_classifier_can_whatever_the_features_scale(scale: float):
    how = Training(hidden=128, batch=32, rate=0.02, epochs=60, patience=10)
    x, labels, photos = clouds(scale=scale)
    learned = train(x, labels, 3, photos, how)
    unseen, answers, _ = clouds(1, scale)
    assert (learned.probabilities(unseen).argmax(axis=1) == answers).mean() > 0.9
    np.testing.assert_allclose(learned.probabilities(unseen).sum(axis=1), 1, rtol=1e-5)


def test_the_rate_falls_and_the_best_weights_are_kept():
    x, labels, photos = clouds()
    noise = np.random.default_rng(0).permutation(labels)  # nothing to learn: it must stop
    learned = train(x, noise, 3, photos, replace(QUICK, epochs=500, patience=2, stops=2))
    rates = [epoch.rate for epoch in learned.history]
    assert len(rates) < 500 and sorted(set(rates), reverse=True) == [0.01, 0.001]
    assert rates == sorted(rates, reverse=True)
    lowest = min(epoch.held_out for epoch in learned.history)
    again = {len(learned.history): learned}  # the same run, ended where the loss was lowest
    at = [epoch.held_out for epoch in learned.history].index(lowest) + 1
    again[at] = train(x, noise, 3, photos, replace(QUICK, epochs=at, patience=2, stops=2))
    for one, other in zip(learned.weights.arrays(), again[at].weights.arrays(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_after_the_rate_falls_it_goes_on_from_the_best(monkeypatch: pytest.MonkeyPatch):
    """With gradients of 1 a bias says how far each epoch went; the losses are made up."""
    losses = iter([1.0, 2.0, 3.0, 0.5, 4.0, 5.0])
    monkeypatch.setattr(training, "loss_of", lambda p, labels: next(losses))

    def ones(weights: Adaptation, *_: object) -> tuple[float, Adaptation]:
        return 0.0, Adaptation(*(np.ones_like(array) for array in weights.arrays()))

    monkeypatch.setattr(training, "gradients", ones)
    x, labels, photos = clouds()
    how = Training(hidden=4, batch=999, rate=1.0, momentum=0.0, decay=0.0, patience=2, stops=2)
    learned = train(x, labels, 3, photos, how)
    assert [epoch.rate for epoch in learned.history] == [1, 1, 1, 0.1, 0.1, 0.1]
    np.testing.assert_allclose(learned.weights.bias_a, -1.1, rtol=1e-6)  # epochs 1 and 4


def test_photos_are_held_out_whole():
    """What is held out decides when to stop: patches of one photo must not be on both sides."""
    photos = np.random.default_rng(0).integers(0, 40, 1000)
    labels = np.random.default_rng(2).integers(0, 3, 1000)
    held_out = training.held_out(photos, labels, 0.1, np.random.default_rng(1))
    assert len(np.unique(photos[held_out])) == 4
    assert not set(photos[held_out]) & set(photos[~held_out])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_last_photo_of_a_class_is_never_held_out(share: float):
    """Of some classes there is one photo, and one photo shows two of them and background."""
    labels = np.array([0, 0, 4, 1, 1, 4, 2, 3, 4, *([1, 4] * 8)])
    photos = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, *np.repeat(np.arange(3, 11), 2)])
    sizes = set()
    for seed in range(50):
        held_out = training.held_out(photos, labels, share, np.random.default_rng(seed))
        assert set(labels[~held_out]) == {0, 1, 2, 3, 4}
        sizes.add(len(set(photos[held_out])))
    assert sizes == {min(math.ceil(share * 11), 8)}  # photos 0 and 2 stay, and one of class 1


def test_with_one_photo_a_class_all_are_learned_from():
    x, labels, _ = clouds()
    learned = train(x, labels, 3, labels, Training(hidden=64, batch=32, rate=0.02, epochs=20))
    said = learned.probabilities(x).argmax(axis=1)
    assert all((said[labels == k] == k).mean() > 0.7 for k in range(3))  # mean accuracy a class


def test_features_are_not_copied_as_a_whole():
    x = np.random.default_rng(0).standard_normal((40_000, 128), np.float32)  # 20 MB
    labels = np.arange(len(x)) % 3
    how = Training(hidden=2, epochs=1)
    train(x[:300], labels[:300], 3, labels[:300], how)  # what is imported and kept meanwhile
    tracemalloc.start()
    learned = train(x, labels, 3, np.arange(len(x)) // 100, how)
    learned.probabilities(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 3


@pytest.mark.parametrize("options", [{"held_out": 0.0}, {"held_out": 0.9}, {}])
def test_few_photos(options: dict):
    x, labels, _ = clouds()
    for photos in (np.zeros(360, np.intp), np.arange(360) % 2):
        learned = train(x, labels, 3, photos, replace(QUICK, epochs=2, **options))
        assert np.isfinite(learned.history[-1].held_out)


def test_the_same_bits_every_time_and_other_ones_with_another_seed():
    x, labels, photos = clouds()
    one, two = (train(x, labels, 3, photos, replace(QUICK, epochs=2)) for _ in range(2))
    other = train(x, labels, 3, photos, replace(QUICK, epochs=2, seed=1))
    assert one.history == two.history
    for a, b, c in zip(*(run.weights.arrays() for run in (one, two, other)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


SCRIPT = """
import hashlib, json, sys
import numpy as np
from decaf.transfer.midlevel.training import Training, train
rng = np.random.default_rng(0)
x, labels = rng.standard_normal((300, 200), np.float32), rng.integers(0, 5, 300)
found = train(x, labels, 5, np.arange(300), Training(hidden=512, epochs=2))
said = b"".join(array.tobytes() for array in found.weights.arrays())
print(json.dumps([hashlib.sha256(said).hexdigest(), found.history[-1].held_out]))
"""


def test_the_same_bits_on_any_number_of_threads():
    from decaf import ops

    if "cython" not in ops.available():
        pytest.skip("NumPy's products are BLAS's, whose bits may depend on its threads")
    said = []
    for threads in ("1", "2", "3"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True, check=True,
        )  # fmt: skip
        said.append(json.loads(done.stdout))
    assert said[0] == said[1] == said[2]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_must_be_finite(bad: float):
    x, labels, photos = clouds()
    x[5, 1] = bad
    with pytest.raises(FeaturesError, match=r"must be finite.*NaN or infinity"):
        train(x, labels, 3, photos, QUICK)


def test_features_must_be_there():
    with pytest.raises(FeaturesError, match="at least one patch"):
        train(np.empty((0, 2), np.float32), np.empty(0, np.intp), 3, np.empty(0, np.intp), QUICK)
    with pytest.raises(FeaturesError, match="not all 0"):
        train(np.zeros((9, 2), np.float32), np.arange(9) % 3, 3, np.arange(9), QUICK)


@pytest.mark.parametrize("rate", [1e20, 1e38, 1e300])
def test_a_rate_that_is_too_high_is_an_error(rate: float):
    x, labels, photos = clouds()
    with pytest.raises(FeaturesError, match="lower the rate"):
        train(x, labels, 3, photos, replace(QUICK, rate=rate))


@pytest.mark.parametrize("options", [{"dropout": 1.0}, {"dropout": -0.1}, {"rate": 0.0},
                                     {"rate": math.nan}, {"momentum": 1.0}, {"decay": -1.0},
                                     {"held_out": 1.0}, {"rate": "0.1"}, {"decay": None},
                                     {"dropout": True}, {"rate": 10**400}])  # fmt: skip
def test_options_that_cannot_be(options: dict):
    with pytest.raises(FeaturesError, match="must be a number; expected"):
        Training(**options)


@pytest.mark.parametrize("seed", [-1, 1.5, None, "1", True])
def test_seeds_that_cannot_be(seed: object):
    with pytest.raises(FeaturesError, match="seed must be a whole number"):
        Training(seed=seed)


def test_it_ends_at_the_last_of_its_stops(monkeypatch: pytest.MonkeyPatch):
    """With a loss that never falls again, each stop comes after `patience` epochs."""
    monkeypatch.setattr(training, "loss_of", lambda p, labels: 1.0)
    x, labels, photos = clouds()
    for stops in (1, 2, 3):
        found = train(x, labels, 3, photos, replace(QUICK, patience=2, stops=stops))
        assert len(found.history) == 1 + 2 * stops
        assert len({epoch.rate for epoch in found.history}) == stops


@pytest.mark.parametrize("name", ["hidden", "batch", "epochs", "patience", "stops"])
def test_numbers_that_cannot_be(name: str):
    with pytest.raises(ShapeError, match=f"{name} must be a whole number"):
        Training(**{name: 0})
