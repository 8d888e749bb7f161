"""What the kernels take: float32, C-contiguous."""

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
