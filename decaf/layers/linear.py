"""Fully connected layer: every result is a weighted sum of all the inputs.

    result[n, o] = bias[o] + sum over d of  weight[o, d] * input[n, d]

Shapes
    input    N,D      the images' features; more axes in front are allowed, as in torch
    weight   O,D
    bias     O        or None
    result   N,O

AlexNet's values
    fc6   D = 9216 = 256*6*6 (pool5, flattened C,H,W)   O = 4096
    fc7   D = 4096                                      O = 4096
    fc8   D = 4096                                      O = 1000

Source
    Krizhevsky, Sutskever and Hinton, NIPS 2012, section 3.5.  Caffe calls it InnerProduct.

Differences
    None in the arithmetic.  Old Caffe files store ``weight`` as 1,1,O,D.

Cost
    N*O*D multiply-adds; in AlexNet 37,748,736 + 16,777,216 + 4,096,000 an image.  Each weight is
    used once an image, so that a single photo waits for memory, not for arithmetic.

Why row by row
    One product ``input @ weight.T`` for the whole batch would be faster, but BLAS picks its order
    of summation by the shape of the batch, and the last bits of a photo's result would depend on
    its company.  One matrix-vector product an image gives the same bits always.

How the fast twin does it
    The weights stay as they are in the file.  A few rows at a time meet a few images at a time, in
    an order of summation that the batch does not change, and the rows that come next are fetched
    from memory meanwhile.  See ``docs/speed.md``.
"""

from __future__ import annotations

import math

import numpy as np

from decaf.errors import ShapeError
from decaf.layers import _check
from decaf.layers._check import FloatArray


@np.errstate(over="ignore", invalid="ignore")
def linear(
    input: FloatArray,
    weight: FloatArray,
    bias: FloatArray | None = None,
    *,
    out: FloatArray | None = None,
) -> FloatArray:
    """Multiply each row of the input by the weights.

    Parameters
    ----------
    input : ndarray, N,D
        More (or no) axes before the last are allowed.
    weight : ndarray, O,D
    bias : ndarray, O, optional
    out : ndarray, N,O, optional
        Written and returned.

    Returns
    -------
    ndarray, N,O, dtype of ``input``

    Raises
    ------
    ShapeError
        If an array has the wrong type, dtype, shape or memory layout.

    Examples
    --------
    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]]), np.array([0.5, 0.0]))
    array([[11.5, 17. ]])
    """
    result = check_linear(input, weight, bias, out)
    outputs, features = weight.shape
    n = math.prod(input.shape[:-1])
    rows = np.ascontiguousarray(input).reshape(n, features)  # N,D
    for row, sums in zip(rows, result.reshape(n, outputs), strict=True):
        np.matmul(weight, row, out=sums)  # O
    if bias is not None:
        result += bias
    return result


def check_linear(
    input: FloatArray, weight: FloatArray, bias: FloatArray | None, out: FloatArray | None
) -> FloatArray:
    """Check the arguments of ``linear`` and its twin; return the array for the result."""
    _check.array("linear", "input", input)
    _check.array("linear", "weight", weight, "O,D", like=input)
    outputs, features = weight.shape
    if input.ndim == 0 or input.shape[-1] != features:
        raise ShapeError(
            f"linear: input must be N,D; expected D = {features}, as weight has, got {input.shape}"
        )
    read = [input, weight]
    if bias is not None:
        _check.array("linear", "bias", bias, "O", like=input)
        _check.shape("linear", "bias", "O", bias, (outputs,))
        read.append(bias)
    return _check.output("linear", out, (*input.shape[:-1], outputs), read)
