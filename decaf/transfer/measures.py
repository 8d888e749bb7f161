"""How good predictions are: mean accuracy a class, confusion, average precision.

    confusion[t, p] = photos that show class t and were said to show p
    accuracy of t   = confusion[t, t] / photos of t
    mean accuracy   = mean over the classes of their accuracies

Each class counts the same, however many photos it has: Caltech-101 has 800 aeroplanes and 31
inline skates, and plain accuracy would mostly be about aeroplanes (Donahue et al. 2014, section
4.1: "mean accuracy per category").

Average precision is that of PASCAL VOC (Everingham et al. 2010, section 4.2; the development kit's
``VOCevalcls.m``).  Of photos in falling order of their score, the first i give

    precision[i] = relevant among them / i         recall[i] = relevant among them / all relevant
    p(r) = max {precision[i] : recall[i] >= r}     "interpolated", so that it never rises

    since VOC 2010:  AP = area under p(r) from 0 to 1, exactly
    VOC 2007:        AP = mean of p(0), p(0.1), ..., p(1)

Two differences from VOC's script, neither of which matters where all scores differ:

- Photos of the same score come together: no threshold could separate them.  The script takes them
  in the order in which they stand in its list, so that a classifier that says the same of every
  photo could have any average precision; here it has the share of relevant photos.
- recall >= 0.3 is decided in whole numbers, 10 * found >= 3 * all; in floating point 3/10 is below
  3 * 0.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf.checks import real_numbers
from decaf.errors import FeaturesError
from decaf.net import at_least_one


def confusion(true: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Count what was said of what.

    Parameters
    ----------
    true, predicted : array_like
        (N,) whole numbers of classes, from 0 to ``classes - 1``.
    classes : int
        K.

    Returns
    -------
    ndarray
        (K, K) int64; a row is what a photo shows, a column what was said.

    Raises
    ------
    FeaturesError
        If the two differ in length, or hold something else.
    ShapeError
        If K is not at least 1.
    """
    at_least_one("classes", classes)
    shows = _class_numbers(true, classes, "true classes")
    said = _class_numbers(predicted, classes, "predicted classes")
    if len(shows) != len(said):
        raise FeaturesError(
            f"predicted classes must be one a photo; expected {len(shows):,}, got {len(said):,}"
        )
    counts = np.bincount(shows * classes + said, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)  # K,K


def mean_class_accuracy(true: ArrayLike, predicted: ArrayLike, classes: int) -> float:
    """Return the mean over the classes of the share of their photos that were recognised.

    Parameters
    ----------
    true, predicted : array_like
        (N,) whole numbers of classes, from 0 to ``classes - 1``.
    classes : int
        K.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    FeaturesError
        As `confusion`; also if a class has no photo, so that it has no accuracy.
    ShapeError
        If K is not at least 1.
    """
    counts = confusion(true, predicted, classes)
    photos = counts.sum(axis=1)  # K
    if not photos.all():
        raise FeaturesError(
            f"each class must have photos to be tested on; expected at least 1, got none of class "
            f"{int(photos.argmin())}"
        )
    return float(np.mean(counts.diagonal() / photos))


def average_precision(
    scores: ArrayLike,
    relevant: ArrayLike,
    *,
    eleven_points: bool = False,
    ignored: ArrayLike | None = None,
) -> float:
    """Say how far up the relevant photos are in the order of the scores, as PASCAL VOC does.

    Parameters
    ----------
    scores : array_like
        (N,) numbers, larger for photos that are more probably relevant.
    relevant : array_like
        (N,) bool.
    eleven_points : bool
        Take the mean of 11 precisions as in VOC 2007, not the area as since VOC 2010.
    ignored : array_like, optional
        (N,) bool: photos that count neither way, VOC's "difficult".

    Returns
    -------
    float
        From 0 to 1; 1 if all relevant photos come first.

    Raises
    ------
    FeaturesError
        If there are not as many of each, if scores are not finite, or nothing is relevant.
    """
    values = real_numbers(scores, "scores")
    if values.ndim != 1:
        raise FeaturesError(f"scores must be one a photo; expected (N,), got {values.shape}")
    if not np.isfinite(values).all():
        raise FeaturesError("scores must be finite; got NaN or infinity")
    wanted = _flags(relevant, len(values), "relevant")
    if ignored is not None:
        counted = ~_flags(ignored, len(values), "ignored")
        values, wanted = values[counted], wanted[counted]
    total = int(wanted.sum())
    if total == 0:
        raise FeaturesError(
            "relevant must name photos to be found; expected at least 1 that is not ignored, got 0"
        )

    order = np.argsort(-values, kind="stable")
    values, wanted = values[order], wanted[order]
    ends = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)  # last of each score
    found = np.cumsum(wanted)[ends]
    precision = found / (ends + 1)
    interpolated = np.maximum.accumulate(precision[::-1])[::-1]
    if eleven_points:
        # The last score finds all that is relevant, so there always is a first that suffices.
        first = [int(np.argmax(10 * found >= tenths * total)) for tenths in range(11)]
        return float(interpolated[first].mean())
    gained = np.diff(found, prepend=0)
    return float((gained * interpolated).sum() / total)


def _class_numbers(given: ArrayLike, classes: int, what: str) -> NDArray[np.intp]:
    numbers = _array(given, what)
    if numbers.ndim != 1 or (numbers.dtype.kind not in "iu" and numbers.size):
        raise FeaturesError(
            f"{what} must be whole numbers, one a photo; expected (N,), got {numbers.dtype} of "
            f"shape {numbers.shape}"
        )
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < classes):
        raise FeaturesError(
            f"{what} must be numbers of classes; expected 0 to {classes - 1:,}, got "
            f"{numbers.min():,} to {numbers.max():,}"
        )
    return numbers.astype(np.intp)


def _flags(given: ArrayLike, count: int, what: str) -> NDArray[np.bool_]:
    flags = _array(given, what)
    if flags.shape != (count,) or (flags.dtype != bool and count):
        raise FeaturesError(
            f"{what} must be true or false, one a photo; expected bool of shape ({count},), got "
            f"{flags.dtype} of shape {flags.shape}"
        )
    return flags.astype(bool)


def _array(given: ArrayLike, what: str) -> NDArray[Any]:
    if isinstance(given, np.ma.MaskedArray):
        raise FeaturesError(f"{what} must be one a photo, without a mask; got a masked array")
    try:
        return np.asarray(given)
    except (TypeError, ValueError) as error:  # lists of different lengths
        raise FeaturesError(f"{what} must be one a photo; got {error}") from error
