"""Two domains: made comparable, checked, and drawn from.

    L1:            out[n] = rows[n] / Σ_d |rows[n, d]|
    standardised:  out[n, d] = (rows[n, d] - mean_d) / deviation_d

Standardised are the photos of one domain as a whole, by their own mean and deviation, without
labels: what all photos of a domain share, such as its light, goes, and what is left is how photos
differ within it.  Gong et al. 2012 do both to bags of visual words (L1 makes counts
into frequencies), and figures published for these data sets were measured so.  The deviation is
that of a population, divided by N.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from decaf.checks import as_labels, check_features, check_labels, check_seed
from decaf.errors import FeaturesError
from decaf.net import at_least_one

Matrix = NDArray[np.float64]
Numbers = NDArray[np.intp]

SOURCE, TARGET = "labels of the source", "labels of the target"  # what errors call them


def l1_normalised(rows: ArrayLike) -> Matrix:
    """Divide each row by the sum of its magnitudes.

    Parameters
    ----------
    rows : array_like
        (N, D).

    Returns
    -------
    ndarray
        (N, D) float64; rows of zeros stay zeros.

    Raises
    ------
    FeaturesError
        As `check_features`.
    """
    matrix = check_features(rows)
    total = np.abs(matrix).sum(axis=1, keepdims=True)
    return matrix / np.where(total > 0, total, 1.0)


def standardised(rows: ArrayLike) -> Matrix:
    """Give every feature mean 0 and variance 1 over the photos of a domain.

    Parameters
    ----------
    rows : array_like
        (N, D), all photos of one domain.

    Returns
    -------
    ndarray
        (N, D) float64; a feature that is the same for all photos becomes 0.

    Raises
    ------
    FeaturesError
        As `check_features`.
    """
    matrix = check_features(rows)
    same = (matrix == matrix[0]).all(axis=0)  # whose deviation may come out as 1e-17, and not 0
    deviation = np.where(same, 1.0, matrix.std(axis=0))
    return np.where(same, 0.0, matrix - matrix.mean(axis=0)) / np.where(deviation, deviation, 1.0)


class MeanLength(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Divide features by one number, the mean length of those that it learned from.

    Attributes
    ----------
    length_ : float
        That number; 1 if all rows are zero.
    """

    def fit(self, X: Matrix, y: object = None) -> MeanLength:
        """Measure (N, D) features."""
        largest = np.abs(X).max()  # first, lest squares overflow or vanish
        self.length_ = float(largest * np.linalg.norm(X / (largest or 1.0), axis=1).mean()) or 1.0
        return self

    def transform(self, X: Matrix) -> Matrix:
        """Return (N, D) features divided by `length_`."""
        return X / self.length_


@dataclass(frozen=True)
class Draw:
    """Photos of two domains, as rows of their features.

    Attributes
    ----------
    source : ndarray
        (K * n,) intp: n labelled photos of each class of the source, class after class.
    labelled : ndarray
        (K * m,) intp: m labelled photos of each class of the target.
    tested : ndarray
        (M,) intp: all other photos of the target, in order.
    """

    source: Numbers
    labelled: Numbers
    tested: Numbers


def draw_domains(
    source_labels: ArrayLike,
    target_labels: ArrayLike,
    per_class: int,
    target_per_class: int = 3,
    splits: int = 5,
    *,
    seed: int = 0,
) -> list[Draw]:
    """Draw photos to learn from.

    Every class of either domain is shuffled by itself, by a generator of its own for each split:
    split i is the same whatever `splits` is, and the photos of a smaller draw are among those of
    a larger one.

    Parameters
    ----------
    source_labels, target_labels : array_like
        (N,) and (M,), of strings or whole numbers; the same classes.
    per_class : int
        How many photos of each class of the source to learn from; it may be all of them.
    target_per_class : int
        How many of the target; 0 for none, every photo of the target is then tested.
    splits : int
        How often to draw.
    seed : int
        Of the random numbers, at least 0.

    Returns
    -------
    list of Draw

    Raises
    ------
    FeaturesError
        If the classes differ, or one has too few photos: `per_class` in the source, and in the
        target one to be tested more than `target_per_class`; or if the seed is below 0.
    ShapeError
        If a number is not at least 1, `target_per_class` not at least 0.
    """
    at_least_one("per_class", per_class)
    at_least_one("splits", splits)
    if target_per_class != 0:
        at_least_one("target_per_class", target_per_class)
    check_seed(seed)
    given = as_labels(source_labels, SOURCE), as_labels(target_labels, TARGET)
    both = check_both_labels(*given, len(given[0]), len(given[1]))
    classes = np.unique(both[0])
    same_classes(classes, np.unique(both[1]))
    members = [
        [np.flatnonzero(labels == name) for name in classes] for labels in both
    ]  # [domain][class]
    _enough("source", classes, members[0], per_class)
    _enough("target", classes, members[1], target_per_class + 1)
    found = []
    for split in range(splits):
        source, target = (
            [
                np.random.default_rng([seed, split, domain, number]).permutation(rows)
                for number, rows in enumerate(each)
            ]
            for domain, each in enumerate(members)
        )
        found.append(
            Draw(
                np.concatenate([rows[:per_class] for rows in source]),
                np.concatenate([rows[:target_per_class] for rows in target]),
                np.sort(np.concatenate([rows[target_per_class:] for rows in target])),
            )
        )
    return found


def same_classes(source: NDArray[Any], target: NDArray[Any]) -> None:
    """Refuse domains that do not show the same classes.

    Raises
    ------
    FeaturesError
        Which names the first that one of them lacks.
    """
    if source.tolist() != target.tolist():
        missing = {"target": set(source.tolist()) - set(target.tolist())}
        missing["source"] = set(target.tolist()) - set(source.tolist())
        text = "; ".join(
            f"the {name} has no {min(lacks, key=str)!r}" for name, lacks in missing.items() if lacks
        )
        raise FeaturesError(
            f"both domains must show the same classes; expected {len(source):,} as in the source, "
            f"got {len(target):,} in the target: {text}"
        )


def check_pair(source: ArrayLike, target: ArrayLike) -> tuple[Matrix, Matrix]:
    """Return features of both domains, of the same width.

    Raises
    ------
    FeaturesError
        As `check_features`, or if they do not have the same number of features.
    """
    one = check_features(source, "features of the source")
    other = check_features(target, "features of the target")
    if one.shape[1] != other.shape[1]:
        raise FeaturesError(
            f"both domains must have the same features; expected D = {one.shape[1]:,} as in the "
            f"source, got {other.shape[1]:,} in the target"
        )
    return one, other


def check_both_labels(
    source: Any, target: Any, source_count: int, target_count: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return labels of both domains, (N,) and (M,), of the same dtype.

    The target may lack classes, and may even show a single one.

    Raises
    ------
    FeaturesError
        As `check_labels`, each domain by itself, but for a target of one class; or if one domain
        has text and the other numbers.
    """
    classes, numbers = check_labels(source, source_count, SOURCE)
    other = as_labels(target, TARGET)
    if other.shape != (target_count,):
        raise FeaturesError(
            f"{TARGET} must be one a photo; expected ({target_count},), got {other.shape}"
        )
    # By way of lists: side by side, NumPy makes text of numbers, and floats of long ones.
    both = as_labels([*classes[numbers].tolist(), *other.tolist()], "labels of both domains")
    return both[:source_count], both[source_count:]


def check_rows(rows: ArrayLike, width: int) -> Matrix:
    """Return features to be classified, which may be the same for all photos.

    Raises
    ------
    FeaturesError
        If they are no finite numbers, or not of the width that was learned.
    """
    matrix = check_features(rows, differ=False)
    if matrix.shape[1] != width:
        raise FeaturesError(
            f"features must be as wide as those that were learned from; expected (N, {width:,}), "
            f"got {matrix.shape}"
        )
    return matrix


def _enough(domain: str, classes: NDArray[Any], members: list[Numbers], least: int) -> None:
    short = [i for i, rows in enumerate(members) if len(rows) < least]
    if short:
        few = ", ".join(f"{classes[i]} ({len(members[i]):,})" for i in short[:5])
        more = f" and {len(short) - 5:,} more classes" if len(short) > 5 else ""
        raise FeaturesError(
            f"each class of the {domain} must have {least:,} photos or more; got {few}{more}"
        )
