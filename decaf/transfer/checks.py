"""What must hold for features and labels before an experiment starts.

An experiment may take an hour; everything that can be known before is checked before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf.errors import FeaturesError


def check_features(
    features: ArrayLike, what: str = "features", *, differ: bool = True
) -> NDArray[np.float64]:
    """Return features as a matrix that an experiment can use.

    Parameters
    ----------
    features : array_like
        (N, D), numbers.
    what : str
        What errors call them, such as ``"features of the source"``.
    differ : bool
        Whether to refuse features that are the same in all rows, of which nothing can be learned.

    Returns
    -------
    ndarray
        (N, D) float64, C-contiguous.

    Raises
    ------
    FeaturesError
        If they are no matrix, are empty, hold NaN or infinity, or are the same in all rows.
    """
    try:
        matrix = np.ascontiguousarray(features, np.float64)
    except (TypeError, ValueError) as error:
        raise FeaturesError(f"{what} must be numbers; got {error}") from error
    if matrix.ndim != 2 or matrix.size == 0:
        raise FeaturesError(
            f"{what} must be a matrix, a row a photo; expected (N, D), got {matrix.shape}"
        )
    bad = ~np.isfinite(matrix).all(axis=1)
    if bad.any():
        raise FeaturesError(
            f"{what} must be finite; got NaN or infinity in {bad.sum():,} of {len(matrix):,} rows, "
            f"first in row {int(bad.argmax())}"
        )
    if differ and len(matrix) > 1 and (matrix == matrix[0]).all():
        raise FeaturesError(
            f"{what} must differ from photo to photo; got the same in all {len(matrix):,} rows"
        )
    return matrix


def check_labels(
    labels: Any, count: int, what: str = "labels"
) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the classes, sorted, and for each photo the number of its class.

    Parameters
    ----------
    labels : array_like
        (N,) of strings or whole numbers.
    count : int
        N, the number of photos.
    what : str
        What errors call them.

    Returns
    -------
    classes : ndarray
        (K,) each once, in sorted order.
    numbers : ndarray
        (N,) intp, where in `classes` the label of each photo stands.

    Raises
    ------
    FeaturesError
        If there is not one for each photo, if they are neither text nor whole numbers, or of
        one class alone.
    """
    given = np.asarray(list(labels) if not isinstance(labels, np.ndarray) else labels)
    if given.shape != (count,):
        raise FeaturesError(f"{what} must be one a photo; expected ({count},), got {given.shape}")
    if given.dtype.kind not in "iuUT":
        raise FeaturesError(
            f"{what} must be text or whole numbers; got {given.dtype} such as {given[:1].tolist()}"
        )
    classes, numbers = np.unique(given, return_inverse=True)
    if len(classes) < 2:
        raise FeaturesError(
            f"{what} must name classes to tell apart; expected at least 2, got only "
            f"{classes.tolist()[0]!r}" if len(classes) else f"{what} must not be empty"
        )  # fmt: skip
    return classes, numbers
