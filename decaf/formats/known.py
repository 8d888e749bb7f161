"""Is a network one that decaf has under another name?  Then its layers get decaf's names.

Programs that export a network name its layers as they like, write what comes to the same in
several ways, and leave out what does nothing.  Two networks are taken for the same where their
*skeletons* agree: the layers that compute, with their numbers, in order, and which reads which.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, TypeAlias

import numpy as np

from decaf.architectures import ARCHITECTURES
from decaf.specs import (
    INPUT,
    AdaptiveAvgPool,
    Architecture,
    AvgPool,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    Shape,
    Softmax,
    pair,
)

SHORTEST = 18  # layers that compute in torchvision's AlexNet, without the last Softmax
Skeleton: TypeAlias = "dict[str, tuple[Any, ...]]"  # layer -> what it computes, and from which


def skeleton(architecture: Architecture) -> Skeleton:
    """Describe what a network computes, whatever the names; keys are its own names, in order.

    Left out are Dropout, and Flatten where it changes no more than the shape of an array that
    is read as one row anyhow.
    """
    readers: dict[str, list[Layer]] = {}
    for layer in architecture.layers:
        for name in architecture.inputs[layer.name]:
            readers.setdefault(name, []).append(layer)
    found: Skeleton = {}
    places: dict[str, int] = {INPUT: -1}  # of the layer whose values these are
    for layer in architecture.layers:
        sources = tuple(places[name] for name in architecture.inputs[layer.name])
        shape = architecture.input_shapes(layer)[0]
        rows = all(type(reader) is Linear for reader in readers.get(layer.name, [None]))
        flat = isinstance(layer, Flatten) and (rows or shape[1:] in ((), (1, 1)))
        if isinstance(layer, Dropout) or flat:
            places[layer.name] = sources[0]
            continue
        places[layer.name] = len(found)
        found[layer.name] = (_numbers(layer, shape), sources)
    return found


def _numbers(layer: Layer, shape: Shape) -> tuple[Any, ...]:
    """Kind and options of a layer, the same for all ways to write the same."""
    if isinstance(layer, AdaptiveAvgPool):
        size = pair(layer.output_size)
        if shape[1] % size[0] == shape[2] % size[1] == 0:  # then its windows are all alike
            window = (shape[1] // size[0], shape[2] // size[1])
            layer = AvgPool(layer.name, window, window)
    if isinstance(layer, (MaxPool, AvgPool)):
        down = dataclasses.replace(layer, ceil_mode=False)
        if layer.ceil_mode and _fits(down, shape) == layer.output_shape(shape):
            layer = down
        if isinstance(layer, AvgPool) and not layer.ceil_mode and pair(layer.padding) == (0, 0):
            layer = dataclasses.replace(layer, count_include_pad=True)  # there is none
    values = {
        field.name: getattr(layer, field.name)
        for field in dataclasses.fields(layer)
        if field.name not in ("name", "inputs")
    }
    pairs = ("kernel_size", "stride", "padding", "dilation", "output_size")
    for name, value in values.items():
        if name in pairs:
            values[name] = pair(value)
        elif isinstance(value, float):
            values[name] = float(np.float32(value))  # all that files keep of it
    return type(layer).__name__, *values.items()


def _fits(layer: Layer, shape: Shape) -> Shape | None:
    try:
        return layer.output_shape(shape)
    except ValueError:  # no window fits
        return None


def same(one: Architecture, other: Architecture) -> bool:
    """Whether two networks compute the same, with layers of the same names."""
    skeletons = [list(skeleton(network).items()) for network in (one, other)]
    return one.input_shape == other.input_shape and skeletons[0] == skeletons[1]


def recognise(architecture: Architecture) -> tuple[Architecture, dict[str, str]] | None:
    """Find the published network that this one is.

    Exports often end before the last Softmax, and without Dropout; what is found has them.

    Returns
    -------
    Architecture
        With decaf's names, and the input shape of `architecture`.
    dict
        Name of each layer there that computes -> its name in `architecture`.

    None where there is no such network.
    """
    ours = skeleton(architecture)
    linked = [layer for layer in architecture.layers if layer.name in ours]
    last = linked[-1] if linked else None
    wanted = list(ours.values())[: -1 if isinstance(last, Softmax) else None]
    if len(wanted) < SHORTEST:
        return None
    classes = math.prod(architecture.shapes[architecture.layers[-1].name][:1])
    for build in ARCHITECTURES.values():
        try:
            known = build(classes)
            known = Architecture(known.name, architecture.input_shape, known.layers)
        except ValueError:  # not for an input of this size
            continue
        theirs = skeleton(known)
        if list(theirs.values())[:-1] == wanted:
            return known, dict(zip(theirs, ours, strict=False))
    return None
