"""What the files of features share: rows in blocks of one size, and errors that name the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from decaf.errors import DecafError, FeaturesError
from decaf.features.contents import Array, Features
from decaf.messages import brief

AT_ONCE = 2**20  # bytes of a layer or of texts that are written or read at a time


def rows_at_once(size: int) -> int:
    """Rows of `size` bytes that make a block of about 1 MiB: a function of their size alone."""
    return max(1, AT_ONCE // size)


def regroup(features: Features, layer: str, rows: int) -> Iterator[Array]:
    """Yield the rows of a layer, `rows` at a time, however they come; the last may be fewer.

    Raises
    ------
    FeaturesError
        If they do not fit the number of photos or the width of the layer.
    """
    waiting: list[Array] = []
    count = total = 0
    for block in features.blocks(layer):
        if block.dtype != np.float32 or block.shape[1:] != (features.layers[layer],):
            raise FeaturesError(
                f"{layer}: rows must be float32 of {features.layers[layer]:,} values; "
                f"got {block.dtype} of shape {block.shape}"
            )
        total += len(block)
        if total > len(features):
            break
        while len(block):
            part = block[: rows - count]
            block = block[len(part) :]
            waiting.append(part)
            count += len(part)
            if count == rows:
                yield _joined(waiting)
                waiting, count = [], 0
    if total != len(features):
        least = "more" if total > len(features) else f"{total:,}"
        raise FeaturesError(f"{layer}: rows must be {len(features):,}; got {least}")
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[Array]) -> Array:
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return np.ascontiguousarray(whole, "<f4")


@contextmanager
def named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what readers raise into a FeaturesError that starts with the path."""
    try:
        yield
    except (DecafError, OSError) as error:
        said = str(error).removeprefix(f"{path}: ")
        raise FeaturesError(brief(Exception(f"{path}: {said}"))) from error
