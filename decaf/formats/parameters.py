"""Before parameters are written: are they those of the architecture, and floats?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf.errors import WeightsError
from decaf.specs import Architecture


def check_parameters(
    architecture: Architecture, parameters: Mapping[str, ArrayLike]
) -> dict[str, NDArray[Any]]:
    """Return them as arrays, in order of execution; nothing is copied.

    Raises
    ------
    WeightsError
        If one is missing, unknown, of another shape, or not float16, float32 or float64.
    """
    expected = architecture.parameter_shapes
    if parameters.keys() != expected.keys():
        different = sorted(map(str, parameters.keys() ^ expected.keys()))
        raise WeightsError(
            f"parameters must be those of {architecture.name}; missing or unknown: "
            f"{', '.join(different)[:200]}"
        )
    arrays = {name: np.asarray(parameters[name]) for name in expected}
    for name, array in arrays.items():
        if array.shape != expected[name] or array.dtype.kind != "f" or array.dtype.itemsize > 8:
            raise WeightsError(
                f"{name}: must be floats of shape {expected[name]}; got {array.dtype} {array.shape}"
            )
    return arrays
