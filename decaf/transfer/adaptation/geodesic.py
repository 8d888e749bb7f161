"""From source to target over all subspaces between them: the geodesic flow kernel.

Gong, Shi, Sha and Grauman 2012, section 3.  Let the columns of P (source) and Q (target)
be orthonormal bases of d-dimensional subspaces, such as d principal components of each domain.
Principal vectors and angles come from one singular value decomposition:

    PᵀQ = U diag(cos θ) Vᵀ,   A = P U,   B = Q V,   R = B - A diag(cos θ)

A and B are the same subspaces in bases that belong together: a_i and b_i are θ_i apart, from 0 to
π/2, and orthogonal to all others.  R, the part of B that is outside of the source, has orthogonal
columns of length sin θ_i.  The shortest path between the subspaces turns each a_i into b_i,

    Φ(t) = A diag(cos tθ) + R diag(sin tθ / sin θ),   0 ≤ t ≤ 1

and the kernel is the inner product of two photos in all subspaces on the way:

    x' G z = ∫ (Φ(t)'x)'(Φ(t)'z) dt,   G = ∫ Φ(t) Φ(t)' dt = A Λ₁ A' + A Λ₂ R' + R Λ₂ A' + R Λ₃ R'
    Λ₁ = (1 + sin 2θ / 2θ) / 2,   Λ₂ = sin θ / 2θ,   Λ₃ = (1 - sin 2θ / 2θ) / (2 sin² θ)

This is the closed form of the paper but for R, which is there scaled to length 1 and taken from a
basis of the orthogonal complement, and for a common factor of 2.  Unscaled, nothing is divided by
sin θ: for θ = 0 the limits are 1, 1/2 and 1/3, R is 0, and it does not matter that b_i - a_i has no
direction then.  No basis of the complement is needed either, so any d up to D will do, not only d ≤
D/2 (beyond that, at least 2d - D of the angles are 0).  Where several angles are π/2, a_i and b_i
belong together in more than one way, and there is more than one shortest path; the decomposition
picks one.

G has rank 2d at most.  With Λ = L L' (2 × 2 a pair), F = [A R] L maps a photo to 2d numbers whose
inner products are those of the kernel, so that any classifier can use it: G = F F'.

Cost: O(D d²), besides the principal components.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from decaf.blas import one_thread
from decaf.checks import check_labels, real_numbers
from decaf.errors import FeaturesError
from decaf.net import at_least_one
from decaf.transfer.adaptation.domains import Matrix, check_pair, check_rows
from decaf.transfer.adaptation.nearest import NearestNeighbour
from decaf.transfer.adaptation.subspaces import disagreement, principal_components

ORTHONORMAL = 1e-6  # how far the inner products of a basis may be from 0 and 1


def geodesic(source_basis: ArrayLike, target_basis: ArrayLike, t: float) -> Matrix:
    """Return the subspace at a point of the shortest path from source to target.

    Parameters
    ----------
    source_basis, target_basis : array_like
        (D, d) with orthonormal columns.
    t : float
        From 0, the source, to 1, the target.

    Returns
    -------
    ndarray
        (D, d) float64, orthonormal columns: Φ(t).

    Raises
    ------
    FeaturesError
        If a basis is not orthonormal, or their shapes differ.
    """
    A, R, angles = _principal(source_basis, target_basis)
    # sin tθ / sin θ is t for θ = 0; where θ is nearly so, R is, too, and both sines are t apart.
    ratio = np.divide(
        np.sin(t * angles), np.sin(angles), out=np.full_like(angles, t), where=angles > 0
    )
    return A * np.cos(t * angles) + R * ratio


def geodesic_flow_map(source_basis: ArrayLike, target_basis: ArrayLike) -> Matrix:
    """Return F with F F' = G: ``features @ F`` have the inner products of the kernel.

    Parameters
    ----------
    source_basis, target_basis : array_like
        (D, d) with orthonormal columns.

    Returns
    -------
    ndarray
        (D, 2 d) float64.

    Raises
    ------
    FeaturesError
        If a basis is not orthonormal, or their shapes differ.
    """
    A, R, angles = _principal(source_basis, target_basis)
    safe = np.where(angles > 1e-5, angles, 1.0)
    turned = np.sinc(2 * angles / np.pi)  # sin 2θ / 2θ
    first = (1 + turned) / 2  # from 1 down to 1/2
    second = np.sinc(angles / np.pi) / 2
    third = np.where(angles > 1e-5, (1 - turned) / (2 * np.sin(safe) ** 2), 1 / 3)
    # Λ = L L' for each pair, L lower triangular; what is under the root is 1/12 or more.
    below = second / np.sqrt(first)
    return np.hstack([A * np.sqrt(first) + R * below, R * np.sqrt(third - below**2)])


def geodesic_flow_kernel(source_basis: ArrayLike, target_basis: ArrayLike) -> Matrix:
    """Return the kernel in closed form.

    Parameters
    ----------
    source_basis, target_basis : array_like
        (D, d) with orthonormal columns.

    Returns
    -------
    ndarray
        (D, D) float64, symmetric, positive semidefinite: G.

    Raises
    ------
    FeaturesError
        If a basis is not orthonormal, or their shapes differ.
    """
    F = geodesic_flow_map(source_basis, target_basis)
    return F @ F.T


def _principal(source: ArrayLike, target: ArrayLike) -> tuple[Matrix, Matrix, Matrix]:
    """Return A and R, (D, d), and the angles, (d,)."""
    P, Q = _orthonormal(source, "source"), _orthonormal(target, "target")
    if P.shape != Q.shape:
        raise FeaturesError(
            f"both subspaces must have the same dimensions; expected (D, d) = {P.shape} as of the "
            f"source, got {Q.shape}"
        )
    U, cosines, Vt = np.linalg.svd(P.T @ Q)
    A = P @ U
    R = Q @ Vt.T - A * cosines
    # By sine and cosine: the arc cosine alone loses half of the digits of a small angle.
    return A, R, np.arctan2(np.linalg.norm(R, axis=0), cosines)


def _orthonormal(basis: ArrayLike, domain: str) -> Matrix:
    found = real_numbers(basis, f"basis of the {domain}")
    if found.ndim != 2 or not 1 <= found.shape[1] <= found.shape[0]:
        raise FeaturesError(
            f"basis of the {domain} must be a matrix; expected (D, d) with d <= D, "
            f"got {found.shape}"
        )
    error = np.abs(found.T @ found - np.eye(found.shape[1])).max()
    if not error <= ORTHONORMAL:
        raise FeaturesError(
            f"basis of the {domain} must be orthonormal; expected inner products of 0 and 1, "
            f"got some {error:.1e} off"
        )
    return found


class GeodesicFlow(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of the source in the geometry of the geodesic flow kernel.

    Of the target only features are used, no labels; the more of its photos, the better.  BLAS runs
    on one thread meanwhile, so that the same features give the same bits everywhere.

    Parameters
    ----------
    dimensions : int, optional
        d; left out, that of the subspace disagreement measure.
    estimator : estimator, optional
        Is cloned and trained on mapped features; left out, 1-nearest-neighbour as in the paper.

    Attributes
    ----------
    dimensions_ : int
        d.
    map_ : ndarray
        (D, 2 d) float64, see `geodesic_flow_map`.
    estimator_ : estimator
        The clone.
    classes_ : ndarray
        (K,) in sorted order.
    """

    def __init__(self, dimensions: int | None = None, estimator: Any = None) -> None:
        self.dimensions = dimensions
        self.estimator = estimator

    def fit(self, Xs: ArrayLike, ys: Any, Xt: ArrayLike, yt: Any = None) -> GeodesicFlow:
        """Find the subspaces of both domains, and learn from the source.

        Parameters
        ----------
        Xs : array_like
            (N, D) features of the source.
        ys : array_like
            (N,) labels of the source.
        Xt : array_like
            (M, D) features of the target.
        yt : ignored
            Only there so that all adaptations are called in the same way.

        Raises
        ------
        FeaturesError
            As `check_features` and `check_labels`; if the widths differ; for too few photos, or
            more dimensions than either domain has.
        """
        source, target = check_pair(Xs, Xt)
        classes, numbers = check_labels(ys, len(source), "labels of the source")
        if self.dimensions is not None:
            at_least_one("dimensions", self.dimensions)
        with one_thread():
            P = principal_components(source, self.dimensions)
            Q = principal_components(target, self.dimensions)
            self.dimensions_ = self.dimensions or disagreement(
                P, Q, principal_components(np.concatenate([source, target]))
            )
            self.map_ = geodesic_flow_map(P[:, : self.dimensions_], Q[:, : self.dimensions_])
            estimator = NearestNeighbour() if self.estimator is None else clone(self.estimator)
            self.estimator_ = estimator.fit(source @ self.map_, classes[numbers])
        self.classes_ = self.estimator_.classes_
        self.n_features_in_ = source.shape[1]
        return self

    def transform(self, X: ArrayLike) -> Matrix:
        """Map (M, D) features of either domain to (M, 2 d), whose inner products are the kernel.

        Raises
        ------
        FeaturesError
            As `check_rows`.
        NotFittedError
            Before `fit`.
        """
        check_is_fitted(self, "n_features_in_")
        rows = check_rows(X, self.n_features_in_)
        with one_thread():
            return rows @ self.map_

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the labels of (M, D) photos, as (M,).

        Raises
        ------
        FeaturesError
            As `check_rows`.
        NotFittedError
            Before `fit`.
        """
        mapped = self.transform(X)
        with one_thread():
            return np.asarray(self.estimator_.predict(mapped))
