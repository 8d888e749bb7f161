"""The reference layers, image by image, so that a batch cannot change an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decaf import layers
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
)

Array = NDArray[np.float32]


class Parameters(NamedTuple):
    """The parameters of a layer as they are."""

    weight: Array
    bias: Array

    @property
    def nbytes(self) -> int:
        """Bytes of both."""
        return self.weight.nbytes + self.bias.nbytes


class Calls:
    """A program of Python functions, done by the calling thread."""

    def __init__(self, calls: Sequence[Callable[[], None]]) -> None:
        self.calls = tuple(calls)

    def run(self, helpers: None = None) -> None:
        """Call one after the other."""
        for call in self.calls:
            call()


class NumpyBackend:
    """See the head of this module.

    BLAS multiplies, on as many threads as its own settings say; another number of *its*
    threads may change the last bits.
    """

    name = "numpy"
    channels_last = False
    shared = False
    precisions: tuple[str, ...] = ("float32",)

    def pack(
        self, layer: Layer, input_shape: Shape, weight: NDArray[Any], bias: Array
    ) -> Parameters:
        return Parameters(weight, bias)

    def channels_first(self, layer: Layer, packed: Any) -> bool:
        return True

    def workspace(
        self, layer: Layer, packed: Any, inputs: Sequence[Array], out: Array, threads: int
    ) -> int:
        return 0

    def bind(
        self, layer: Layer, packed: Any, inputs: Sequence[Array], out: Array,
        relu: bool, threads: int, workspace: Array,
    ) -> list[Any]:  # fmt: skip
        compute = _reference(layer, packed)

        def call() -> None:
            for n in range(len(out)):
                result = out[n : n + 1]
                compute(*(array[n : n + 1] for array in inputs), out=result)
                if relu:
                    layers.relu(result, out=result)

        return [call]

    def reorder(self, input: Array, out: Array, channels_last: bool) -> list[Any]:
        raise NotImplementedError("every value lies N,C,H,W")

    def program(self, steps: Sequence[Any]) -> Calls:
        return Calls(steps)


def _reference(layer: Layer, packed: Any) -> Callable[..., Any]:
    """Return the reference function of a layer with all its options filled in."""
    match layer:
        case Conv(stride=stride, padding=padding, dilation=dilation, groups=groups):
            weight, bias = packed
            return lambda x, out: layers.conv2d(
                x, weight, bias, stride, padding, dilation, groups, out=out
            )
        case Linear():
            weight, bias = packed
            return lambda x, out: layers.linear(x.reshape(1, -1), weight, bias, out=out)
        case ReLU():
            return layers.relu
        case LRN(size=size, alpha=alpha, beta=beta, k=k, region=region):
            return lambda x, out: layers.local_response_norm(
                x, size, alpha, beta, k, region=region, out=out
            )
        case MaxPool(kernel_size=kernel, stride=stride, padding=padding, ceil_mode=ceil):
            return lambda x, out: layers.max_pool2d(x, kernel, stride, padding, ceil, out=out)
        case AvgPool(kernel_size=kernel, stride=stride, padding=padding, ceil_mode=ceil):
            include = layer.count_include_pad
            return lambda x, out: layers.avg_pool2d(
                x, kernel, stride, padding, ceil, include, out=out
            )
        case AdaptiveAvgPool(output_size=output_size):
            return lambda x, out: layers.adaptive_avg_pool2d(x, output_size, out=out)
        case Softmax():
            return layers.softmax
        case Concat():
            return lambda *inputs, out: layers.concat(inputs, out=out)
    raise TypeError(layer)
