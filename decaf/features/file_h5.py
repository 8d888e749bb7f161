"""Features in HDF5, the format of :func:`decaf.features.extract` unless another is asked for.

==================  ====================================================================
root attribute      value
==================  ====================================================================
``format``          the string ``decaf-features``
``format_version``  the integer 1
``layers``          JSON: the names of the layers, in the order in which they were asked for
``info``            JSON: what made the features
==================  ====================================================================

==================  ====================================================================
dataset             values
==================  ====================================================================
``<layer>``         (N, D) little-endian float32; ``/`` in the name makes groups
``paths``           (N,) strings: the photo of each row
``labels``          (N,) strings
``failed``          (M, 2) strings: path and reason of each photo without a row
==================  ====================================================================

Any HDF5 library reads it: ``h5py.File(path)["relu6"][:]``, ``h5py.File(path)["paths"].asstr()[:]``.
All datasets are in chunks of about 1 MiB with Fletcher32 checksums, so that every reader notices
damage; those of no rows have no chunks.  Strings are UTF-8 of one length, filled up with NULs,
which keeps them under the checksums too.  A path that is not UTF-8 is kept as the bytes it has;
decaf reads it, h5py's ``asstr`` only with ``asstr(errors="surrogateescape")``.

The same features give the same bytes, with the same version of h5py.  Further attributes and
datasets are ignored, so that other tools may add some.  Nothing is trusted when it is read
(:mod:`decaf.hdf5`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from decaf.cursor import Buffer
from decaf.errors import FeaturesError
from decaf.features.blocks import named, regroup, rows_at_once
from decaf.features.contents import Array, Features
from decaf.features.texts import (
    LONGEST_TEXT,
    Pairs,
    Texts,
    as_bytes,
    check_layer_names,
    check_layers,
    check_text,
    from_json,
    to_json,
)
from decaf.hdf5 import WIDEST, Dataset, File, Node
from decaf.hdf5_data import STRING
from decaf.hdf5_sink import writing
from decaf.json_file import LARGEST_JSON

__all__ = ["check_layer_names", "read", "write"]

FORMAT = "decaf-features"
FORMAT_VERSION = 1
OTHERS = {"decaf-weights": "the weights of a network: `decaf info` tells what is in them"}


def write(stream: BinaryIO, features: Features) -> None:
    """Write a file, a block of rows in memory at a time.

    Parameters
    ----------
    stream : BinaryIO
        Open for reading and writing, at its start.
    features : Features
        What to write.

    Raises
    ------
    FeaturesError
        If names or rows do not fit; whatever reading `features` raises.
    OSError
        If it cannot be written.
    """
    check_layers(features.layers)
    attributes = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "layers": to_json("layers", {"layers": list(features.layers)}),
        "info": to_json("info", features.info),
    }
    # The oldest layout is what every HDF5 library reads, and decaf.hdf5 too.
    with writing(stream, libver=("earliest", "v108")) as (file, check):
        for name, value in attributes.items():
            file.attrs[name] = value
        for layer, width in features.layers.items():
            rows = rows_at_once(4 * width)
            dataset = _create(file, layer, (len(features), width), rows, "<f4")
            for start, block in enumerate(regroup(features, layer, rows)):
                dataset[start * rows : start * rows + len(block)] = block
                check()
        failed = [text for pair in features.failed for text in pair]
        texts: dict[str, tuple[Sequence[str], tuple[int, ...]]] = {
            "paths": (features.paths, (len(features),)),
            "labels": (features.labels, (len(features),)),
            "failed": (failed, (len(failed) // 2, 2)),
        }
        for name, (values, shape) in texts.items():
            _write_texts(file, name, values, shape)
            check()


def _create(file: Any, name: str, shape: tuple[int, ...], rows: int, dtype: Any) -> Any:
    options: dict[str, Any] = {}
    if shape[0]:
        options = {"chunks": (min(rows, shape[0]), *shape[1:]), "fletcher32": True}
    return file.create_dataset(name, shape, dtype, track_times=False, **options)


def _write_texts(file: Any, name: str, texts: Sequence[str], shape: tuple[int, ...]) -> None:
    """Write strings, all as long as the longest."""
    import h5py

    if len(texts) != int(np.prod(shape)):
        raise FeaturesError(f"{name} must be {shape[0]:,}; got {len(texts):,}")
    longest = max(1, max((check_text(name, text) for text in texts), default=1))
    each = int(np.prod(shape[1:]))
    rows = rows_at_once(longest * each)
    kind = h5py.string_dtype("utf-8", longest)
    dataset = _create(file, name, shape, rows, kind)
    for start in range(0, shape[0], rows):
        part = [as_bytes(text) for text in texts[start * each : (start + rows) * each]]
        dataset[start : start + rows] = np.array(part, kind).reshape(-1, *shape[1:])


def read(data: Buffer, path: str) -> Features:
    """Read all of a file but the rows, which are read and checked when they are asked for.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.
    path : str
        For messages.

    Raises
    ------
    FeaturesError
        If it is another file, or damaged; the message starts with the path.
    """
    with named(path):
        file = File(data, features=True)
        root = file.node(file.root)
        _check_format(file, root)
        names = from_json("layers", _attribute(file, root, "layers")).get("layers")
        if not isinstance(names, list):
            raise FeaturesError("layers must be a list; got something else")
        check_layer_names(names)
        info = from_json("info", _attribute(file, root, "info"))
        layers = {name: _dataset(file, root, name) for name in names}
        texts = {name: _dataset(file, root, name) for name in ("paths", "labels", "failed")}
        stored = sum(each.stored for each in (*layers.values(), *texts.values()))
        if stored > len(data):  # then no more is ever read, or unpacked, than the file has
            raise FeaturesError(
                f"datasets must not share their bytes; got {stored:,} of {len(data):,} in all"
            )
        paths, labels = _texts(file, texts, "paths", 1), _texts(file, texts, "labels", 1)
        failed = _texts(file, texts, "failed", 2)
        for name, dataset in layers.items():
            if str(dataset.type) != "float32" or len(dataset.shape) != 2 or not dataset.shape[1]:
                raise FeaturesError(
                    f"{name:.100}: must be a matrix of float32; got {dataset.type}, "
                    f"shape {dataset.shape}"
                )
            if dataset.shape[0] != len(paths):
                raise FeaturesError(
                    f"{name:.100}: must have a row for each of {len(paths):,} paths; "
                    f"got {dataset.shape[0]:,}"
                )
        if len(labels) != len(paths):
            raise FeaturesError(f"labels must be {len(paths):,}, as paths are; got {len(labels):,}")

    def rows(layer: str) -> Iterator[Array]:
        with named(f"{path}: {layer}"):
            for raw in file.rows(layers[layer]):
                block = np.frombuffer(raw, "<f4").reshape(-1, layers[layer].shape[1])
                yield block.astype(np.float32, copy=False)

    widths = {name: dataset.shape[1] for name, dataset in layers.items()}
    return Features(widths, paths, labels, Pairs(failed[::2], failed[1::2]), info, rows)


def _check_format(file: File, root: Node) -> None:
    if "format" not in root.attributes:
        raise FeaturesError(f"the attribute format must be {FORMAT}; got some other HDF5 file")
    found = _attribute(file, root, "format")
    if found != FORMAT:
        got = OTHERS.get(found, repr(found[:100]))
        raise FeaturesError(f"the attribute format must be {FORMAT}; got {got}")
    version = root.attributes.get("format_version")
    number = file.integer(version) if version is not None else None
    if number != FORMAT_VERSION:
        raise FeaturesError(
            f"the attribute format_version must be {FORMAT_VERSION}; got {number}: "
            "another version of decaf may read it"
        )


def _attribute(file: File, root: Node, name: str) -> str:
    if name not in root.attributes:
        raise FeaturesError(f"the attribute {name} must be there; got none")
    texts = file.text(root.attributes[name], WIDEST * LARGEST_JSON)
    if len(texts) != 1:
        raise FeaturesError(f"the attribute {name} must be one string; got {len(texts):,}")
    return texts[0]


def _dataset(file: File, root: Node, name: str) -> Dataset:
    """Follow the groups that a name leads through."""
    node = root
    for part in name.split("/"):
        target = (node.links or {}).get(part)
        if not isinstance(target, int):
            got = "nothing" if target is None else f"a link ({target})"
            raise FeaturesError(f"{name:.100}: must be a dataset; got {got}")
        node = file.node(target)
    if node.dataset is None:
        raise FeaturesError(f"{name:.100}: must be a dataset; got a group")
    return node.dataset


def _texts(file: File, datasets: dict[str, Dataset], name: str, axes: int) -> Texts:
    """Read strings of one length into one array, which takes what it takes in the file."""
    dataset = datasets[name]
    size, shape = dataset.type.size, dataset.shape
    known = dataset.type.kind == STRING and 1 <= size <= LONGEST_TEXT
    if not known or len(shape) != axes or shape[1:] not in ((), (2,)):
        raise FeaturesError(
            f"{name} must be strings of one length and {axes} axes; got {dataset.type}, "
            f"shape {shape}"
        )
    raw = bytearray()
    for part in file.rows(dataset):
        raw += part
    return Texts(np.frombuffer(raw, f"S{size}"))
