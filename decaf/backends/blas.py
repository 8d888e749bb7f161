"""Convolution as im2col and one matrix product, by BLAS; the kernels for what does not multiply.

This is how Caffe did it, and the reference of the fast path: the same layout and the same
other layers, but the products are left to the BLAS that NumPy brings along.  Image by image, so
that a batch cannot change an answer.  BLAS works on as many threads as its own settings say;
another number of *its* threads, or another BLAS, may change the last bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from decaf.backends.cython import CythonBackend
from decaf.backends.numpy import Calls, Parameters
from decaf.specs import Conv, Layer, Linear, Shape, pair

Array = NDArray[np.float32]


class BlasBackend(CythonBackend):
    """See the head of this module."""

    name = "blas"
    shared = False  # BLAS has threads of its own
    precisions: tuple[str, ...] = ("float32",)

    def pack(
        self, layer: Layer, input_shape: Shape, weight: NDArray[Any], bias: Array
    ) -> Parameters:
        """Lay the filters out as a matrix for each group: G,KH*KW*C/G,O/G."""
        if isinstance(layer, Conv):
            o, c, kh, kw = weight.shape
            groups = layer.groups
            columns = weight.transpose(2, 3, 1, 0).reshape(kh * kw * c, groups, o // groups)
            weight = np.ascontiguousarray(columns.transpose(1, 0, 2))  # G,KH*KW*C/G,O/G
        return Parameters(weight, bias)

    def channels_first(self, layer: Layer, packed: Any) -> bool:
        return isinstance(layer, Linear)

    def workspace(
        self, layer: Layer, packed: Any, inputs: Sequence[Array], out: Array, threads: int
    ) -> int:
        if isinstance(layer, (Conv, Linear)):
            return 0
        return super().workspace(layer, packed, inputs, out, threads)

    def bind(
        self, layer: Layer, packed: Any, inputs: Sequence[Array], out: Array,
        relu: bool, threads: int, workspace: Array,
    ) -> list[Any]:  # fmt: skip
        if isinstance(layer, Conv):
            return [_convolve(layer, packed, inputs[0], out, relu)]
        if isinstance(layer, Linear):
            return [_multiply(packed, inputs[0].reshape(len(out), -1), out, relu)]
        steps = super().bind(layer, packed, inputs, out, relu, threads, workspace)
        return [step.run for step in steps]

    def reorder(self, input: Array, out: Array, channels_last: bool) -> list[Any]:
        return [step.run for step in super().reorder(input, out, channels_last)]

    def program(self, steps: Sequence[Any]) -> Calls:
        return Calls(steps)


def _convolve(
    layer: Conv, packed: Parameters, input: Array, out: Array, relu: bool
) -> Callable[[], None]:
    """Return a call that convolves ``input`` N,H,W,C into ``out`` N,OH,OW,O."""
    _, h, w, channels = input.shape
    groups, depth, filters = packed.weight.shape
    (kh, kw), (ph, pw) = pair(layer.kernel_size), pair(layer.padding)
    (sh, sw), (dh, dw) = pair(layer.stride), pair(layer.dilation)
    reach = (dh * (kh - 1) + 1, dw * (kw - 1) + 1)

    def call() -> None:
        padded = np.zeros((h + 2 * ph, w + 2 * pw, channels), np.float32)
        windows = sliding_window_view(padded, reach, axis=(0, 1))[::sh, ::sw, :, ::dh, ::dw]
        windows = windows.transpose(0, 1, 3, 4, 2)  # OH,OW,KH,KW,C
        groups_of = np.split(windows, groups, axis=4)  # each OH,OW,KH,KW,C/G
        for image, result in zip(input, out.reshape(len(out), -1, groups, filters), strict=True):
            padded[ph : ph + h, pw : pw + w] = image
            for g, window in enumerate(groups_of):
                columns = window.reshape(-1, depth)  # OH*OW,KH*KW*C/G: the copy is im2col
                result[:, g] = columns @ packed.weight[g]
            _finish(result.reshape(-1, groups * filters), packed.bias, relu)

    return call


def _multiply(packed: Parameters, input: Array, out: Array, relu: bool) -> Callable[[], None]:
    """Return a call that multiplies ``input`` N,D into ``out`` N,O."""

    def call() -> None:
        for row, result in zip(input, out, strict=True):
            np.matmul(packed.weight, row, out=result)
            _finish(result, packed.bias, relu)

    return call


def _finish(result: Array, bias: Array, relu: bool) -> None:
    result += bias
    if relu:
        np.maximum(result, 0, out=result)
