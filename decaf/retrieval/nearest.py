"""The k nearest so far, of many queries at once, and how far a float32 product may be off."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf.errors import FeaturesError
from decaf.net import at_least_one

UNIT = 2.0**-24  # largest relative error of one float32 operation
SMALLEST = 2.0**-126  # below this float32 loses digits, or all


class Nearest:
    """The k best of each query among the photos offered until now.

    Parameters
    ----------
    queries : int
        Q.
    k : int
        How many are kept of each; of equal distances the smaller numbers.

    Attributes
    ----------
    bounds : ndarray
        (Q,) float64, the k-th distance of each query; infinite while there are fewer.
    """

    def __init__(self, queries: int, k: int) -> None:
        at_least_one("k", k)
        self._k = int(k)
        self._query = np.empty(0, np.intp)
        self._number = np.empty(0, np.int64)
        self._distance = np.empty(0, np.float64)
        self.bounds: NDArray[np.float64] = np.full(queries, np.inf)

    def offer(
        self, query: NDArray[np.intp], number: NDArray[np.int64], distance: NDArray[np.float64]
    ) -> None:
        """Offer photos: (m,) numbers of queries, numbers of photos, distances (NaN is far)."""
        distance = np.where(np.isnan(distance), np.inf, distance)
        queries = np.concatenate([self._query, query])
        numbers = np.concatenate([self._number, number])
        distances = np.concatenate([self._distance, distance])
        order = np.lexsort((numbers, distances, queries))
        place = np.arange(len(order)) - np.searchsorted(queries[order], queries[order])
        order, place = order[place < self._k], place[place < self._k]
        self._query, self._number = queries[order], numbers[order]
        self._distance = distances[order]
        last = place == self._k - 1
        self.bounds[self._query[last]] = self._distance[last]

    def result(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Distances and numbers of photos, (Q, k) both, nearest first; k at most as offered."""
        shape = (len(self.bounds), -1)
        if not len(self.bounds):
            shape = (0, 0)
        return self._distance.reshape(shape), self._number.reshape(shape)


def check_queries(queries: ArrayLike, axes: int) -> NDArray[np.float32]:
    """Return queries as finite float32, C-contiguous, of so many axes.

    Raises
    ------
    FeaturesError
        If they are not that.
    """
    try:
        found = np.ascontiguousarray(queries, np.float32)
    except (TypeError, ValueError) as error:
        raise FeaturesError(f"queries must be numbers; got {error}") from error
    if found.ndim != axes:
        names = ("Q,d", "Q,P,d")[axes - 2]
        raise FeaturesError(f"queries must be {names}; got shape {found.shape}")
    if not np.isfinite(found).all():
        raise FeaturesError("queries must be finite; got NaN or infinity")
    return found


def check_width(vectors: NDArray[np.float32], width: int) -> None:
    """Refuse vectors that cannot be compared with the queries."""
    if vectors.shape[-1] != width:
        raise FeaturesError(
            f"queries must be as long as what is searched; expected d = {vectors.shape[-1]}, "
            f"got {width}"
        )


def product_error(
    width: int, length: NDArray[np.float64], largest_square: float
) -> NDArray[np.float64]:
    """How far  |x|^2 / 2 - x'q  in float32 may be off, in whatever order it is summed.

    A sum of d products is off by at most d u sum |x_i q_i| <= d u |x| |q| (Higham 2002, section
    3.1), and by what is too small for float32; a few more operations are allowed for.

    Parameters
    ----------
    width : int
        d.
    length : ndarray
        (Q,) lengths of the queries.
    largest_square : float
        Of the squared lengths of the vectors.
    """
    longest = np.sqrt(largest_square)
    found: NDArray[np.float64] = (width + 8) * (2 * UNIT * longest * (length + longest) + SMALLEST)
    return found
