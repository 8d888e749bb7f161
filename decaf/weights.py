"""The weights file: a whole network in one HDF5 file, checked on the way in and out.

============================  ==========================================================
root attribute                value
============================  ==========================================================
``format``                    the string ``decaf-weights``
``format_version``            the integer 1
``architecture``              JSON, as :mod:`decaf.serialize` describes it
``preprocessing``             JSON, the fields of :class:`decaf.preprocessing.Preprocessing`
``provenance``                JSON, a dictionary of anything: data, recipe, licence, date
============================  ==========================================================

============================  ==========================================================
dataset                       values
============================  ==========================================================
``labels``                    one string for each class, in the order of the classes
``label_ids``                 likewise, if there are any: ``n02123045``
``mean_image``                float32 C,h,w, if the preprocessing subtracts an image
``parameters/<layer>/weight``  little-endian float32 or float16; convolution O,C/G,KH,KW,
                              fully connected O,D
``parameters/<layer>/bias``   likewise; O
============================  ==========================================================

Strings may be of fixed or variable length, and ``labels`` and ``label_ids`` attributes too; all
are UTF-8.  The JSON is at most 512 KiB together, and the labels and their ids 8 MiB, for Python
takes many times as much.  Attributes that are not listed are ignored, so that other tools may
leave a note; any other member is refused, as are links.  The ``/`` in the name of a layer makes
groups.

Parameters are contiguous, or in chunks, plain or gzipped.  Contiguous float32 is not read but
mapped: the arrays are the file, pages come in when they are first used, and processes share
them.  :func:`save_weights` writes them so, each aligned to 64 bytes.  Chunked parameters are
unpacked, and half-precision ones are widened to float32, unless the caller wants them as they
are: contiguous float16 is mapped then, too.  A file may be replaced or deleted while it is
mapped, but must not be overwritten or cut in place.

Nothing in a file is trusted (:mod:`decaf.hdf5`), no two parameters share a byte of it, and
nothing is allocated before everything is known to fit the architecture.  NaN and infinity are
refused when saving but not looked for when loading, which would read the whole file.
"""

from __future__ import annotations

import itertools
import math
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf.cursor import Buffer
from decaf.errors import ArchitectureError, ImageError, WeightsError
from decaf.files import map_file, replacing
from decaf.hdf5 import LARGEST_RATIO, WIDEST, Dataset, File, Node, Value, text_cost
from decaf.json_file import LARGEST_JSON, parse_json
from decaf.mean_image import MeanImage
from decaf.messages import brief, names, refuse
from decaf.preprocessing import Preprocessing
from decaf.serialize import architecture_from_dict
from decaf.specs import Architecture
from decaf.weights_writer import FORMAT, FORMAT_VERSION, LARGEST_LABELS, check_json, write_hdf5

MEMBERS = {"labels", "label_ids", "mean_image", "parameters"}
DEEPEST = 16  # groups inside groups


@dataclass(frozen=True, eq=False)
class Weights:
    """What a weights file holds.

    Attributes
    ----------
    architecture : Architecture
        The network that the parameters are for.
    parameters : Mapping
        Read-only arrays by name: ``{"conv1/weight": (O, C/G, KH, KW), …}``.  All are float32
        unless loaded with ``widen=False``, which leaves float16 as it is.
    preprocessing : Preprocessing
        What turns a photo into the input of the network.
    labels : tuple of str
        One for each class.
    label_ids : tuple of str or None
        Other names of the classes, such as WordNet's ``n02123045``.
    provenance : dict
        Where the parameters come from.
    path : Path
        The file.
    data : Buffer
        Its bytes, mapped.
    """

    architecture: Architecture
    parameters: Mapping[str, NDArray[Any]] = field(repr=False)
    preprocessing: Preprocessing
    labels: tuple[str, ...] = field(repr=False)
    label_ids: tuple[str, ...] | None = field(repr=False)
    provenance: dict[str, Any]
    path: Path
    data: Buffer = field(repr=False)

    @property
    def sha256(self) -> str:
        """SHA-256 of the file as it was loaded, in hexadecimal."""
        return sha256(self.data)


def sha256(data: Buffer) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    import hashlib  # takes a few milliseconds, which few need

    return hashlib.sha256(data).hexdigest()


def default_weights() -> Path:
    """Path of the network that ships with decaf.

    It lies inside an installed package, or in ``weights/`` beside it in a source tree.

    Raises
    ------
    WeightsError
        If it is in neither place.
    """
    package = Path(__file__).resolve().parent
    places = (package / "_data" / "decaf-mini.h5", package.parent / "weights" / "decaf-mini.h5")
    for place in places:
        if place.is_file():
            return place
    raise WeightsError(
        f"the default weights must be at {places[0]} or {places[1]}; got neither: "
        "install decaf again, or name a weights file of your own"
    )


def load_weights(path: str | os.PathLike[str], *, widen: bool = True) -> Weights:
    """Map a weights file into memory and check all of it but the values.

    Parameters
    ----------
    path : path
        The file.
    widen : bool
        Whether float16 parameters become float32 arrays; else they stay what they are, and
        are mapped like float32 ones.

    Returns
    -------
    Weights
        Its arrays stay valid when the file is replaced or deleted.

    Raises
    ------
    WeightsError
        If the file cannot be read, is not what the head of this module describes, or does not
        fit the architecture that it names; the message starts with the path.
    """
    return _parse(map_file(path), Path(path), widen)


def save_weights(
    path: str | os.PathLike[str],
    architecture: Architecture,
    parameters: Mapping[str, ArrayLike],
    preprocessing: Preprocessing,
    labels: Sequence[str],
    label_ids: Sequence[str] | None = None,
    provenance: Mapping[str, Any] | None = None,
    *,
    dtype: str = "float32",
) -> None:
    """Write a weights file: the whole of it under its name, or nothing.

    It is written beside its target, one parameter after the other, checked, and then replaces
    what had the name in one step.  The same network gives the same bytes with the same version
    of h5py: there are no timestamps in it.

    Parameters
    ----------
    path : path
        Where to; the folder must exist.
    architecture : Architecture
        The network.
    parameters : Mapping
        Floats by name, exactly those of ``architecture.parameter_shapes``.
    preprocessing : Preprocessing
        Its input shape must be that of the architecture.
    labels : sequence of str
        One for each class.
    label_ids : sequence of str, optional
        One for each class.
    provenance : Mapping, optional
        What JSON can hold.
    dtype : {"float32", "float16"}
        How the values are stored.

    Raises
    ------
    WeightsError
        If anything does not fit, a value is not finite or becomes infinite in `dtype`, or
        the file cannot be written.
    """
    if not isinstance(path, (str, os.PathLike)):
        refuse("path", "a path", type(path).__name__)
    path = Path(path)
    try:
        with replacing(path) as file:
            write_hdf5(
                file, architecture, parameters, preprocessing, labels, label_ids, provenance, dtype
            )
            file.flush()
            written = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            _parse(written, path, widen=False)  # what is saved can be loaded
            del written  # an open map cannot be replaced on Windows
    except (WeightsError, ArchitectureError) as error:
        raise WeightsError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error
    except (OSError, ValueError) as error:  # a NUL in the path
        raise WeightsError(f"{path}: must be a place to write to; got {error}") from error


# Loading


def _parse(data: Buffer, path: Path, widen: bool) -> Weights:
    """Check the bytes of a file against the format and its own architecture."""
    try:
        file = File(data)
        root = file.node(file.root)
        _check_format(file, root)
        described = _described(file, root)
        architecture = architecture_from_dict(_json(described, "architecture"))
        preprocessing = Preprocessing.from_dict(
            _json(described, "preprocessing"), _mean_image(file, root)
        )
        provenance = _json(described, "provenance")
        if not isinstance(provenance, dict):
            refuse("provenance", "a dictionary", type(provenance).__name__)
        if preprocessing.input_shape != architecture.input_shape:
            refuse(
                "the preprocessing's shape",
                f"what the network takes, {architecture.input_shape}",
                preprocessing.input_shape,
            )
        labels = _labels(file, root, "labels", architecture.classes, LARGEST_LABELS)
        if labels is None:
            refuse("labels", f"{architecture.classes} strings", "none")
        left = LARGEST_LABELS - sum(text_cost(text.encode()) for text in labels)
        return Weights(
            architecture,
            MappingProxyType(_parameters(file, root, architecture, len(data), widen)),
            preprocessing,
            labels,
            _labels(file, root, "label_ids", architecture.classes, left),
            provenance,
            path,
            data,
        )
    except (WeightsError, ArchitectureError, ImageError) as error:
        raise WeightsError(f"{path}: {brief(error)}") from error


def _check_format(file: File, root: Node) -> None:
    if root.links is None:
        refuse("the root", "a group", "a dataset")
    if "format" not in root.attributes:
        refuse("the attribute format", FORMAT, "none: this is some other HDF5 file")
    found = _string(file, root.attributes["format"], "format", 100)
    if found != FORMAT:
        refuse("the attribute format", FORMAT, repr(found))
    if "format_version" not in root.attributes:
        refuse("the attribute format_version", str(FORMAT_VERSION), "none")
    version = file.integer(root.attributes["format_version"])
    if version != FORMAT_VERSION:
        advice = ": upgrade decaf to read it" if version > FORMAT_VERSION else ""
        refuse("the attribute format_version", str(FORMAT_VERSION), f"{version}{advice}")
    _no_links(root.links, "")
    unknown = root.links.keys() - MEMBERS
    if unknown:
        refuse("the root", f"without members but {names(MEMBERS)}", names(unknown))


def _string(file: File, value: Value | Dataset, name: str, most: int) -> str:
    try:
        (text,) = file.text(value, most)
    except (WeightsError, ValueError) as error:
        raise WeightsError(f"{name}: must be one string; got {error}") from error
    return text


def _described(file: File, root: Node) -> dict[str, str]:
    """Read the attributes that hold JSON, together of limited size."""
    found: dict[str, str] = {}
    for name in ("architecture", "preprocessing", "provenance"):
        if name not in root.attributes:
            refuse(f"the attribute {name}", "JSON", "none")
        found[name] = _string(file, root.attributes[name], name, WIDEST * LARGEST_JSON)
    check_json(found)
    return found


def _json(described: Mapping[str, str], name: str) -> Any:
    """Parse an attribute that holds JSON; strictly, and of limited depth."""
    try:
        return parse_json(described[name])
    except ValueError as error:
        raise WeightsError(f"{name}: must be valid JSON; {error}") from error


def _labels(file: File, root: Node, name: str, classes: int, most: int) -> tuple[str, ...] | None:
    """Read labels of `most` bytes from a dataset or an attribute; None where there are none."""
    value: Value | Dataset | None = root.attributes.get(name)
    links = root.links or {}
    if name in links:
        if value is not None:
            refuse(name, "a dataset or an attribute", "both")
        value = _node(file, links[name], name).dataset
        if value is None:
            refuse(name, "a dataset", "a group")
    if value is None:
        return None
    if value.shape != (classes,):
        refuse(name, f"one string for each of {classes} classes", f"shape {value.shape}")
    try:
        texts = tuple(file.text(value, most))
    except WeightsError as error:
        raise WeightsError(f"{name}: {error}") from error
    if len(texts) != classes:
        refuse(name, f"one string for each of {classes} classes", len(texts))
    return texts


def _mean_image(file: File, root: Node) -> MeanImage | None:
    """Read the mean image; None where there is none."""
    links = root.links or {}
    if "mean_image" not in links:
        return None
    dataset = _node(file, links["mean_image"], "mean_image").dataset
    if dataset is None or dataset.type.dtype is None or dataset.offset is None:
        got = "a group" if dataset is None else dataset.type
        refuse("mean_image", "a contiguous dataset of float32", got)
    return MeanImage(file.array(dataset))


def _parameters(
    file: File, root: Node, architecture: Architecture, size: int, widen: bool
) -> dict[str, NDArray[Any]]:
    """Find the parameters, check every one of them, and only then make arrays of them."""
    expected = architecture.parameter_shapes
    values = sum(map(math.prod, expected.values()))
    if 2 * values > LARGEST_RATIO * size:
        refuse("parameters", f"no more than {size:,} bytes can hold", f"{values:,}")
    links = root.links or {}
    if "parameters" not in links:
        refuse("the root", "a group with the member parameters", "none")
    found = dict(_walk(file, links["parameters"]))
    missing, extra = expected.keys() - found.keys(), found.keys() - expected.keys()
    if missing or extra:
        refuse(
            "parameters",
            "those of the architecture",
            f"missing {names(missing) or 'none'}; extra {names(extra) or 'none'}",
        )
    for name, shape in expected.items():
        dataset = found[name]
        if dataset is None:
            refuse(name, f"a dataset of shape {shape}", "a group")
        if dataset.type.dtype is None:
            refuse(name, "little-endian float32 or float16", dataset.type)
        if dataset.shape != shape:
            refuse(name, f"of shape {shape}", dataset.shape)
    datasets = {name: dataset for name in expected if (dataset := found[name])}
    _no_overlap(datasets)
    return {name: _array(file, name, dataset, widen) for name, dataset in datasets.items()}


def _no_overlap(datasets: Mapping[str, Dataset]) -> None:
    """Each byte belongs to one parameter: together they are no larger than the file, then."""
    places = sorted((*place, name) for name, data in datasets.items() for place in data.places)
    for (offset, size, name), (following, _, other) in itertools.pairwise(places):
        if offset + size > following:
            both = name if name == other else f"{name} and {other}"
            refuse(both, "in places of their own", f"byte {following:,} twice")


def _array(file: File, name: str, dataset: Dataset, widen: bool) -> NDArray[Any]:
    """Values in the byte order of this machine, read-only, in the file itself if possible."""
    try:
        array = file.array(dataset)
    except WeightsError as error:
        raise WeightsError(f"{name}: {error}") from error
    dtype = np.float32 if widen else array.dtype.newbyteorder("=")
    if array.dtype != dtype or not array.flags.aligned:
        array = array.astype(dtype)
        array.flags.writeable = False
    return array


def _walk(file: File, target: int | str) -> Iterator[tuple[str, Dataset | None]]:
    """Path and dataset of all that lies under ``parameters``; None for a group of nothing."""
    todo, seen = [("", target, 0)], set()
    while todo:
        path, target, depth = todo.pop()
        node = _node(file, target, f"parameters{path}")
        if node.links is None:
            yield path[1:], node.dataset
            continue
        if target in seen or depth > DEEPEST:
            refuse(f"parameters{path}", "in a tree of groups", "a group inside itself")
        seen.add(target)
        _no_links(node.links, f"parameters{path}/")
        todo += [(f"{path}/{name}", link, depth + 1) for name, link in node.links.items()]
        if not node.links and path:
            yield path[1:], None


def _node(file: File, target: int | str, name: str) -> Node:
    if isinstance(target, str):
        refuse(name, "in the file itself", f"a link ({target})")
    try:
        node = file.node(target)
    except WeightsError as error:
        raise WeightsError(f"{name}: {error}") from error
    if (node.links is None) == (node.dataset is None):
        refuse(name, "a group or a dataset", "neither")
    return node


def _no_links(links: Mapping[str, int | str], where: str) -> None:
    for name, target in links.items():
        if isinstance(target, str):
            refuse(f"{where}{name}", "in the file itself", f"a link ({target})")
