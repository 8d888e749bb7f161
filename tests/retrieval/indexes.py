"""Small indexes of random features."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decaf.retrieval.index import Index
from decaf.retrieval.index_contents import Contents
from decaf.retrieval.whitening import Whitening

D = 12
INFO: dict[str, Any] = {
    "architecture": "tiny", "weights_sha256": "00", "preprocessing": {"crop": [3, 3]},
    "layer": "relu6", "oversample": False, "pooling": None, "decaf": "0", "backend": "numpy",
}  # fmt: skip


def rows(count: int, seed: int = 0, parts: int | None = None) -> NDArray[np.float32]:
    """Features, (n, D) or (n, P, D)."""
    shape = (count, D) if parts is None else (count, parts, D)
    return np.random.default_rng(seed).random(shape, np.float32)


def names(count: int, folder: str = "a") -> list[str]:
    return [f"{folder}/{number:03}.jpg" for number in range(count)]


def whitening(dimensions: int = 6) -> Whitening:
    return Whitening(dimensions).fit(rows(40, seed=99))


def make(path: Path, count: int = 9, levels: int = 1) -> Index:
    """An index of so many photos, ``a/000.jpg`` and on."""
    index = Index.create(path, INFO, whitening(), levels)
    if count:
        parts = index.parts if levels > 1 else None
        index.add(names(count), rows(count, parts=parts))
    return index


def vectors(index: Index) -> NDArray[np.float32]:
    """Those that are left, (n, P, d)."""
    left = [b.vectors if b.alive is None else b.vectors[b.alive] for b in index.blocks()]
    return np.concatenate([np.zeros((0, index.parts, index.dimensions), np.float32), *left])


class State(NamedTuple):
    """What somebody sees who opens an index."""

    names: tuple[bytes, ...]
    alive: tuple[bool, ...]
    vectors: bytes


def state(data: bytes) -> State:
    contents = Contents(data)
    contents.verify()
    found = b"".join(block.vectors.tobytes() for block in contents.blocks())
    return State(tuple(contents.names()), tuple(contents.alive.tolist()), found)


def add(index: Index) -> None:
    index.add(names(40, "b"), rows(40, seed=1))


def add_twice(index: Index) -> None:
    with index.adding() as new:
        new.add(names(3, "b"), rows(3, seed=1))
        new.add(names(2, "c"), rows(2, seed=1))


def remove(index: Index) -> None:
    index.remove(["a/001.jpg", "a/007.jpg"])


CHANGES = [add, add_twice, remove]
