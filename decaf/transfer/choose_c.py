"""Choose C by trying: on a part of the photos to learn from, never on those to be tested on.

Donahue et al. 2014, section 4.1, choose it for each split on a subsplit of the 30 photos a class
to learn from: 25 to train, 5 to validate.  Of n photos a class n/6 are held out (of 30 the paper's
5; rounded down, at least one), one classifier for each C learns from the others, and the C with
the highest mean accuracy a class on those held out wins.  The caller then trains with it on all n
photos.  One photo a class leaves nothing to hold out: then C = 1.

So few photos held out cannot tell many C apart.  Of several that are best the middle one wins, the
lower of two.  Measured on Flowers-17 and the amazon photos of Office-Caltech-10 (SqueezeNet; 2, 6,
12 and 20 photos a class, three classifiers, five splits each, 24 cases): tested, it is 0.9 points
better on average than the smallest, from 0.7 worse to 2.6 better, and never far behind the largest
but for two photos a class.  C = 1 for all would often have been better still; the paper chooses.

The grid is 0.001, 0.01, ..., 100, for features with a mean length of 1.  Measured on Flowers-17
(30 photos a class, three splits) the SVM is best at 1 and flat above, the logistic regression best
from 10 on, and both a point or more worse at the lower end.  At 1000 LIBLINEAR stops short of its
minimum, so the grid ends before (``classifiers``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.transfer.classifiers import converged, scale_of
from decaf.transfer.measures import mean_class_accuracy

GRID: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)
WITHOUT_CHOICE = 1.0


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why.

    Attributes
    ----------
    C : float
    accuracies : dict of float to float
        C -> mean accuracy a class on the photos held out; empty if none were.
    not_converged : tuple of float
        The C for which the solver gave up.
    """

    C: float
    accuracies: dict[float, float]
    not_converged: tuple[float, ...] = ()


def held_out(per_class: int) -> int:
    """Return how many of so many photos a class are held out.

    >>> [held_out(n) for n in (1, 2, 5, 10, 20, 30)]
    [0, 1, 1, 1, 3, 5]
    """
    return max(1, per_class // 6) if per_class > 1 else 0


def learn_and_check(
    train: NDArray[np.intp],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Divide photos (K, n) into those to learn from, and the last ones of each class, held out."""
    last = train.shape[1] - held_out(train.shape[1])
    return train[:, :last], train[:, last:]


def choose_c(
    make: Callable[[float], Any],
    features: NDArray[np.float64],
    numbers: NDArray[np.intp],
    train: NDArray[np.intp],
    *,
    standardise: bool = False,
    grid: Sequence[float] = GRID,
) -> Choice:
    """Choose the C of a classifier.

    Parameters
    ----------
    make : callable
        C -> a classifier of scikit-learn, not yet fitted.
    features : ndarray
        (N, D) float64, as they came; the photos that are learned from decide the scale.
    numbers : ndarray
        (N,) intp, the class of each.
    train : ndarray
        (K, n) intp, rows of the features to learn from, a class a row; of each class the last
        ones are held out.
    standardise : bool
        As for :func:`decaf.transfer.classifiers.scale_of`.
    grid : sequence of float
        The C to try.

    Returns
    -------
    Choice
    """
    if held_out(train.shape[1]) == 0:
        return Choice(WITHOUT_CHOICE, {})
    learn, check = (part.ravel() for part in learn_and_check(train))
    known = features[learn]
    scale = scale_of(known, standardise=standardise)
    known, asked = scale(known), scale(features[check])
    accuracies, not_converged = {}, []
    for C in sorted(grid):
        model = make(C).fit(known, numbers[learn])
        accuracies[C] = mean_class_accuracy(numbers[check], model.predict(asked), len(train))
        if not converged(model):
            not_converged.append(C)
    highest = max(accuracies.values())
    equal = [C for C, accuracy in accuracies.items() if accuracy == highest]  # in rising order
    return Choice(equal[(len(equal) - 1) // 2], accuracies, tuple(not_converged))
