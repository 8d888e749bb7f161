"""Read a weights file of another program, whatever its format: the one door to the readers.

    >>> model = read("alexnet.pth")                                             # doctest: +SKIP
    >>> model.architecture.name                                                 # doctest: +SKIP
    'alexnet'

Files are mapped, not read; arrays are views of them as far as that goes, and stay valid when the
file is deleted.  This runs in the calling process: :func:`decaf.convert.convert` is for files
that nobody vouches for.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from decaf.architectures import ARCHITECTURES
from decaf.cursor import Buffer
from decaf.errors import ArchitectureError, ImageError, ShapeError, WeightsError
from decaf.files import map_file
from decaf.formats.detect import FORMATS, detect
from decaf.formats.model import Model, Tensors
from decaf.formats.notes import Notes, from_strings
from decaf.json_file import read_json
from decaf.labels import IMAGENET_CLASSES
from decaf.serialize import architecture_from_dict
from decaf.specs import Architecture

PathLike: TypeAlias = str | os.PathLike[str]
Build: TypeAlias = Callable[[int], Architecture]
Result = TypeVar("Result")

LONGEST_MESSAGE = 1000
WITH_PROTOTXT = ("caffe", "caffe-h5", "deep-compression")
TENSORS = ("torch", "safetensors", "npz")  # names and arrays, without layers


def read(
    path: PathLike,
    *,
    prototxt: PathLike | None = None,
    architecture: PathLike | None = None,
    format: str | None = None,
) -> Model:
    """Read a network from a file of torch, Caffe, ONNX, safetensors or NumPy.

    Parameters
    ----------
    path : path
        The file, which must not be overwritten or cut in place while arrays of it are in use.
    prototxt : path, optional
        For Caffe: the layers, where they are not in `path` itself.
    architecture : path, optional
        Name of one of decaf's architectures, or a JSON file that describes one
        (:mod:`decaf.serialize`).  By name it has as many classes as the file has, or, for the
        formats of Caffe, 1,000: a .prototxt says how many others.  Not for ONNX, which says its
        layers itself, nor for Caffe's with a prototxt, but for Deep Compression's.
    format : str, optional
        One of :data:`decaf.formats.detect.FORMATS`, in place of finding it out.

    Returns
    -------
    Model

    Raises
    ------
    WeightsError
        If the file cannot be read, is damaged, or is of none of these kinds.
    ArchitectureError
        If the network has a layer that decaf has not, or is not one that decaf recognises.
        All messages start with a path: that of the prototxt for what is wrong in there.
    """
    found = read_with_notes(path, prototxt=prototxt, architecture=architecture, format=format)
    return found.model


@dataclass(frozen=True, eq=False)
class Reading:
    """What :func:`read_with_notes` finds.

    Attributes
    ----------
    model : Model
    format : str
        One of :data:`decaf.formats.detect.FORMATS`.
    notes : Notes
        What decaf itself left in a file that it wrote; mostly nothing.
    """

    model: Model
    format: str
    notes: Notes


def read_with_notes(
    path: PathLike,
    *,
    prototxt: PathLike | None = None,
    architecture: PathLike | None = None,
    format: str | None = None,
    input_shape: tuple[int, int, int] | None = None,
) -> Reading:
    """As `read`, and say what the format is and what else the file holds.

    `input_shape` is C,H,W of the photos, for files of Caffe that do not say it.
    """
    if format is not None and format not in FORMATS:
        raise WeightsError(f"format must be one of {', '.join(FORMATS)}; got {format!r:.50}")
    data = map_file(path)
    text = None if prototxt is None else map_file(prototxt)

    def find_format() -> str:
        kind = format or detect(data, Path(path).suffix)
        _check_options(kind, prototxt, architecture)
        return kind

    def parse() -> Reading:
        if kind == "decaf":
            return _own(path)
        notes = _notes(data, kind)
        return Reading(_parse(data, kind, text, architecture, notes, input_shape), kind, notes)

    kind = _with_path(path, find_format)
    if prototxt is not None and text is not None:
        _check_prototxt(prototxt, text, input_shape)
    return _with_path(path, parse)


def read_mean(path: PathLike) -> NDArray[np.floating]:
    """Read a mean image or colour, C,H,W, from a ``.binaryproto`` or ``.npy``.

    Raises
    ------
    WeightsError
        If the file cannot be read or holds no mean; the message starts with the path.
    """
    from decaf.formats import means

    data = map_file(path)
    return _with_path(path, lambda: means.read(data))


def _check_options(kind: str, prototxt: PathLike | None, named: PathLike | None) -> None:
    """Refuse what would have no effect."""
    if prototxt is not None and kind not in WITH_PROTOTXT:
        raise WeightsError(f"a prototxt goes with files of Caffe alone; got one of {kind}")
    if named is not None and kind in ("onnx", "decaf"):
        raise WeightsError(
            f"a file of {kind} says its layers itself, and no architecture goes with it; "
            f"got {str(named)!r:.100}"
        )
    if named is not None and prototxt is not None and kind != "deep-compression":
        raise WeightsError(
            "the layers must come from the prototxt or from the architecture; got both"
        )


def _check_prototxt(path: PathLike, text: Buffer, input_shape: tuple[int, int, int] | None) -> None:
    """Say what is wrong with it under its own name, before a reader says so under another."""
    from decaf.formats.caffe_topology import topology
    from decaf.formats.prototxt import parse

    _with_path(path, lambda: topology(parse(text), input_shape=input_shape))


def _parse(
    data: Buffer,
    kind: str,
    prototxt: Buffer | None,
    named: PathLike | None,
    notes: Notes,
    input_shape: tuple[int, int, int] | None,
) -> Model:
    if kind in TENSORS:
        from decaf.formats import state_dict

        tensors = _tensors(data, kind)
        architecture = _architecture(named, partial(_classes, tensors)) or notes.architecture
        model = state_dict.recognise(tensors, architecture)
    elif kind == "onnx":
        from decaf.formats import onnx

        model = onnx.read(data, notes.architecture)
    else:
        reader = importlib.import_module(f"decaf.formats.{kind.replace('-', '_')}")
        architecture = _architecture(named, lambda build: IMAGENET_CLASSES)
        model = cast(Model, reader.read(data, prototxt, architecture, input_shape))
    recipe = notes.preprocessing
    if recipe is None or recipe.input_shape != model.architecture.input_shape:
        return model
    return replace(model, preprocessing=recipe, needs_mean=notes.needs_mean)


def _own(path: PathLike) -> Reading:
    """A file of decaf itself, to be stored with fewer bits or another recipe."""
    from decaf.weights import load_weights

    found = load_weights(path, widen=False)
    notes = Notes(found.architecture, found.preprocessing, found.labels, found.label_ids)
    return Reading(Model(found.architecture, found.parameters, found.preprocessing), "decaf", notes)


def _notes(data: Buffer, kind: str) -> Notes:
    if kind == "safetensors":
        from decaf.formats import safetensors

        return from_strings(safetensors.metadata(data))
    if kind == "onnx":
        from decaf.formats import onnx

        return from_strings(onnx.metadata(data))
    return Notes()


def _tensors(data: Buffer, format: str) -> Tensors:
    if format == "torch":
        from decaf.formats import pth

        return pth.tensors(data)
    if format == "safetensors":
        from decaf.formats import safetensors

        return safetensors.tensors(data)
    from decaf.formats import npz

    return npz.tensors(data)


def _architecture(named: PathLike | None, classes: Callable[[Build], int]) -> Architecture | None:
    """Build one of decaf's architectures, or the one that a file describes."""
    if named is None:
        return None
    if isinstance(named, str) and named in ARCHITECTURES:
        return ARCHITECTURES[named](classes(ARCHITECTURES[named]))
    if not os.path.exists(named):
        raise WeightsError(
            f"architecture must be {', '.join(ARCHITECTURES)}, or a JSON file; "
            f"got {str(named)!r:.100}"
        )
    described = read_json(named, "an architecture")
    try:
        return architecture_from_dict(described)
    except ArchitectureError as error:
        raise ArchitectureError(f"{named}: {error}") from error


def _classes(tensors: Tensors, build: Build) -> int:
    """Return how many values the last layer of the file gives, which its bias tells."""
    from decaf.formats.state_dict import torch_names

    names = torch_names(build(1))
    *_, last = names
    for key in (last, last.replace("/", "."), names[last]):
        if key in tensors and tensors[key].ndim == 1:
            return len(tensors[key])
    return IMAGENET_CLASSES


def _with_path(path: PathLike, work: Callable[[], Result]) -> Result:
    """Put the path in front of what goes wrong, once, and keep it to one line."""
    try:
        return work()
    except (WeightsError, ArchitectureError, ShapeError, ImageError) as error:
        text = "".join(c if c.isprintable() else "?" for c in str(error))
        if len(text) > LONGEST_MESSAGE:
            text = f"{text[:LONGEST_MESSAGE]}..."
        text = text.removeprefix(f"{path}: ").removeprefix(".prototxt, ")  # which the path says
        kind = ArchitectureError if isinstance(error, ArchitectureError) else WeightsError
        raise kind(f"{path}: {text}") from error
