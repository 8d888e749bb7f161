"""Photos -> an index, and photos -> what is like them in one.

    photos -> features -> whitening, learned from the first of them -> index

Of a feature file the photos are computed already: ``from_features``.

The features that are learned from are kept in memory, those of 10,000 photos at most; of more
photos a sample is drawn, and computed first.  All others go into the file some at a time, so
memory does not grow with their number.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError
from decaf.features.pipeline import Openable, widths
from decaf.features.texts import as_bytes, check_text
from decaf.net import DecafNet, at_least_one
from decaf.retrieval.index import Hit, Index, describe
from decaf.retrieval.index_changes import new_index, parts_of
from decaf.retrieval.index_search import check_backend
from decaf.retrieval.reading import Options, Reader, portions, reader_of
from decaf.retrieval.spatial import QUERY_LEVELS, part_makers
from decaf.retrieval.whitening import Whitening

__all__ = ["Built", "Options", "add_photos", "build_index", "search_photos"]

SAMPLE, SAMPLE_BYTES = 10_000, 2**28  # photos, and bytes of features, that are learned from
LARGEST_D = 2**14  # features of which directions are computed: D,D numbers


@dataclass(frozen=True)
class Built:
    """What became of photos that were to be indexed.

    Attributes
    ----------
    index : Index
        With those that could be read.
    failed : list of (str, str)
        Path and reason of the others.
    learned : int
        Photos that the whitening was learned from; 0 where it was there already.
    known : int
        Photos that were left out because the index had them, or because they came twice.
    """

    index: Index
    failed: list[tuple[str, str]]
    learned: int
    known: int


def build_index(
    net: DecafNet,
    photos: Sequence[Openable],
    output: str | os.PathLike[str],
    whitening: Whitening | None = None,
    *,
    layer: str = "relu6",
    oversample: bool = False,
    pooling: str | None = None,
    levels: int = 1,
    options: Options | None = None,
) -> Built:
    """Compute features of photos, learn from them how to compare them, and index them.

    Parameters
    ----------
    net : DecafNet
    photos : sequence of Openable
        Such as ``decaf.features.find_photos(["flowers/"]).photos``; at least two.
    output : path
        Must not exist.  It takes its name when all photos are in it.
    whitening : Whitening, optional
        Not fitted yet; by default ``Whitening()``.
    layer, oversample, pooling
        As for ``decaf.features.extract``, of one layer.
    levels : int
        1 for one vector a photo; 4 for the 30 parts of the paper.
    options : Options, optional

    Raises
    ------
    FeaturesError
        Before any work if there are fewer than two photos, the output exists or cannot be
        written, another process writes it, there is too little room on the disk, or a photo has
        too many features to learn from; later if no two of them can be told apart, or the disk
        fills.  Nothing is then at `output`.
    ArchitectureError
        If there is no such layer.
    """
    path = Path(os.path.abspath(output))
    options = options or Options()
    whitening = whitening or Whitening()
    info = describe(net, layer, oversample=oversample, pooling=pooling)
    width = widths(net, [layer], pooling)[layer]
    check_width(layer, width)
    parts = parts_of(levels)
    reader = Reader(net, layer, part_makers(levels), oversample, pooling, options)
    wanted, known = _new(photos, set())
    if len(wanted) < 2:
        raise FeaturesError(
            f"an index must be made of photos that differ; expected 2, got {len(wanted)}"
        )
    dimensions = min(whitening.dimensions, width, len(wanted) * parts - 1)
    check_space(path, (photo.path for photo in wanted), parts * (dimensions + 1) * 4)
    with new_index(path) as new:
        sample = drawn(len(wanted), parts * width * 4)
        first = [wanted[n] for n in np.flatnonzero(sample).tolist()]
        rest = [wanted[n] for n in np.flatnonzero(~sample).tolist()]
        learned = reader.read(first)
        if len(learned.photos) < 2:
            reason = ": ".join(reader.failed[0])
            raise FeaturesError(
                f"an index must be made of photos that can be read; expected 2, got "
                f"{len(learned.photos)} ({reason})"
            )
        whitening.fit(learned.rows.reshape(-1, width))
        new.begin(info, whitening, levels)
        count = len(learned.photos)
        reader.put(new, first, learned)
        del learned
        reader.add(new, rest, parts * width * 4)
    return Built(Index.open(path), reader.failed, count, known)


def add_photos(
    index: Index, net: DecafNet, photos: Sequence[Openable], *, options: Options | None = None
) -> Built:
    """Add photos to an index: all that can be read, or after an error none.

    Parameters
    ----------
    index : Index
    net : DecafNet
        The network of the index.
    photos : sequence of Openable
        Those whose paths the index has already are left out.
    options : Options, optional

    Raises
    ------
    FeaturesError
        Before any work if the network is another one, another process writes the index, or there
        is too little room on the disk.
    """
    index.check_network(net)
    with index.adding() as new:
        wanted, known = _new(photos, new.known)
        size = index.parts * (index.dimensions + 1) * 4
        check_space(index.path, (photo.path for photo in wanted), size)
        reader = reader_of(index, net, index.levels, options or Options())
        reader.add(new, wanted, index.parts * index.features * 4)
    return Built(index, reader.failed, 0, known)


def search_photos(
    index: Index,
    net: DecafNet,
    photos: Sequence[Openable],
    k: int = 10,
    backend: str = "exact",
    *,
    options: Options | None = None,
) -> list[list[Hit] | str]:
    """Find the photos of an index that are most like each of these.

    Parameters
    ----------
    index, k, backend
        As for ``Index.search``.
    net : DecafNet
        The network of the index.
    photos : sequence of Openable
    options : Options, optional

    Returns
    -------
    list
        For each photo what ``Index.search`` gives, or why it could not be read.

    Raises
    ------
    FeaturesError
        Before any work if the network is another one, or the backend cannot search.
    """
    at_least_one("k", k)
    check_backend(backend, index.parts)
    index.check_network(net)
    reader = reader_of(index, net, min(index.levels, QUERY_LEVELS), options or Options())
    found: list[list[Hit] | str] = []
    for part in portions(photos, index.parts * index.features * 4):
        gathered = reader.read(part)
        hits = dict(
            zip(gathered.photos.tolist(), index.search(gathered.rows, k, backend), strict=True)
        )
        found += [hits.get(n, gathered.failed.get(n, "")) for n in range(len(part))]
    return found


def _new(photos: Sequence[Openable], known: set[bytes]) -> tuple[list[Openable], int]:
    """Photos that are not known, each once; and how many others there are."""
    new: dict[bytes, Openable] = {}
    for photo in photos:
        check_text("a path", photo.path)
        name = as_bytes(photo.path)
        if name not in known:
            new.setdefault(name, photo)
    return list(new.values()), len(photos) - len(new)


def drawn(count: int, size: int) -> NDArray[np.bool_]:
    """Say which of so many photos, each of `size` bytes of features, are learned from."""
    most = max(2, min(SAMPLE, SAMPLE_BYTES // size))
    if count <= most:
        return np.ones(count, np.bool_)
    chosen: NDArray[np.bool_] = np.zeros(count, np.bool_)
    chosen[np.random.default_rng(0).choice(count, most, replace=False)] = True
    return chosen


def check_width(layer: str, width: int) -> None:
    """Refuse more features than directions can be computed of."""
    if width > LARGEST_D:
        raise FeaturesError(
            f"{layer}: features to index must be at most {LARGEST_D:,}; got {width:,} (with "
            "pooling, a layer of maps gives one a channel)"
        )


def check_space(path: Path, names: Iterable[str], size: int) -> None:
    """Make sure that vectors of `size` bytes a photo, and its name, fit on the disk."""
    needed = sum(size + len(as_bytes(name)) + 8 for name in names)
    try:
        free = shutil.disk_usage(path.parent).free
    except (OSError, ValueError) as error:
        raise FeaturesError(f"{path}: must lie in a folder that exists; got {error}") from error
    if needed > free:
        raise FeaturesError(
            f"{path}: must fit on its disk; expected {needed:,} bytes free, got {free:,}"
        )
