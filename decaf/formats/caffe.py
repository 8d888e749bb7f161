"""Caffe's trained networks: ``.caffemodel``, with or without the ``.prototxt`` beside it.

A ``.caffemodel`` is a NetParameter as protocol buffers write it: the net as it was trained, layer
by layer, each with its *blobs* (weight, then bias).  What it has not is the size of the photos, if
nothing cropped them; so there is a ``.prototxt`` for deployment, whose layers take their blobs
from the model by name.

Sources: ``caffe.proto`` and ``net.cpp`` (CopyTrainedLayersFrom) of https://github.com/BVLC/caffe
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from decaf.architectures import bvlc_alexnet, caffenet, squeezenet1_0, squeezenet1_1
from decaf.cursor import Buffer
from decaf.errors import DecafError, WeightsError
from decaf.formats import prototxt as text
from decaf.formats.caffe_blobs import Blobs, parameters
from decaf.formats.caffe_blobs import blob_array as blob_array
from decaf.formats.caffe_layers import called, layer_name
from decaf.formats.caffe_schema import NET
from decaf.formats.caffe_topology import (
    Topology,
    declared_input,
    net_layers,
    topology,
    transform,
)
from decaf.formats.model import Model, Transform
from decaf.formats.protobuf import Message, decode
from decaf.specs import LARGEST_NUMBER, Architecture

KNOWN = (bvlc_alexnet, caffenet, squeezenet1_0, squeezenet1_1)


def read(
    data: Buffer,
    prototxt: Buffer | None = None,
    architecture: Architecture | None = None,
    input_shape: tuple[int, int, int] | None = None,
) -> Model:
    """Read a ``.caffemodel``.

    Parameters
    ----------
    data : bytes or mmap
        The ``.caffemodel``.
    prototxt : bytes or mmap, optional
        The network, as deployed or as trained.
    architecture : Architecture, optional
        In place of a .prototxt; its layers must have the names of those in the file.
    input_shape : (C, H, W), optional
        Of the photos; needed where neither file says it.

    Returns
    -------
    Model
        Parameters are float32 or float64, views of `data` where they lie in one piece.

    Raises
    ------
    WeightsError
        For a damaged file; a layer whose blobs are missing, too many, of the wrong shape or
        there twice; a file that needs a .prototxt.
    ArchitectureError
        For layers that decaf has not.
    """
    net = decode(data, NET)
    layers = net_layers(net)
    blobs: dict[str, list[NDArray[Any]]] = {}
    for layer in layers:
        if layer.get("blobs"):  # those without may have one name: one for training, one for test
            name = layer_name(layer)
            if name in blobs:
                raise WeightsError(f"{name}: layers with blobs must have different names; got two")
            blobs[name] = [blob_array(blob, called(layer)) for blob in layer["blobs"]]
    found = find_topology(net, blobs, prototxt, architecture, input_shape)
    return assemble(found, blobs, transform(net))


def find_topology(
    net: Message,
    blobs: Blobs,
    prototxt: Buffer | None = None,
    architecture: Architecture | None = None,
    input_shape: tuple[int, int, int] | None = None,
) -> Topology:
    """The network of a weights file: as given, as the file has it, or as its blobs look.

    Parameters
    ----------
    net : dict
        What the weights file says of its layers; ``{}`` if nothing.
    blobs : Mapping
        What it has for each layer.
    prototxt, architecture, input_shape
        As for `read`; the first two in this order.

    Raises
    ------
    WeightsError
        If nothing says which network it is.
    ArchitectureError
        For layers that decaf has not.
    """
    if prototxt is not None:
        described = text.parse(prototxt)
        name = {"name": described.get("name") or net.get("name", [])}
        return topology(described | name, input_shape=input_shape)
    layers = net_layers(net) if net else []
    if architecture is not None:
        return Topology(architecture, {called(layer): layer for layer in layers})
    known = _recognise(blobs, [called(layer) for layer in layers])
    if _complete(layers):
        shape = declared_input(net) or (known and known.input_shape) or input_shape
        if shape:
            return topology(net, known.name if known else None, input_shape=shape)
    elif known:
        return Topology(known, {})
    raise WeightsError(
        "the file must say which network it holds, and of what size the photos are; give its "
        ".prototxt (--prototxt), or the architecture (--architecture)"
    )


def assemble(found: Topology, blobs: Blobs, trained: Transform | None = None) -> Model:
    """Give a network its blobs.

    Parameters
    ----------
    found : Topology
    blobs : Mapping
        Arrays of each Caffe layer; those of other layers are ignored.
    trained : Transform, optional
        What the weights file says of photos, where the network does not.

    Raises
    ------
    WeightsError
        For a layer whose blobs are missing, too many or of the wrong shape; it is named.
    """
    return Model(
        found.architecture,
        parameters(found.architecture, blobs, found.layers),
        transform=found.transform or trained,
    )


def _complete(layers: Sequence[Message]) -> bool:
    """Whether the layers say what they read, and those with weights how they use them."""
    options = ("convolution_param", "inner_product_param")
    return any(layer.get("bottom") for layer in layers) and all(
        any(layer.get(part) for part in options) for layer in layers if layer.get("blobs")
    )


def _recognise(blobs: Blobs, order: Sequence[str]) -> Architecture | None:
    """The network of :mod:`decaf.architectures` that has these blobs, or None.

    BVLC's AlexNet and CaffeNet have the same ones.  They differ in whether norm1 or pool1 comes
    first in the file; without that, neither is meant.
    """
    found = []
    for build in KNOWN:
        with_parameters = [name.rpartition("/")[0] for name in build(1000).parameter_shapes]
        if set(blobs) != set(with_parameters):
            continue
        bias = blobs[with_parameters[-1]][-1]
        if not 1 <= bias.size <= LARGEST_NUMBER:
            continue
        candidate = build(bias.size)
        try:
            parameters(candidate, blobs)
        except DecafError:
            continue
        found.append(candidate)
    if len(found) == 2:
        if "norm1" not in order or "pool1" not in order:
            return None
        return found[order.index("norm1") > order.index("pool1")]
    return found[0] if found else None
