"""How close is close: the only table of tolerances between layers and their oracles.

An entry is the largest error allowed, relative to the largest magnitude of the expected array.
float32 carries about 1.2e-7 of a value, and the error of a sum grows with its length; the entries
leave a factor of a few above what the longest sums of the tests need.  Layers that only copy and
compare have no error at all.  float64 results are held to 1e-13 (where the layer has an error).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

FLOAT32 = {
    "im2col": 0.0,
    "conv2d": 2e-6,
    "winograd": 2e-5,  # values that nearly cancel; 7e-6 measured in AlexNet's conv2
    "relu": 0.0,
    "max_pool2d": 0.0,
    "avg_pool2d": 1e-6,
    "adaptive_avg_pool2d": 1e-6,
    "local_response_norm": 1e-6,
    "linear": 2e-6,
    "dropout": 3e-7,
    "softmax": 1e-6,
    "concat": 0.0,
    "caffe": 1e-5,  # Caffe's own outputs, whatever the layer
}
FLOAT64 = 1e-13


def tolerance(name: str, dtype: np.dtype) -> float:
    """Largest relative error allowed for a layer's result of this dtype."""
    return min(FLOAT32[name], FLOAT64) if dtype == np.float64 else FLOAT32[name]


def assert_close(name: str, got: np.ndarray, want: ArrayLike, term: float = 0.0) -> None:
    """Fail unless ``got`` has the shape of ``want`` and its values, within the table's tolerance.

    NaN and infinities must stand in the same places.  ``term`` is the magnitude of the largest
    term where each result is a sum: a few sums may all happen to be close to zero, and rounding
    errors follow the terms.
    """
    expected = np.asarray(want, dtype=np.float64)
    assert got.shape == expected.shape, f"{name}: shape {got.shape}, expected {expected.shape}"
    special = ~np.isfinite(expected)
    np.testing.assert_array_equal(got[special], expected[special])
    if not special.all():
        finite = expected[~special]
        error = np.abs(got[~special].astype(np.float64) - finite).max()
        scale = max(np.abs(finite).max(), term)
        allowed = tolerance(name, got.dtype) * scale
        assert error <= allowed, f"{name}: error {error:.3g}, at most {allowed:.3g} allowed"
