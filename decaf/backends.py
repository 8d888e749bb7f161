"""A spec and its arrays, bound to a function call: all that a step of a plan needs.

Each backend offers the same three things:

  pack(layer, weight, bias)   what it keeps of a layer's parameters, made once a network
  workspace(layer, ...)       floats of scratch memory that each thread needs
  bind(layer, packed, ...)    a call that computes the layer into ``out``, any number of times

A bound call takes a ``Tasks`` counter and takes part in the work until no task is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from decaf import layers
from decaf.ops import choose, kernel
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
    Softmax,
    pair,
)

Array = NDArray[np.float32]
Call = Callable[[Any], None]


class Backend(Protocol):
    """What a plan asks of a backend."""

    name: str

    def new_tasks(self) -> Any:
        """Return a counter for the tasks of a step."""

    def pack(self, layer: Layer, weight: Array, bias: Array) -> Any:
        """Prepare the parameters of a Conv or a Linear."""

    def workspace(self, layer: Layer, packed: Any, inputs: Sequence[Array]) -> int:
        """Floats of scratch memory that each thread needs for this layer."""

    def bind(
        self,
        layer: Layer,
        packed: Any,
        inputs: Sequence[Array],
        out: Array,
        relu: bool,
        threads: int,
        workspace: Array,
    ) -> Call:
        """Return a call that computes ``layer`` (and ReLU, if wanted) into ``out``."""  # fmt: skip


def get_backend(name: str) -> Backend:
    """Return the backend for ``"auto"``, ``"cython"`` or ``"numpy"``; see ``ops.choose``."""
    return CythonBackend() if choose(name) == "cython" else NumpyBackend()


class NumpyBackend:
    """The reference layers, image by image, so that a batch cannot change an answer.

    BLAS multiplies, on as many threads as its own settings say; another number of *its*
    threads may change the last bits.
    """

    name = "numpy"

    def new_tasks(self) -> Any:
        return _NoTasks()

    def pack(self, layer: Layer, weight: Array, bias: Array) -> Any:
        return weight, bias

    def workspace(self, layer: Layer, packed: Any, inputs: Sequence[Array]) -> int:
        return 0

    def bind(
        self, layer: Layer, packed: Any, inputs: Sequence[Array], out: Array,
        relu: bool, threads: int, workspace: Array,
    ) -> Call:  # fmt: skip
        compute = _reference(layer, packed)

        def call(tasks: Any) -> None:
            for n in range(len(out)):
                result = out[n : n + 1]
                compute(*(array[n : n + 1] for array in inputs), out=result)
                if relu:
                    layers.relu(result, out=result)

        return call


class _NoTasks:
    """NumPy does a step in one piece."""

    def reset(self) -> None:
        pass


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
            return lambda x, out: layers.linear(_rows(x), weight, bias, out=out)
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


class CythonBackend:
    """The compiled kernels, on the best instruction set of the processor or a named one."""

    name = "cython"

    def __init__(self, isa: str | None = None) -> None:
        self.isa = isa

    def new_tasks(self) -> Any:
        return kernel("tasks").Tasks()

    def pack(self, layer: Layer, weight: Array, bias: Array) -> Any:
        if isinstance(layer, Linear):
            return kernel("linear").PackedLinear(weight, bias, self.isa)
        assert isinstance(layer, Conv)
        return kernel("conv").PackedConv2d(
            weight, bias, pair(layer.stride), pair(layer.padding), pair(layer.dilation),
            layer.groups, self.isa,
        )  # fmt: skip

    def workspace(self, layer: Layer, packed: Any, inputs: Sequence[Array]) -> int:
        match layer:
            case Conv():
                return int(packed.workspace)
            case Linear():
                return int(packed.workspace(len(inputs[0])))
            case MaxPool():
                return int(inputs[0].shape[3])
        return 0

    def bind(
        self, layer: Layer, packed: Any, inputs: Sequence[Array], out: Array,
        relu: bool, threads: int, workspace: Array,
    ) -> Call:  # fmt: skip
        first = inputs[0]
        n = len(first)
        match layer:
            case Conv():
                runs = packed.runs(n, out.shape[2] * out.shape[3], threads)
                return _call(packed.run, first, out, relu, runs, workspace)
            case Linear():
                return _call(packed.run, _rows(first), out, relu, workspace)
            case ReLU():
                return _call(kernel("relu").run_relu, first.reshape(-1), out.reshape(-1))
            case LRN():
                options = (layer.size, layer.alpha, layer.beta, layer.k)
                if layer.region == "within":
                    run = kernel("lrn").run_lrn_within
                    return _call(run, _planes(first), _planes(out), *options)
                shape = (n, first.shape[1], first.shape[2] * first.shape[3])  # N,C,H*W
                run = kernel("lrn").run_lrn_across
                return _call(run, first.reshape(shape), out.reshape(shape), *options)
            case MaxPool() | AvgPool():
                windows = (pair(layer.kernel_size), pair(layer.stride), pair(layer.padding))
                if isinstance(layer, MaxPool):
                    run = kernel("pool").run_max_pool2d
                    return _call(run, _planes(first), _planes(out), *windows, workspace)
                run = kernel("pool").run_avg_pool2d
                include = layer.count_include_pad
                return _call(run, _planes(first), _planes(out), *windows, include)
            case AdaptiveAvgPool():
                run = kernel("pool").run_adaptive_avg_pool2d
                return _call(run, _planes(first), _planes(out))
            case Softmax():
                shape = (n, first.shape[1], first.size // n // first.shape[1])  # N,K,INNER
                run = kernel("softmax").run_softmax
                return _call(run, first.reshape(shape), out.reshape(shape))
            case Concat():
                return _concat([_rows(array) for array in inputs], _rows(out))
        raise TypeError(layer)


def _call(run: Callable[..., None], *arguments: Any) -> Call:
    return lambda tasks: run(tasks, *arguments)


def _concat(inputs: list[Array], out: Array) -> Call:
    """Copy one input after the other; each is a piece of work of its own, for one thread."""
    copy = kernel("concat").run_copy
    starts = np.cumsum([0, *(rows.shape[1] for rows in inputs)]).tolist()

    def call(tasks: Any) -> None:
        for rows, start in zip(inputs, starts, strict=False):
            tasks.reset()
            copy(tasks, rows, out, start)

    return call


def _rows(array: Array) -> Array:
    return array.reshape(len(array), -1)  # N,D


def _planes(array: Array) -> Array:
    return array.reshape(-1, *array.shape[2:])  # N*C,H,W
