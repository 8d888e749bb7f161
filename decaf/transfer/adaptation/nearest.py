"""The label of the nearest photo: the classifier that has nothing to tune.

    ŷ(x) = y_i,  i = argmin_i |x - x_i|²

Gong et al. 2012 and many after them compare adaptations by it.  Of photos equally near the first
one counts.

A matrix product says who may be the nearest, |x - x_i|² / 2 = |x_i|² / 2 - x'x_i + |x|² / 2, after
the mean of the photos is subtracted, lest small differences drown in what all have in common.  It
is off by no more than `product_error`; where that leaves several, their distances are computed as
they are defined.  So the answer depends neither on the threads of BLAS nor on who else is asked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from decaf.checks import check_features, check_labels
from decaf.transfer.adaptation.domains import Matrix, check_rows

PAIRS = 2**21  # of a photo and one that is asked, looked at together: 16 MiB


class NearestNeighbour(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """1-nearest-neighbour in Euclidean distance.

    Attributes
    ----------
    classes_ : ndarray
        (K,) in sorted order.
    """

    def fit(self, X: ArrayLike, y: Any) -> NearestNeighbour:
        """Remember photos.

        Parameters
        ----------
        X : array_like
            (N, D) features.
        y : array_like
            (N,) labels.

        Raises
        ------
        FeaturesError
            As `check_features` and `check_labels`.
        """
        self.rows_ = check_features(X)
        self.classes_, self.numbers_ = check_labels(y, len(self.rows_))
        self.n_features_in_ = self.rows_.shape[1]
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the label of the nearest for each of (M, D) features, as (M,).

        Raises
        ------
        FeaturesError
            As `check_rows`.
        NotFittedError
            Before `fit`.
        """
        check_is_fitted(self, "n_features_in_")
        nearest = first_nearest(self.rows_, check_rows(X, self.n_features_in_))
        return np.asarray(self.classes_[self.numbers_[nearest]])


def first_nearest(rows: Matrix, asked: Matrix) -> NDArray[np.intp]:
    """Return, (M,), which of (N, D) rows is nearest to each of (M, D); of equally near the first.

    Distances are those of float64, of whatever magnitude.
    """
    # By a power of two, which rounds nothing: lest squares overflow or vanish.
    _, exponent = np.frexp(max(np.abs(rows).max(), np.abs(asked).max()))
    rows, asked = np.ldexp(rows, -exponent), np.ldexp(asked, -exponent)
    mean = rows.mean(axis=0)
    centred = rows - mean
    halves = np.square(centred).sum(axis=1) / 2  # N
    longest = np.sqrt(2 * halves.max())
    found = np.empty(len(asked), np.intp)
    step = max(1, PAIRS // len(rows))
    for start in range(0, len(asked), step):
        some = asked[start : start + step] - mean
        scores = halves - some @ centred.T  # m,N: half the squared distance, but for |x|² / 2
        margins = product_error(rows.shape[1], longest, np.linalg.norm(some, axis=1))  # m
        near = scores <= (scores.min(axis=1) + margins)[:, None]
        found[start : start + step] = near.argmax(axis=1)
        for i in np.flatnonzero(near.sum(axis=1) > 1):
            several = np.flatnonzero(near[i])
            distances = np.square(rows[several] - asked[start + i]).sum(axis=1)
            found[start + i] = several[distances.argmin()]
    return found


def product_error(width: int, longest: float, lengths: Matrix) -> Matrix:
    """Return by how much two scores of a photo may be off, at most, together.

    A sum of D products is off by D eps / 2 of the sum of their magnitudes (Higham 2002, section
    3.1), which Cauchy and Schwarz bound by the lengths; the rest is for the mean's subtraction.
    """
    error: Matrix = (width + 16) * np.finfo(np.float64).eps * (longest + lengths) ** 2
    return error
