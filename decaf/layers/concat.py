"""Concatenation: results of several layers, side by side along one axis.

    result[n, :C1] = inputs[0][n],  result[n, C1:C1 + C2] = inputs[1][n],  ...

Shapes
    inputs   N,C1,H,W  N,C2,H,W ...    alike but for the axis ``dim``; any number of axes
    result   N,C1+C2+...,H,W

Options
    dim   the axis along which they are joined; 1, the channels

AlexNet is a chain and has none; SqueezeNet joins the two halves of each fire module with it.

Source
    Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 4; Iandola et al.,
    "SqueezeNet", 2016, section 3.2.

Differences
    None.  torch calls it ``cat``, with ``dim=0`` by default; Caffe's ``axis`` is 1, as here.

Cost
    No multiply-adds; one copy a value.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from decaf.errors import ShapeError
from decaf.layers import _check
from decaf.layers._check import FloatArray


def concat(
    inputs: Sequence[FloatArray], dim: int = 1, *, out: FloatArray | None = None
) -> FloatArray:
    """Join arrays along one axis.

    Parameters
    ----------
    inputs : sequence of ndarray
        At least one; of one dtype, and of one shape but for the axis ``dim``.
    dim : int
        The axis along which they are joined; negative counts from the back.
    out : ndarray, optional
        Written and returned.

    Returns
    -------
    ndarray, dtype of the inputs

    Raises
    ------
    ShapeError
        If there is no input, no such axis, or an array has the wrong type, dtype, shape or memory
        layout.

    Examples
    --------
    >>> concat([np.zeros((1, 2)), np.ones((1, 1))])
    array([[0., 0., 1.]])
    """
    dim, result = check_concat(inputs, dim, out)
    np.concatenate(inputs, axis=dim, out=result)
    return result


def check_concat(
    inputs: Sequence[FloatArray], dim: int, out: FloatArray | None
) -> tuple[int, FloatArray]:
    """Check the arguments of ``concat`` and its twin; return the axis, the result's array."""
    if not isinstance(inputs, (list, tuple)) or not inputs:
        raise ShapeError(
            "concat: inputs must be a list or tuple of arrays; "
            f"expected at least one, got {type(inputs).__name__}"
        )
    first = _check.array("concat", "inputs[0]", inputs[0])
    dim = _check.axis("concat", dim, first.ndim)
    for number, array in enumerate(inputs):
        argument = f"inputs[{number}]"
        _check.array("concat", argument, array, like=first)
        length = array.shape[dim] if array.ndim == first.ndim else first.shape[dim]
        expected = (*first.shape[:dim], length, *first.shape[dim + 1 :])
        _check.shape("concat", argument, f"as inputs[0] but for axis {dim}", array, expected)

    total = sum(array.shape[dim] for array in inputs)
    shape = (*first.shape[:dim], total, *first.shape[dim + 1 :])
    return dim, _check.output("concat", out, shape, inputs)
