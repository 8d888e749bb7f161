"""ONNX: a network as a graph of operators, with its parameters, in one protocol buffer.

A node names its operator, the values that it reads, and those that it writes::

    Conv(data, w, b) -> c     kernel_shape 11 11  strides 4 4  pads 2 2 2 2
    Relu(c) -> r
    MaxPool(r) -> p           kernel_shape 3 3  strides 2 2

Nodes stand in order of execution.  Parameters are *initializers* of the graph, or the outputs
of Constant nodes.  decaf reads the operators below, where what they do is what a layer of decaf
does; any other is an error that names the node.

====================================  ======================================================
operator                              layer
====================================  ======================================================
Conv                                  Conv; padding must be the same on both sides
MaxPool, AveragePool                  MaxPool, AvgPool
GlobalAveragePool                     AdaptiveAvgPool to 1
Relu, LRN, Softmax, Concat, Dropout   the same; LRN divides alpha by the size, as decaf does
Gemm, or MatMul (and Add)             Linear
Flatten, Reshape to (N, D)            Flatten; nothing where only Linear reads it
Identity, AveragePool of 1 x 1        nothing
====================================  ======================================================

Layers are named as the nodes are, or, where the network is one that decaf has
(:mod:`decaf.formats.known`), by decaf's names; exports of torch end before the last Softmax,
which is then put back.

Source: ``docs/Operators.md`` of https://github.com/onnx/onnx; ``decaf.formats.onnx_schema`` is
what the bytes mean.  Graphs inside graphs, functions, and parameters in other files are refused.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from decaf.cursor import Buffer
from decaf.errors import ArchitectureError, WeightsError
from decaf.formats import known
from decaf.formats.model import Model
from decaf.formats.onnx_graph import Builder
from decaf.formats.onnx_node import DOMAINS
from decaf.formats.onnx_schema import MODEL, one, tensor
from decaf.formats.protobuf import Message, decode
from decaf.specs import Architecture

OPSETS = range(7, 100)  # before 7, Dropout and Gemm meant something else
FLOATS = (1, 10, 11, 16)  # elem_type
MOST_NODES = 10_000


def read(data: Buffer, described: Architecture | None = None) -> Model:
    """Read a network.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.
    described : Architecture, optional
        What decaf noted when it wrote the file; layers get its names if it is of this graph.

    Returns
    -------
    Model
        Its parameters are views of `data`: in order O,C/G,KH,KW and O,D, which makes the
        latter strided where the file has D,O.  A bias that the file leaves out is 0.

    Raises
    ------
    WeightsError
        If the file is damaged or no ONNX file, or has its parameters elsewhere.
    ArchitectureError
        If it has an operator, or an option of one, that decaf has not.
    """
    model = decode(data, MODEL)
    graph = one(model, "graph")
    if graph is None or "ir_version" not in model:
        raise WeightsError("an ONNX file must have a version and a graph; got neither or one")
    if "functions" in model or "sparse_initializer" in graph:
        raise ArchitectureError("the model must be one graph of dense parameters; got more")
    constants: dict[str, NDArray[Any]] = {}
    for initializer in graph.get("initializer", []):
        name = one(initializer, "name", "")
        if name in constants:
            raise WeightsError(f"initializers must have different names; got {name!r:.100} twice")
        constants[name] = tensor(initializer)
    nodes = graph.get("node", [])
    if len(nodes) > MOST_NODES:
        raise WeightsError(f"a graph must have at most {MOST_NODES:,} nodes; got {len(nodes):,}")

    name, shape = _input(graph, constants)
    builder = Builder(name, shape, constants, _opset(model))
    for node in nodes:
        builder.add(node)
    outputs = [one(output, "name", "") for output in graph.get("output", [])]
    if len(outputs) != 1:
        raise ArchitectureError(f"the graph must have one output; got {len(outputs)}")
    found = builder.finish(one(graph, "name", "") or "onnx", outputs[0])
    return _named(found, builder.parameters, described)


def metadata(data: Buffer) -> dict[str, str]:
    """Return the strings that the file holds beside the graph; empty where it has none.

    Raises
    ------
    WeightsError
        If the file is damaged.
    """
    properties = decode(data, {14: MODEL[14]}).get("metadata_props", [])
    return {one(entry, "key", ""): one(entry, "value", "") for entry in properties}


def _opset(model: Message) -> int:
    """Return the version of the operators; several domains may be imported, if not used."""
    versions = [
        one(opset, "version", 0)
        for opset in model.get("opset_import", [])
        if one(opset, "domain", "") in DOMAINS
    ]
    if len(versions) != 1 or versions[0] not in OPSETS:
        raise ArchitectureError(
            f"the operators must be of one version from {OPSETS.start} on; got {versions!s:.100}"
        )
    return int(versions[0])


def _input(graph: Message, constants: dict[str, Any]) -> tuple[str, tuple[int, int, int]]:
    """Name and shape C,H,W of the only input; old files list their parameters as inputs too."""
    inputs = [value for value in graph.get("input", []) if one(value, "name", "") not in constants]
    if len(inputs) != 1:
        raise ArchitectureError(f"the graph must have one input; got {len(inputs)}")
    tensor_type = one(one(inputs[0], "type", {}), "tensor_type", {})
    sizes = [one(dim, "dim_value", 0) for dim in one(tensor_type, "shape", {}).get("dim", [])]
    if len(sizes) != 4 or min(sizes[1:]) < 1 or one(tensor_type, "elem_type", 0) not in FLOATS:
        raise ArchitectureError(
            "the input must be an array of floats N,C,H,W, with C, H and W known; "
            f"got {sizes!s:.100}"
        )
    return one(inputs[0], "name", ""), (sizes[1], sizes[2], sizes[3])


def _named(
    found: Architecture, parameters: dict[str, NDArray[Any]], described: Architecture | None
) -> Model:
    """Give the network the names that were noted, if it is that; else decaf's, if it has it."""
    matched = None
    if described is None:
        matched = known.recognise(found)
    elif known.same(described, found):
        matched = described, {layer.name: layer.name for layer in found.layers}
    if matched is not None:
        architecture, theirs = matched
        parts = (name.rpartition("/") for name in architecture.parameter_shapes)
        parameters = {
            f"{layer}/{kind}": parameters[f"{theirs[layer]}/{kind}"] for layer, _, kind in parts
        }
        found = architecture
    return Model(found, parameters)
