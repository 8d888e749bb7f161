"""Features -> places in the plane: a sample of rows, PCA to 50 dimensions, t-SNE to 2.

So do van der Maaten & Hinton 2008, "Visualizing data using t-SNE", section 4.2; PCA leaves out
little but noise, and makes the distances cheap.  Both are scikit-learn's.
"""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray

from decaf.blas import one_thread
from decaf.errors import FeaturesError
from decaf.features.contents import Features

DIMENSIONS = 50  # after PCA
FEWEST = 4  # photos: with fewer there is nothing to see
SEEDS = 2**32  # so many there are for scikit-learn


def choose(count: int, sample: int, seed: int) -> NDArray[np.intp]:
    """Numbers of the rows to draw, rising: all of them, or a random sample without repetition."""
    for name, value, least in (("sample", sample, FEWEST), ("seed", seed, 0)):
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise FeaturesError(
                f"{name} must be a whole number; expected at least {least}, got {value!r}"
            )
    if seed >= SEEDS:
        raise FeaturesError(f"seed must be below 2**32; expected at most {SEEDS - 1}, got {seed}")
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
        If values are not finite, or all rows are the same.
    """
    import threadpoolctl
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if not np.isfinite(values).all():
        raise FeaturesError("features must be finite for t-SNE; got NaN or infinity")
    if (values == values[0]).all():
        raise FeaturesError("features must differ for t-SNE; got the same for every photo")
    rows = centred(values)
    # BLAS and OpenMP add what their threads found in other orders when these are more or fewer,
    # and t-SNE magnifies the last bit.  OpenMP's number is this thread's alone.
    with one_thread(), threadpoolctl.threadpool_limits(1, user_api="openmp"):
        small = PCA(min(DIMENSIONS, *rows.shape), random_state=seed).fit_transform(rows)
        places = TSNE(
            2, perplexity=perplexity, init="pca", random_state=seed, n_jobs=1
        ).fit_transform(small)
    if not np.isfinite(places).all():
        raise FeaturesError("t-SNE must find places for these features; got NaN or infinity")
    return np.asarray(places, np.float32)


def centred(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rows around 0 with a largest absolute value of 1, and at least two columns: (N, D) float64.

    t-SNE does not depend on where features lie nor on their unit, but scikit-learn squares them
    in float32: of 1e-30 and of 1e20 nothing would be left.
    """
    rows = values.astype(np.float64)
    rows -= rows.mean(axis=0)
    rows /= np.abs(rows).max()
    return np.pad(rows, ((0, 0), (0, max(0, 2 - rows.shape[1]))))  # it starts from two columns


def usable_perplexity(perplexity: float, count: int) -> float:
    """What was asked for, or a third of the points where that is less."""
    if not isinstance(perplexity, Real) or isinstance(perplexity, bool) or not perplexity >= 1:
        raise FeaturesError(f"perplexity must be a number of at least 1; got {perplexity!r}")
    return float(min(perplexity, (count - 1) / 3))
