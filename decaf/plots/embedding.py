"""Features -> places in the plane: a sample of rows, PCA to 50 dimensions, t-SNE to 2.

So do van der Maaten & Hinton 2008, "Visualizing data using t-SNE", section 4.2; PCA leaves out
little but noise, and makes the distances cheap.  Both are scikit-learn's.
"""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError
from decaf.features.contents import Features

DIMENSIONS = 50  # after PCA
FEWEST = 4  # photos: with fewer there is nothing to see


def choose(count: int, sample: int, seed: int) -> NDArray[np.intp]:
    """Numbers of the rows to draw, rising: all of them, or a random sample without repetition."""
    for name, value, least in (("sample", sample, FEWEST), ("seed", seed, 0)):
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise FeaturesError(
                f"{name} must be a whole number; expected at least {least}, got {value!r}"
            )
    if count < FEWEST:
        raise FeaturesError(f"t-SNE must have some photos; expected at least {FEWEST}, got {count}")
    if count <= sample:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, sample, replace=False))


def rows_of(features: Features, layer: str, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Rows of a layer, (len(rows), D) float32, read block by block."""
    found = []
    start = 0
    for block in features.blocks(layer):
        first, last = np.searchsorted(rows, (start, start + len(block)))
        found.append(block[rows[first:last] - start])
        start += len(block)
    return np.concatenate(found)


def embed(values: NDArray[np.float32], perplexity: float, seed: int) -> NDArray[np.float32]:
    """Places in the plane, (N, 2) float32; the same for the same values, perplexity and seed.

    Parameters
    ----------
    values : ndarray, float32
        (N, D).
    perplexity : float
        About how many neighbours each point keeps near; below N.
    seed : int
        Of PCA's and t-SNE's random numbers.

    Raises
    ------
    FeaturesError
        If values are not finite or all rows are the same, or the perplexity is not positive.
    """
    import threadpoolctl
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if not np.isfinite(values).all():
        raise FeaturesError("features must be finite for t-SNE; got NaN or infinity")
    if (values == values[0]).all():
        raise FeaturesError("features must differ for t-SNE; got the same for every photo")
    small = PCA(min(DIMENSIONS, *values.shape), random_state=seed).fit_transform(values)
    # OpenMP adds what its threads found in any order, and t-SNE magnifies the last bit.
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):  # of this thread alone
        places = TSNE(
            2, perplexity=perplexity, init="pca", random_state=seed, n_jobs=1
        ).fit_transform(small)
    return np.asarray(places, np.float32)


def usable_perplexity(perplexity: float, count: int) -> float:
    """What was asked for, or a third of the points where that is less."""
    if not isinstance(perplexity, Real) or isinstance(perplexity, bool) or not perplexity > 0:
        raise FeaturesError(f"perplexity must be a number above 0; got {perplexity!r}")
    return min(float(perplexity), (count - 1) / 3)
