"""Whitening against scikit-learn's PCA, and what its definition says of its results."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from decaf.errors import FeaturesError, ShapeError
from decaf.retrieval.whitening import CLASSES, PAPER, Whitening


def photos(n: int, width: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    scales = np.geomspace(1, 0.01, width)
    return rng.standard_normal((n, width)) * scales @ rng.standard_normal((width, width)) + 1


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(("n", "width"), [(80, 12), (9, 30)])
@pytest.mark.parametrize("whiten", [0.0, 1.0])
@pytest.mark.parametrize("power", [1.0, 0.5, 2.0])
def test_agrees_with_scikit_learn(n, width, whiten, power) -> None:
    rows, others = photos(n, width), photos(20, width, 1)
    pca = PCA(6, whiten=whiten == 1, svd_solver="full").fit(unit(rows))
    wanted = unit(pca.transform(unit(others)))
    wanted = np.sign(wanted) * np.abs(wanted) ** power
    found = Whitening(6, whiten=whiten, power=power).fit(rows).transform(others)
    assert found.dtype == np.float32
    signs = np.sign((found * wanted).sum(axis=0))  # of a direction none is the right one
    np.testing.assert_allclose(found * signs, wanted, atol=1e-4)


def test_deviations_are_divided_by_as_much_as_was_asked() -> None:
    rows = photos(200, 8)
    plain = unit(rows) - unit(rows).mean(axis=0)
    for whiten in (0.0, 0.25, 1.0):
        model = Whitening(8, whiten=whiten).fit(rows)
        deviations = (plain @ model.matrix.T).std(axis=0)
        alone = (plain @ Whitening(8, whiten=0).fit(rows).matrix.T).std(axis=0)
        wanted = (alone / alone[0]) ** (1 - whiten)
        np.testing.assert_allclose(deviations / deviations[0], wanted, rtol=1e-3)


def test_the_distances_of_few_photos_fully_whitened_are_all_the_same() -> None:
    """The reason not to: with n - 1 directions nothing is left of which photos are alike."""
    rows = photos(12, 40)
    distances = pdist(Whitening(500, whiten=1).fit(rows).transform(rows))
    np.testing.assert_allclose(distances, distances[0], rtol=1e-3)


def test_a_row_has_the_same_bits_in_any_company_and_after_storing() -> None:
    rows = photos(100, 33).astype(np.float32)
    model = Whitening(17).fit(rows)
    whole = model.transform(rows)
    assert whole.shape == (100, 17)
    again = Whitening.from_arrays(model.to_arrays())
    assert (again.dimensions, again.whiten, again.power) == (17, model.whiten, model.power)
    for number in (0, 41, 99):
        assert again.transform(rows[number]).tobytes() == whole[number].tobytes()
    parts = model.transform(rows.reshape(20, 5, 33))
    assert parts.shape == (20, 5, 17)
    assert parts.tobytes() == whole.tobytes()
    assert Whitening(17).fit(rows).matrix.tobytes() == model.matrix.tobytes()


def test_fewer_directions_than_asked_for() -> None:
    rows = photos(7, 20)
    assert Whitening(500).fit(rows).transform(rows).shape == (7, 6)
    flat = photos(50, 2) @ np.eye(2, 9)  # two numbers that differ, seven that are 0
    assert len(Whitening(500).fit(flat).matrix) <= 2


def test_named_options() -> None:
    assert Whitening(**PAPER).power == 2
    assert Whitening(**CLASSES).dimensions == 32


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"dimensions": 0}, ShapeError, "dimensions"),
        ({"whiten": 1.5}, FeaturesError, "expected 0 to 1, got 1.5"),
        ({"whiten": float("nan")}, FeaturesError, "expected 0 to 1"),
        ({"power": 0.0}, FeaturesError, "power"),
    ],
)
def test_options_are_checked(options, error, says) -> None:
    with pytest.raises(error, match=says):
        Whitening(**options)


def test_features_are_checked() -> None:
    with pytest.raises(FeaturesError, match="differ"):
        Whitening().fit(np.ones((5, 3)))
    with pytest.raises(FeaturesError, match="same direction"):
        Whitening().fit(np.arange(1.0, 6.0)[:, None] * np.array([1.0, 2.0, 4.0]))
    with pytest.raises(FeaturesError, match="several photos"):
        Whitening().fit(np.ones((1, 3)))
    with pytest.raises(FeaturesError, match="finite"):
        Whitening().fit([[1.0, np.nan], [0.0, 1.0]])
    with pytest.raises(FeaturesError, match="fit first"):
        Whitening().transform(np.ones((2, 3)))
    with pytest.raises(FeaturesError, match="fit first"):
        Whitening().to_arrays()
    model = Whitening(2).fit(photos(9, 4))
    with pytest.raises(FeaturesError, match=r"expected \(\.\.\., 4\), got \(2, 3\)"):
        model.transform(np.ones((2, 3)))
    with pytest.raises(FeaturesError, match="finite"):
        model.transform(np.full(4, np.inf))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean", None),
        ("mean", np.zeros(3, np.float32)),
        ("mean", np.zeros(4, np.float64)),
        ("matrix", np.full((2, 4), np.nan, np.float32)),
        ("matrix", np.zeros((0, 4), np.float32)),
        ("options", np.array([1.0, 0.5, 1.0])),
        ("options", np.array([2.0, 7.0, 1.0])),
        ("options", np.array([2.0, 0.5])),
        ("options", np.array([2.0, 0.5, -1.0])),
        ("options", np.array([np.nan, 0.5, 1.0])),
    ],
)
def test_damaged_arrays_are_refused(name, value) -> None:
    arrays = Whitening(2).fit(photos(9, 4)).to_arrays()
    if value is None:
        del arrays[name]
    else:
        arrays[name] = value
    with pytest.raises(FeaturesError):
        Whitening.from_arrays(arrays)
