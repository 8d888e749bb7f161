"""From the nodes of an ONNX graph to decaf's layers, one node after the other."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.errors import ArchitectureError, WeightsError
from decaf.formats.onnx_node import Node
from decaf.formats.onnx_schema import one, tensor
from decaf.formats.protobuf import Message
from decaf.layers.shapes import pool_output_size
from decaf.specs import (
    INPUT,
    LRN,
    AdaptiveAvgPool,
    Architecture,
    AvgPool,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    Pair,
    ReLU,
    Shape,
    Softmax,
)

LONGEST_NAME = 180  # with a number behind it, still one that a weights file takes


class Builder:
    """Layers and parameters of a graph, as far as its nodes have been added.

    Parameters
    ----------
    input : str
        Name of the value that is the network's input.
    shape : tuple of int
        Its C,H,W.
    constants : dict
        Values that are there from the start.
    opset : int
        Version of the operators.
    """

    def __init__(
        self,
        input: str,
        shape: tuple[int, int, int],
        constants: dict[str, NDArray[Any]],
        opset: int,
    ) -> None:
        self.input_shape, self.constants, self.opset = shape, constants, opset
        self.parameters: dict[str, NDArray[Any]] = {}
        self.values = {input: INPUT}  # name of a value in the graph -> the layer that gives it
        self.shapes: dict[str, Shape] = {INPUT: shape}  # of layers, without N
        self.layers: dict[str, Layer] = {}
        self.sums: set[str] = set()  # Linear layers that wait for their bias
        self.numbers: dict[str, int] = {}  # how often a name has been asked for
        self.makers: dict[str, Callable[[Node], None]] = {
            "Conv": self._conv,
            "MaxPool": self._pool,
            "AveragePool": self._pool,
            "GlobalAveragePool": self._global,
            "Relu": lambda node: self._put(node, ReLU(self._name(node))),
            "LRN": self._lrn,
            "Gemm": self._gemm,
            "MatMul": self._matmul,
            "Add": self._add,
            "Dropout": self._dropout,
            "Softmax": self._softmax,
            "Concat": self._concat,
            "Flatten": self._flatten,
            "Reshape": self._reshape,
            "Identity": self._identity,
            "Constant": self._constant,
        }

    def add(self, message: Message) -> None:
        """Add the layer that a node stands for, if it stands for one."""
        node = Node(message)
        if node.op not in self.makers:
            node.refuse(f"decaf must have such a layer; expected {', '.join(self.makers)}")
        if node.outputs[0] in self.values or node.outputs[0] in self.constants:
            node.refuse("a value must be written once; got one of a name that is taken")
        self.makers[node.op](node)
        node.done()

    def finish(self, name: str, output: str) -> Architecture:
        """Return the layers that lead to a value; parameters of others are dropped."""
        if output not in self.values:
            raise ArchitectureError(f"the output must come from a node; got {output!r:.100}")
        wanted = {self.values[output]}
        kept: list[Layer] = []
        for layer in reversed(self.layers.values()):
            if layer.name in wanted:
                wanted.update(layer.inputs)
                kept.append(layer)
        kept.reverse()
        readers: dict[str, list[Layer]] = {}
        for layer in kept:
            for source in layer.inputs:
                readers.setdefault(source, []).append(layer)
        instead: dict[str, str] = {}  # flattened for Linear, which does that by itself
        layers: list[Layer] = []
        before = INPUT
        for layer in kept:
            inputs = tuple(instead.get(source, source) for source in layer.inputs)
            follow = readers.get(layer.name, [])
            if isinstance(layer, Flatten) and follow and all(type(f) is Linear for f in follow):
                instead[layer.name] = inputs[0]
                continue
            layers.append(_reading(layer, () if inputs == (before,) else inputs))
            before = layer.name
        architecture = Architecture(_clean(name), self.input_shape, tuple(layers))
        self.parameters = {name: self.parameters[name] for name in architecture.parameter_shapes}
        return architecture

    # What a node reads and writes

    def _source(self, node: Node, place: int = 0) -> str:
        """Return the layer whose values a node reads."""
        name = node.inputs[place] if place < len(node.inputs) else ""
        if name not in self.values:
            node.refuse(f"must read the input or an earlier node; got {name!r:.100}")
        self.sums.discard(self.values[name])
        return self.values[name]

    def _number(self, node: Node, place: int) -> NDArray[Any] | None:
        """Return a constant that a node reads; None where it is left out."""
        name = node.inputs[place] if place < len(node.inputs) else ""
        if name and name not in self.constants:
            node.refuse(f"parameters must be constants; got {name!r:.100}, which is none")
        return self.constants[name] if name else None

    def _image(self, node: Node) -> tuple[str, tuple[int, int]]:
        """Return the layer that a node reads, which must give C,H,W, and its H,W."""
        source = self._source(node)
        shape = self.shapes[source]
        if len(shape) != 3:
            node.refuse(f"must read N,C,H,W; got {('N', *shape)}")
        return source, (shape[1], shape[2])

    def _name(self, node: Node) -> str:
        """Return a name for the layer of a node that no other has."""
        base = _clean(node.name)
        name = base
        while name in self.layers or name == INPUT:
            self.numbers[base] = self.numbers.get(base, 1) + 1
            name = f"{base}_{self.numbers[base]}"
        return name

    def _put(self, node: Node, layer: Layer, *sources: str, **parameters: NDArray[Any]) -> None:
        """Add a layer, whose parameters must have the shapes that it says."""
        sources = sources or (self._source(node),)
        shapes = [self.shapes[source] for source in sources]
        shape = layer.output_shape(*shapes)
        for kind, expected in layer.parameter_shapes(*shapes).items():
            array = parameters[kind]
            if array.dtype.kind != "f" or array.shape != expected:
                raise WeightsError(
                    f"{layer.name}: {kind} must be floats {expected}; "
                    f"got {array.dtype} {array.shape}"
                )
            self.parameters[f"{layer.name}/{kind}"] = array
        self.layers[layer.name] = _reading(layer, sources)
        self.shapes[layer.name] = shape
        self.values[node.outputs[0]] = layer.name

    # One kind of node each

    def _conv(self, node: Node) -> None:
        source, size = self._image(node)
        weight, bias = self._number(node, 1), self._number(node, 2)
        if weight is None or weight.ndim != 4:
            node.refuse("weight must be O,C/G,KH,KW; got none, or of other dimensions")
        kernel = weight.shape[2:]
        if node.wholes("kernel_shape", kernel) != kernel:
            node.refuse(f"kernel_shape must be that of the weight; expected {kernel}")
        stride, dilation = node.wholes("strides", (1, 1), 2), node.wholes("dilations", (1, 1), 2)
        spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
        begin, end = self._padding(node, size, spans, stride)
        if begin != end:
            node.refuse(f"padding must be the same on both sides; got {begin} and {end}")
        layer = Conv(
            self._name(node), weight.shape[0], _pair(kernel), _pair(stride), _pair(begin),
            _pair(dilation), node.whole("group", 1),
        )  # fmt: skip
        bias = np.broadcast_to(np.float32(0), weight.shape[:1]) if bias is None else bias
        self._put(node, layer, source, weight=weight, bias=bias)

    def _padding(
        self, node: Node, size: Shape, spans: Shape, stride: Shape
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """Padding before and behind, (h, w) each; from ``pads`` or ``auto_pad``."""
        pads = node.wholes("pads", (0, 0, 0, 0), 4)
        auto = node.text("auto_pad", "NOTSET")
        if min(stride) < 1:
            node.refuse(f"strides must be at least 1; got {stride}")
        if auto in ("SAME_UPPER", "SAME_LOWER"):  # as many results as size / stride, rounded up
            total = [
                max(0, (-(-length // step) - 1) * step + span - length)
                for length, span, step in zip(size, spans, stride, strict=True)
            ]
            less, more = [t // 2 for t in total], [t - t // 2 for t in total]
            pads = (*less, *more) if auto == "SAME_UPPER" else (*more, *less)
        elif auto not in ("NOTSET", "VALID"):
            node.refuse(f"auto_pad must be one of ONNX; got {auto!r:.50}")
        elif auto == "VALID":
            pads = (0, 0, 0, 0)
        return (pads[0], pads[1]), (pads[2], pads[3])

    def _pool(self, node: Node) -> None:
        source, size = self._image(node)
        kernel = node.wholes("kernel_shape", (), 2)
        stride = node.wholes("strides", (1, 1), 2)
        if node.wholes("dilations", (1, 1), 2) != (1, 1) or node.whole("storage_order", 0):
            node.refuse("windows must be whole: dilations 1; got others")
        begin, end = self._padding(node, size, kernel, stride)
        ceil = bool(node.whole("ceil_mode", 0))
        options = (_pair(kernel), _pair(stride), _pair(begin))
        if node.op == "AveragePool":
            if begin != end:
                node.refuse(f"padding must be the same on both sides; got {begin} and {end}")
            counted = bool(node.whole("count_include_pad", 0))
            if (kernel, stride, begin) == ((1, 1), (1, 1), (0, 0)):
                self.values[node.outputs[0]] = source  # as torch writes an adaptive one
                return
            self._put(node, AvgPool(self._name(node), *options, ceil, counted), source)
            return
        if begin != end and not ceil:
            # Padding never is a maximum: more of it behind, for one more window, is ceil_mode.
            ceil = True
            numbers = zip(size, kernel, stride, begin, end, strict=True)
            for length, k, step, before, behind in numbers:
                room = length + before + behind
                wanted = (room - k) // step + 1 if room >= k > before else 0
                if not wanted or pool_output_size(length, k, step, before, True) != wanted:
                    node.refuse(f"padding must be the same on both sides; got {begin} and {end}")
        elif begin != end:
            node.refuse(f"padding must be the same on both sides; got {begin} and {end}")
        self._put(node, MaxPool(self._name(node), *options, ceil), source)

    def _global(self, node: Node) -> None:
        self._image(node)
        self._put(node, AdaptiveAvgPool(self._name(node), 1))

    def _lrn(self, node: Node) -> None:
        size = node.whole("size", 0)
        if size % 2 == 0:  # ONNX has the odd one behind, decaf before
            node.refuse(f"size must be odd; got {size}")
        alpha, beta = node.number("alpha", 1e-4), node.number("beta", 0.75)
        self._put(node, LRN(self._name(node), size, alpha, beta, node.number("bias", 1.0)))

    def _gemm(self, node: Node) -> None:
        source = self._rows(node)
        weight, bias = self._number(node, 1), self._number(node, 2)
        if node.whole("transA", 0) or (node.number("alpha", 1), node.number("beta", 1)) != (1, 1):
            node.refuse("transA must be 0, alpha and beta 1; got others")
        if weight is None or weight.ndim != 2:
            node.refuse("weight must have two dimensions; got others")
        weight = weight if node.whole("transB", 0) else weight.T  # O,D
        bias = np.float32(0) if bias is None else bias  # type: ignore[assignment]
        self._linear(node, source, weight, bias)

    def _matmul(self, node: Node) -> None:
        source, weight = self._rows(node), self._number(node, 1)
        if weight is None or weight.ndim != 2:
            node.refuse("weight must have two dimensions; got others")
        self._linear(node, source, weight.T, np.float32(0))
        self.sums.add(self.values[node.outputs[0]])

    def _add(self, node: Node) -> None:
        """Give the bias to a MatMul, if nothing else has read what it gives."""
        if len(node.inputs) != 2:
            node.refuse(f"must read two values; got {len(node.inputs)}")
        node.inputs = sorted(node.inputs, key=lambda name: name in self.constants)
        bias = self._number(node, 1)
        layer = self.values.get(node.inputs[0], "")
        if layer not in self.sums or bias is None:
            node.refuse("must add the bias of a MatMul; got another sum")
        old = self.parameters[f"{layer}/bias"]
        self.parameters[f"{layer}/bias"] = self._bias(node, bias, len(old))
        del self.values[node.inputs[0]]  # the sum without its bias is nothing that decaf has
        self.sums.discard(layer)
        self.values[node.outputs[0]] = layer

    def _rows(self, node: Node) -> str:
        source = self._source(node)
        if len(self.shapes[source]) != 1:
            node.refuse(f"must read N,D; got {('N', *self.shapes[source])}")
        return source

    def _linear(self, node: Node, source: str, weight: NDArray[Any], bias: Any) -> None:
        layer = Linear(self._name(node), weight.shape[0])
        bias = self._bias(node, bias, weight.shape[0])
        self._put(node, layer, source, weight=weight, bias=bias)

    def _bias(self, node: Node, bias: NDArray[Any], size: int) -> NDArray[Any]:
        """Make of a bias, which ONNX stretches to fit, one of O values."""
        if bias.shape not in ((), (1,), (size,), (1, 1), (1, size)):
            node.refuse(f"bias must be ({size},); got {bias.shape}")
        stretched: NDArray[Any] = np.broadcast_to(bias.reshape(-1), (size,))
        return stretched

    def _dropout(self, node: Node) -> None:
        p = node.number("ratio", 0.5)
        node.whole("seed", 0)
        for place, what in ((1, "ratio"), (2, "training_mode")):
            number = self._number(node, place)
            if number is not None and number.size != 1:
                node.refuse(f"{what} must be one number; got {number.size:,}")
            if number is not None and what == "ratio":
                p = float(
                    str(number.reshape(-1)[0])
                )  # the shortest decimal: 0.1, not 0.10000000149
            elif number is not None and number.any():
                node.refuse("must be for answers: training_mode 0; got 1")
        self._put(node, Dropout(self._name(node), p))

    def _softmax(self, node: Node) -> None:
        source = self._source(node)
        shape = self.shapes[source]
        axis = node.whole("axis", 1 if self.opset < 13 else -1)
        if axis not in (1, -len(shape)):
            node.refuse(f"axis must be that of the channels; expected 1, got {axis}")
        # Up to version 12, all axes from this one on were taken as one.
        if self.opset < 13 and shape[1:] not in ((), (1, 1)):
            node.refuse(f"must be over the channels alone; got {('N', *shape)}")
        self._put(node, Softmax(self._name(node)), source)

    def _concat(self, node: Node) -> None:
        sources = tuple(self._source(node, place) for place in range(len(node.inputs)))
        if not sources:
            node.refuse("must read something; got nothing")
        axis = node.whole("axis", 1)
        if axis not in (1, -len(self.shapes[sources[0]])):
            node.refuse(f"axis must be that of the channels; expected 1, got {axis}")
        self._put(node, Concat(self._name(node)), *sources)

    def _flatten(self, node: Node) -> None:
        source = self._source(node)
        axis = node.whole("axis", 1)
        if axis not in (1, -len(self.shapes[source])):
            node.refuse(f"must keep the images apart; expected axis 1, got {axis}")
        self._put(node, Flatten(self._name(node)), source)

    def _reshape(self, node: Node) -> None:
        source = self._source(node)
        shape = self._number(node, 1)
        sizes = [] if shape is None or shape.ndim != 1 else shape[:4].tolist()
        total = math.prod(self.shapes[source])
        zero = node.whole("allowzero", 0) == 0
        if sizes not in ([1, -1], [-1, total], [1, total]) and not (
            zero and sizes in ([0, -1], [0, total])
        ):
            node.refuse(f"must be to N,D; expected (-1, {total}), got {sizes!s:.100}")
        self._put(node, Flatten(self._name(node)), source)

    def _identity(self, node: Node) -> None:
        constant = self.constants.get(node.inputs[0] if node.inputs else "")
        if constant is not None:
            self.constants[node.outputs[0]] = constant
        else:
            self.values[node.outputs[0]] = self._source(node)

    def _constant(self, node: Node) -> None:
        value = one(node.attributes.pop("value", {}), "t")
        if value is None:
            node.refuse("must have a tensor as its value; got none")
        self.constants[node.outputs[0]] = tensor(value)


def _pair(values: tuple[int, int]) -> Pair:
    """Write ``(3, 3)`` as 3, as decaf's architectures do."""
    return values[0] if values[0] == values[1] else (values[0], values[1])


def _reading(layer: Layer, inputs: tuple[str, ...]) -> Layer:
    """Return the layer with other inputs.  They are names that were checked when it was made."""
    return dataclasses.replace(layer, inputs=inputs)


def _clean(name: str) -> str:
    """Make of the name of a node one that can be a path in a weights file."""
    text = "".join(character if character.isprintable() else "_" for character in name[:1000])
    parts = (part for part in text.split("/") if part not in ("", ".", ".."))
    return "/".join(parts)[:LONGEST_NAME].rstrip("/") or "layer"
