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

Cost: a turn O(K n³) at worst for n photos in all, and O((m K)³) for m labelled ones of the target.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from sklearn.base import BaseEstimator, ClassifierMixin

from decaf.errors import FeaturesError
from decaf.net import at_least_one
from decaf.transfer.adaptation.domains import Matrix, check_pair, check_rows
from decaf.transfer.checks import check_labels

MOST_SWEEPS = 10_000
RIDGE = 1e-12  # of the mean diagonal: faces of the box on which Q is singular


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
            As `check_features` and `check_labels`; if the widths differ; if a number that must be
            above 0 is not; if a problem is too badly scaled to be solved.
        """
        for name in ("C_source", "C_target", "tolerance"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise FeaturesError(f"{name} must be a number; expected more than 0, got {value}")
        at_least_one("iterations", self.iterations)
        source, target = (_with_one(rows) for rows in check_pair(Xs, Xt))
        labels = np.concatenate([np.asarray(ys), np.asarray(yt)])
        self.classes_, numbers = check_labels(labels, len(source) + len(target))
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
                    products * np.outer(signs[:, k], signs[:, k]),
                    np.ones(N + M),
                    costs,
                    planes_dual[k],
                    self.tolerance,
                )
            planes = (planes_dual * signs.T) @ rows  # K,D+1
            self.objective_.append(_objective(planes, V, rows, signs, costs))

            y = signs[N:].ravel()  # M*K
            map_dual = box_minimum(
                np.kron(target @ target.T, planes @ planes.T) * np.outer(y, y),
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
        self.n_features_in_ = len(V) - 1
        return self

    def decision_function(self, X: ArrayLike) -> Matrix:
        """Return the scores θ_k'W x̄ of (M, D) photos of the target, as (M, K).

        Raises
        ------
        FeaturesError
            As `check_rows`.
        """
        rows = _with_one(check_rows(X, self.n_features_in_))
        return np.asarray(rows @ (self.hyperplanes_ @ self.transform_).T)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the labels of (M, D) photos of the target, as (M,).

        Raises
        ------
        FeaturesError
            As `check_rows`.
        """
        return np.asarray(self.classes_[self.decision_function(X).argmax(axis=1)])


def _with_one(rows: Matrix) -> Matrix:
    return np.concatenate([rows, np.ones((len(rows), 1))], axis=1)


def _objective(planes: Matrix, V: Matrix, rows: Matrix, signs: Matrix, costs: Matrix) -> float:
    """Return J; `rows` are those of the source and those of the target after W."""
    losses = np.maximum(0, 1 - signs * (rows @ planes.T)).sum(axis=1)
    return float(((V**2).sum() + (planes**2).sum()) / 2 + costs @ losses)


def box_minimum(Q: Matrix, m: Matrix, C: Matrix, start: Matrix, tolerance: float) -> Matrix:
    """Minimise ½ a'Q a - m'a over 0 ≤ a ≤ C.

    Alternates a sweep that minimises over one variable after another (dual coordinate descent,
    Hsieh et al. 2008), which finds out who is at the edge of the box, with a Newton step for all
    others at once (as Moré and Toraldo 1991 do after gradient steps), which ends it.

    Parameters
    ----------
    Q : ndarray
        (n, n) symmetric, positive semidefinite.
    m, C : ndarray
        (n,); C above 0.
    start : ndarray
        (n,) inside of the box.
    tolerance : float
        Stops when the duality gap is at most this share of the primal value, or of 1.

    Returns
    -------
    ndarray
        (n,) float64.

    Raises
    ------
    FeaturesError
        If it is not reached, which takes features so large that rounding errors rule.
    """
    a = start.copy()
    gradient = Q @ a - m
    diagonal = np.diag(Q).copy()
    for _ in range(MOST_SWEEPS):
        gap = gradient @ a + C @ np.maximum(0, -gradient)
        value = float(a @ gradient + a @ m) / 2 + float(C @ np.maximum(0, -gradient))  # primal
        if gap <= tolerance * max(1.0, value):
            return a
        _sweep(Q, C, diagonal, a, gradient)
        free = np.flatnonzero((a > 0) & (a < C))
        if len(free):
            step = np.zeros_like(a)
            step[free] = _newton(Q[np.ix_(free, free)], gradient[free])
            a = _along(Q, C, a, gradient, step)
        gradient = Q @ a - m
    raise FeaturesError(
        f"the max-margin transform must reach its minimum; expected within {MOST_SWEEPS:,} sweeps, "
        f"got a gap of {gap:.1e}: scale the features to a length of about 1"
    )


def _sweep(Q: Matrix, C: Matrix, diagonal: Matrix, a: Matrix, gradient: Matrix) -> None:
    """Minimise over each variable in turn; changes `a` and its gradient."""
    for i in range(len(a)):
        if diagonal[i] > 0:
            new = min(max(a[i] - gradient[i] / diagonal[i], 0.0), C[i])
        else:
            new = C[i] if gradient[i] < 0 else 0.0
        if new != a[i]:
            gradient += (new - a[i]) * Q[i]
            a[i] = new


def _newton(Q: Matrix, gradient: Matrix) -> Matrix:
    ridge = RIDGE * np.trace(Q) / len(Q)
    while True:
        try:
            return -np.asarray(cho_solve(cho_factor(Q + ridge * np.eye(len(Q))), gradient))
        except LinAlgError:
            ridge *= 100


def _along(Q: Matrix, C: Matrix, a: Matrix, gradient: Matrix, step: Matrix) -> Matrix:
    """Go the whole step, cut off at the box, if that leads down; else to the edge of the box."""
    whole = np.clip(a + step, 0, C)
    change = whole - a
    if gradient @ change + change @ Q @ change / 2 < 0:
        return whole
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(step > 0, (C - a) / step, np.where(step < 0, -a / step, np.inf))
    return np.asarray(np.clip(a + min(1.0, float(room.min())) * step, 0, C))
