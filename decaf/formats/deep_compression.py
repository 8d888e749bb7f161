"""Deep Compression: pruned networks whose weights are places and codes (``.net``).

Pruning leaves few of the weights; the rest share 16 or 256 values a layer.  The file stores
where they stand, as distances, and which of the values each has::

    non-zero counts   uint32, one a layer with weights, in the order of the .prototxt
    then a layer at a time:
      codebook        float32: 256 values for a convolution, 16 for a fully connected layer
      bias            float32: O
      codes           index into the codebook for each non-zero weight: 8 bits, or 4
      gaps            4 bits each: how many zeros are passed over before this weight

Of two 4-bit numbers in a byte the first is the lower.  Places count through the flattened weight,
O,C/G,KH,KW or O,D.  Where more than 15 zeros lie between two weights, the file has a "weight" in
between with gap 15 and code 0, whose value is 0.  There are no names, no shapes and no checksum:
the network must come from elsewhere, and what tells that it is the right one is that the file
ends where it should.

SqueezeNet 1.0 takes 0.7 MB in this form (5 MB in float32), AlexNet 8.9 MB (244 MB).

Source: Han, Mao and Dally, "Deep Compression", ICLR 2016, arXiv 1510.00149 (section 3, figure 2),
without the Huffman coding of its section 4; ``decode.py`` of
https://github.com/songhan/Deep-Compression-AlexNet
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from decaf.cursor import Buffer, Cursor
from decaf.errors import ArchitectureError, WeightsError
from decaf.formats.caffe_topology import topology
from decaf.formats.model import Model
from decaf.formats.prototxt import parse
from decaf.specs import Architecture, Conv, Linear, Shape

# What a file may unpack to, in bytes: LEAST and MOST_A_BYTE for each of its own.  AlexNet's
# take 27 for each; the shapes come from another file, which may claim anything.
LEAST = 64 * 2**20
MOST_A_BYTE = 32
BLOCK = 2**18  # codes that are unpacked at once, which takes 5 MB; even, so that no byte is split


def read(
    data: Buffer,
    prototxt: Buffer | None,
    architecture: Architecture | None = None,
    input_shape: tuple[int, int, int] | None = None,
) -> Model:
    """Unpack a network.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.
    prototxt : bytes, mmap or None
        The network in Caffe's text form; None if `architecture` says it all.
    architecture : Architecture, optional
        The network in decaf's terms, which gives the layers their names.  With both, all layers
        with weights must have the same shapes, in the same order.
    input_shape : (C, H, W), optional
        In place of what the `prototxt` says.

    Returns
    -------
    Model
        Parameters are float32 and dense; biases are views of `data`.

    Raises
    ------
    WeightsError
        If the file is damaged or is not of this network; if it would unpack to more than 64 MiB
        and 32 times its size.
    ArchitectureError
        If the network is not one that decaf can build, or neither way of telling it was used.
    """
    network = _network(prototxt, architecture, input_shape)
    shapes = network.parameter_shapes
    layers = [layer for layer in network.layers if isinstance(layer, (Conv, Linear))]
    dense = 4 * sum(map(math.prod, shapes.values()))
    most = LEAST + MOST_A_BYTE * len(data)
    if dense > most:
        raise WeightsError(
            f"the network must be of a size that {len(data):,} bytes can hold; expected at most "
            f"{most:,} bytes of parameters, got {dense:,}"
        )
    file = Cursor(data)
    counts = [file.uint(4) for _ in layers]
    parameters: dict[str, NDArray[np.float32]] = {}
    for layer, count in zip(layers, counts, strict=True):
        weight, bias = f"{layer.name}/weight", f"{layer.name}/bias"
        bits = 8 if isinstance(layer, Conv) else 4
        try:
            codebook = _floats(file, 2**bits)
            parameters[bias] = _floats(file, math.prod(shapes[bias]))
            parameters[weight] = _weight(file, shapes[weight], count, bits, codebook)
        except WeightsError as error:
            raise WeightsError(f"{layer.name:.60}: {error}") from error
    if file.left:
        raise WeightsError(
            f"the file must end behind its last layer; expected {file.at:,} bytes, "
            f"got {len(data):,}: it is of another network"
        )
    return Model(network, {name: parameters[name] for name in shapes})


def _network(
    prototxt: Buffer | None,
    architecture: Architecture | None,
    input_shape: tuple[int, int, int] | None,
) -> Architecture:
    """The network whose layers the file holds, in its order."""
    if prototxt is None:
        if architecture is None:
            raise ArchitectureError(
                "the network must be known, which this format does not tell; expected a .prototxt "
                "or an architecture, got neither"
            )
        return architecture
    described = topology(parse(prototxt), input_shape=input_shape).architecture
    if architecture is None:
        return described
    theirs, ours = described.parameter_shapes, architecture.parameter_shapes
    if list(theirs.values()) != list(ours.values()):
        pairs = zip(theirs.items(), ours.items(), strict=False)
        different = (f"{b[0]} {b[1]}, got {a[0]:.60} {a[1]}" for a, b in pairs if a[1] != b[1])
        number = f"{len(ours)} parameters, got {len(theirs)}"
        raise ArchitectureError(
            f"the .prototxt must be of {architecture.name:.60}; expected {next(different, number)}"
        )
    return architecture


def _floats(file: Cursor, count: int) -> NDArray[np.float32]:
    return np.frombuffer(file.data, "<f4", count, file.skip(4 * count))


def _weight(
    file: Cursor, shape: Shape, count: int, bits: int, codebook: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Put the values where they belong, in a dense array of zeros."""
    if codebook[0] != 0:
        raise WeightsError(
            f"the first value of the codebook must be that of the zeros; got {codebook[0]}"
        )
    size = math.prod(shape)
    if count > size:
        raise WeightsError(
            f"the non-zero weights must be among {size:,} of shape {shape}; got {count:,}"
        )
    codes_at, gaps_at = file.skip(-(-count * bits // 8)), file.skip(-(-count // 2))
    weight = np.zeros(size, np.float32)
    place = -1  # of the weight before
    for start in range(0, count, BLOCK):
        number = min(BLOCK, count - start)
        steps = _numbers(file.data, gaps_at + start // 2, number, 4)
        steps += 1
        places = np.cumsum(steps, dtype=np.int64)
        places += place
        place = int(places[-1])
        if place >= size:  # they only grow
            raise WeightsError(
                f"the non-zero weights must be among {size:,} of shape {shape}; "
                f"got one at {place:,}"
            )
        weight[places] = codebook[_numbers(file.data, codes_at + start * bits // 8, number, bits)]
    return weight.reshape(shape)


def _numbers(data: Buffer, offset: int, count: int, bits: int) -> NDArray[np.uint8]:
    """Unpack whole numbers of 8 bits, or of 4 with the lower half of a byte first."""
    packed = np.frombuffer(data, np.uint8, -(-count * bits // 8), offset)
    if bits == 8:
        return packed
    numbers = np.empty((len(packed), 2), np.uint8)
    numbers[:, 0] = packed & 0xF
    numbers[:, 1] = packed >> 4
    return numbers.reshape(-1)[:count]
