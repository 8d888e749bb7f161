"""The compiled kernels, on the best instruction set of the processor or a named one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.ops import kernel
from decaf.specs import (
    LRN,
    AdaptiveAvgPool,
    AvgPool,
    Concat,
    Conv,
    Layer,
    Linear,
    MaxPool,
    ReLU,
    Shape,
    Softmax,
    pair,
)

Array = NDArray[np.float32]


class CythonBackend:
    """See the head of this module.

    Parameters
    ----------
    isa : str, optional
        Name of an instruction set.
    """

    name = "cython"
    channels_last = True
    shared = True
    precisions: tuple[str, ...] = ("float32", "float16")

    def __init__(self, isa: str | None = None) -> None:
        self.isa = isa

    def pack(self, layer: Layer, input_shape: Shape, weight: NDArray[Any], bias: Array) -> Any:
        if isinstance(layer, Linear):
            return kernel("linear").PackedLinear(weight, bias, isa=self.isa)
        assert isinstance(layer, Conv)
        return kernel("conv").pack_conv2d(
            weight, bias, pair(layer.stride), pair(layer.padding), pair(layer.dilation),
            layer.groups, input_size=input_shape[1:], isa=self.isa,
        )  # fmt: skip

    def channels_first(self, layer: Layer, packed: Any) -> bool:
        return isinstance(layer, Linear) or (isinstance(layer, Conv) and packed.planar)

    def workspace(
        self, layer: Layer, packed: Any, inputs: Sequence[Array], out: Array, threads: int
    ) -> int:
        match layer:
            case Conv() | Linear():
                return int(packed.workspace(len(out), threads))
            case LRN(region="across"):
                return int(kernel("lrn").across_workspace(out.shape[-1], threads))
            case LRN():
                _, _, width, channels = out.shape
                return int(kernel("lrn").within_workspace(width, channels, threads))
        return 0

    def bind(
        self, layer: Layer, packed: Any, inputs: Sequence[Array], out: Array,
        relu: bool, threads: int, workspace: Array,
    ) -> list[Any]:  # fmt: skip
        first, isa = inputs[0], self.isa
        match layer:
            case Conv() | Linear():
                if isinstance(layer, Linear):
                    first = first.reshape(len(first), -1)  # N,D
                return list(packed.steps(first, out, relu, threads, workspace))
            case ReLU():
                return [kernel("relu").ReluStep(first.reshape(-1), out.reshape(-1), isa=isa)]
            case LRN(size=size, alpha=alpha, beta=beta, k=k):
                lrn = kernel("lrn")
                step = lrn.LrnAcrossStep if layer.region == "across" else lrn.LrnWithinStep
                return [step(first, out, size, alpha, beta, k, threads, workspace, isa=isa)]
            case MaxPool() | AvgPool():
                pool = kernel("pool")
                windows = (pair(layer.kernel_size), pair(layer.stride), pair(layer.padding))
                if isinstance(layer, MaxPool):
                    return [pool.MaxPoolStep(first, out, *windows, isa=isa)]
                include = layer.count_include_pad
                return [pool.AvgPoolStep(first, out, *windows, include, isa=isa)]
            case AdaptiveAvgPool():
                return [kernel("pool").AdaptiveAvgPoolStep(first, out, isa=isa)]
            case Softmax():
                return [kernel("softmax").SoftmaxStep(_channels(first), _channels(out), isa=isa)]
            case Concat():
                return self._concat([_channels(array) for array in inputs], _channels(out))
        raise TypeError(layer)

    def _concat(self, inputs: list[Array], out: Array) -> list[Any]:
        """Copy one input after the other to its place in each row."""
        ends = np.cumsum([rows.shape[1] for rows in inputs]).tolist()
        return [
            kernel("concat").CopyStep(rows, out, end - rows.shape[1], isa=self.isa)
            for rows, end in zip(inputs, ends, strict=True)
        ]

    def reorder(self, input: Array, out: Array, channels_last: bool) -> list[Any]:
        reorder = kernel("reorder")
        step = reorder.ToChannelsLastStep if channels_last else reorder.ToChannelsFirstStep
        return [step(input, out, isa=self.isa)]

    def program(self, steps: Sequence[Any]) -> Any:
        return kernel("crew").Program(steps)


def _channels(array: Array) -> Array:
    return array.reshape(-1, array.shape[-1])  # N*H*W,C; or N,D
