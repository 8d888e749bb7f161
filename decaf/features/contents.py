"""What photos gave, a block at a time, and what a feature file holds, wherever it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError

Array: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Block:
    """What some photos in a row gave.

    Attributes
    ----------
    first, count : int
        Photos number ``first`` to ``first + count - 1`` of the list.
    failed : dict of int to str
        Number in the list, and what was wrong, of those that could not be read.
    values : dict of str to ndarray
        Layer as asked for -> (count - len(failed), D) float32, the rows of the others in order.
    """

    first: int
    count: int
    failed: dict[int, str]
    values: dict[str, Array]


@dataclass(frozen=True)
class Features:
    """Features of photos, a matrix for each layer; read from the disk when asked for.

    Attributes
    ----------
    layers : dict of str to int
        Name of each layer, as it was asked for, and D, the number of its features.
    paths : sequence of str
        (N,) where each row comes from: ``flowers/rose/1.jpg``, ``flowers.zip/rose/1.jpg``.
    labels : sequence of str
        (N,) the name of the folder that the photo lay in, or what a list said.
    failed : sequence of (str, str)
        Path and reason of each photo that could not be read; these have no row.
    info : dict
        What made the features: ``DecafNet.info()``, layers, crops, pooling, photos.
    """

    layers: dict[str, int]
    paths: Sequence[str] = field(repr=False)
    labels: Sequence[str] = field(repr=False)
    failed: Sequence[tuple[str, str]] = field(repr=False)
    info: dict[str, Any] = field(repr=False)
    _read: Callable[[str], Iterator[Array]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, layer: str) -> Array:
        """Return the matrix of a layer, (N, D) float32, in memory.

        Raises
        ------
        FeaturesError
            If there is no such layer, or the file is damaged there.
        """
        matrix = np.empty((len(self), self._width(layer)), np.float32)
        start = 0
        for block in self.blocks(layer):
            matrix[start : start + len(block)] = block
            start += len(block)
        return matrix

    def blocks(self, layer: str) -> Iterator[Array]:
        """Yield the rows of a layer in order, (n, D) at a time: any size fits into memory.

        Raises
        ------
        FeaturesError
            As for indexing.
        """
        self._width(layer)
        return self._read(layer)

    def _width(self, layer: str) -> int:
        if layer not in self.layers:
            raise FeaturesError(
                f"the layer must be one of the file; expected {', '.join(self.layers)}, "
                f"got {layer!r}"
            )
        return self.layers[layer]
