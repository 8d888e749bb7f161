"""Exact search: the k photos nearest to each query, by Euclidean distance.

    |x - q|^2 / 2  =  (|x|^2 / 2 - x'q)  +  |q|^2 / 2

One matrix product does nearly all of the work, a few thousand photos at a time, so that its
results stay in the cache.  A photo whose product is too small to be among the k best so far is
dropped at once; of the others the distance is computed anew, as it is defined, in float64.  So
the cost is that of the product; for one query, that of reading the vectors once.

A float32 product depends in its last bits on the sizes of the matrices and on the threads of BLAS.
It only decides who is looked at, with a margin for all that it can be off (``product_error``).
The answer is that of float64: the same in whatever blocks the vectors come, on any number of
threads, and 0 for a photo that is itself in the index.

Cost
    n d multiply-adds a query; n d float32 read once for up to ``GROUP`` queries together.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf.errors import FeaturesError
from decaf.retrieval.blocks import Block, Blocks
from decaf.retrieval.nearest import Nearest, check_queries, check_width, product_error

SCORES = 2**20  # results of a product that are looked at together: 4 MiB
GROUP = 128  # queries a product
PAIRS = 2**12  # of a photo and a query: so many vectors are noted before they are looked at
ROWS = 128  # vectors that are looked at together, in float64
FOLD = 32  # parts are whole multiples of it


def top_k(
    blocks: Blocks, queries: ArrayLike, k: int = 10
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find the k nearest photos of each query.

    Parameters
    ----------
    blocks : iterable of Block
        Vectors (n, 1, d), gone through once.
    queries : array_like
        (Q, d).
    k : int
        At least 1.

    Returns
    -------
    distances : ndarray
        (Q, k) float32, ascending; k is at most the number of photos.
    numbers : ndarray
        (Q, k) int64, of the photos; of equal distances (in float64) the smaller first.

    Raises
    ------
    FeaturesError, ShapeError
        If queries are not finite or of another width, or k is below 1.
    """
    rows = check_queries(queries, 2)
    nearest = Nearest(len(rows), k)
    search = _Search(rows, nearest, k)
    seen, due = 0, 0
    for part in _parts(blocks, len(rows)):
        search.look_at(part)
        seen += len(part.vectors)
        if seen >= due:  # bounds are made anew as often as what was seen doubles
            search.settle()
            due = 2 * seen
    search.settle()
    distances, numbers = nearest.result()
    with np.errstate(over="ignore"):  # distances of what is hardly float32 are infinite
        return np.sqrt(distances).astype(np.float32), numbers


def _parts(blocks: Blocks, queries: int) -> Iterator[Block]:
    """Cut blocks so that the scores of a part stay in the cache."""
    rows = max(1, SCORES // max(1, min(queries, GROUP)) // FOLD) * FOLD
    for block in blocks:
        if block.vectors.shape[1] != 1:
            raise FeaturesError(
                "vectors must be one a photo for this search; expected n,1,d, got "
                f"{block.vectors.shape}: search spatially"
            )
        for start in range(0, len(block.vectors), rows):
            some = slice(start, start + rows)
            alive = None if block.alive is None else block.alive[some]
            yield Block(block.vectors[some], block.squares[some], block.first + start, alive)


class _Search:
    """Products, and the pairs of a photo and a query that they leave to be looked at."""

    def __init__(self, queries: NDArray[np.float32], nearest: Nearest, k: int) -> None:
        self._queries, self._nearest, self._k = queries, nearest, k
        self._wide = queries.astype(np.float64)
        self._squares = np.square(self._wide).sum(axis=1)  # Q
        self._lengths = np.sqrt(self._squares)
        # A photo may be among the k nearest if |x|^2/2 - x'q is at most this:
        self._bounds = np.full(len(queries), np.inf)
        self._scores = np.empty(0, np.float32)
        self._found: list[tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.float32]]] = []
        self._pairs = 0

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is looked at
    def look_at(self, part: Block) -> None:
        """Note the pairs of these photos and all queries that may be near enough."""
        vectors, squares = part.vectors[:, 0], part.squares[:, 0]  # n,d and n
        check_width(vectors, self._queries.shape[1])
        if not len(vectors):
            return
        halves = squares.astype(np.float64) / 2
        margins = product_error(vectors.shape[1], self._lengths, 2 * halves.max())  # Q
        least = halves.min()
        for start in range(0, len(self._queries), GROUP):
            some = slice(start, start + GROUP)
            products = self._multiply(vectors, self._queries[some])  # n,Q
            bounds = self._bounds[some]  # a view
            if len(vectors) >= self._k and (bounds == np.inf).any():
                np.fmin(bounds, self._kth(part, products, halves) + margins[some], out=bounds)
            rows, queries = _at_least(products, _below(least - bounds - margins[some]))
            if len(rows):
                self._note(
                    part, rows, queries + start, halves[rows] - products[rows, queries], margins
                )

    def _multiply(
        self, vectors: NDArray[np.float32], queries: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Products n,Q, in memory that is used again."""
        size = len(vectors) * len(queries)
        if self._scores.size < size:
            self._scores = np.empty(size, np.float32)
        products = self._scores[:size].reshape(len(vectors), len(queries))
        return np.matmul(vectors, queries.T, out=products)

    def _kth(
        self, part: Block, products: NDArray[np.float32], halves: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The k-th smallest score of each query, so that not all of the first part is looked at."""
        scores = halves - products.T  # Q,n
        if part.alive is not None:
            scores[:, ~part.alive] = np.inf
        found: NDArray[np.float64] = np.partition(scores, self._k - 1, axis=1)[:, self._k - 1]
        return found

    def _note(
        self,
        part: Block,
        rows: NDArray[np.intp],  # m, of the part
        queries: NDArray[np.intp],  # m
        scores: NDArray[np.float64],  # m: |x|^2/2 - x'q
        margins: NDArray[np.float64],  # Q
    ) -> None:
        """Note those of these pairs that may be near enough."""
        if part.alive is not None:
            alive = part.alive[rows]
            rows, queries, scores = rows[alive], queries[alive], scores[alive]
        for start in range(0, len(rows), PAIRS):
            some = slice(start, start + PAIRS)
            near = ~(scores[some] > (self._bounds + margins)[queries[some]])
            row, query = rows[some][near], queries[some][near]
            self._found.append((query, part.first + row, part.vectors[row, 0]))
            self._pairs += len(row)
            if self._pairs >= PAIRS:
                self.settle()

    @np.errstate(over="ignore", invalid="ignore")  # the same
    def settle(self) -> None:
        """Compute the distances of what was noted, keep the nearest, and drop the others."""
        if not self._pairs:
            return
        queries, numbers, vectors = map(np.concatenate, zip(*self._found, strict=True))
        distances = np.empty(len(queries))
        for start in range(0, len(queries), ROWS):
            some = slice(start, start + ROWS)
            difference = vectors[some].astype(np.float64)
            difference -= self._wide[queries[some]]
            np.square(difference, out=difference)
            difference.sum(axis=1, out=distances[some])
        self._nearest.offer(queries, numbers, distances)
        self._found, self._pairs = [], 0
        # This difference is off by a few units in float64, far less than the margin.
        self._bounds = np.fmin(self._bounds, (self._nearest.bounds - self._squares) / 2)


def _at_least(
    products: NDArray[np.float32], lowest: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of products (n, Q) that are not below the lowest (Q,) of their column.

    NaN is below nothing.  The largest of each few rows say where there is anything to find.
    """
    n, columns = products.shape
    fold = FOLD if n % FOLD == 0 else 1
    folded = products.reshape(fold, n // fold * columns)
    largest = folded.max(axis=0).reshape(n // fold, columns)
    places = np.flatnonzero(~(largest < lowest))
    which, place = np.nonzero(~(folded[:, places] < lowest[places % columns]))
    row, column = np.divmod(places[place], columns)
    return which * (n // fold) + row, column


def _below(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round down to float32."""
    return np.nextafter(values.astype(np.float32), np.float32(-np.inf))
