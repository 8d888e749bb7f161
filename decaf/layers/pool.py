"""Pooling: each window of the image becomes one value, its maximum or its average.

    max_pool2d            result[n, c, i, j] = max over the window of input[n, c]
    avg_pool2d            result[n, c, i, j] = sum over the window / number of values in it
    adaptive_avg_pool2d   the same, with the windows chosen so that the result is OH,OW

The window of (i, j) has its first pixel at i*stride - padding, j*stride - padding and KH,KW pixels.
The adaptive one of row i takes rows floor(i*H/OH) to ceil((i + 1)*H/OH) - 1; columns likewise.

Shapes
    input    N,C,H,W
    result   N,C,OH,OW      OH and OW: ``decaf.layers.shapes.pool_output_size``

Options, with AlexNet's values
    kernel_size         KH,KW; 3 in pool1, pool2 and pool5
    stride              2: windows overlap by one pixel; None means the kernel size
    padding             0; for the maximum it is minus infinity and never wins
    ceil_mode           Caffe True, torch False; with AlexNet's sizes (55, 27, 13) the same
    count_include_pad   average: padding counts as pixels of value 0
    output_size         adaptive: 6 in torchvision's AlexNet, where it changes nothing at 224 pixels

Source: Krizhevsky, Sutskever and Hinton, NIPS 2012, section 3.4 (overlapping pooling).

Differences
    ceil_mode           Caffe rounds the result's size up always, torch down by default.
    padding             torch allows at most half the kernel; Caffe less than the kernel, as here.
    count_include_pad   Caffe's average divides by the window clipped to the padded image: True
                        here and in torch.  False divides by the window clipped to the image.
    NaN                 Makes the maximum of its window NaN, as in torch; Caffe passes over it.
    adaptive            Exists in torch only.

Cost
    No multiply-adds; KH*KW comparisons a result, 794,880 an image in torchvision's AlexNet.
"""

from __future__ import annotations

import numpy as np

from decaf.layers import _check
from decaf.layers._check import FloatArray, Pair
from decaf.layers._windows import Windows


def max_pool2d(
    input: FloatArray,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    *,
    out: FloatArray | None = None,
) -> FloatArray:
    """Maximum of each window.

    Parameters
    ----------
    input : ndarray, N,C,H,W
    kernel_size, stride, padding : int or (h, w)
        In pixels; ``stride`` is ``kernel_size`` if left out.
    ceil_mode : bool
        Round the size of the result up.
    out : ndarray, N,C,OH,OW, optional
        Written and returned.

    Returns
    -------
    ndarray, N,C,OH,OW, dtype of ``input``

    Raises
    ------
    ShapeError
        If no window fits, or an array has the wrong type, dtype, shape or memory layout.

    Examples
    --------
    >>> max_pool2d(np.arange(9.0).reshape(1, 1, 3, 3), 2, stride=1)
    array([[[[4., 5.],
             [7., 8.]]]])
    """
    windows, result = check_pool("max_pool2d", input, kernel_size, stride, padding, ceil_mode, out)
    result.fill(-np.inf)
    for pixel in windows.pixels(input, -np.inf):
        np.maximum(result, pixel, out=result)
    return result


@np.errstate(over="ignore", invalid="ignore")
def avg_pool2d(
    input: FloatArray,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    out: FloatArray | None = None,
) -> FloatArray:
    """Average of each window.

    Parameters and errors are those of ``max_pool2d``; ``count_include_pad`` divides by the window
    clipped to the padded image rather than to the image.

    Examples
    --------
    >>> avg_pool2d(np.arange(9.0).reshape(1, 1, 3, 3), 2, stride=1)
    array([[[[2., 3.],
             [5., 6.]]]])
    """
    windows, result = check_pool("avg_pool2d", input, kernel_size, stride, padding, ceil_mode, out)
    result.fill(0)
    for pixel in windows.pixels(input, 0):
        result += pixel
    result /= windows.counts(count_include_pad).astype(input.dtype)  # N,C,OH,OW by OH,OW
    return result


@np.errstate(over="ignore", invalid="ignore")
def adaptive_avg_pool2d(
    input: FloatArray, output_size: Pair, *, out: FloatArray | None = None
) -> FloatArray:
    """Average of OH,OW windows that cover the image evenly.

    Parameters
    ----------
    input : ndarray, N,C,H,W
    output_size : int or (h, w)
        OH,OW.
    out : ndarray, N,C,OH,OW, optional
        Written and returned.

    Returns
    -------
    ndarray, N,C,OH,OW, dtype of ``input``

    Raises
    ------
    ShapeError
        If the image is empty, or an array has the wrong type, dtype, shape or memory layout.

    Examples
    --------
    >>> adaptive_avg_pool2d(np.arange(3.0).reshape(1, 1, 1, 3), (1, 2))
    array([[[[0.5, 1.5]]]])
    """
    result = check_adaptive(input, output_size, out)
    h, w = input.shape[2:]
    oh, ow = result.shape[2:]
    for i in range(oh):
        rows = slice(i * h // oh, -(-(i + 1) * h // oh))  # -(-a // b) is a / b rounded up
        for j in range(ow):
            columns = slice(j * w // ow, -(-(j + 1) * w // ow))
            window = np.ascontiguousarray(input[:, :, rows, columns])  # one order of summation
            result[:, :, i, j] = window.mean(axis=(2, 3))  # N,C
    return result


def check_pool(
    name: str,
    input: FloatArray,
    kernel_size: Pair,
    stride: Pair | None,
    padding: Pair,
    ceil_mode: bool,
    out: FloatArray | None,
) -> tuple[Windows, FloatArray]:
    """Check the arguments of a pooling and its twin; return the windows, the result's array."""
    windows = Windows(name, input, kernel_size, stride, padding, ceil_mode)
    return windows, _check.output(name, out, windows.shape, [input])


def check_adaptive(input: FloatArray, output_size: Pair, out: FloatArray | None) -> FloatArray:
    """Check the arguments of ``adaptive_avg_pool2d`` and its twin; return the result's array."""
    name = "adaptive_avg_pool2d"
    _check.array(name, "input", input, "N,C,H,W")
    oh, ow = _check.pair(name, "output_size", output_size, 1)
    n, c, h, w = input.shape
    _check.integer(name, "input height", h, 1)
    _check.integer(name, "input width", w, 1)
    return _check.output(name, out, (n, c, oh, ow), [input])
