"""Which photos are learned from, and which are tested on: n random ones a class, several times.

    >>> import numpy as np
    >>> labels = np.repeat(["cat", "dog"], 5)
    >>> split = random_splits(labels, per_class=3, splits=2, seed=0)[1]
    >>> split.train.shape, split.test.shape          # 3 of each class in a row, the other 2 x 2
    ((2, 3), (4,))

Each class is shuffled by itself, by a generator of its own for each split, so that the n photos of
a smaller experiment are the first n of a larger one and both are tested on the same photos: a
learning curve then differs from one n to the next by what was learned, not by whom it was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf.checks import as_labels, check_labels, check_seed
from decaf.errors import FeaturesError
from decaf.net import at_least_one


@dataclass(frozen=True)
class Split:
    """Photos to learn from, and others to be tested on, as rows of the features.

    Attributes
    ----------
    train : ndarray
        (K, n) intp: n photos of each of K classes, in random order.
    test : ndarray
        (M,) intp: all others, or some, in order.
    """

    train: NDArray[np.intp]
    test: NDArray[np.intp]

    def first(self, count: int) -> NDArray[np.intp]:
        """Return `count` photos of each class to learn from, (K * count,), class after class."""
        return self.train[:, :count].ravel()


def random_splits(
    labels: ArrayLike | Sequence[Any],
    per_class: int,
    splits: int = 5,
    *,
    seed: int = 0,
    test_per_class: int | None = None,
) -> list[Split]:
    """Draw photos to learn from.

    Parameters
    ----------
    labels : array_like
        (N,) of strings or whole numbers.
    per_class : int
        How many photos of each class to learn from.
    splits : int
        How often to draw.
    seed : int
        Of the random numbers, at least 0; split i is the same whatever `splits` is.
    test_per_class : int, optional
        Test on at most so many of each class; by default on all that are left.

    Returns
    -------
    list of Split

    Raises
    ------
    FeaturesError
        If a class has too few photos: `per_class` to learn from and one to be tested on; if labels
        are no labels (see ``check_labels``), or the seed is no whole number of at least 0.
    ShapeError
        If a number is not at least 1.
    """
    numbers_of = {"per_class": per_class, "splits": splits, "test_per_class": test_per_class}
    for name, value in numbers_of.items():
        if value is not None:
            at_least_one(name, value)
    seed = check_seed(seed)
    given = as_labels(labels)
    classes, numbers = check_labels(given, len(given))
    members = [np.flatnonzero(numbers == number) for number in range(len(classes))]
    short = [number for number, rows in enumerate(members) if len(rows) <= per_class]
    if short:
        few = ", ".join(f"{classes[number]} ({len(members[number]):,})" for number in short[:5])
        more = f" and {len(short) - 5:,} more classes" if len(short) > 5 else ""
        raise FeaturesError(
            f"each class must have {per_class:,} photos to learn from and one to be tested on; "
            f"expected at least {per_class + 1:,}, got {few}{more}"
        )
    found = []
    for split in range(splits):
        shuffled = [
            np.random.default_rng([seed, split, number]).permutation(rows)
            for number, rows in enumerate(members)
        ]
        end = None if test_per_class is None else per_class + test_per_class
        test = np.concatenate([rows[per_class:end] for rows in shuffled])
        found.append(Split(np.stack([rows[:per_class] for rows in shuffled]), np.sort(test)))
    return found
