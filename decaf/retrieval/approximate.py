"""Approximate search with faiss: for more photos than an exact search has time for.

A graph leads from any photo to its neighbours, and from those to theirs, so that a query meets a
few hundred photos instead of all (HNSW: Malkov and Yashunin 2018).  Now and then it misses one;
`recall` says how often.  The graph is made in one thread, so that it is always the same.

Needs faiss: ``pip install faiss-cpu``.  Vectors are copied: the graph and they must fit into
memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf.errors import FeaturesError
from decaf.net import at_least_one
from decaf.retrieval.blocks import Blocks
from decaf.retrieval.nearest import check_queries, check_width

NEIGHBOURS = 32  # of each photo in the graph
BUILD = 200  # photos met while one is put in
SEARCH = 200  # photos met by a query, at least k


def load_faiss() -> Any:
    """Import faiss.

    Raises
    ------
    FeaturesError
        If it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise FeaturesError(
            f"faiss must be installed for approximate search: pip install faiss-cpu; got {error}"
        ) from error
    return faiss


class Approximate:
    """A graph of photos, searched with the call of ``decaf.retrieval.exact``.

    Parameters
    ----------
    blocks : iterable of Block
        Vectors (n, 1, d), finite; gone through once, and copied.
    neighbours, build : int
        More find more, and take longer to build.

    Raises
    ------
    FeaturesError
        If faiss is not installed, or there are several vectors a photo, or they are not finite.
    """

    def __init__(self, blocks: Blocks, *, neighbours: int = NEIGHBOURS, build: int = BUILD) -> None:
        at_least_one("neighbours", neighbours)
        at_least_one("build", build)
        self._faiss = load_faiss()
        self._graph: Any = None
        self._numbers = np.empty(0, np.int64)
        numbers = []
        for block in blocks:
            if block.vectors.shape[1] != 1:
                raise FeaturesError(
                    "vectors must be one a photo for approximate search; expected n,1,d, got "
                    f"{block.vectors.shape}"
                )
            alive = slice(None) if block.alive is None else block.alive
            vectors = np.ascontiguousarray(block.vectors[alive, 0])
            if not np.isfinite(vectors).all():
                raise FeaturesError("vectors must be finite; got NaN or infinity")
            if self._graph is None:
                self._graph = self._faiss.IndexHNSWFlat(vectors.shape[1], int(neighbours))
                self._graph.hnsw.efConstruction = int(build)
            check_width(vectors, self._graph.d)
            self._add(vectors)
            numbers.append(np.arange(block.first, block.first + len(block.vectors))[alive])
        if numbers:
            self._numbers = np.concatenate(numbers).astype(np.int64)

    def _add(self, vectors: NDArray[np.float32]) -> None:
        """Put vectors into the graph, in order; several threads would race for their places."""
        threads = self._faiss.omp_get_max_threads()
        self._faiss.omp_set_num_threads(1)
        try:
            self._graph.add(vectors)
        finally:
            self._faiss.omp_set_num_threads(threads)

    def top_k(
        self, queries: ArrayLike, k: int = 10, *, search: int = SEARCH
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find k photos near to each query: most of the nearest, in most cases all.

        Parameters
        ----------
        queries : array_like
            (Q, d).
        k : int
            At least 1.
        search : int
            Photos met by a query; more find more, and take longer.

        Returns
        -------
        distances : ndarray
            (Q, k) float32, ascending; k is at most the number of photos.  Infinite where the
            graph led to fewer.
        numbers : ndarray
            (Q, k) int64; -1 where the graph led to fewer.

        Raises
        ------
        FeaturesError, ShapeError
            As ``decaf.retrieval.exact.top_k`` raises them.
        """
        rows = check_queries(queries, 2)
        at_least_one("k", k)
        at_least_one("search", search)
        found = min(int(k), len(self._numbers))
        if found == 0 or not len(rows):
            return np.empty((len(rows), found), np.float32), np.empty((len(rows), found), np.int64)
        check_width(self._graph_rows(), rows.shape[1])
        options = self._faiss.SearchParametersHNSW(efSearch=max(int(search), found))
        squares, places = self._graph.search(rows, found, params=options)
        numbers = np.where(places < 0, -1, self._numbers[places])
        distances = np.sqrt(np.where(places < 0, np.inf, np.maximum(squares, 0)))
        return distances.astype(np.float32), numbers

    def _graph_rows(self) -> NDArray[np.float32]:
        return np.empty((0, self._graph.d), np.float32)


def recall(exact: ArrayLike, approximate: ArrayLike) -> float:
    """Return the share of the truly nearest photos that were found.

    Parameters
    ----------
    exact, approximate : array_like
        (Q, k) numbers of photos, of an exact and an approximate search.

    Raises
    ------
    FeaturesError
        If they are not of the same queries, or hold nothing.
    """
    wanted, got = np.asarray(exact), np.asarray(approximate)
    if wanted.ndim != 2 or got.ndim != 2 or len(wanted) != len(got) or not wanted.size:
        raise FeaturesError(
            f"numbers must be Q,k for the same queries; got shapes {wanted.shape} and {got.shape}"
        )
    hits = sum(np.isin(one, other).sum() for one, other in zip(wanted, got, strict=True))
    return float(hits / wanted.size)
