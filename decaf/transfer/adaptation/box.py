"""A quadratic function over a box, the dual of a linear SVM without a free offset.

min ½ a'Q a - m'a,  0 ≤ a ≤ C
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from decaf.errors import FeaturesError
from decaf.transfer.adaptation.domains import Matrix

MOST_SWEEPS = 10_000
RIDGE = 1e-12  # of the mean diagonal: faces of the box on which Q is singular


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
    """Return the step to the minimum; changes the diagonal of Q."""
    diagonal = Q.diagonal().copy()
    ridge = RIDGE * diagonal.mean()
    while True:
        np.fill_diagonal(Q, diagonal + ridge)
        try:
            return -np.asarray(cho_solve(cho_factor(Q), gradient))
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
