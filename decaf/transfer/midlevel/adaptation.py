"""The two layers that learn the new task: forward as in ``decaf.layers``, and the gradients.

    a = FCa: weight (H, D), H = 2048       y = dropout(relu(x a' + bias))
    b = FCb: weight (K, H), K classes      z = y b' + bias,   p = softmax(z)
    loss = - mean over n of log p[n, label n]

Shapes
    x    n,D      features of n patches, which the network below gives and which stay as they are
    y    n,H
    p    n,K      with the background as the last class, if there is any

Gradients of the loss, from the last layer to the first (d… is the gradient by …)
    softmax    dz = (p - [label]) / n
    linear     dweight = dz' y,   dbias = sum of dz over n,   dy = dz weight
    dropout    dy where a value was kept, times 1 / (1 - 0.5); 0 elsewhere
    relu       dy where the value was above 0; 0 elsewhere

Source
    Oquab et al. 2014, section 3.1; Rumelhart, Hinton and Williams 1986 for the gradients.

Why all products are `linear`
    A product of matrices by BLAS may add in another order on another number of threads.
    `linear` has one order of summation, so that training gives the same bits every time; both
    products of its gradient are such layers too, with one matrix or both laid on their side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.ops import function

Array = NDArray[np.float32]
Labels = NDArray[np.intp]
HIDDEN = 2048
DROPOUT = 0.5
LEAST = 1e-30  # a probability of 0 would be an infinite loss


@dataclass(frozen=True)
class Adaptation:
    """The weights of both layers, float32, or their gradients.

    Attributes
    ----------
    weight_a, bias_a : ndarray
        (H, D) and (H,), of FCa.
    weight_b, bias_b : ndarray
        (K, H) and (K,), of FCb.
    """

    weight_a: Array
    bias_a: Array
    weight_b: Array
    bias_b: Array

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """Return all four."""
        return self.weight_a, self.bias_a, self.weight_b, self.bias_b

    def copy(self) -> Adaptation:
        """Return arrays of their own."""
        return Adaptation(*(array.copy() for array in self.arrays()))


def random_weights(
    features: int, classes: int, hidden: int, rng: np.random.Generator
) -> Adaptation:
    """Return where training starts: normal weights that keep a signal's size, no biases.

    The deviation is sqrt(2 / D) before a ReLU (He et al. 2015), and sqrt(1 / H) after it.
    """

    def normal(outputs: int, inputs: int, gain: float) -> Array:
        scale = np.float32(np.sqrt(gain / inputs))
        return rng.standard_normal((outputs, inputs), np.float32) * scale

    return Adaptation(
        normal(hidden, features, 2.0), np.zeros(hidden, np.float32),
        normal(classes, hidden, 1.0), np.zeros(classes, np.float32),
    )  # fmt: skip


def probabilities(weights: Adaptation, x: Array) -> Array:
    """Return the probability of each class for each patch: (n, D) -> (n, K), float32."""
    y = _layer("relu")(_layer("linear")(x, weights.weight_a, weights.bias_a))
    result: Array = _layer("softmax")(_layer("linear")(y, weights.weight_b, weights.bias_b))
    return result


def loss_of(p: Array, labels: Labels) -> float:
    """Return the loss, in nats: (n, K) probabilities and (n,) labels."""
    said = p[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(said, LEAST)).mean())


def gradients(
    weights: Adaptation, x: Array, labels: Labels, dropout: float, rng: np.random.Generator
) -> tuple[float, Adaptation]:
    """Return the loss of a batch and its gradient by all weights.

    Parameters
    ----------
    weights : Adaptation
    x : ndarray
        (n, D) float32.
    labels : ndarray
        (n,) from 0 to K - 1.
    dropout : float
        Probability of dropping a value of FCa, below 1.
    rng : numpy.random.Generator
        Decides which.

    Returns
    -------
    loss : float
    gradients : Adaptation
    """
    linear = _layer("linear")
    y = _layer("relu")(linear(x, weights.weight_a, weights.bias_a))  # n,H
    y = _layer("dropout")(y, dropout, True, rng=rng, out=y)
    p = _layer("softmax")(linear(y, weights.weight_b, weights.bias_b))  # n,K
    loss = loss_of(p, labels)

    dz = softmax_gradient(p, labels)  # n,K
    dweight_b, dbias_b = linear_gradient(dz, y)
    dy = linear_input_gradient(dz, weights.weight_b)  # n,H
    dy = relu_dropout_gradient(dy, y, dropout)
    dweight_a, dbias_a = linear_gradient(dy, x)
    return loss, Adaptation(dweight_a, dbias_a, dweight_b, dbias_b)


def softmax_gradient(p: Array, labels: Labels) -> Array:
    """Return the gradient of the loss by the scores before softmax, (n, K)."""
    dz = p.copy()
    dz[np.arange(len(labels)), labels] -= 1
    dz /= len(labels)
    return dz


def relu_dropout_gradient(dy: Array, y: Array, dropout: float) -> Array:
    """Return the gradient by what went into ReLU and dropout, given both results: (n, H).

    `y` is above 0 exactly where ReLU let a value pass and dropout kept it.
    """
    dx: Array = dy * (y > 0)
    dx *= np.float32(1 / (1 - dropout))
    return dx


def linear_gradient(dz: Array, input: Array) -> tuple[Array, Array]:
    """Return the gradients by weight, (O, D), and bias, (O,): of dz (n, O) and input (n, D)."""
    on_its_side = np.ascontiguousarray(dz.T)  # O,n
    dweight = _layer("linear")(on_its_side, np.ascontiguousarray(input.T))  # O,D
    return dweight, on_its_side.sum(axis=1)


def linear_input_gradient(dz: Array, weight: Array) -> Array:
    """Return the gradient by the input, (n, D): of dz (n, O) and weight (O, D)."""
    dinput: Array = _layer("linear")(dz, np.ascontiguousarray(weight.T))
    return dinput


def _layer(name: str) -> Callable[..., Any]:
    return function(name, "auto")
