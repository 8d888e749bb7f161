"""Convolution: slide O small filters over the image and take a weighted sum at every place.

    result[n, o, i, j] = bias[o] + sum over c, y, x of  weight[o, c, y, x]
        * input[n, g*C/G + c, i*stride + y*dilation - padding, j*stride + x*dilation - padding]

with input = 0 outside the image, and g = the group of o = o // (O/G).  Computed as one matrix
product for each image and group:

    weight (O/G, C/G*KH*KW)  @  columns (C/G*KH*KW, OH*OW)  ->  result (O/G, OH*OW)

Shapes
    input    N,C,H,W
    weight   O,C/G,KH,KW
    bias     O            or None
    result   N,O,OH,OW    OH and OW: ``decaf.layers.shapes.conv_output_size``

Options, with AlexNet's values (torchvision)
    layer    O    C   KH=KW  stride  padding  dilation   OH=OW
    conv1    64    3    11      4       2        1         55
    conv2   192   64     5      1       2        1         27
    conv3   384  192     3      1       1        1         13
    conv4   256  384     3      1       1        1         13
    conv5   256  256     3      1       1        1         13

Groups
    G = 2 in conv2, 4, 5 of the paper and of Caffe's nets (1 in torchvision): filters 0..O/2-1 see
    only channels 0..C/2-1, the others only the rest.  conv2 of CaffeNet has C = 96 and O = 256,
    so weight is 256,48,5,5.  The paper did so to share the work between two graphics cards.

Source
    LeCun et al., "Backpropagation applied to handwritten zip code recognition", 1989;
    Krizhevsky, Sutskever and Hinton, NIPS 2012, sections 3.2 (groups) and 3.5 (sizes).

Differences
    Like Caffe and torch we do not turn the filter round: strictly, this is cross-correlation.
    Caffe's AlexNets take 227 pixels without padding in conv1, the paper says 224 (and means 227).

Cost
    N * O * OH*OW * C/G*KH*KW multiply-adds; an image of torchvision's AlexNet takes 70,276,800 in
    conv1, 223,948,800, 112,140,288, 149,520,384, and 99,680,256 in conv5; together 655,566,528.

Why image by image
    One product for the whole batch would let BLAS pick its order of summation by the size of the
    batch, and the last bits of a photo's result would depend on its company.

How the fast twin does it
    Without columns: with the channels innermost (N,H,W,C) a window is a few stretches of the image
    itself, and the vectors hold output channels.  3x3 and 5x5 filters of stride 1 are computed with
    fewer multiplications, by Winograd's algorithm; a NaN or a huge value then spoils all 4x4
    results of a tile, and not only those that see it.  See ``docs/speed.md``.
"""

from __future__ import annotations

import numpy as np

from decaf.errors import ShapeError
from decaf.layers import _check
from decaf.layers._check import FloatArray, Pair
from decaf.layers.im2col import Places, check_places, im2col


@np.errstate(over="ignore", invalid="ignore")
def conv2d(
    input: FloatArray,
    weight: FloatArray,
    bias: FloatArray | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
    *,
    out: FloatArray | None = None,
) -> FloatArray:
    """Convolve images with filters.

    Parameters
    ----------
    input : ndarray, N,C,H,W
    weight : ndarray, O,C/G,KH,KW
    bias : ndarray, O, optional
    stride, padding, dilation : int or (h, w)
        In pixels.
    groups : int
        G; must divide both C and O.
    out : ndarray, N,O,OH,OW, optional
        Written and returned.

    Returns
    -------
    ndarray, N,O,OH,OW, dtype of ``input``

    Raises
    ------
    ShapeError
        If the window does not fit, or an array has the wrong type, dtype, shape or memory layout.

    Examples
    --------
    >>> corners = np.array([[[[1.0, 0.0], [0.0, 10.0]]]])
    >>> conv2d(np.arange(9.0).reshape(1, 1, 3, 3), corners)
    array([[[[40., 51.],
             [73., 84.]]]])
    """
    places, result = check_conv2d(input, weight, bias, stride, padding, dilation, groups, out)
    (kh, kw), (oh, ow) = places.kernel, places.output_size
    c, o = input.shape[1], len(weight)

    rows = c // groups * kh * kw
    filters = weight.reshape(groups, o // groups, rows)  # G,O/G,C/G*KH*KW
    for image, image_result in zip(input, result, strict=True):  # C,H,W and O,OH,OW
        columns = im2col(image[np.newaxis], (kh, kw), stride, padding, dilation)
        columns = columns.reshape(groups, rows, oh * ow)  # G,C/G*KH*KW,OH*OW
        sums = image_result.reshape(groups, o // groups, oh * ow)  # G,O/G,OH*OW
        for g in range(groups):
            np.matmul(filters[g], columns[g], out=sums[g])
    if bias is not None:
        result += bias.reshape(o, 1, 1)  # O,1,1
    return result


def check_conv2d(
    input: FloatArray,
    weight: FloatArray,
    bias: FloatArray | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    out: FloatArray | None,
) -> tuple[Places, FloatArray]:
    """Check the arguments of ``conv2d`` and its twin; return the places, the result's array."""
    _check.array("conv2d", "input", input, "N,C,H,W")
    _check.array("conv2d", "weight", weight, "O,C/G,KH,KW", like=input)
    _check.integer("conv2d", "groups", groups, 1)
    n, c = input.shape[:2]
    o, _, kh, kw = weight.shape
    if c == 0:
        raise ShapeError(f"conv2d: input must have channels; expected C >= 1, got {input.shape}")
    if c % groups or o % groups:
        raise ShapeError(
            f"conv2d: groups must divide the channels C and O; got {groups}, C = {c}, O = {o}"
        )
    _check.shape("conv2d", "weight", "O,C/G,KH,KW", weight, (o, c // groups, kh, kw))
    read = [input, weight]
    if bias is not None:
        _check.array("conv2d", "bias", bias, "O", like=input)
        _check.shape("conv2d", "bias", "O", bias, (o,))
        read.append(bias)
    places = check_places("conv2d", input, (kh, kw), stride, padding, dilation)
    return places, _check.output("conv2d", out, (n, o, *places.output_size), read)
