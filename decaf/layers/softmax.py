"""Softmax: scores become probabilities, positive and with the sum 1.

    result[n, k] = exp(input[n, k] - m[n]) / sum over j of exp(input[n, j] - m[n])
    m[n]         = max over j of input[n, j]

Subtracting the largest score changes nothing on paper and prevents overflow: exp(89) is already
more than float32 can hold.

Shapes
    input, result   any, the same; in AlexNet N,1000

Options, with AlexNet's value
    dim   the axis whose values compete; 1, the classes

Source
    Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990;
    Krizhevsky, Sutskever and Hinton, NIPS 2012, section 3.5.

Differences
    None.  Caffe too subtracts the maximum and works over axis 1 by default; torchvision's AlexNet
    stops at the scores (``fc8``) and leaves the softmax to its user.

Cost
    1,000 exponentials an image; no multiply-adds.
"""

from __future__ import annotations

import numpy as np

from decaf.errors import ShapeError
from decaf.layers import _check
from decaf.layers._check import FloatArray


@np.errstate(over="ignore", invalid="ignore")
def softmax(input: FloatArray, dim: int = 1, *, out: FloatArray | None = None) -> FloatArray:
    """Turn scores into probabilities along one axis.

    Parameters
    ----------
    input : ndarray, any shape
    dim : int
        The axis whose values compete; negative counts from the back.
    out : ndarray, shape and dtype of ``input``, optional
        Written and returned.  It may be ``input`` itself.

    Returns
    -------
    ndarray, shape and dtype of ``input``

    Raises
    ------
    ShapeError
        If there is no such axis, nothing along it, or an array has the wrong type, dtype, shape
        or memory layout.

    Examples
    --------
    >>> softmax(np.array([[1000.0, 1000.0, -1000.0]]))
    array([[0.5, 0.5, 0. ]])
    """
    dim, result = check_softmax(input, dim, out)
    np.subtract(input, input.max(axis=dim, keepdims=True), out=result)
    np.exp(result, out=result)
    np.divide(result, result.sum(axis=dim, keepdims=True), out=result)
    return result


def check_softmax(input: FloatArray, dim: int, out: FloatArray | None) -> tuple[int, FloatArray]:
    """Check the arguments of ``softmax`` and its twin; return the axis, the result's array."""
    _check.array("softmax", "input", input)
    dim = _check.axis("softmax", dim, input.ndim)
    if input.shape[dim] == 0:
        raise ShapeError(
            f"softmax: input must have at least one value along axis {dim}; got {input.shape}"
        )
    return dim, _check.output("softmax", out, input.shape, [input], in_place=True)
