"""Every feature three times: in common, of the source alone, of the target alone (Daumé 2007).

    source:  Φ(x) = (x, x, 0)        target:  Φ(x) = (x, 0, x)

"Frustratingly easy domain adaptation", section 3.  Any classifier that learns on Φ finds by
itself which features mean the same in both domains.  A linear one learns w = (c, s, t): c + s
scores the source, c + t the target, and what keeps weights small keeps s and t small where c
will do.  In inner products: <Φ(x), Φ(z)> is 2 <x, z> within a domain and <x, z> across.  It needs
labels of the target, few.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from decaf.transfer.adaptation.domains import Matrix, check_both_labels, check_pair, check_rows


def augmented(rows: Matrix, domain: str) -> Matrix:
    """Return (N, 3 D) of (N, D) features of a domain, ``"source"`` or ``"target"``."""
    nothing = np.zeros_like(rows)
    parts = (rows, rows, nothing) if domain == "source" else (rows, nothing, rows)
    return np.concatenate(parts, axis=1)


class FeatureAugmentation(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Any classifier of scikit-learn, on augmented features of both domains.

    Parameters
    ----------
    estimator : estimator
        Is cloned, and the clone trained.

    Attributes
    ----------
    estimator_ : estimator
        The clone, which takes (N, 3 D).
    classes_ : ndarray
        (K,) in sorted order.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, Xs: ArrayLike, ys: Any, Xt: ArrayLike, yt: Any) -> FeatureAugmentation:
        """Learn from labelled photos of both domains.

        Parameters
        ----------
        Xs, Xt : array_like
            (N, D) and (M, D) features of the source and of the target.
        ys, yt : array_like
            (N,) and (M,) labels; the target may lack classes.

        Raises
        ------
        FeaturesError
            As `check_features` and `check_both_labels`, or if the widths differ.
        """
        source, target = check_pair(Xs, Xt)
        labels = np.concatenate(check_both_labels(ys, yt, len(source), len(target)))
        rows = np.concatenate([augmented(source, "source"), augmented(target, "target")])
        self.estimator_ = clone(self.estimator).fit(rows, labels)
        self.classes_ = self.estimator_.classes_
        self.n_features_in_ = source.shape[1]
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the labels of (M, D) photos of the target, as (M,).

        Raises
        ------
        FeaturesError
            As `check_rows`.
        NotFittedError
            Before `fit`.
        """
        check_is_fitted(self, "n_features_in_")
        rows = check_rows(X, self.n_features_in_)
        return np.asarray(self.estimator_.predict(augmented(rows, "target")))
