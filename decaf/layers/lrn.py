"""Local response normalisation: a strong response damps its neighbours.

    result[n, c, i, j] = input[n, c, i, j] / (k + alpha / m * s[n, c, i, j]) ** beta

    region="across"   s = sum of input[n, c', i, j]**2 over ``size`` channels c' around c;  m = size
    region="within"   s = sum of input[n, c, i', j']**2 over size x size pixels around i, j;
                      m = size * size

Neighbours outside the array count as 0; m stays the same there.  An even ``size`` reaches one
further to the front (size // 2) than to the back.

Shapes
    input, result   the same; across N,C or N,C,H,W or any with C second; within N,C,H,W

Options, with AlexNet's values
    size     5
    alpha    1e-4
    beta     0.75
    k        1 in Caffe's AlexNets, 2 in the paper
    region   "across"

Source
    Krizhevsky, Sutskever and Hinton, NIPS 2012, section 3.3, the equation for b.

Differences
    alpha   The paper and TensorFlow do not divide it by ``size``; Caffe and torch do, as here.
    k       torch and the function here default to 1, the paper has 2.  Caffe's WITHIN_CHANNEL
            takes 1 whatever the file says.
    within  Exists in Caffe only, for odd sizes.
    order   CaffeNet normalises after pooling, the paper and bvlc_alexnet before it.  torchvision's
            AlexNet has no normalisation at all.

Cost
    About ``size`` + 2 multiply-adds and one power a value; bvlc_alexnet normalises
    96*55*55 + 256*27*27 = 477,024 values an image.
"""

from __future__ import annotations

import numpy as np

from decaf.errors import ShapeError
from decaf.layers import _check
from decaf.layers._check import FloatArray


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def local_response_norm(
    input: FloatArray,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    region: str = "across",
    out: FloatArray | None = None,
) -> FloatArray:
    """Divide each value by a power of its neighbourhood's energy.

    Parameters
    ----------
    input : ndarray, N,C,H,W
        ``region="across"`` takes any array of at least two axes, channels second.
    size : int
        Neighbours that count, along the channels (across) or along both H and W (within).
    alpha, beta, k : float
        Of the formula above; ``alpha`` and ``k`` must not be negative.
    region : {"across", "within"}
    out : ndarray, shape and dtype of ``input``, optional
        Written and returned.

    Returns
    -------
    ndarray, shape and dtype of ``input``

    Raises
    ------
    ShapeError
        If an option makes no sense, or an array has the wrong type, dtype, shape or memory layout.

    Examples
    --------
    >>> local_response_norm(np.array([[1.0, 2.0, 3.0]]), size=3, alpha=3.0, beta=1.0)
    array([[0.16666667, 0.13333333, 0.21428571]])
    """
    result = check_lrn(input, size, alpha, beta, k, region, out)
    members, axes = (size, [1]) if region == "across" else (size * size, [2, 3])
    energy: FloatArray = input * input
    for axis in axes:
        energy = _sum_of_neighbours(energy, size, axis)
    # NumPy's own scalars would lift float32 to float64; Python's do not.
    scale = float(k) + float(alpha / members) * energy
    np.divide(input, scale ** float(beta), out=result)
    return result


def _sum_of_neighbours(values: FloatArray, size: int, axis: int) -> FloatArray:
    """Sum of ``size`` neighbours along one axis, for every value; zeros beyond the edges."""
    margins = [(0, 0)] * values.ndim
    margins[axis] = (size // 2, (size - 1) // 2)
    padded = np.moveaxis(np.pad(values, margins), axis, 0)
    total = np.zeros_like(values)
    total_by_axis = np.moveaxis(total, axis, 0)
    for shift in range(size):
        total_by_axis += padded[shift : shift + values.shape[axis]]
    return total


def check_lrn(
    input: FloatArray,
    size: int,
    alpha: float,
    beta: float,
    k: float,
    region: str,
    out: FloatArray | None,
) -> FloatArray:
    """Check the arguments of ``local_response_norm`` and its twin; return the result's array."""
    name = "local_response_norm"
    _check.integer(name, "size", size, 1)
    _check.real(name, "alpha", alpha, 0)
    _check.real(name, "beta", beta, -np.inf)
    _check.real(name, "k", k, 0)
    if region not in ("across", "within"):
        raise ShapeError(
            f'{name}: region must be a known one; expected "across" or "within", got {region!r}'
        )
    _check.array(name, "input", input, "N,C,H,W" if region == "within" else "")
    if input.ndim < 2:
        raise ShapeError(
            f"{name}: input must be N,C,...; expected at least 2 axes, got shape {input.shape}"
        )
    return _check.output(name, out, input.shape, [input])
