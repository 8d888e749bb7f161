"""What a search goes through: vectors of photos, a stretch of the index at a time.

    vectors  n, P, d   of each of n photos P vectors: one, or those of its sub-patches
    squares  n, P      their squared lengths, so that no search computes them anew

An index gives its blocks as they lie in the file, and a matrix is one block.  Small ones, of photos
that were added one by one, are copied together (``joined``): each costs a search some 20 us.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf.errors import FeaturesError

SMALL, JOINED = 2**20, 2**22  # bytes of vectors: of a block that is joined, of what comes out
MOST = 2**12  # blocks that are joined at a time


@dataclass(frozen=True)
class Block:
    """Vectors of photos that have numbers in a row.

    Attributes
    ----------
    vectors : ndarray
        (n, P, d) float32, C-contiguous.
    squares : ndarray
        (n, P) float32, the squared length of each vector, see :func:`squared_lengths`.
    first : int
        Number of the first photo.
    alive : ndarray or None
        (n,) bool, False for photos that were removed; None if all are there.
    """

    vectors: NDArray[np.float32]
    squares: NDArray[np.float32]
    first: int = 0
    alive: NDArray[np.bool_] | None = None


Blocks: TypeAlias = "Iterable[Block]"


def squared_lengths(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum the squares of each vector, in float64, and round the sum.

    Parameters
    ----------
    vectors : ndarray
        (..., d) float32.

    Returns
    -------
    ndarray
        (...) float32; infinite where float32 ends.
    """
    sums = np.einsum("...d,...d->...", vectors, vectors, dtype=np.float64)
    with np.errstate(over="ignore"):
        return np.asarray(sums, np.float32)


def as_block(vectors: ArrayLike, first: int = 0) -> Block:
    """Make a block of a matrix, for those who have no index.

    Parameters
    ----------
    vectors : array_like
        (n, d) or (n, P, d), finite numbers.
    first : int
        Number of the first photo.

    Raises
    ------
    FeaturesError
        If they have another shape, or hold NaN or infinity.
    """
    rows = np.ascontiguousarray(vectors, np.float32)
    if rows.ndim == 2:
        rows = rows[:, None]  # n, 1, d
    if rows.ndim != 3:
        raise FeaturesError(f"vectors must be n,d or n,P,d; got shape {rows.shape}")
    if not np.isfinite(rows).all():
        raise FeaturesError("vectors must be finite; got NaN or infinity")
    return Block(rows, squared_lengths(rows), first)


def joined(blocks: Blocks) -> Iterator[Block]:
    """Copy small blocks of photos in a row into larger ones, of a few MiB; others are passed on."""
    waiting: list[Block] = []
    size = 0
    for block in blocks:
        last = waiting[-1] if waiting else None
        gap = last is not None and last.first + len(last.vectors) != block.first
        full = size >= JOINED or len(waiting) >= MOST
        if waiting and (gap or full or block.vectors.nbytes >= SMALL):
            yield _joined(waiting)
            waiting, size = [], 0
        if block.vectors.nbytes >= SMALL:
            yield block
        else:
            waiting.append(block)
            size += block.vectors.nbytes
    if waiting:
        yield _joined(waiting)


def _joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    alive = None
    if any(block.alive is not None for block in blocks):
        alive = np.concatenate(
            [np.ones(len(b.vectors), bool) if b.alive is None else b.alive for b in blocks]
        )
    vectors = np.concatenate([block.vectors for block in blocks])
    squares = np.concatenate([block.squares for block in blocks])
    return Block(vectors, squares, blocks[0].first, alive)
