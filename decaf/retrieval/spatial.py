"""Spatial search: an object may fill a corner of one photo and the whole of another.

A photo is looked at in parts.  Level l has l x l of them, level 1 being the photo itself, so that
L levels have 1 + 4 + 9 + ... parts: 30 for the four levels of an indexed photo, 14 for the three of
a query.  Each part of a query looks for the part of the indexed photo that is most like it; the
distance of the two photos is the mean of what the parts find (Razavian et al. 2014, section 3.4):

    distance(q, x)  =  1/P' * sum over i of  min over j of  |q_i - x_j|        q P',d; x P,d

The paper says that the parts of a level have the same size, overlap, have centres spread evenly,
and cover the photo; their size it leaves open.  Here the sides of a part of level l are 2/(l+1) of
the photo's: two thirds in level 2, two fifths in level 4, each beginning halfway in the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf.net import at_least_one
from decaf.retrieval.blocks import Block, Blocks
from decaf.retrieval.nearest import Nearest, check_queries, check_width, product_error

if TYPE_CHECKING:
    from PIL import Image

    from decaf.features.views import Maker

REFERENCE_LEVELS = 4  # of photos in an index
QUERY_LEVELS = 3
SCORES = 2**20  # results of a product that are looked at together: 4 MiB
PAIRS = 64  # photos whose distances are computed together in float64


def part_count(levels: int) -> int:
    """Return the number of parts of so many levels: 1, 5, 14, 30, …"""
    at_least_one("levels", levels)
    return levels * (levels + 1) * (2 * levels + 1) // 6


def part_boxes(levels: int, width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Return left, top, right, bottom of each part: level by level, row by row.

    Parameters
    ----------
    levels : int
        At least 1.
    width, height : int
        Of the photo, in pixels; a part has at least one.
    """
    at_least_one("levels", levels)
    boxes = []
    for level in range(1, levels + 1):
        across, down = _stretches(level, width), _stretches(level, height)
        boxes += [(left, top, right, bottom) for top, bottom in down for left, right in across]
    return boxes


def _stretches(level: int, size: int) -> list[tuple[int, int]]:
    """`level` stretches of 2/(level+1) of a side, each beginning halfway in the one before."""
    length = max(1, round(2 * size / (level + 1)))
    steps = max(1, level - 1)
    starts = [round(i * (size - length) / steps) for i in range(level)]
    return [(start, start + length) for start in starts]


def part_makers(levels: int) -> list[Maker]:
    """Return what makes the parts of a photo, for ``decaf.features.views``; whole photo first."""
    return [_Part(levels, number) for number in range(part_count(levels))]


class _Part:
    """Cuts one part out of photos."""

    def __init__(self, levels: int, number: int) -> None:
        self._levels, self._number = levels, number

    def __call__(self, photo: Image.Image) -> Image.Image:
        if self._number == 0:
            return photo
        return photo.crop(part_boxes(self._levels, photo.width, photo.height)[self._number])


def spatial_top_k(
    blocks: Blocks, queries: ArrayLike, k: int = 10
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find the k nearest photos of each query, by the distance of their parts.

    Parameters
    ----------
    blocks : iterable of Block
        Vectors (n, P, d).
    queries : array_like
        (Q, P', d); P' need not be P.
    k : int
        At least 1.

    Returns
    -------
    distances : ndarray
        (Q, k) float32, ascending; k is at most the number of photos.
    numbers : ndarray
        (Q, k) int64; of equal distances (in float64) the smaller first.

    Raises
    ------
    FeaturesError, ShapeError
        If queries are not finite or of another width, or k is below 1.

    Notes
    -----
    Works as ``decaf.retrieval.exact`` does: products in float32 say who may be near enough,
    float64 decides, so that neither blocks nor threads change the answer.
    """
    rows = check_queries(queries, 3)
    at_least_one("parts of a query", rows.shape[1])
    nearest = Nearest(len(rows), k)
    for part in _some(blocks, rows.shape[1]):
        check_width(part.vectors, rows.shape[2])
        for number, query in enumerate(rows):
            _look_at(part, query, number, nearest, k)
    distances, numbers = nearest.result()
    with np.errstate(over="ignore"):  # as in ``exact``
        return distances.astype(np.float32), numbers


def _some(blocks: Blocks, query_parts: int) -> Iterator[Block]:
    """Cut blocks so that the scores of a part stay in the cache; drop what was removed."""
    for block in blocks:
        count = max(1, SCORES // (max(1, block.vectors.shape[1]) * query_parts))
        for start in range(0, len(block.vectors), count):
            some = slice(start, start + count)
            alive = None if block.alive is None else block.alive[some]
            if alive is None or alive.any():
                yield Block(block.vectors[some], block.squares[some], block.first + start, alive)


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is looked at
def _look_at(
    part: Block, query: NDArray[np.float32], number: int, nearest: Nearest, k: int
) -> None:
    """Offer the photos that may be near enough to one query (P', d)."""
    n, parts, width = part.vectors.shape
    squares = np.square(query.astype(np.float64)).sum(axis=1)  # P'
    margin = 2 * product_error(width, np.sqrt(squares), float(part.squares.max()))  # P'
    products = np.matmul(part.vectors.reshape(n * parts, width), query.T)  # n P, P'
    scores = part.squares[:, :, None] - 2 * products.reshape(n, parts, len(query))
    least = scores.min(axis=1) + squares  # n, P': squared distances, within the margin
    low = np.sqrt(np.maximum(least - margin, 0)).mean(axis=1)
    high = np.sqrt(np.maximum(least + margin, 0)).mean(axis=1)
    if part.alive is not None:
        high[~part.alive] = np.inf
    bound = nearest.bounds[number]
    if n >= k:
        bound = np.fmin(bound, np.partition(high, k - 1)[k - 1])
    near = ~(low > bound * (1 + 1e-12))  # the means are rounded, too
    if part.alive is not None:
        near &= part.alive
    rows = np.flatnonzero(near)
    for start in range(0, len(rows), PAIRS):
        some = rows[start : start + PAIRS]
        distances = np.array([_distance(query, part.vectors[row]) for row in some.tolist()])
        nearest.offer(np.full(len(some), number, np.intp), part.first + some, distances)


def _distance(query: NDArray[np.float32], vectors: NDArray[np.float32]) -> float:
    """Mean over the query's parts (P', d) of the least distance to a part of a photo (P, d)."""
    wide = vectors.astype(np.float64)
    least = [np.square(wide - one).sum(axis=1).min() for one in query]
    return float(np.sqrt(least).mean())
