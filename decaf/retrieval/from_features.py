"""A feature file -> an index: what was computed once is not computed again.

A long extraction can be interrupted and resumed (``decaf features``); its rows then become an
index of one vector a photo.  Which network made them is in the file, so the index knows it, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError
from decaf.features.blocks import named
from decaf.features.contents import Features
from decaf.features.files import load_features
from decaf.features.naming import shown
from decaf.features.pooling import POOLINGS
from decaf.retrieval.build import Built, check_space, check_width, drawn
from decaf.retrieval.index import Index
from decaf.retrieval.index_changes import Adding, new_index
from decaf.retrieval.index_file import about
from decaf.retrieval.index_network import DECISIVE, OF_THE_NETWORK, check_equal
from decaf.retrieval.whitening import Whitening

OF_THE_EXTRACTION = ("layers", "photos", "max_pixels")  # decide no value, or are said otherwise
CHUNK = 4096  # photos that are added at a time


def index_features(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    whitening: Whitening | None = None,
    *,
    layer: str | None = None,
) -> Built:
    """Make an index of the rows of a feature file.

    Parameters
    ----------
    path : path
        A feature file that ``decaf features`` wrote, of any format.
    output : path
        Must not exist.  It takes its name when all rows are in it.
    whitening : Whitening, optional
        Not fitted yet; by default ``Whitening()``.
    layer : str, optional
        By default the first of the file.

    Returns
    -------
    Built
        Its `failed` are the photos that have no row.

    Raises
    ------
    FeaturesError
        If the file cannot be read, does not say what made it or has no such layer, fewer than
        two photos have rows or no two can be told apart, or the output exists or cannot be
        written.  Nothing is then at `output`.
    """
    file = _File(path, layer)
    whitening = whitening or Whitening()
    place = Path(os.path.abspath(output))
    new_rows, names = file.new(set())
    count = int(np.count_nonzero(new_rows))
    if count < 2:
        raise FeaturesError(f"{path}: an index must be made of photos; expected 2, got {count}")
    dimensions = min(whitening.dimensions, file.width, count - 1)
    check_space(place, names, (dimensions + 1) * 4)
    with new_index(place) as new:
        sample = np.flatnonzero(new_rows)[drawn(count, file.width * 4)]
        whitening.fit(file.matrix(sample))
        new.begin(file.info, whitening)
        file.put(new, new_rows)
    return Built(Index.open(place), file.failed, len(sample), len(new_rows) - count)


def add_features(index: Index, path: str | os.PathLike[str], *, layer: str | None = None) -> Built:
    """Add the rows of a feature file to an index: all that are new, or after an error none.

    Parameters
    ----------
    index : Index
        Of one vector a photo, and of the network, recipe and layer that made the file.
    path : path
        A feature file.
    layer : str, optional
        By default the index's.

    Raises
    ------
    FeaturesError
        If the file does not fit, or another process writes the index.
    """
    own = index.info.get("layer")
    file = _File(path, layer or (own if isinstance(own, str) else None))
    with about(index.path):
        check_equal(*({key: info.get(key) for key in DECISIVE} for info in (index.info, file.info)))
        if (index.parts, index.features) != (1, file.width):
            raise FeaturesError(
                f"rows must be vectors as those of the index; expected {index.parts} x "
                f"{index.features:,} features a photo, got 1 x {file.width:,}"
            )
    with index.adding() as new:
        new_rows, names = file.new(new.known)
        check_space(index.path, names, (index.dimensions + 1) * 4)
        file.put(new, new_rows)
    return Built(index, file.failed, 0, int(np.count_nonzero(~new_rows)))


class _File:
    """A layer of a feature file, and what an index says of it."""

    def __init__(self, path: str | os.PathLike[str], layer: str | None) -> None:
        self._name = os.fspath(path)
        features = load_features(path)
        with named(str(path)):
            self._layer = _layer(features, layer)
            self.info = _info(features.info, self._layer)
            self.width = features.layers[self._layer]
            check_width(shown(self._layer), self.width)
        self._features = features
        self.failed = list(features.failed)

    def new(self, known: set[bytes]) -> tuple[NDArray[np.bool_], list[str]]:
        """Say which rows are of photos that are not known, each once; and their names."""
        found: NDArray[np.bool_] = np.zeros(len(self._features), np.bool_)
        names: dict[str, None] = {}
        for number, path in enumerate(self._features.paths):
            if path not in names and path.encode(errors="surrogateescape") not in known:
                names[path], found[number] = None, True
        return found, list(names)

    def matrix(self, numbers: NDArray[np.intp]) -> NDArray[np.float32]:
        """Some rows of the layer."""
        rows = np.empty((len(numbers), self.width), np.float32)
        for first, block in self._blocks():
            start, end = np.searchsorted(numbers, (first, first + len(block)))
            rows[start:end] = block[numbers[start:end] - first]
        return rows

    def put(self, new: Adding, wanted: NDArray[np.bool_]) -> None:
        """Add some rows."""
        for first, block in self._blocks():
            numbers = first + np.flatnonzero(wanted[first : first + len(block)])
            if len(numbers):
                paths = [self._features.paths[number] for number in numbers.tolist()]
                new.add(paths, block[numbers - first])

    def _blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        first = 0
        for block in self._features.blocks(self._layer):
            for start in range(0, len(block), CHUNK):
                yield first + start, block[start : start + CHUNK]
            first += len(block)


def _layer(features: Features, asked: str | None) -> str:
    """The layer as the file calls it: that of the name, or that the name stands for."""
    if not asked:
        return next(iter(features.layers))
    if asked in features.layers:
        return asked
    made = features.info.get("layers")
    for name in features.layers:
        entry = made.get(name) if isinstance(made, dict) else None
        if isinstance(entry, dict) and entry.get("layer") == asked:
            return name
    layers = ", ".join(map(shown, list(features.layers)[:8]))
    raise FeaturesError(f"the layer must be one of the file; expected {layers}, got {asked!r:.100}")


def _info(made: dict[str, Any], layer: str) -> dict[str, Any]:
    """What `decaf.retrieval.describe` says, from what a feature file says."""
    layers = made.get("layers")
    entry = layers.get(layer) if isinstance(layers, dict) else None
    name = entry.get("layer") if isinstance(entry, dict) else None
    kept = {key: value for key, value in made.items() if key not in OF_THE_EXTRACTION}
    whole = (
        isinstance(name, str)
        and all(kept.get(key) for key in OF_THE_NETWORK)
        and type(kept.get("oversample")) is bool
        and kept.get("pooling") in (None, *POOLINGS)
    )
    if not whole:
        raise FeaturesError(
            "a feature file to index must say which network, recipe and layer made it, as "
            f"`decaf features` writes it; got no such information of {shown(layer)}"
        )
    return {**kept, "layer": name}
