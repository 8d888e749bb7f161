"""Training of the two layers: gradient descent with momentum, a minibatch of patches at a time.

    v       <- 0.9 v - rate (gradient + decay weight)
    weight  <- weight + v

The patches of a tenth of the photos are held out, but no photo that is the last of its class.
When their loss has not fallen for some epochs, training goes back to where it was lowest and goes
on with a tenth of the rate; after `stops` such stops it ends, with the weights of the lowest loss.

Features are divided by one number, the root of their mean square in training, so that one
learning rate suits the features of any layer.

Source
    Krizhevsky et al. 2012, section 5 (momentum, decay, the rates and when they fall), which Oquab
    et al. 2014 follow.  The random numbers come from one seed, and all sums have one order: the
    same input gives the same bits on any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError
from decaf.net import at_least_one
from decaf.transfer.midlevel.adaptation import (
    DROPOUT,
    HIDDEN,
    Adaptation,
    Array,
    Labels,
    gradients,
    loss_of,
    probabilities,
    random_weights,
)
from decaf.transfer.midlevel.options import check_number, check_seed

AT_ONCE = 256  # patches, to bound memory: features are never copied as a whole


@dataclass(frozen=True)
class Training:
    """How to train.

    Attributes
    ----------
    hidden : int
        H, outputs of FCa.
    dropout : float
        Share of them that is dropped, from 0 to below 1.
    batch : int
        Patches a step.
    rate, momentum, decay : float
        See the head of this module; the rate is the first.
    epochs : int
        At most so many.
    patience : int
        Epochs without a lower loss before the rate falls.
    stops : int
        How often the loss may stop falling: the rate falls once less.
    held_out : float
        Share of the photos, from 0 to below 1; with 0, or where each photo is the last of its
        class, the loss of training decides.
    seed : int
        Of the random numbers.
    """

    hidden: int = HIDDEN
    dropout: float = DROPOUT
    batch: int = 128
    rate: float = 0.001
    momentum: float = 0.9
    decay: float = 5e-4
    epochs: int = 60
    patience: int = 2
    stops: int = 2
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("hidden", "batch", "epochs", "patience", "stops"):
            at_least_one(name, getattr(self, name))
        for name in ("dropout", "momentum", "held_out"):
            check_number(name, getattr(self, name), "from 0 to below 1", lambda v: 0 <= v < 1)
        check_number("rate", self.rate, "above 0", lambda v: 0 < v < math.inf)
        check_number("decay", self.decay, "0 or above", lambda v: 0 <= v < math.inf)
        check_seed(self.seed)


class Epoch(NamedTuple):
    """What one pass over the patches gave: losses in nats, the second of what was held out."""

    rate: float
    loss: float
    held_out: float


@dataclass(frozen=True)
class Trained:
    """What was learned.

    Attributes
    ----------
    weights : Adaptation
        For features that were divided by `scale`.
    scale : float
    history : tuple of Epoch
    """

    weights: Adaptation = field(repr=False)
    scale: float
    history: tuple[Epoch, ...] = field(repr=False)

    def probabilities(self, features: Array) -> Array:
        """Return the probability of each class: (n, D) float32 -> (n, K) float32."""
        found = np.empty((len(features), len(self.weights.bias_b)), np.float32)
        for part in _parts(len(features)):
            found[part] = probabilities(self.weights, _scaled(features[part], self.scale))
        return found


@np.errstate(over="ignore", invalid="ignore")  # a rate that is too high is noticed below
def train(
    features: Array,
    labels: Labels,
    classes: int,
    photos: NDArray[np.intp],
    how: Training | None = None,
    *,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Learn which patches show what.

    Parameters
    ----------
    features : ndarray
        (n, D) float32.
    labels : ndarray
        (n,) from 0 to K - 1.
    classes : int
        K.
    photos : ndarray
        (n,) the photo that each patch is of: those of a photo are held out together.
    how : Training, optional
    on_epoch : callable, optional
        Called with each `Epoch`.

    Returns
    -------
    Trained

    Raises
    ------
    FeaturesError
        If there are no patches, their features are NaN, infinite or all 0, or the loss became
        infinite, because the rate is too high.
    """
    how = how or Training()
    finite = all(np.isfinite(features[part]).all() for part in _parts(len(features)))
    if not len(features) or not finite:
        raise FeaturesError(
            f"features of patches must be finite, and of at least one patch; got {features.shape}"
            f"{' with NaN or infinity' if len(features) else ''}"
        )
    squares = (np.square(features[part], dtype=np.float64).sum() for part in _parts(len(features)))
    scale = math.sqrt(sum(map(float, squares)) / features.size)
    _must(scale > 0, "features", "values that are not all 0", 0)
    rng = np.random.default_rng(how.seed)
    apart = held_out(photos, labels, how.held_out, rng)
    learned = np.flatnonzero(~apart)
    checked = np.flatnonzero(apart) if apart.any() else learned
    weights = random_weights(features.shape[1], classes, how.hidden, rng)
    speeds = [np.zeros_like(array) for array in weights.arrays()]
    best, lowest, since, stops, rate = weights.copy(), math.inf, 0, 0, how.rate
    history: list[Epoch] = []
    while len(history) < how.epochs and stops < how.stops:
        total, order = 0.0, rng.permutation(learned)
        for start in range(0, len(order), how.batch):
            rows = order[start : start + how.batch]
            loss, found = gradients(
                weights, _scaled(features[rows], scale), labels[rows], how.dropout, rng
            )
            total += loss * len(rows)
            step(weights, speeds, found, rate, how.momentum, how.decay)
        now = np.concatenate(
            [
                probabilities(weights, _scaled(features[checked[part]], scale))
                for part in _parts(len(checked))
            ]
        )
        history.append(Epoch(rate, total / len(order), loss_of(now, labels[checked])))
        _must(math.isfinite(history[-1].held_out), "loss", "a number (lower the rate)", "NaN")
        if on_epoch:
            on_epoch(history[-1])
        if history[-1].held_out < lowest:
            best, lowest, since = weights.copy(), history[-1].held_out, 0
            continue
        since += 1
        if since == how.patience:
            weights, since, stops, rate = best.copy(), 0, stops + 1, rate / 10
            speeds = [np.zeros_like(array) for array in weights.arrays()]
    return Trained(best, scale, tuple(history))


def step(
    weights: Adaptation,
    speeds: list[Array],
    found: Adaptation,
    rate: float,
    momentum: float,
    decay: float,
) -> None:
    """Change the weights and their speeds in place; biases decay too, as in Caffe's default."""
    for array, v, gradient in zip(weights.arrays(), speeds, found.arrays(), strict=True):
        v *= np.float32(momentum)
        v -= np.float32(rate) * (gradient + np.float32(decay) * array)
        array += v


def held_out(
    photos: NDArray[np.intp], labels: Labels, share: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return which patches are held out: (n,), those of a random share of the photos.

    Each class keeps a photo to be learned from; fewer photos are held out where that asks for it.
    """
    each, numbers = np.unique(photos, return_inverse=True)
    shows = np.zeros((len(each), int(labels.max()) + 1), bool)
    shows[numbers, labels] = True
    left = shows.sum(axis=0)  # photos that show a class
    chosen: list[int] = []
    for photo in rng.permutation(len(each)).tolist():
        if len(chosen) >= share * len(each):
            break
        if (left[shows[photo]] > 1).all():
            chosen.append(photo)
            left -= shows[photo]
    return np.isin(numbers, chosen)


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, start + AT_ONCE) for start in range(0, count, AT_ONCE))


def _scaled(features: Array, scale: float) -> Array:
    return np.ascontiguousarray(features / np.float32(scale), np.float32)


def _must(holds: bool, name: str, expected: str, got: object) -> None:
    if not holds:
        raise FeaturesError(f"{name} must fit; expected {expected}, got {got}")
