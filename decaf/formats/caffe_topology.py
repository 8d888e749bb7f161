"""Caffe's networks as decaf's: which layers there are, what they read, with which options.

A Caffe layer reads *blobs* (``bottom``) and writes blobs (``top``); in place, it writes the one
that it reads::

    layer { name: "fc6"    type: "InnerProduct"  bottom: "pool5"  top: "fc6" ... }
    layer { name: "relu6"  type: "ReLU"          bottom: "fc6"    top: "fc6" }

A decaf layer reads layers.  It takes the name of the Caffe *layer*, and a blob stands for the
layer that wrote it last, so that ``fc6`` and ``relu6`` both stay reachable.

A net comes as it is deployed (the input and its shape are given) or as it was trained (data
layers, losses, accuracies; layers for one phase only).  Of the latter, what belongs to training
is left away, and the loss ``SoftmaxWithLoss`` becomes the Softmax that it begins with.  The last
layer is the output; only what leads to it is kept, which drops the auxiliary heads of GoogLeNet.

Source: ``caffe.proto``, ``net.cpp`` and ``insert_splits.cpp`` of https://github.com/BVLC/caffe
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from decaf.errors import ArchitectureError, ShapeError
from decaf.formats.caffe_layers import (
    LONGEST_NAME,
    called,
    layer_name,
    layer_type,
    one,
    option,
    sub,
)
from decaf.formats.caffe_layers import spec as make_spec
from decaf.formats.model import Transform
from decaf.formats.protobuf import Message
from decaf.specs import INPUT, Architecture, Layer, Shape

SOURCES = ("Input", "Data", "DummyData", "HDF5Data", "ImageData", "MemoryData", "WindowData")
FIRST_INPUT, OTHER_INPUT = -1, -2  # in place of the place of a layer: photos; labels
DROPPED = ("Accuracy", "Silence")  # they say how good the net is, or nothing


@dataclass(frozen=True, eq=False)
class Topology:
    """A Caffe network in decaf's terms.

    Attributes
    ----------
    architecture : Architecture
    layers : Mapping
        Name of each decaf layer -> the Caffe layer that it comes from, as a message.
    transform : Transform or None
        None where the net has no data layer.
    """

    architecture: Architecture
    layers: Mapping[str, Message] = field(repr=False)
    transform: Transform | None = None


def topology(
    net: Message,
    name: str | None = None,
    *,
    input_shape: tuple[int, int, int] | None = None,
) -> Topology:
    """Translate a NetParameter, read from text or from bytes.

    Parameters
    ----------
    net : dict
        From :func:`decaf.formats.prototxt.parse`, or from :func:`decaf.formats.protobuf.decode`
        with :data:`decaf.formats.caffe_schema.NET`.
    name : str, optional
        Of the architecture; that of the net if left out.
    input_shape : (C, H, W), optional
        Where the net does not say it: one as trained does only if its data layer crops.

    Raises
    ------
    ArchitectureError
        If there are layers, or options of layers, that decaf has not; if a layer reads a blob
        that none before it wrote; if the shape of the input is not known.  The message names the
        layer.
    """
    layers = net_layers(net)
    kept = _computing([layer for layer in layers if _in_test_phase(layer)])
    if not kept:
        raise ArchitectureError("the net must have layers that compute; expected some, got none")
    inputs, names = _resolve(kept, _input_blobs(net))
    wanted = _ancestors(inputs, len(kept) - 1)
    input_shape = declared_input(net) or input_shape
    if input_shape is None:
        raise ArchitectureError(
            "the net must say how large its input is (input_dim, input_shape, an Input layer, or "
            "crop_size of a data layer); give the .prototxt for deployment, or the mean image "
            "(--mean), which is as large as the photos"
        )

    shapes: dict[str, Shape] = {INPUT: input_shape}
    specs: list[Layer] = []
    origin: dict[str, Message] = {}
    alias: dict[str, str] = {INPUT: INPUT}  # Split gives no layer; its readers read its input
    for place in wanted:
        layer = kept[place]
        if OTHER_INPUT in inputs[place]:
            raise ArchitectureError(
                f"{names[place]}: decaf takes one input, the net's first; got a layer that reads "
                "another one"
            )
        reads = tuple(
            alias[INPUT if source == FIRST_INPUT else names[source]] for source in inputs[place]
        )
        if layer_type(layer) == "Split":
            alias[names[place]] = reads[0]
            continue
        before = specs[-1].name if specs else INPUT
        try:
            spec = make_spec(layer, names[place], tuple(shapes[i] for i in reads))
            spec = dataclasses.replace(spec, inputs=() if reads == (before,) else reads)
            shapes[spec.name] = spec.output_shape(*(shapes[i] for i in reads))
        except ShapeError as error:
            raise ArchitectureError(f"{names[place]}: {error}") from error
        alias[spec.name] = spec.name
        origin[spec.name] = layer
        specs.append(spec)
    title = name or one(net, "name", str, "caffe", where="the net") or "caffe"
    architecture = Architecture(title[:LONGEST_NAME], input_shape, tuple(specs))
    return Topology(architecture, origin, transform(net))


def net_layers(net: Message) -> list[Message]:
    """The layers of a net, of 2015 (``layer``) or 2014; ArchitectureError for older or none."""
    new, old = net.get("layer", []), net.get("layers", [])
    if bool(new) == bool(old):
        raise ArchitectureError(
            "the net must have layers of one form; expected `layer` or `layers`, got "
            f"{len(new)} and {len(old)} of them"
        )
    for layer in new + old:
        if not isinstance(layer, dict):
            raise ArchitectureError(f"the net: a layer must be a message, got {layer!r:.60}")
        if "layer" in layer:
            raise ArchitectureError(
                "the net must be of 2014 or later; got the form before (`layers { layer {`), "
                "which Caffe's upgrade_net_proto_binary and upgrade_net_proto_text translate"
            )
    return new + old


def _in_test_phase(layer: Message) -> bool:
    """Whether the layer takes part when a trained net answers (level 0, no stage)."""
    where = called(layer)

    def holds(rule: Any) -> bool:
        if not isinstance(rule, dict):
            raise ArchitectureError(f"{where}: a rule must be a message, got {rule!r:.60}")
        return (
            one(rule, "phase", str, "TEST", where=where) == "TEST"
            and one(rule, "min_level", int, 0, where=where) <= 0
            and one(rule, "max_level", int, 0, where=where) >= 0
            and not rule.get("stage")
        )

    include, exclude = layer.get("include", []), layer.get("exclude", [])
    if include:
        return any(map(holds, include))
    return not any(map(holds, exclude))


def _computing(layers: list[Message]) -> list[Message]:
    """Without sources, measures, and losses that a Softmax already stands for."""
    answers = any(layer_type(layer) == "Softmax" for layer in layers)
    without = (*SOURCES, *DROPPED, *(("SoftmaxWithLoss",) if answers else ()))
    return [layer for layer in layers if layer_type(layer) not in without]


def _blobs(layer: Message, which: str) -> list[str]:
    """Names of the blobs that a layer reads or writes."""
    blobs = layer.get(which, [])
    for blob in blobs:
        if not isinstance(blob, str):
            raise ArchitectureError(f"{called(layer)}: {which} must be a name, got {blob!r:.60}")
    return blobs


def _sources(net: Message) -> list[Message]:
    """The layers that give photos: those of the test phase before those of training."""
    found = [layer for layer in net_layers(net) if layer_type(layer) in SOURCES]
    return sorted(found, key=lambda layer: not _in_test_phase(layer))


def _input_blobs(net: Message) -> list[str]:
    """Blobs that nothing computes: the photos first, then labels."""
    given = [blob for blob in net.get("input", []) if isinstance(blob, str)]
    return given + [blob for layer in _sources(net) for blob in _blobs(layer, "top")]


def _resolve(
    layers: Sequence[Message], input_blobs: Sequence[str]
) -> tuple[list[list[int]], list[str]]:
    """For each layer the places of those that it reads, and its decaf name."""
    inputs: list[list[int]] = []
    names: list[str] = []
    writer: dict[str, int] = dict.fromkeys(input_blobs, OTHER_INPUT)
    if input_blobs:
        writer[input_blobs[0]] = FIRST_INPUT
    taken = {layer_name(layer) for layer in layers}
    for place, layer in enumerate(layers):
        name, kind = layer_name(layer), layer_type(layer)
        bottoms, tops = _blobs(layer, "bottom"), _blobs(layer, "top")
        if kind == "SoftmaxWithLoss":
            bottoms = bottoms[:1]  # and not the label
        unknown = next((blob for blob in bottoms if blob not in writer), None)
        if unknown is not None or not bottoms:
            raise ArchitectureError(
                f"{name}: what it reads must be written by a layer before it, or be an input; "
                f"got {(unknown if bottoms else 'nothing')!r:.60}"
            )
        inputs.append([writer[blob] for blob in bottoms])
        names.append("prob" if kind == "SoftmaxWithLoss" and "prob" not in taken else name)
        writer.update(dict.fromkeys(tops, place))
    return inputs, names


def _ancestors(inputs: Sequence[Sequence[int]], last: int) -> list[int]:
    """Places of the layers that lead to the last one, and of that one, in order."""
    found, waiting = {last}, [last]
    while waiting:
        for source in inputs[waiting.pop()]:
            if source >= 0 and source not in found:
                found.add(source)
                waiting.append(source)
    return sorted(found)


def declared_input(net: Message) -> tuple[int, int, int] | None:
    """C,H,W of the photos, or None; how many are in a batch does not matter."""
    dims: list[Any] = []
    if net.get("input"):
        dims = sub(net, "input_shape", first=True).get("dim", []) or net.get("input_dim", [])[:4]
    for source in _sources(net):
        dims = dims or _source_dims(source)
    if not dims:
        return None
    if len(dims) != 4 or not all(type(d) is int for d in dims):
        raise ArchitectureError(f"the input must be N,C,H,W; expected 4 numbers, got {dims!r:.60}")
    return dims[1], dims[2], dims[3]


def _source_dims(source: Message) -> list[Any]:
    """N,C,H,W of what a source gives, as far as it says; or nothing."""
    shape = sub(sub(source, "input_param"), "shape", first=True)
    if shape:
        return shape.get("dim", [])
    memory = sub(source, "memory_data_param")
    if memory:
        sides = ("channels", "height", "width")
        return [1, *(one(memory, side, int, 0, where=called(source)) for side in sides)]
    crop = _transform(source).crop_size
    gray = option(source, "transform_param", "force_gray", bool, False)
    return [1, 1 if gray else 3, crop, crop] if crop else []


def transform(net: Message) -> Transform | None:
    """What the data layers say of photos, or None."""
    data = [layer for layer in _sources(net) if layer_type(layer) != "Input"]
    return _transform(data[0]) if data else None


def _transform(layer: Message) -> Transform:
    where = called(layer)
    part: Message = {}
    for place in ("image_data_param", "data_param", "transform_param"):  # the last one wins
        part |= sub(layer, place)
    means = part.get("mean_value", [])
    if not all(type(m) in (int, float) for m in means):
        raise ArchitectureError(f"{where}: mean_value must be numbers, got {means!r:.60}")
    return Transform(
        one(part, "scale", float, 1.0, where=where),
        tuple(float(m) for m in means),
        one(part, "mean_file", str, "", where=where),
        one(part, "crop_size", int, 0, where=where),
    )
