"""Rectified linear unit: negative values become zero.

    result = max(0, input)

Shapes
    input, result   any, the same; in AlexNet N,C,H,W after conv1-5 and N,D after fc6-7

Options
    None.  (Caffe's ``negative_slope`` is 0 in AlexNet and is not offered.)

Source
    Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010;
    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural
    networks", NIPS 2012, section 3.1.

Differences
    None.  NaN stays NaN, as in Caffe and torch.

Cost
    No multiply-adds; one comparison a value, 493,184 an image in torchvision's AlexNet.
"""

from __future__ import annotations

import numpy as np

from decaf.layers import _check
from decaf.layers._check import FloatArray


def relu(input: FloatArray, *, out: FloatArray | None = None) -> FloatArray:
    """Replace negative values by zero.

    Parameters
    ----------
    input : ndarray, any shape
    out : ndarray, shape and dtype of ``input``, optional
        Written and returned.  It may be ``input`` itself.

    Returns
    -------
    ndarray, shape and dtype of ``input``

    Raises
    ------
    ShapeError
        If an array has the wrong type, dtype, shape or memory layout.

    Examples
    --------
    >>> relu(np.array([-1.5, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    result = check_relu(input, out)
    np.maximum(input, 0, out=result)
    return result


def check_relu(input: FloatArray, out: FloatArray | None) -> FloatArray:
    """Check the arguments of ``relu`` and its twin; return the array for the result."""
    _check.array("relu", "input", input)
    return _check.output("relu", out, input.shape, [input], in_place=True)
