"""Caffe's blobs: the numbers of a layer, weight first, then bias.

A blob has a shape, or, before 2015, four dimensions, filled up with ones in front::

    InnerProduct    weight 1,1,O,D      bias 1,1,1,O
    Convolution     weight O,C/G,KH,KW  bias 1,1,1,O

Source: ``blob.cpp`` (ShapeEquals, FromProto) of https://github.com/BVLC/caffe
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decaf.errors import WeightsError
from decaf.formats.caffe_layers import option
from decaf.formats.protobuf import Message
from decaf.specs import Architecture, Layer, Linear, Shape

Blobs: TypeAlias = Mapping[str, Sequence[NDArray[Any]]]  # Caffe's layer -> weight, bias


def blob_array(blob: Message, where: str) -> NDArray[Any]:
    """The numbers of a BlobProto, in its shape: float32 or float64, if possible a view.

    Parameters
    ----------
    blob : dict
        Decoded with :data:`decaf.formats.caffe_schema.BLOB`.
    where : str
        What an error message begins with: the layer or the file.

    Raises
    ------
    WeightsError
        If the shape does not go with how many numbers there are, or these are there twice.
    """
    if blob.get("data") and blob.get("double_data"):
        raise WeightsError(f"{where}: a blob must have data or double_data; got both")
    runs = blob.get("double_data") or blob.get("data") or [np.empty(0, np.float32)]
    numbers = runs[0] if len(runs) == 1 else np.concatenate(runs)
    if blob.get("shape"):
        shape = tuple(blob["shape"][-1].get("dim", []))
    else:
        sides = ("num", "channels", "height", "width")
        shape = tuple(blob[side][-1] if blob.get(side) else 0 for side in sides)
    # More axes than NumPy can have, or longer ones, would be refused too, but with another error.
    senseless = len(shape) > 8 or not all(0 <= side <= max(numbers.size, 1) for side in shape)
    if senseless or math.prod(shape) != numbers.size:
        raise WeightsError(
            f"{where}: a blob must have as many numbers as its shape says; expected "
            f"{shape!r:.60}, got {numbers.size:,}"
        )
    return numbers.reshape(shape)


def parameters(
    architecture: Architecture, blobs: Blobs, layers: Mapping[str, Message] | None = None
) -> dict[str, NDArray[Any]]:
    """Blobs under decaf's names, in decaf's shapes.

    Parameters
    ----------
    architecture : Architecture
    blobs : Mapping
        Weight and bias of each layer; those of layers that the network has not are ignored.
    layers : Mapping, optional
        The Caffe layer behind each decaf layer, which says whether it has a bias (if not, decaf's
        is zero) and whether its weight is transposed.

    Returns
    -------
    dict
        ``{"conv1/weight": …, "conv1/bias": …}``; views of the blobs.

    Raises
    ------
    WeightsError
        For a layer whose blobs are missing, too many or of the wrong shape; it is named.
    """
    result: dict[str, NDArray[Any]] = {}
    for layer in architecture.layers:
        shapes = layer.parameter_shapes(*architecture.input_shapes(layer))
        if not shapes:
            continue
        origin = (layers or {}).get(layer.name, {})
        given = blobs.get(layer.name, ())
        counts = _blob_counts(layer, origin)
        if len(given) not in counts:
            raise WeightsError(
                f"{layer.name}: the model must have its weight and bias; expected "
                f"{' or '.join(map(str, counts))} blobs, got {len(given)}"
            )
        weight = shapes["weight"]
        turned = isinstance(layer, Linear) and option(
            origin, "inner_product_param", "transpose", bool, False
        )
        if turned:  # D,O
            array = _fit(given[0], weight[::-1], f"{layer.name}/weight").T
        else:
            array = _fit(given[0], weight, f"{layer.name}/weight")
        result[f"{layer.name}/weight"] = array
        result[f"{layer.name}/bias"] = (
            _fit(given[1], shapes["bias"], f"{layer.name}/bias")
            if len(given) == 2
            else np.zeros(shapes["bias"], np.float32)
        )
    return result


def _blob_counts(layer: Layer, origin: Message) -> tuple[int, ...]:
    """How many blobs the layer may have."""
    if not origin:
        return 2, 1
    part = "inner_product_param" if isinstance(layer, Linear) else "convolution_param"
    return (2,) if option(origin, part, "bias_term", bool, True) else (1,)


def _fit(blob: NDArray[Any], shape: Shape, where: str) -> NDArray[Any]:
    """The blob in the shape that decaf wants; ones in front do not count."""
    if _trim(blob.shape) != _trim(shape):
        raise WeightsError(
            f"{where}: the blob must fit the layer; expected {shape}, got {blob.shape}"
        )
    return blob.reshape(shape)


def _trim(shape: Shape) -> Shape:
    while shape[:1] == (1,):
        shape = shape[1:]
    return shape
