"""Features of photos straight into memory, several pictures of each if asked for.

For experiments; a file of features, which survives a crash, is ``decaf.features.extract``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from decaf.features.pipeline import BATCH_SIZE, Openable, check_numbers, compute, widths
from decaf.features.views import Views
from decaf.net import DecafNet, at_least_one

if TYPE_CHECKING:
    from PIL import Image

    from decaf.features.views import Maker


@dataclass(frozen=True)
class Gathered:
    """Features of those photos that could be read.

    Attributes
    ----------
    rows : ndarray
        (n, V, D) float32, V pictures of each of n photos.
    photos : ndarray
        (n,) intp, their numbers in the list, in order.
    failed : dict of int to str
        Number in the list, and what was wrong, of the others.
    """

    rows: NDArray[np.float32]
    photos: NDArray[np.intp]
    failed: dict[int, str]


def _same(picture: Image.Image) -> Image.Image:
    return picture


def gather(
    net: DecafNet,
    photos: Sequence[Openable],
    layer: str,
    makers: Sequence[Maker] = (_same,),
    *,
    oversample: bool = False,
    pooling: str | None = None,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    on_photos: Callable[[int], None] | None = None,
) -> Gathered:
    """Compute one layer's features of each picture of each photo.

    Parameters
    ----------
    net, layer, oversample, pooling, batch_size, workers
        As for ``decaf.features.pipeline.compute``.
    photos : sequence of Openable
        N photos.
    makers : sequence of callable
        What makes the V pictures of a photo, see ``decaf.features.views``; by default the photo
        alone.
    on_photos : callable, optional
        Called now and then with the number of photos finished since.

    Returns
    -------
    Gathered
        A photo of which one picture fails is left out.

    Raises
    ------
    ShapeError
        If there are no makers.
    FeaturesError, ArchitectureError, ShapeError
        As ``compute`` raises them.
    """
    views, width = len(makers), widths(net, [layer], pooling)[layer]
    at_least_one("the number of makers", views)
    check_numbers(batch_size, workers)
    rows = np.empty((len(photos), views, width), np.float32)
    failed: dict[int, str] = {}
    flat = rows.reshape(-1, width)
    told = 0
    pictures: Sequence[Openable] = Views(photos, makers, net.max_pixels)
    blocks = compute(
        net, pictures, [layer], oversample=oversample, pooling=pooling, batch_size=batch_size,
        workers=workers,
    )  # fmt: skip
    with closing(blocks):
        for block in blocks:
            numbers = np.arange(block.first, block.first + block.count)
            good = [number for number in numbers.tolist() if number not in block.failed]
            flat[good] = block.values[layer]
            for number, reason in block.failed.items():
                failed.setdefault(number // views, reason)
            done = (block.first + block.count) // views
            if on_photos and done > told:
                on_photos(done - told)
                told = done
    kept = np.array([n for n in range(len(photos)) if n not in failed], np.intp)
    for place, number in enumerate(kept.tolist()):
        if place != number:  # close the gaps where they are: a copy might not fit beside it
            rows[place] = rows[number]
    return Gathered(rows[: len(kept)], kept, failed)
