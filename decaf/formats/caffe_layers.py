"""Caffe's kinds of layers as decaf's: the options of one layer, checked.

What differs from torch: pooling rounds up (``ceil_mode``), average pooling counts padding, global
pooling has the size of its input, a softmax is over channels, and the pieces of a window are given
once, once a dimension, or as ``_h`` and ``_w``.

A message from a ``.prototxt`` has values of any type (the text does not say what a field is), so
each is checked where it is used.

Source: ``caffe.proto`` and the layers' ``LayerSetUp`` in https://github.com/BVLC/caffe
"""

from __future__ import annotations

import math
from typing import Any

from decaf.errors import ArchitectureError
from decaf.formats.protobuf import Message
from decaf.specs import (
    LRN,
    AdaptiveAvgPool,
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

LONGEST_NAME = 200  # characters

# The names of 2014 (and as the files of that time have them) -> those of 2015.
V1_TYPES = {
    "ACCURACY": "Accuracy", "CONCAT": "Concat", "CONVOLUTION": "Convolution", "DATA": "Data",
    "DROPOUT": "Dropout", "DUMMY_DATA": "DummyData", "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data", "IMAGE_DATA": "ImageData", "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN", "MEMORY_DATA": "MemoryData", "POOLING": "Pooling", "RELU": "ReLU",
    "SILENCE": "Silence", "SOFTMAX": "Softmax", "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split", "WINDOW_DATA": "WindowData",
}  # fmt: skip


def layer_name(layer: Message) -> str:
    """Its name, checked."""
    name: str = one(layer, "name", str, "", where="a layer")
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ArchitectureError(
            f"a layer must have a printable name of at most {LONGEST_NAME} characters; "
            f"got {name!r:.60}"
        )
    return name


def called(layer: Message) -> str:
    """What to call a layer in a message; sources need no name."""
    return f"{(layer.get('name') or ['a layer'])[-1]!s:.60}"


def layer_type(layer: Message) -> str:
    """Its kind, under the name of 2015 where decaf knows it."""
    kind: str = one(layer, "type", str, "", where=called(layer))
    return V1_TYPES.get(kind, kind)


def option(layer: Message, part: str, name: str, kind: type, default: Any) -> Any:
    """An option of a layer, such as ``option(layer, "lrn_param", "alpha", float, 1.0)``."""
    return one(sub(layer, part), name, kind, default, where=called(layer))


def spec(layer: Message, name: str, inputs: tuple[Shape, ...]) -> Layer:
    """One decaf layer, for inputs of these shapes."""
    kind = layer_type(layer)
    if len(inputs) > 1 and kind != "Concat":
        raise ArchitectureError(f"{name}: only Concat may read several blobs; got {kind!r:.60}")
    if kind == "Convolution":
        return _convolution(layer, name, inputs[0])
    if kind == "Pooling":
        return _pooling(layer, name, inputs[0])
    if kind == "InnerProduct":
        _channels(layer, name, "inner_product_param", "axis", inputs[0])
        return Linear(name, option(layer, "inner_product_param", "num_output", int, 0))
    if kind == "LRN":
        return _lrn(layer, name)
    if kind == "ReLU":
        slope = option(layer, "relu_param", "negative_slope", float, 0.0)
        if slope:
            raise ArchitectureError(f"{name}: negative_slope must be 0, got {slope!r:.60}")
        return ReLU(name)
    if kind == "Dropout":
        if not option(layer, "dropout_param", "scale_train", bool, True):
            raise ArchitectureError(
                f"{name}: scale_train must be true; got false, with which values are scaled by "
                "1 - dropout_ratio in the test phase, and decaf's are not"
            )
        return Dropout(name, option(layer, "dropout_param", "dropout_ratio", float, 0.5))
    if kind in ("Softmax", "SoftmaxWithLoss"):
        _channels(layer, name, "softmax_param", "axis", inputs[0])
        return Softmax(name)
    if kind == "Concat":
        _channels(layer, name, "concat_param", "axis", inputs[0])
        _channels(layer, name, "concat_param", "concat_dim", inputs[0])
        return Concat(name)
    if kind == "Flatten":
        _channels(layer, name, "flatten_param", "axis", inputs[0])
        end = option(layer, "flatten_param", "end_axis", int, -1)
        if end not in (-1, len(inputs[0])):
            raise ArchitectureError(f"{name}: end_axis must be the last one (-1), got {end!r:.60}")
        return Flatten(name)
    raise ArchitectureError(
        f"{name}: the type must be one that decaf has; expected Convolution, Pooling, ReLU, LRN, "
        f"InnerProduct, Dropout, Softmax, SoftmaxWithLoss, Concat, Flatten, Split, Input or "
        f"a data layer, got {kind!r:.60}"
    )


def _convolution(layer: Message, name: str, shape: Shape) -> Conv:
    part = sub(layer, "convolution_param")
    _channels(layer, name, "convolution_param", "axis", shape)
    return Conv(
        name,
        one(part, "num_output", int, 0, where=name),
        _window(part, name, "kernel_size", "kernel", 0),
        stride=_window(part, name, "stride", "stride", 1),
        padding=_window(part, name, "pad", "pad", 0),
        dilation=_window(part, name, "dilation", "", 1),
        groups=one(part, "group", int, 1, where=name),
    )


def _pooling(layer: Message, name: str, shape: Shape) -> Layer:
    part = sub(layer, "pooling_param")
    method = one(part, "pool", str, "MAX", where=name)
    if method not in ("MAX", "AVE"):
        raise ArchitectureError(f"{name}: pool must be MAX or AVE, got {method!r:.60}")
    kernel = _window(part, name, "kernel_size", "kernel", 0)
    stride = _window(part, name, "stride", "stride", 1)
    padding = _window(part, name, "pad", "pad", 0)
    if one(part, "global_pooling", bool, False, where=name):
        if stride != 1 or padding != 0 or kernel != 0:
            raise ArchitectureError(
                f"{name}: global_pooling must come alone; expected no kernel_size, stride 1, "
                f"pad 0, got {kernel!r:.60}, {stride!r:.60}, {padding!r:.60}"
            )
        if method == "AVE":
            return AdaptiveAvgPool(name, 1)
        if len(shape) != 3:
            raise ArchitectureError(f"{name}: input must be C,H,W, got {shape}")
        kernel = shape[1], shape[2]
    mode = one(part, "round_mode", str, "CEIL", where=name)
    if mode not in ("CEIL", "FLOOR"):
        raise ArchitectureError(f"{name}: round_mode must be CEIL or FLOOR, got {mode!r:.60}")
    pool = MaxPool if method == "MAX" else AvgPool  # AvgPool counts padding, as Caffe does
    return pool(name, kernel, stride, padding, ceil_mode=mode == "CEIL")


def _lrn(layer: Message, name: str) -> LRN:
    part = sub(layer, "lrn_param")
    region = one(part, "norm_region", str, "ACROSS_CHANNELS", where=name)
    regions = {"ACROSS_CHANNELS": "across", "WITHIN_CHANNEL": "within"}
    if region not in regions:
        raise ArchitectureError(
            f"{name}: norm_region must be one of {', '.join(regions)}, got {region!r:.60}"
        )
    return LRN(
        name,
        size=one(part, "local_size", int, 5, where=name),
        alpha=one(part, "alpha", float, 1.0, where=name),
        beta=one(part, "beta", float, 0.75, where=name),
        # Caffe has no k within channels: lrn_layer.cpp, SplitLRN, adds 1 whatever it says.
        k=one(part, "k", float, 1.0, where=name) if region == "ACROSS_CHANNELS" else 1.0,
        region=regions[region],
    )


def _window(part: Message, where: str, name: str, prefix: str, default: int) -> Pair:
    """An option that is given once, once a dimension, or as ``prefix_h`` and ``prefix_w``."""
    values = part.get(name, [])
    sides = [part.get(f"{prefix}_{side}", []) for side in "hw"]
    if values and any(sides):
        raise ArchitectureError(
            f"{where}: expected either {name} or {prefix}_h and {prefix}_w, got both"
        )
    if any(sides):
        values = [one(part, f"{prefix}_{side}", int, default, where=where) for side in "hw"]
    if not values:
        return default
    if len(values) > 2 or not all(type(v) is int for v in values):
        raise ArchitectureError(f"{where}: {name} must be 1 or 2 numbers, got {values!r:.60}")
    return values[0] if len(set(values)) == 1 else (values[0], values[1])


def _channels(layer: Message, name: str, part: str, axis: str, shape: Shape) -> None:
    """Check that an axis is that of the channels: 1, or counted from the end."""
    value = option(layer, part, axis, int, 1)
    if value not in (1, -len(shape)):
        raise ArchitectureError(
            f"{name}: {axis} must be that of the channels; expected 1, got {value!r:.60}"
        )


def sub(message: Message, name: str, *, first: bool = False) -> Message:
    """A message in a message: several are one, as in Caffe, or only the first counts."""
    parts = message.get(name, [])
    result: Message = {}
    for part in parts[:1] if first else parts:
        if not isinstance(part, dict):
            raise ArchitectureError(f"{name} must be a message, got {part!r:.60}")
        for key, values in part.items():
            result.setdefault(key, []).extend(values)
    return result


def one(message: Message, name: str, kind: type, default: Any, *, where: str) -> Any:
    """The last value of a field, of the type that it must have."""
    if not message.get(name):
        return default
    value = message[name][-1]
    if kind is float and type(value) is int and abs(value) < 2**63:
        value = float(value)
    if kind is bool and value in (0, 1):
        value = bool(value)
    if type(value) is not kind or (type(value) is float and not math.isfinite(value)):
        words = {
            str: "a name",
            int: "a whole number",
            float: "a finite number",
            bool: "true or false",
        }
        raise ArchitectureError(f"{where}: {name} must be {words[kind]}, got {value!r:.60}")
    return value
