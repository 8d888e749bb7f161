"""Image to columns: every window that a convolution looks at, copied out as one column.

    result[n, (c*KH + y)*KW + x, i*OW + j] =
        input[n, c, i*stride + y*dilation - padding, j*stride + x*dilation - padding]

and 0 where that lies outside the image.

Why: with the windows side by side, a convolution is one matrix product, and matrix products are
what a CPU does best.  The price is memory: each pixel is copied up to KH*KW times.

Shapes
    input    N,C,H,W
    result   N, C*KH*KW, OH*OW      OH and OW: ``decaf.layers.shapes.conv_output_size``

Options (AlexNet's values are those of its convolutions, see ``conv.py``)
    kernel_size   KH,KW; conv1 11, conv2 5, conv3-5 3
    stride        step of the window; conv1 4, others 1
    padding       zeros around the image; torchvision 2, 2, 1, 1, 1; Caffe's conv1 has 0
    dilation      distance between a window's pixels; 1

Source
    Chellapilla, Puri and Simard, "High performance convolutional neural networks for document
    processing", IWFHR 2006, section 3; made popular by Caffe.

Differences
    torch calls it ``unfold``.  Caffe holds the same matrix, for one image at a time.

Cost
    No multiply-adds; conv1 of torchvision's AlexNet writes 363 * 3025 = 1,098,075 values an image.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from decaf.layers import _check
from decaf.layers._check import FloatArray, Pair
from decaf.layers.shapes import conv_output_size


def im2col(
    input: FloatArray,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    *,
    out: FloatArray | None = None,
) -> FloatArray:
    """Copy every window of the input into a column.

    Parameters
    ----------
    input : ndarray, N,C,H,W
    kernel_size, stride, padding, dilation : int or (h, w)
        In pixels.
    out : ndarray, N, C*KH*KW, OH*OW, optional
        Written and returned.

    Returns
    -------
    ndarray, N, C*KH*KW, OH*OW, dtype of ``input``

    Raises
    ------
    ShapeError
        If the window does not fit, or an array has the wrong type, dtype, shape or memory layout.

    Examples
    --------
    >>> im2col(np.arange(9.0).reshape(1, 1, 3, 3), 2)[0, :, 0]    # the window at the top left
    array([0., 1., 3., 4.])
    """
    places, result = check_im2col(input, kernel_size, stride, padding, dilation, out)
    (kh, kw), (stride_h, stride_w) = places.kernel, places.stride
    (pad_h, pad_w), (dilation_h, dilation_w) = places.padding, places.dilation
    padded = np.pad(input, ((0, 0), (0, 0), (pad_h, pad_h), (pad_w, pad_w)))
    span = (dilation_h * (kh - 1) + 1, dilation_w * (kw - 1) + 1)
    windows = sliding_window_view(padded, span, axis=(2, 3))  # N,C, every start, SPAN_H,SPAN_W
    windows = windows[:, :, ::stride_h, ::stride_w, ::dilation_h, ::dilation_w]  # N,C,OH,OW,KH,KW
    columns = windows.transpose(0, 1, 4, 5, 2, 3)  # N,C,KH,KW,OH,OW
    result.reshape(columns.shape)[...] = columns
    return result


class Places(NamedTuple):
    """Where the windows of a convolution lie; every pair is (h, w)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    output_size: tuple[int, int]  # OH, OW


def check_places(
    name: str,
    input: FloatArray,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Places:
    """Check the options of a convolution over ``input``; return them as pairs, with OH,OW."""
    _check.array(name, "input", input, "N,C,H,W")
    kernel = _check.pair(name, "kernel_size", kernel_size, 1)
    stride = _check.pair(name, "stride", stride, 1)
    padding = _check.pair(name, "padding", padding, 0)
    dilation = _check.pair(name, "dilation", dilation, 1)
    axes = zip(input.shape[2:], kernel, stride, padding, dilation, strict=True)
    oh, ow = (conv_output_size(*axis, name=name) for axis in axes)
    return Places(kernel, stride, padding, dilation, (oh, ow))


def check_im2col(
    input: FloatArray,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    out: FloatArray | None,
) -> tuple[Places, FloatArray]:
    """Check the arguments of ``im2col`` and its twin; return the places, the result's array."""
    places = check_places("im2col", input, kernel_size, stride, padding, dilation)
    (kh, kw), (oh, ow) = places.kernel, places.output_size
    n, c = input.shape[:2]
    return places, _check.output("im2col", out, (n, c * kh * kw, oh * ow), [input])
