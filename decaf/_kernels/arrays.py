"""What the kernels take: float32, C-contiguous; and the order in which pixels lie."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.errors import ShapeError


def single(name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    """Return a float32 array, C-contiguous (a copy if it was not), or raise ``ShapeError``."""
    if array.dtype != np.float32:
        raise ShapeError(
            f"{name}: kernels take one dtype; expected float32, got {array.dtype} "
            "(decaf.layers takes float64 too)"
        )
    return np.ascontiguousarray(array)


def channels_last(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return N,C,H,W as N,H,W,C, C-contiguous."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))  # N,H,W,C


def channels_first_into(array: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Copy what lies N,H,W,C to N,C,H,W."""
    np.copyto(out, array.transpose(0, 3, 1, 2))  # N,C,H,W


def check_step(
    name: str,
    input: NDArray[np.float32],
    out: NDArray[np.float32],
    workspace: NDArray[np.float32],
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    floats: int,
) -> None:
    """The arrays of a step must have these shapes, and the workspace room for so many floats."""
    given = (input.shape, out.shape)
    if given != shapes or len(workspace) < floats:
        raise ShapeError(
            f"{name}: input, out and workspace must be those of the layer; expected {shapes} and "
            f"{floats} floats, got {given} and {len(workspace)}"
        )
