"""How good is a ranked list?  Average precision, as image retrieval counts it.

    AP = sum over relevant photos i of  (P(i - 1) + P(i)) / 2  /  number of relevant photos

P(i) is the share of relevant photos among the first i of the list, P(0) = 1: the area under the
curve of precision over recall by trapezoids, as Oxford's ``compute_ap`` and INRIA's script for
Holidays have it.  It lies a little below the average precision of PASCAL VOC and scikit-learn
(rectangles, of height P(i)); of a single relevant photo at place r it is (0 + 1/r) / 2 for r > 1.

Photos that are neither right nor wrong are junk (Philbin et al. 2007: an object hardly seen): the
list is read as if they were not in it.  The query itself is junk too.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf.errors import FeaturesError


def average_precision(
    relevant: ArrayLike, count: int | None = None, junk: ArrayLike | None = None
) -> float:
    """Return the average precision of one ranked list.

    Parameters
    ----------
    relevant : array_like
        (n,) bool: is the photo at this place of the list relevant?  Nearest first.
    count : int, optional
        Number of relevant photos that there are; those that the list lacks count as never found.
        By default all are in the list.
    junk : array_like, optional
        (n,) bool: places to pass over; whether they are relevant plays no part.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    FeaturesError
        If nothing is relevant, more is than `count` says, or shapes differ.
    """
    found = np.asarray(relevant, bool)
    passed = np.zeros(found.shape, bool) if junk is None else np.asarray(junk, bool)
    if found.ndim != 1 or passed.shape != found.shape:
        raise FeaturesError(
            f"relevant and junk must be a place of the list each; expected (n,), got {found.shape} "
            f"and {passed.shape}"
        )
    found = found[~passed]
    total = int(found.sum()) if count is None else count
    if total < 1 or found.sum() > total:
        raise FeaturesError(
            f"count must be the number of relevant photos; expected at least "
            f"{max(1, int(found.sum()))}, got {total}"
        )
    places = np.flatnonzero(found)  # before each relevant photo
    hits = np.arange(len(places))  # relevant ones before it
    before = np.where(places > 0, hits / np.maximum(places, 1), 1.0)
    after = (hits + 1) / (places + 1)
    return float((before + after).sum() / 2 / total)


def mean_average_precision(
    ranked: ArrayLike, labels: ArrayLike, queries: ArrayLike, *, itself: ArrayLike | None = None
) -> float:
    """Return the mean of the average precisions where the photos of one class are relevant.

    Parameters
    ----------
    ranked : array_like
        (Q, n) numbers of all n photos, nearest first, as ``top_k`` gives them for k = n.
    labels : array_like
        (n,) class of each photo.
    queries : array_like
        (Q,) class of each query.
    itself : array_like, optional
        (Q,) number of the query among the photos, which is passed over; none by default.

    Raises
    ------
    FeaturesError
        If nothing is relevant to a query.
    """
    return float(np.mean(list(average_precisions(ranked, labels, queries, itself=itself))))


def average_precisions(
    ranked: ArrayLike, labels: ArrayLike, queries: ArrayLike, *, itself: ArrayLike | None = None
) -> Iterable[float]:
    """Yield the average precision of each query; see :func:`mean_average_precision`."""
    lists, classes, wanted = (np.asarray(each) for each in (ranked, labels, queries))
    own: NDArray[np.intp] = np.full(len(lists), -1) if itself is None else np.asarray(itself)
    if lists.ndim != 2 or not len(lists) == len(wanted) == len(own):
        raise FeaturesError(
            "ranked must be a list of numbers a query; expected Q,n for as many queries, got "
            f"{lists.shape} for {len(wanted)}"
        )
    for numbers, label, number in zip(lists, wanted, own, strict=True):
        count = int((classes == label).sum()) - int(number >= 0 and classes[number] == label)
        junk = numbers == number
        yield average_precision((classes[numbers] == label) & ~junk, count, junk)
