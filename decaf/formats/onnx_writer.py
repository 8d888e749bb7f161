"""Write a network as an ONNX file, through the package ``onnx`` (``pip install onnx``).

Each layer becomes a node of its name that writes a value of its name; a Linear that reads C,H,W
gets a Flatten before it.  The input is called ``data``, as in decaf and Caffe, and takes any
number of images.  Operators are those of version 13, which every runtime since 2021 has.
:mod:`decaf.formats.onnx` reads the file back, and says what the operators are.

What ONNX cannot say is an error: LRN within channels or of even size, and averages over windows
of different sizes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from decaf.errors import ArchitectureError, WeightsError
from decaf.files import replacing
from decaf.formats import notes
from decaf.formats.parameters import check_parameters
from decaf.preprocessing import Preprocessing
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
    pair,
)

OPSET = 13
IR_VERSION = 7  # of the file, which came with that version of the operators
BATCH = "N"


def write(
    path: str | os.PathLike[str],
    architecture: Architecture,
    parameters: Mapping[str, ArrayLike],
    *,
    preprocessing: Preprocessing | None = None,
    labels: Sequence[str] | None = None,
    label_ids: Sequence[str] | None = None,
) -> None:
    """Write a network; the whole of it under its name, or nothing.

    Parameters
    ----------
    path : path
        Where to; the folder must exist.
    architecture : Architecture
        The network.
    parameters : Mapping
        Floats by name, exactly those of ``architecture.parameter_shapes``; stored as float32.
    preprocessing, labels, label_ids : optional
        Kept as notes (:mod:`decaf.formats.notes`) among the properties of the model.

    Raises
    ------
    ArchitectureError
        If ONNX has no operator that does what a layer does; the message names the layer.
    WeightsError
        If anything does not fit, the package ``onnx`` is missing, or the file cannot be written.
    """
    strings = notes.to_strings(architecture, preprocessing, labels, label_ids)
    arrays = check_parameters(architecture, parameters)
    try:
        import onnx
        from onnx import helper, numpy_helper
    except ImportError as error:
        raise WeightsError(
            "writing ONNX needs the package onnx; expected it installed, got none: pip install onnx"
        ) from error

    nodes, constants = [], []
    for layer in architecture.layers:
        shapes = architecture.input_shapes(layer)
        inputs = list(architecture.inputs[layer.name])
        if isinstance(layer, Linear) and len(shapes[0]) > 1:
            flat = f"{layer.name}:flat"
            nodes.append(helper.make_node("Flatten", inputs, [flat], flat, axis=1))
            inputs = [flat]
        if isinstance(layer, Dropout):
            ratio = f"{layer.name}:ratio"
            constants.append(numpy_helper.from_array(np.array(layer.p, np.float32), ratio))
            inputs.append(ratio)
        inputs += [f"{layer.name}/{kind}" for kind in layer.parameter_shapes(*shapes)]
        op, attributes = _operator(layer, shapes[0])
        nodes.append(helper.make_node(op, inputs, [layer.name], layer.name, **attributes))
    with np.errstate(over="ignore"):
        constants += [
            numpy_helper.from_array(np.ascontiguousarray(array, "<f4"), name)
            for name, array in arrays.items()
        ]
    names = [INPUT, *(output for node in nodes for output in node.output)]
    names += [constant.name for constant in constants]
    if len(set(names)) < len(names):
        raise ArchitectureError(
            f"{architecture.name}: layers and parameters must have different names in ONNX; "
            f"got {max(names, key=names.count)!r:.100} twice"
        )

    last = architecture.layers[-1].name
    tensor = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        architecture.name,
        [helper.make_tensor_value_info(INPUT, tensor, [BATCH, *architecture.input_shape])],
        [helper.make_tensor_value_info(last, tensor, [BATCH, *architecture.shapes[last]])],
        constants,
    )
    model = helper.make_model(
        graph,
        producer_name="decaf",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    helper.set_model_props(model, strings)
    try:
        with replacing(path) as file:
            file.write(model.SerializeToString())
    except (OSError, ValueError) as error:  # over 2 GB, which protocol buffers cannot be
        raise WeightsError(f"{path}: must be a place to write to; got {error}") from error


def _operator(layer: Layer, shape: Shape) -> tuple[str, dict[str, Any]]:
    """Operator and attributes of a layer that reads values of a shape (without N)."""
    if isinstance(layer, Conv):
        return "Conv", {
            **_window(layer.kernel_size, layer.stride, layer.padding),
            "dilations": pair(layer.dilation),
            "group": layer.groups,
        }
    if isinstance(layer, (MaxPool, AvgPool)):
        attributes = _window(layer.kernel_size, layer.stride, layer.padding)
        attributes["ceil_mode"] = int(layer.ceil_mode)
        if isinstance(layer, MaxPool):
            return "MaxPool", attributes
        return "AveragePool", {**attributes, "count_include_pad": int(layer.count_include_pad)}
    if isinstance(layer, AdaptiveAvgPool):
        return _adaptive(layer, shape)
    if isinstance(layer, LRN):
        if layer.region != "across" or layer.size % 2 == 0:
            raise ArchitectureError(
                f"{layer.name}: LRN in ONNX must be across channels, of odd size; "
                f"got {layer.region}, {layer.size}"
            )
        values = {"alpha": layer.alpha, "beta": layer.beta, "bias": layer.k}
        return "LRN", {"size": layer.size, **{name: float(v) for name, v in values.items()}}
    if isinstance(layer, Linear):
        return "Gemm", {"transB": 1}
    simple = {ReLU: "Relu", Dropout: "Dropout"}
    along = {Softmax: "Softmax", Flatten: "Flatten", Concat: "Concat"}
    if type(layer) in simple:
        return simple[type(layer)], {}
    if type(layer) in along:
        return along[type(layer)], {"axis": 1}
    raise ArchitectureError(
        f"{layer.name}: must be of a kind that ONNX has; got {type(layer).__name__}"
    )


def _adaptive(layer: AdaptiveAvgPool, shape: Shape) -> tuple[str, dict[str, Any]]:
    size = pair(layer.output_size)
    if size == (1, 1):
        return "GlobalAveragePool", {}
    if shape[1] % size[0] or shape[2] % size[1]:
        raise ArchitectureError(
            f"{layer.name}: windows must be of one size in ONNX; expected an input of a multiple "
            f"of {size}, got {shape[1:]}"
        )
    window = (shape[1] // size[0], shape[2] // size[1])
    return "AveragePool", _window(window, window, 0)


def _window(kernel: Pair, stride: Pair, padding: Pair) -> dict[str, Any]:
    return {
        "kernel_shape": pair(kernel),
        "strides": pair(stride),
        "pads": pair(padding) * 2,  # before, then behind
    }
