"""What must hold for features and labels before an experiment starts.

An experiment may take an hour; everything that can be known before is checked before.  Nothing is
altered on the way: an imaginary part, a mask, or numbers written as text are refused, not dropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
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
        (N, D), real numbers.
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
        If they are no matrix of real numbers, are empty, masked, hold NaN or infinity (also what
        is too large for float64), or are the same in all rows.
    """
    matrix = real_numbers(features, what)
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


def real_numbers(values: ArrayLike, what: str) -> NDArray[np.float64]:
    """Return an array of any shape as float64, C-contiguous; errors as `real_array`."""
    given = real_array(values, what)
    return np.ascontiguousarray(given, np.float64).reshape(given.shape)


def real_array(values: ArrayLike, what: str) -> NDArray[Any]:
    """Return an array of any shape and of any type of real numbers, as it came.

    Raises
    ------
    FeaturesError
        If it is complex, masked, text, ragged, or otherwise no array of real numbers.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise FeaturesError(f"{what} must be numbers without a mask; got a masked array")
    try:
        given = np.asarray(values)
        if given.dtype.kind == "O":
            texts = [each for each in given.flat if isinstance(each, (str, bytes))]
            if texts:  # which NumPy would read as numbers
                raise FeaturesError(f"{what} must be numbers; got text such as {texts[0]!r}")
            given = given.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise FeaturesError(f"{what} must be numbers; got {error}") from error
    if given.dtype.kind not in "biuf":
        raise FeaturesError(f"{what} must be numbers; got {given.dtype}, not real numbers")
    return given


def check_labels(
    labels: Any, count: int, what: str = "labels"
) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the classes, sorted, and for each photo the number of its class.

    Parameters
    ----------
    labels : array_like
        (N,) of strings or whole numbers; also objects, as pandas keeps text.
    count : int
        N, the number of photos.
    what : str
        What errors call them.

    Returns
    -------
    classes : ndarray
        (K,) each once, in sorted order; strings or whole numbers.
    numbers : ndarray
        (N,) intp, where in `classes` the label of each photo stands.

    Raises
    ------
    FeaturesError
        If there is not one for each photo, if they are neither all text nor all whole numbers, are
        masked, or of one class alone.
    """
    given = as_labels(labels, what)
    if given.shape != (count,):
        raise FeaturesError(f"{what} must be one a photo; expected ({count},), got {given.shape}")
    classes, numbers = np.unique(given, return_inverse=True)
    if len(classes) < 2:
        raise FeaturesError(
            f"{what} must name classes to tell apart; expected at least 2, got only "
            f"{classes.tolist()[0]!r}" if len(classes) else f"{what} must not be empty"
        )  # fmt: skip
    return classes, numbers


def as_labels(labels: Any, what: str = "labels") -> NDArray[Any]:
    """Return labels as an array of strings or of whole numbers, of whatever length.

    Raises
    ------
    FeaturesError
        If they are something else, of both kinds, masked, or text that NumPy would cut: it takes
        NULs at the end for padding.
    """
    if isinstance(labels, np.ma.MaskedArray):
        raise FeaturesError(f"{what} must be one a photo, without a mask; got a masked array")
    if isinstance(labels, (str, bytes)) or not isinstance(labels, Iterable):
        raise FeaturesError(f"{what} must be one a photo; got {type(labels).__name__}")
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iuU":
        given = labels
    else:
        try:
            items = list(labels)
            given = np.asarray(items)
        except (TypeError, ValueError, OverflowError) as error:
            raise FeaturesError(f"{what} must be one a photo, (N,); got {error}") from error
        if given.ndim == 1:
            given = _of_one_kind(items, given.dtype, what)
    if given.ndim != 1:
        raise FeaturesError(f"{what} must be one a photo; expected (N,), got {given.shape}")
    return given


def _of_one_kind(items: list[Any], found: np.dtype[Any], what: str) -> NDArray[Any]:
    """Look at each one: NumPy makes text of numbers beside text, and cuts off NULs."""
    if not items:
        return np.empty(0, np.str_)
    if all(isinstance(each, str) for each in items):
        cut = [each for each in items if each.endswith("\0")]
        if cut:
            raise FeaturesError(f"{what} must not end with a NUL character; got {cut[0]!r}")
        return np.array(items, np.str_)
    if all(isinstance(each, Integral) and not isinstance(each, bool) for each in items):
        numbers = np.array(items)
        if numbers.dtype.kind in "iu":
            return numbers
        raise FeaturesError(f"{what} must be whole numbers of 64 bits; got {max(items, key=abs)}")
    known = (str, Integral)
    odd = [each for each in items if not isinstance(each, known) or isinstance(each, bool)]
    came = f"{found} such as {odd[0]!r}" if odd else "some of each"
    raise FeaturesError(f"{what} must be text or whole numbers, all of a kind; got {came}")


def check_seed(seed: Any) -> int:
    """Return a seed of random numbers; refuse all but whole numbers of at least 0."""
    if not isinstance(seed, Integral) or isinstance(seed, bool) or seed < 0:
        raise FeaturesError(f"seed must be a whole number; expected at least 0, got {seed!r}")
    return int(seed)


def check_positive(name: str, value: Any) -> float:
    """Return a finite number above 0, such as C; refuse anything else."""
    fine = isinstance(value, Real) and not isinstance(value, bool)
    if not (fine and math.isfinite(value) and value > 0):
        raise FeaturesError(f"{name} must be a number; expected more than 0, got {value!r}")
    return float(value)
