"""Vectors to be compared: fewer numbers a photo, and none that rules the others.

    L2:         x <- x / |x|
    PCA:        x <- V' (x - mean)            V D,d: the d directions in which photos differ most
    whitening:  x[i] <- x[i] / s[i]^t         s[i]: deviation of direction i; t from 0 to 1
    L2:         x <- x / |x|
    power:      x[i] <- sign(x[i]) |x[i]|^p

What is common to all photos says nothing about which are alike: taking the mean away removes it.
Whitening goes on with this idea: features that occur together (in buildings, say) would otherwise
count many times over (Jegou and Chum, ECCV 2012).  Razavian et al. 2014, section 4, take d = 500,
t = 1 and p = 2: ``PAPER``.

What that does depends on what is looked for (figures: ``benchmarks/retrieval.py``).

- The same thing once more (Razavian's buildings; a crop of a photo in the benchmark): the rare
  directions tell photos apart, and whitening helps, t = 1/2 more than t = 1.  ``INSTANCES``.
- Things of the same kind (flowers of one species): the first directions, about as many as there
  are classes, separate the classes, and the others hold what differs within a class.  Whitening
  gives these hundreds the weight of the few, and ruins the search: ``CLASSES`` keeps the few, and
  whitens them a little.
- Both: t = 1/10 is about the most with which neither is worse than L2 alone.  The default.

t = 1 is at its worst for the photos it was learned from.  Where these are hardly more than d, it
makes all their distances alike: n photos fully whitened in n - 1 directions are exactly as far
from each other, whatever they show.  Learn from many times d photos before you ask for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from decaf import ops
from decaf.checks import check_features
from decaf.errors import FeaturesError
from decaf.net import at_least_one
from decaf.retrieval.nearest import UNIT
from decaf.vectors import l2_normalised, signed_power


class Options(TypedDict):
    """What a :class:`Whitening` is asked for."""

    dimensions: int
    whiten: float
    power: float


DIMENSIONS = 500
WHITEN = 0.1
POWER = 1.0
MOST_DIMENSIONS = 2**31 - 1  # that may be asked for

# Options by what is looked for; ``Whitening(**CLASSES)``.
DEFAULT: Options = {"dimensions": DIMENSIONS, "whiten": WHITEN, "power": POWER}
INSTANCES: Options = {"dimensions": 500, "whiten": 0.5, "power": 1.0}
CLASSES: Options = {"dimensions": 32, "whiten": 0.25, "power": 1.0}
PAPER: Options = {"dimensions": 500, "whiten": 1.0, "power": 2.0}  # Razavian et al. 2014


class Whitening:
    """Learn from photos how to compare photos; then transform any number of others.

    Parameters
    ----------
    dimensions : int
        d, numbers a vector; fewer where the photos learned from differ in fewer directions.
    whiten : float
        t, from 0 (PCA alone: distances hardly change) to 1 (all directions count the same).
    power : float
        p, above 0; 1 leaves everything as it is.

    Attributes
    ----------
    mean : ndarray
        (D,) float32, of the photos learned from, once their rows had length 1.
    matrix : ndarray
        (d, D) float32, PCA and whitening in one.

    Raises
    ------
    ShapeError
        If `dimensions` is below 1.
    FeaturesError
        If `dimensions` is above 2,147,483,647, or `whiten` or `power` out of its range.
    """

    mean: NDArray[np.float32]
    matrix: NDArray[np.float32]

    def __init__(
        self, dimensions: int = DIMENSIONS, *, whiten: float = WHITEN, power: float = POWER
    ) -> None:
        at_least_one("dimensions", dimensions)
        if dimensions > MOST_DIMENSIONS:
            raise FeaturesError(f"dimensions must be at most {MOST_DIMENSIONS:,}; got more")
        if not 0 <= whiten <= 1:
            raise FeaturesError(f"whiten must be a number; expected 0 to 1, got {whiten}")
        signed_power(np.zeros(1), power)  # says what is wrong with it
        self.dimensions, self.whiten, self.power = int(dimensions), float(whiten), float(power)

    def fit(self, rows: ArrayLike) -> Whitening:
        """Learn mean, directions and deviations; return self.

        Parameters
        ----------
        rows : array_like
            (n, D) features, finite, of at least two photos that differ.

        Raises
        ------
        FeaturesError
            If the rows cannot be used.
        """
        lengthless = l2_normalised(check_features(rows))
        mean = lengthless.mean(axis=0)
        variances, directions = _principal(lengthless - mean, self.dimensions)
        weights = variances ** (-self.whiten / 2)
        # Only relative weights count, for the result has length 1: keep them near 1.
        self.matrix = (directions * (weights / weights[0])[:, None]).astype(np.float32)
        self.mean = mean.astype(np.float32)
        return self

    def transform(self, rows: ArrayLike) -> NDArray[np.float32]:
        """Return the vectors of photos, to be indexed or searched for.

        Parameters
        ----------
        rows : array_like
            (..., D) features.

        Returns
        -------
        ndarray
            (..., d) float32; the bits of a row do not depend on the rows beside it.

        Raises
        ------
        FeaturesError
            If nothing was learned yet, or the rows have another D, or are not finite, or what
            was learned is beyond float32, as only a file can have it that decaf did not write.
        """
        if not hasattr(self, "matrix"):
            raise FeaturesError("whitening must learn before it transforms; call fit first")
        features = np.asarray(rows, np.float64)
        width = self.matrix.shape[1]
        if features.ndim == 0 or features.shape[-1] != width:
            raise FeaturesError(
                f"features must be as those learned from; expected (..., {width}), "
                f"got {features.shape}"
            )
        if not np.isfinite(features).all():
            raise FeaturesError("features must be finite; got NaN or infinity")
        linear = ops.function("linear", ops.available()[0])
        with np.errstate(over="ignore", invalid="ignore"):
            centred = (l2_normalised(features) - self.mean).astype(np.float32)  # ..., D
            turned: NDArray[np.float32] = linear(centred, self.matrix)  # ..., d
            if not np.isfinite(turned).all():
                raise FeaturesError("whitening must give finite vectors; got NaN or infinity")
            return np.ascontiguousarray(signed_power(l2_normalised(turned), self.power))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was learned and asked for: all that :meth:`from_arrays` needs."""
        if not hasattr(self, "matrix"):
            raise FeaturesError("whitening must learn before it is stored; call fit first")
        options = np.array([self.dimensions, self.whiten, self.power], np.float64)
        return {"mean": self.mean, "matrix": self.matrix, "options": options}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Whitening:
        """Make one again of what :meth:`to_arrays` returned.

        Raises
        ------
        FeaturesError
            If arrays lack, do not fit together or are not finite: the file is damaged.
        """
        wanted = {"mean": ("f4", 1), "matrix": ("f4", 2), "options": ("f8", 1)}
        for name, (kind, axes) in wanted.items():
            array = arrays.get(name)
            if array is None or array.dtype.str[1:] != kind or array.ndim != axes:
                got = None if array is None else f"{array.dtype} {array.shape}"
                raise FeaturesError(f"whitening: {name} must be {kind}, {axes} axes; got {got}")
            if not np.isfinite(array).all():
                raise FeaturesError(f"whitening: {name} must be finite; got NaN or infinity")
        mean, matrix, options = (arrays[name] for name in wanted)
        dimensions = float(options[0]) if options.shape == (3,) else 0.0
        fits = (
            matrix.shape[1] == mean.shape[0] > 0
            and 0 < len(matrix) <= dimensions <= MOST_DIMENSIONS
        )
        if not fits:
            raise FeaturesError(
                f"whitening: mean, matrix and options must fit together; got shapes {mean.shape}, "
                f"{matrix.shape}, {options.shape}"
            )
        found = cls(int(dimensions), whiten=float(options[1]), power=float(options[2]))
        found.mean = np.ascontiguousarray(mean, np.float32)
        found.matrix = np.ascontiguousarray(matrix, np.float32)
        return found


def _principal(
    centred: NDArray[np.float64], dimensions: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variances (d,), largest first, and directions (d, D) of rows (n, D) with mean 0.

    From the smaller of the matrices D,D and n,n: their eigenvalues other than 0 are the same.
    """
    n, width = centred.shape
    few = n < width
    products = (centred @ centred.T if few else centred.T @ centred) / n
    most = min(dimensions, n - 1, width)
    if most < 1:
        raise FeaturesError(f"whitening must learn from several photos; expected 2, got {n}")
    size = len(products)
    values, vectors = scipy.linalg.eigh(products, subset_by_index=(size - most, size - 1))
    values, vectors = values[::-1], vectors[:, ::-1]
    # What is below this is rounding, of float64 here or of float32 features: nothing to divide by.
    rounding = max(values[0] * max(n, width) * np.finfo(np.float64).eps, UNIT**2)
    kept = values > rounding
    if not kept.any():
        raise FeaturesError(
            f"whitening must learn from photos that differ; got the same direction of all {n:,} "
            "rows of features"
        )
    values, vectors = values[kept], vectors[:, kept]
    directions = vectors.T @ centred if few else vectors.T.copy()
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    largest = np.abs(directions).argmax(axis=1)
    directions *= np.sign(directions[np.arange(len(directions)), largest])[:, None]
    return values, directions
