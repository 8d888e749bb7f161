"""Caffe's trained networks in HDF5: ``.caffemodel.h5``, as ``snapshot_format: HDF5`` writes them.

There are a group for each layer of the net as it was trained, empty for those without weights,
and in it the blobs, numbered::

    /data/conv1/0    float32 or float64; O,C/G,KH,KW
    /data/conv1/1    O
    /data/relu1/
    /data/ip1/0      O,D
    /data/ip1/1      O

Of parameters that two layers share, only the first layer has any; such nets are refused, since
the second has none.  What the layers do is not in the file, so that a .prototxt belongs to it.
``/diff``, the gradients of a solver, is passed over.

Source: ``Net::ToHDF5`` in ``net.cpp`` and ``hdf5.cpp`` of https://github.com/BVLC/caffe
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from decaf.cursor import Buffer
from decaf.errors import WeightsError
from decaf.formats.caffe import assemble, find_topology
from decaf.formats.model import Model
from decaf.hdf5 import File, Node
from decaf.specs import Architecture


def read(
    data: Buffer,
    prototxt: Buffer | None = None,
    architecture: Architecture | None = None,
    input_shape: tuple[int, int, int] | None = None,
) -> Model:
    """Read a ``.caffemodel.h5``.

    Parameters
    ----------
    data : bytes or mmap
        The ``.caffemodel.h5``.
    prototxt : bytes or mmap, optional
        The network, as deployed or as trained.  Needed unless the blobs have the names and shapes
        of SqueezeNet's.
    architecture : Architecture, optional
        In place of a .prototxt; its layers must have the names of those in the file.
    input_shape : (C, H, W), optional
        Of the photos; needed where the .prototxt does not say it.

    Returns
    -------
    Model
        Parameters are float32 or float64, views of `data`.

    Raises
    ------
    WeightsError
        For a damaged file; for a layer whose blobs are missing, too many, or of the wrong shape;
        for links, chunks, and data of other types.
    ArchitectureError
        For layers that decaf has not.
    """
    blobs = dict(_layers(File(data, double=True)))
    return assemble(find_topology({}, blobs, prototxt, architecture, input_shape), blobs)


def _layers(file: File) -> Iterator[tuple[str, list[NDArray[Any]]]]:
    """Name and blobs of each layer that has any."""
    groups = _member(file, file.node(file.root), "data", "the root")
    for name in groups.links or {}:
        layer = _member(file, groups, name, "data")
        links = layer.links or {}
        expected = [str(number) for number in range(len(links))]
        if links.keys() != set(expected):
            got = ", ".join(sorted(links)[:5])
            raise WeightsError(f"{name:.60}: blobs must be numbered from 0; got {got:.100}")
        if links:
            where = f"{name:.60}/"
            yield name, [_blob(file, layer, number, where) for number in expected]


def _blob(file: File, layer: Node, number: str, where: str) -> NDArray[Any]:
    """View one dataset in place; Caffe neither compresses nor cuts them up."""
    dataset = _target(file, layer, number, where).dataset
    if dataset is None or dataset.offset is None:
        got = "a group" if dataset is None else "chunks"
        raise WeightsError(f"{where}{number}: must be contiguous data; got {got}")
    try:
        return file.array(dataset)
    except WeightsError as error:
        raise WeightsError(f"{where}{number}: {error}") from error


def _member(file: File, group: Node, name: str, where: str) -> Node:
    """A group in a group."""
    node = _target(file, group, name, f"{where}: ")
    if node.links is None:
        raise WeightsError(f"{where}: {name!r:.60} must be a group; got something else")
    return node


def _target(file: File, group: Node, name: str, where: str) -> Node:
    """What a member of a group is."""
    address = (group.links or {}).get(name)
    if not isinstance(address, int):
        got = "none" if address is None else f"a {address} link"
        raise WeightsError(f"{where}{name!r:.60} must lie in the group itself; got {got}")
    return file.node(address)
