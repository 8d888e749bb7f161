"""A linear map from target to source, learned with the SVM that uses it.

Hoffman, Rodner, Donahue, Saenko and Darrell 2013, "Efficient learning of domain-invariant image
representations" (max-margin domain transforms, MMDT).  With x̄ = (x, 1), a hyperplane θ_k for each
class, y_ik = 1 if photo i shows class k and else -1, and h(z) = max(0, 1 - z):

    J(W, Θ) = |W - I|² / 2 + Σ_k |θ_k|² / 2
              + C_source Σ_i Σ_k h(y_ik θ_k'x̄_i) + C_target Σ_j Σ_k h(y_jk θ_k'W x̄_j)

over photos i of the source and j of the target.  J is not convex in both, but in each, so W and Θ
are found in turns, from W = I:

- Θ for fixed W: a linear SVM for each class, on x̄_i of the source and W x̄_j of the target.
- W for fixed Θ: with V = W - I, θ_k'W x̄_j = θ_k'x̄_j + <V, θ_k x̄_j'>: one linear SVM again, on the
  matrices θ_k x̄_j', with margins of 1 - y_jk θ_k'x̄_j instead of 1.

Neither has a free offset, so both have the same dual, a quadratic function on a box,

    min ½ a'Q a - m'a,  0 ≤ a ≤ C,     Q = (y_i y_j <φ_i, φ_j>)

with the inner products (θ_k'θ_l)(x̄_i'x̄_j) for the second: matrices of (D + 1)² numbers are never
multiplied, and V = Σ a_jk y_jk θ_k x̄_j' has at most as many ranks as there are labelled photos.
Both are solved until primal and dual differ by no more than `tolerance` of their value, so J
cannot rise.  New photos of the target are labelled by argmax_k θ_k'W x̄.

The released program of the authors pulls W to I, too, does two turns, with C_source = 0.05 and
C_target = 1, the defaults here, on features standardised and reduced to 20 principal components.
It differs in that it solves the second problem roughly, with a weight of its own.

Cost: a turn O(K n³) at worst for n photos in all, and O((m K)³) for m labelled ones of the target;
several matrices of n² and (m K)² numbers, so neither n nor m K may be more than 10,000.  BLAS runs
on one thread meanwhile, so that the same features give the same bits everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from decaf.blas import one_thread
from decaf.checks import check_positive
from decaf.errors import FeaturesError
from decaf.net import at_least_one
from decaf.transfer.adaptation.box import box_minimum
from decaf.transfer.adaptation.domains import (
    Matrix,
    check_both_labels,
    check_pair,
    check_rows,
)

MOST_UNKNOWNS = 10_000  # of one problem: three matrices of 0.8 GB


class MaxMarginTransform(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Max-margin domain transform: one-vs-all linear SVMs, and a map from target to source.

    Parameters
    ----------
    C_source, C_target : float
        What a photo on the wrong side costs; larger is stricter.
    iterations : int
        Turns; each finds Θ, then W.
    tolerance : float
        Largest relative gap between primal and dual of each problem.

    Attributes
    ----------
    classes_ : ndarray
        (K,) in sorted order.
    hyperplanes_ : ndarray
        (K, D + 1) float64: Θ, the offset last.
    transform_ : ndarray
        (D + 1, D + 1) float64: W.
    objective_ : list of float
        J after each step: Θ, W, Θ, W, ...
    """

    def __init__(
        self,
        C_source: float = 0.05,
        C_target: float = 1.0,
        iterations: int = 2,
        tolerance: float = 1e-6,
    ) -> None:
        self.C_source = C_source
        self.C_target = C_target
        self.iterations = iterations
        self.tolerance = tolerance

    def fit(self, Xs: ArrayLike, ys: Any, Xt: ArrayLike, yt: Any) -> MaxMarginTransform:
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
            As `check_features` and `check_both_labels`; if the widths differ; if a number that must
            be above 0 is not; if a problem is too large, or too badly scaled to be solved.
        """
        for name in ("C_source", "C_target", "tolerance"):
            check_positive(name, getattr(self, name))
        at_least_one("iterations", self.iterations)
        source, target = (_with_one(rows) for rows in check_pair(Xs, Xt))
        N, M = len(source), len(target)
        labels = np.concatenate(check_both_labels(ys, yt, N, M))
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        check_size(len(self.classes_), N, M)
        with one_thread():
            self._alternate(source, target, numbers)
        self.n_features_in_ = source.shape[1] - 1
        return self

    def _alternate(self, source: Matrix, target: Matrix, numbers: NDArray[np.intp]) -> None:
        """Find Θ and W in turns."""
        K, N, M = len(self.classes_), len(source), len(target)
        signs = np.where(numbers[:, None] == np.arange(K), 1.0, -1.0)  # N+M,K
        costs = np.repeat([self.C_source, self.C_target], [N, M])
        moved, V = target, np.zeros((source.shape[1],) * 2)
        planes_dual, map_dual = np.zeros((K, N + M)), np.zeros(M * K)
        self.objective_: list[float] = []
        for _ in range(self.iterations):
            rows = np.concatenate([source, moved])
            products = rows @ rows.T
            for k in range(K):
                planes_dual[k] = box_minimum(
                    _signed(products.copy(), signs[:, k]),
                    np.ones(N + M),
                    costs,
                    planes_dual[k],
                    self.tolerance,
                )
            planes = (planes_dual * signs.T) @ rows  # K,D+1
            self.objective_.append(_objective(planes, V, rows, signs, costs))

            y = signs[N:].ravel()  # M*K
            map_dual = box_minimum(
                _signed(np.kron(target @ target.T, planes @ planes.T), y),
                1 - y * (target @ planes.T).ravel(),
                np.full(M * K, self.C_target),
                map_dual,
                self.tolerance,
            )
            V = planes.T @ (map_dual * y).reshape(M, K).T @ target
            moved = target + target @ V.T
            rows = np.concatenate([source, moved])
            self.objective_.append(_objective(planes, V, rows, signs, costs))
        self.hyperplanes_, self.transform_ = planes, V + np.eye(len(V))

    def decision_function(self, X: ArrayLike) -> Matrix:
        """Return the scores θ_k'W x̄ of (M, D) photos of the target, as (M, K).

        Raises
        ------
        FeaturesError
            As `check_rows`.
        NotFittedError
            Before `fit`.
        """
        check_is_fitted(self, "n_features_in_")
        rows = _with_one(check_rows(X, self.n_features_in_))
        with one_thread():
            return np.asarray(rows @ (self.hyperplanes_ @ self.transform_).T)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the labels of (M, D) photos of the target, as (M,).

        Raises
        ------
        FeaturesError
            As `check_rows`.
        NotFittedError
            Before `fit`.
        """
        scores = self.decision_function(X)
        return np.asarray(self.classes_[scores.argmax(axis=1)])


def check_size(classes: int, source: int, target: int) -> None:
    """Refuse what would take too much memory, before any of it is taken.

    Parameters
    ----------
    classes, source, target : int
        K, and the photos of the source and of the target that are learned from.

    Raises
    ------
    FeaturesError
        If one of the two problems has more than `MOST_UNKNOWNS` unknowns.
    """
    for what, count in (
        ("photos of both domains", source + target),
        ("photos of the target times classes", target * classes),
    ):
        if count > MOST_UNKNOWNS:
            raise FeaturesError(
                f"the max-margin transform must fit into memory; expected at most "
                f"{MOST_UNKNOWNS:,} {what}, got {count:,}"
            )


def _signed(Q: Matrix, signs: Matrix) -> Matrix:
    """Multiply rows and columns by signs, in place: Q may be most of the memory."""
    Q *= signs
    Q *= signs[:, None]
    return Q


def _with_one(rows: Matrix) -> Matrix:
    return np.concatenate([rows, np.ones((len(rows), 1))], axis=1)


def _objective(planes: Matrix, V: Matrix, rows: Matrix, signs: Matrix, costs: Matrix) -> float:
    """Return J; `rows` are those of the source and those of the target after W."""
    losses = np.maximum(0, 1 - signs * (rows @ planes.T)).sum(axis=1)
    return float(((V**2).sum() + (planes**2).sum()) / 2 + costs @ losses)
