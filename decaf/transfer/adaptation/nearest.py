"""The label of the nearest photo: the classifier that has nothing to tune.

    ŷ(x) = y_i,  i = argmin_i |x - x_i|²

Gong et al. 2012 and many after them compare adaptations by it.  Of photos equally near the first
one counts, so that the answer does not depend on how distances are computed in parallel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import pairwise_distances_argmin

from decaf.transfer.adaptation.domains import check_rows
from decaf.transfer.checks import check_features, check_labels


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
        """
        rows = check_rows(X, self.n_features_in_)
        nearest = np.asarray(pairwise_distances_argmin(rows, self.rows_))
        return np.asarray(self.classes_[self.numbers_[nearest]])
