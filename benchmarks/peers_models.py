"""The same network for the others: a PyTorch module and an ONNX model, from decaf's description.

Both follow the layers of a :class:`decaf.specs.Architecture` one by one, up to a layer that is
named, and take decaf's parameters as they are.  A ReLU, a dropout is what it is in training
scripts; each engine fuses and drops what it wants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.specs import LRN, Architecture, Conv, Dropout, Layer, Linear, MaxPool, ReLU, pair

Array = NDArray[np.float32]

INPUT, OUTPUT = "data", "fc8"
OPSET, IR = 17, 8  # of ONNX: old enough for every rival of the last years


def layers_to(architecture: Architecture, last: str) -> list[Layer]:
    """The layers up to the one named ``last``."""
    names = [layer.name for layer in architecture.layers]
    return list(architecture.layers[: names.index(last) + 1])


def torch_module(
    architecture: Architecture, parameters: Mapping[str, Array], last: str = OUTPUT
) -> Any:
    """A ``torch.nn.Sequential`` in eval mode; its layers carry decaf's names."""
    from torch import from_numpy, nn

    model = nn.Sequential()
    flat = False
    for layer in layers_to(architecture, last):
        (shape,) = architecture.input_shapes(layer)
        if isinstance(layer, Linear) and not flat:
            model.add_module("flatten", nn.Flatten())
            flat = True
        model.add_module(layer.name, _torch_layer(layer, shape))
        if isinstance(layer, (Conv, Linear)):
            module = model.get_submodule(layer.name)
            for kind in ("weight", "bias"):
                values = from_numpy(parameters[f"{layer.name}/{kind}"])
                setattr(module, kind, nn.Parameter(values.clone(), requires_grad=False))
    return model.eval()


def _torch_layer(layer: Layer, shape: Sequence[int]) -> Any:
    from torch import nn

    if isinstance(layer, Conv):
        return nn.Conv2d(
            shape[0],
            layer.out_channels,
            pair(layer.kernel_size),
            pair(layer.stride),
            pair(layer.padding),
            pair(layer.dilation),
            layer.groups,
        )
    if isinstance(layer, MaxPool):
        sizes = (pair(layer.kernel_size), pair(layer.stride), pair(layer.padding))
        return nn.MaxPool2d(*sizes, ceil_mode=layer.ceil_mode)
    if isinstance(layer, LRN):
        return nn.LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k)
    if isinstance(layer, Linear):
        return nn.Linear(int(np.prod(shape)), layer.out_features)
    if isinstance(layer, ReLU):
        return nn.ReLU(inplace=True)  # as in torchvision
    if isinstance(layer, Dropout):
        return nn.Dropout(layer.p)
    raise TypeError(f"{layer.name}: no PyTorch module is known for {type(layer).__name__}")


def onnx_model(
    architecture: Architecture,
    parameters: Mapping[str, Array],
    batch: int,
    last: str = OUTPUT,
) -> bytes:
    """An ONNX model for this batch size, in bytes; a fixed size lets an engine plan ahead."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = []
    value, flat = INPUT, False
    for layer in layers_to(architecture, last):
        if isinstance(layer, Dropout):
            continue
        if isinstance(layer, Linear) and not flat:
            nodes.append(helper.make_node("Flatten", [value], ["flatten"], axis=1))
            value, flat = "flatten", True
        kind, attributes = _onnx_node(layer)
        inputs = [value]
        if isinstance(layer, (Conv, Linear)):
            inputs += [f"{layer.name}/weight", f"{layer.name}/bias"]
        nodes.append(helper.make_node(kind, inputs, [layer.name], name=layer.name, **attributes))
        value = layer.name
    names = [name for node in nodes for name in node.input if name in parameters]
    shapes = ((INPUT, architecture.input_shape), (last, architecture.shapes[last]))
    source, result = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (batch, *shape))
        for name, shape in shapes
    )
    initializers = [numpy_helper.from_array(parameters[name], name) for name in names]
    graph = helper.make_graph(nodes, architecture.name, [source], [result], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    return bytes(model.SerializeToString())


def _onnx_node(layer: Layer) -> tuple[str, dict[str, Any]]:
    """The operator and its attributes."""
    if isinstance(layer, Conv):
        return "Conv", {
            **_windows(layer),
            "dilations": pair(layer.dilation),
            "group": layer.groups,
        }
    if isinstance(layer, MaxPool):
        return "MaxPool", {**_windows(layer), "ceil_mode": int(layer.ceil_mode)}
    if isinstance(layer, LRN):  # alpha is divided by size, as in Caffe
        numbers = {"alpha": layer.alpha, "beta": layer.beta, "bias": layer.k}
        return "LRN", {"size": layer.size, **numbers}
    if isinstance(layer, Linear):
        return "Gemm", {"transB": 1}
    if isinstance(layer, ReLU):
        return "Relu", {}
    raise TypeError(f"{layer.name}: no ONNX operator is known for {type(layer).__name__}")


def _windows(layer: Conv | MaxPool) -> dict[str, tuple[int, ...]]:
    return {
        "kernel_shape": pair(layer.kernel_size),
        "strides": pair(layer.stride),
        "pads": 2 * pair(layer.padding),  # all the beginnings, then all the ends
    }
