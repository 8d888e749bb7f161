"""bfloat16, which NumPy has not: the upper half of a float32.

>>> import numpy as np
>>> halves = np.array([0x3F80, 0xC040], np.uint16)
>>> widen(halves).tolist()
[1.0, -3.0]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def widen(halves: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.float32]:
    """Return as float32 what stands in unsigned 16-bit integers; nothing is lost or rounded."""
    bits = halves.astype(np.uint32)
    bits <<= 16
    return bits.view(np.float32)
