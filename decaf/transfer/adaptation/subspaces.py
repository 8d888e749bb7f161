"""The subspaces of two domains, and how many dimensions they should have.

Principal components of centred features X are the eigenvectors of X'X, or right singular vectors of
X, whichever is quicker.  Signs here do not depend on the library: the entry of a direction with the
largest magnitude is positive.  A direction in which photos deviate less than a millionth as much as
in the first is none: features come from networks that compute with seven digits, and it would be
their rounding errors, others on every machine.

How many of them: Gong et al. 2012 take the fewest at which a direction of each domain
is orthogonal to what both domains have in common (subspace disagreement measure),

    D(d) = (sin α_d + sin β_d) / 2,   d* = min {d : D(d) = 1}

with α_d and β_d the largest principal angles between d principal components of the source, or the
target, and d of both together.  Fewer would lose what could be told apart, more would carry over
what one domain has alone.  Measured angles are never quite right ones: a mean sine of 0.99, 82
degrees, counts as 1.  d* is at most D / 2, as in the paper, and the directions of either domain.

Cost: principal components O(min(N, D)² max(N, D)), d* another O(d*⁴).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from decaf.checks import check_features
from decaf.errors import FeaturesError
from decaf.net import at_least_one
from decaf.transfer.adaptation.domains import Matrix, check_pair

ORTHOGONAL = 0.99  # mean sine of angles that count as right ones
NEGLIGIBLE = 1e-6  # deviation, as a share of the largest one


def principal_components(rows: ArrayLike, dimensions: int | None = None) -> Matrix:
    """Directions in which photos differ most.

    Parameters
    ----------
    rows : array_like
        (N, D); their mean is subtracted.
    dimensions : int, optional
        How many; left out, all there are.

    Returns
    -------
    ndarray
        (D, d) float64, orthonormal columns, the largest variance first; the entry of a column
        with the largest magnitude is positive.

    Raises
    ------
    FeaturesError
        As `check_features`, or for more than there are: min(N - 1, D) at most, fewer if the
        photos lie in fewer dimensions.
    ShapeError
        If `dimensions` is not at least 1.
    """
    matrix = check_features(rows)
    wanted = check_dimensions(dimensions, matrix.shape)
    centred = matrix - matrix.mean(axis=0)
    if len(centred) > centred.shape[1]:
        squares, vectors = np.linalg.eigh(centred.T @ centred)
        deviations, found = np.sqrt(np.maximum(squares[::-1], 0)), vectors[:, ::-1]
    else:
        _, deviations, transposed = np.linalg.svd(centred, full_matrices=False)
        found = transposed.T
    rank = int((deviations[:wanted] >= NEGLIGIBLE * deviations[0]).sum())
    if dimensions is not None and dimensions > rank:
        raise FeaturesError(
            f"dimensions must be no more than the photos have; expected at most {rank:,}, beyond "
            f"which is only rounding, got {dimensions:,}"
        )
    found = found[:, :rank]
    largest = np.take_along_axis(found, np.abs(found).argmax(axis=0)[None], axis=0)  # 1,d
    return np.ascontiguousarray(found * np.where(largest < 0, -1.0, 1.0))


def check_dimensions(dimensions: int | None, shape: tuple[int, ...]) -> int:
    """Return how many principal components of (N, D) features are wanted; None for all.

    Raises
    ------
    FeaturesError
        For more than min(N - 1, D).
    ShapeError
        If it is not at least 1.
    """
    most = min(shape[0] - 1, shape[1])
    if most < 1:
        raise FeaturesError(
            "principal components must be of several photos; expected at least 2, got 1"
        )
    if dimensions is None:
        return most
    at_least_one("dimensions", dimensions)
    if dimensions > most:
        raise FeaturesError(
            f"dimensions must be fewer than photos, and no more than features; expected at most "
            f"{most:,}, got {dimensions:,}"
        )
    return dimensions


def subspace_dimensions(source: ArrayLike, target: ArrayLike) -> int:
    """Return d*, by the subspace disagreement measure.

    Parameters
    ----------
    source, target : array_like
        (N, D) and (M, D) features.

    Returns
    -------
    int
        At most half of D, and the number of principal components of either domain.

    Raises
    ------
    FeaturesError
        As `check_features`, or if the widths differ, or a domain has a single photo.
    """
    one, other = check_pair(source, target)
    return disagreement(
        principal_components(one),
        principal_components(other),
        principal_components(np.concatenate([one, other])),
    )


def disagreement(source: Matrix, target: Matrix, both: Matrix) -> int:
    """Return d* for all principal components of the source, the target, and both together."""
    widths = [int(basis.shape[1]) for basis in (source, target, both)]
    most = max(1, min(*widths, len(both) // 2))
    products = [basis[:, :most].T @ both[:, :most] for basis in (source, target)]
    for d in range(1, most):
        cosines = [np.linalg.svd(product[:d, :d], compute_uv=False)[-1] for product in products]
        if np.sqrt(1 - np.minimum(cosines, 1.0) ** 2).mean() >= ORTHOGONAL:
            return d
    return most
