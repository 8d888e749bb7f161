"""Searches in what an index holds, and the names of what they find."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError
from decaf.retrieval.approximate import Approximate, load_faiss
from decaf.retrieval.blocks import joined
from decaf.retrieval.exact import top_k
from decaf.retrieval.index_contents import Contents
from decaf.retrieval.spatial import spatial_top_k

BACKENDS = ("exact", "faiss")


class Hit(NamedTuple):
    """A photo that was found, and how far from the one that was searched for."""

    path: str
    distance: float


def check_backend(backend: str, parts: int) -> None:
    """Make sure that a backend can search vectors of P parts.

    Raises
    ------
    FeaturesError
        If there is no such backend, it is not installed, or it takes one vector a photo.
    """
    if backend not in BACKENDS:
        raise FeaturesError(f"backend must be {' or '.join(BACKENDS)}; got {backend!r}")
    if backend == "faiss":
        load_faiss()
        if parts > 1:
            raise FeaturesError(f"backend must be exact for {parts} parts a photo; got {backend!r}")


class Search:
    """Finds photos; what a backend builds for that is kept for the next search.

    Parameters
    ----------
    contents : Contents
        Where to search.
    """

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self._graph: Approximate | None = None

    def __call__(self, queries: NDArray[np.float32], k: int, backend: str) -> list[list[Hit]]:
        """Find the nearest photos of vectors (Q, P', d).

        Raises
        ------
        FeaturesError
            If a distance to be returned is not finite: the file holds other numbers than decaf
            writes.
        """
        check_backend(backend, max(self.contents.parts, queries.shape[1]))
        k = min(k, self.contents.left)
        if k == 0:
            return [[] for _ in queries]
        distances, numbers = self._nearest(queries, k, backend)
        if not np.isfinite(distances[numbers >= 0]).all():
            raise FeaturesError(
                "distances must be finite; got NaN, infinity or too large numbers in the vectors: "
                "the index is damaged"
            )
        return [
            [Hit(self._name(n), d) for n, d in zip(found, far, strict=True) if n >= 0]
            for found, far in zip(numbers.tolist(), distances.tolist(), strict=True)
        ]

    def _nearest(
        self, queries: NDArray[np.float32], k: int, backend: str
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        blocks = joined(self.contents.blocks())
        if self.contents.parts > 1 or queries.shape[1] > 1:
            return spatial_top_k(blocks, queries, k)
        if backend == "exact":
            return top_k(blocks, queries[:, 0], k)
        if self._graph is None:
            self._graph = Approximate(blocks)
        return self._graph.top_k(queries[:, 0], k)

    def _name(self, number: int) -> str:
        return self.contents.name(number).decode(errors="surrogateescape")
