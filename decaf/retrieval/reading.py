"""Features of the photos that are indexed or searched for, some photos at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from decaf.errors import FeaturesError
from decaf.features.gather import Gathered, gather
from decaf.features.pipeline import BATCH_SIZE, Openable, check_numbers, widths
from decaf.features.views import Maker
from decaf.net import DecafNet
from decaf.retrieval.index import Index
from decaf.retrieval.index_changes import Adding
from decaf.retrieval.spatial import part_makers

CHUNK, CHUNK_BYTES = 4096, 2**26  # photos, and bytes of features, that are added at a time


@dataclass(frozen=True)
class Options:
    """How photos are read; see ``decaf.features.pipeline.compute``.

    Attributes
    ----------
    batch_size, workers
        Decide speed and memory, never the result.
    on_photos : callable, optional
        Called now and then with the number of photos finished since.
    """

    batch_size: int = BATCH_SIZE
    workers: int | None = None
    on_photos: Callable[[int], None] | None = None


class Reader:
    """Features of photos, and what could not be read."""

    def __init__(
        self, net: DecafNet, layer: str, makers: Sequence[Maker], oversample: bool,
        pooling: str | None, options: Options,
    ) -> None:  # fmt: skip
        check_numbers(options.batch_size, options.workers)
        self._net, self._layer, self._makers = net, layer, makers
        self._oversample, self._pooling, self._options = oversample, pooling, options
        self.failed: list[tuple[str, str]] = []

    def read(self, photos: Sequence[Openable]) -> Gathered:
        """Compute the features of some photos."""
        options = self._options
        found = gather(
            self._net, photos, self._layer, self._makers, oversample=self._oversample,
            pooling=self._pooling, batch_size=options.batch_size, workers=options.workers,
            on_photos=options.on_photos,
        )  # fmt: skip
        self.failed += [(photos[n].path, found.failed[n]) for n in sorted(found.failed)]
        return found

    def put(self, new: Adding, photos: Sequence[Openable], found: Gathered) -> None:
        """Add what was computed, in records of some size."""
        paths = [photos[number].path for number in found.photos.tolist()]
        for start in range(0, len(paths), CHUNK):
            part = slice(start, start + CHUNK)
            new.add(paths[part], found.rows[part])

    def add(self, new: Adding, photos: Sequence[Openable], size: int) -> None:
        """Compute and add photos, each of `size` bytes of features."""
        for part in portions(photos, size):
            self.put(new, part, self.read(part))


def reader_of(index: Index, net: DecafNet, levels: int, options: Options) -> Reader:
    """Compute what the index was made of, which `Index.check_network` has found in the network."""
    info = index.info
    layer, oversample, pooling = info["layer"], info["oversample"], info.get("pooling")
    width = widths(net, [layer], pooling)[layer]
    if width != index.features:
        raise FeaturesError(
            f"{index.path}: must be of {width:,} features, as {layer} has; got {index.features:,}"
        )
    return Reader(net, layer, part_makers(levels), oversample, pooling, options)


def portions(photos: Sequence[Openable], size: int) -> Iterator[Sequence[Openable]]:
    """Cut a list of photos, each of `size` bytes of features, into what is computed at a time."""
    step = max(1, min(CHUNK, CHUNK_BYTES // size))
    return (photos[start : start + step] for start in range(0, len(photos), step))
