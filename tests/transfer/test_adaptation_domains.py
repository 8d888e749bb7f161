"""Draws of two domains, their features made comparable, and the simple classifiers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from decaf.errors import FeaturesError, ShapeError
from decaf.transfer.adaptation import (
    FeatureAugmentation,
    GeodesicFlow,
    MaxMarginTransform,
    NearestNeighbour,
    draw_domains,
    l1_normalised,
    nearest,
    standardised,
)

SOURCE = np.repeat(["cat", "dog", "owl"], [8, 9, 12])
TARGET = np.tile(["owl", "cat", "dog"], 5)


def test_l1_and_standardised_by_hand() -> None:
    np.testing.assert_array_equal(
        l1_normalised([[1, -3], [0, 0], [2, 2]])[:2], [[0.25, -0.75], [0, 0]]
    )
    found = standardised([[1, 7, 0.1], [3, 7, 0.1], [5, 7, 0.1]])
    np.testing.assert_allclose(found[:, 0], np.array([-1, 0, 1]) * np.sqrt(1.5))
    np.testing.assert_array_equal(found[:, 1:], 0)  # 0.1: a mean that rounding puts beside it


def test_a_draw_is_balanced_disjoint_and_whole() -> None:
    for draw in draw_domains(SOURCE, TARGET, 8, 3, splits=4):
        assert Counter(SOURCE[draw.source]) == {"cat": 8, "dog": 8, "owl": 8}
        assert Counter(TARGET[draw.labelled]) == {"cat": 3, "dog": 3, "owl": 3}
        assert len(set(draw.source)) == 24
        assert sorted([*draw.labelled, *draw.tested]) == list(range(15))
        assert list(draw.tested) == sorted(draw.tested)


def test_draws_differ_and_are_repeatable() -> None:
    first, second = draw_domains(SOURCE, TARGET, 3, 2, splits=2)
    again = draw_domains(SOURCE, TARGET, 3, 2, splits=1)[0]
    other = draw_domains(SOURCE, TARGET, 3, 2, splits=1, seed=1)[0]
    for name in ("source", "labelled", "tested"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert (getattr(first, name) != getattr(second, name)).any()
        assert (getattr(first, name) != getattr(other, name)).any()


def test_both_domains_are_drawn_from_independently() -> None:
    (draw,) = draw_domains(SOURCE, SOURCE, 5, 5, splits=1)
    assert set(draw.source) != set(draw.labelled)


def test_a_smaller_draw_is_part_of_a_larger_one() -> None:
    small, large = (draw_domains(SOURCE, TARGET, n, n, splits=1)[0] for n in (2, 4))
    assert set(small.source) < set(large.source)
    assert set(small.labelled) < set(large.labelled)


def test_without_labels_of_the_target_all_of_it_is_tested() -> None:
    (draw,) = draw_domains(SOURCE, TARGET, 8, 0, splits=1)
    assert len(draw.labelled) == 0
    np.testing.assert_array_equal(draw.tested, np.arange(15))


def test_too_few_photos_are_refused_with_their_class() -> None:
    with pytest.raises(FeaturesError, match=r"class of the source must have 9 .* got cat \(8\)$"):
        draw_domains(SOURCE, TARGET, 9)
    with pytest.raises(FeaturesError, match=r"of the target must have 6 .* got cat \(5\), dog"):
        draw_domains(SOURCE, TARGET, 2, 5)


def test_other_classes_are_refused() -> None:
    with pytest.raises(FeaturesError, match="same classes; expected 3 .* the target has no 'owl'"):
        draw_domains(SOURCE, TARGET[TARGET != "owl"], 2)
    with pytest.raises(FeaturesError, match="the source has no 'owl'"):
        draw_domains(SOURCE[SOURCE != "owl"], TARGET, 2)
    with pytest.raises(FeaturesError, match="must name classes to tell apart"):
        draw_domains(["cat"] * 9, TARGET, 2)


@pytest.mark.parametrize("numbers", [(0, 3, 1), (2, -1, 1), (2, 1.5, 1), (2, 3, 0)])
def test_numbers_that_are_none_are_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ShapeError, match="must be a whole number"):
        draw_domains(SOURCE, TARGET, *numbers)


# --- nearest neighbour ----------------------------------------------------------------------


def test_the_nearest_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    X, y, asked = rng.standard_normal((50, 4)), rng.integers(0, 5, 50), rng.standard_normal((90, 4))
    wanted = KNeighborsClassifier(1, algorithm="kd_tree").fit(X, y).predict(asked)
    np.testing.assert_array_equal(NearestNeighbour().fit(X, y).predict(asked), wanted)


def test_of_equally_near_photos_the_first_counts() -> None:
    X, y = [[0.0], [2.0], [2.0], [0.0]], ["a", "b", "c", "d"]
    said = NearestNeighbour().fit(X, y).predict([[1.0], [2.0], [-1.0]])
    assert said.tolist() == ["a", "b", "a"]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("asked", [1, 3, 200])  # sizes at which a product adds differently
def test_the_first_of_two_of_the_same_counts(threads: int, asked: int) -> None:
    rng = np.random.default_rng(1)
    with threadpool_limits(threads):
        for n, D in ((50, 3), (333, 57), (611, 290)):
            X = rng.standard_normal((n, D))
            queries = X[:asked] + rng.standard_normal((min(n, asked), D)) * 1e-3
            model = NearestNeighbour().fit(np.concatenate([X, X]), np.arange(2 * n))
            assert model.predict(queries).max() < n


def test_small_differences_beside_what_all_have_in_common_count() -> None:
    X = np.random.default_rng(0).standard_normal((50, 5)) * 1e-3 + 1e6
    assert NearestNeighbour().fit(X, range(50)).predict(X).tolist() == list(range(50))


def test_small_differences_beside_one_far_away_count() -> None:
    X = np.random.default_rng(0).standard_normal((50, 5)) * 1e-7
    X[-1] = 1e3  # a product is off by more than the squares of the others' distances
    assert NearestNeighbour().fit(X, range(50)).predict(X).tolist() == list(range(50))


def test_many_are_asked_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    model = NearestNeighbour().fit(rng.integers(0, 3, (40, 3)), range(40))
    asked = rng.integers(0, 3, (70, 3))
    whole = model.predict(asked)
    monkeypatch.setattr(nearest, "PAIRS", 40 * 9)
    np.testing.assert_array_equal(model.predict(asked), whole)
    rows = model.rows_
    distances = [[((one - x) ** 2).sum() for x in rows] for one in asked]
    np.testing.assert_array_equal(whole, np.argmin(distances, axis=1))


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_squares_neither_overflow_nor_vanish(scale: float) -> None:
    X = np.random.default_rng(0).standard_normal((50, 5)) * scale
    assert NearestNeighbour().fit(X, range(50)).predict(X * 1.0001).tolist() == list(range(50))


def test_bad_features_are_refused() -> None:
    model = NearestNeighbour().fit([[0.0], [1.0]], ["a", "b"])
    with pytest.raises(FeaturesError, match=r"expected \(N, 1\), got \(1, 2\)"):
        model.predict([[1.0, 2.0]])
    with pytest.raises(FeaturesError, match="must be numbers"):
        model.predict([["x"]])
    with pytest.raises(FeaturesError, match="in all 2 rows"):
        NearestNeighbour().fit([[1.0], [1.0]], ["a", "b"])


# --- feature augmentation -------------------------------------------------------------------


def two_domains() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One feature means the same in both domains, the other the opposite."""
    rng = np.random.default_rng(0)
    ys, yt = np.tile([0, 1], 40), np.tile([0, 1], 20)
    Xs = np.stack([ys * 2 - 1, ys * 2 - 1], axis=1) + rng.standard_normal((80, 2)) * 1.2
    Xt = np.stack([yt * 2 - 1, 1 - yt * 2], axis=1) + rng.standard_normal((40, 2)) * 1.2
    return Xs, ys, Xt, yt


def test_it_is_the_svm_with_daumes_kernel() -> None:
    """Daumé 2007: twice the inner product within a domain, once across."""
    Xs, ys, Xt, yt = two_domains()
    model = FeatureAugmentation(SVC(kernel="linear", C=0.7)).fit(Xs, ys, Xt[:6], yt[:6])
    rows = np.concatenate([Xs, Xt[:6]])
    domain = np.repeat([0, 1], [80, 6])
    kernel = rows @ rows.T * (1 + (domain[:, None] == domain))
    oracle = SVC(kernel="precomputed", C=0.7).fit(kernel, np.concatenate([ys, yt[:6]]))
    wanted = oracle.predict(Xt @ rows.T * (1 + (domain == 1)))
    np.testing.assert_array_equal(model.predict(Xt), wanted)


def test_it_learns_what_means_the_opposite() -> None:
    Xs, ys, Xt, yt = two_domains()
    learned, asked = slice(0, 20), slice(20, None)
    plain = LogisticRegression().fit(
        np.concatenate([Xs, Xt[learned]]), np.concatenate([ys, yt[learned]])
    )
    model = FeatureAugmentation(LogisticRegression()).fit(Xs, ys, Xt[learned], yt[learned])
    assert model.estimator_.coef_.shape == (1, 6)
    common, source, target = model.estimator_.coef_.reshape(3, 2)
    assert (common + source)[1] > 0 > (common + target)[1]
    assert (model.predict(Xt[asked]) == yt[asked]).mean() > plain.score(Xt[asked], yt[asked])


def test_domains_of_other_widths_are_refused() -> None:
    Xs, ys, Xt, yt = two_domains()
    with pytest.raises(FeaturesError, match="same features; expected D = 2 .* got 1"):
        FeatureAugmentation(SVC()).fit(Xs, ys, Xt[:, :1], yt)


# --- labels of both domains -----------------------------------------------------------------

ADAPTATIONS = pytest.mark.parametrize(
    "model", [FeatureAugmentation(SVC(kernel="linear")), MaxMarginTransform(1.0)]
)


@ADAPTATIONS
def test_each_domain_must_have_its_own_labels(
    model: FeatureAugmentation | MaxMarginTransform,
) -> None:
    """Not only as many as there are photos in both."""
    Xs, ys, Xt, yt = two_domains()
    with pytest.raises(FeaturesError, match=r"the source must be one a photo; expected \(80,\)"):
        model.fit(Xs, ys[:-5], Xt, np.concatenate([ys[-5:], yt]))
    with pytest.raises(FeaturesError, match=r"the target must be one a photo; .*, got \(39,\)"):
        model.fit(Xs, ys, Xt, yt[1:])


@ADAPTATIONS
def test_labels_of_different_kinds_are_refused(
    model: FeatureAugmentation | MaxMarginTransform,
) -> None:
    Xs, ys, Xt, yt = two_domains()
    for names in (np.array(["0", "1"])[yt], np.array(["0", "1"], object)[yt]):
        with pytest.raises(FeaturesError, match="labels of both domains must be .* of a kind"):
            model.fit(Xs, ys, Xt, names)
    with pytest.raises(FeaturesError, match="labels of both domains must be .* of a kind"):
        draw_domains(SOURCE, range(5), 2)


@ADAPTATIONS
def test_labels_may_be_objects_or_numbers_of_any_width(
    model: FeatureAugmentation | MaxMarginTransform,
) -> None:
    Xs, ys, Xt, yt = two_domains()
    said = model.fit(Xs, ys, Xt[:9], yt[:9]).predict(Xt)
    names = np.array(["ant", "bee"], object)
    objects = model.fit(Xs, names[ys], Xt[:9], np.array(["ant", "bee"])[yt[:9]])
    np.testing.assert_array_equal(objects.predict(Xt), names[said])
    large = 2**60 + 1  # which no float64 can hold
    wide = model.fit(Xs, (ys + large).astype(np.uint64), Xt[:9], yt[:9] + large)
    assert wide.predict(Xt).tolist() == [one + large for one in said.tolist()]


def test_a_target_may_show_a_single_class() -> None:
    Xs, ys, Xt, yt = two_domains()
    one = np.flatnonzero(yt == 1)[:4]
    for model in (FeatureAugmentation(LogisticRegression()), MaxMarginTransform()):
        assert model.fit(Xs, ys, Xt[one], yt[one]).classes_.tolist() == [0, 1]


def test_draws_take_what_pandas_keeps() -> None:
    (wanted,) = draw_domains(SOURCE, TARGET, 3, 2, splits=1)
    (found,) = draw_domains(SOURCE.astype(object), TARGET.astype(object), 3, 2, splits=1)
    np.testing.assert_array_equal(found.tested, wanted.tested)


@pytest.mark.parametrize("seed", [-1, None, 1.5, "1"])
def test_seeds_that_are_no_number_are_refused(seed: object) -> None:
    with pytest.raises(FeaturesError, match="seed must be a whole number"):
        draw_domains(SOURCE, TARGET, 2, seed=seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", [None, 5, [["a"], ["a", "b"]], [1.5, 2.5]])
def test_labels_that_are_none_are_refused(labels: object) -> None:
    with pytest.raises(FeaturesError, match="labels of the source must be"):
        draw_domains(labels, TARGET, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "model", [NearestNeighbour(), FeatureAugmentation(SVC()), GeodesicFlow(), MaxMarginTransform()]
)
def test_who_learned_nothing_says_so(model: NearestNeighbour) -> None:
    for name in ("predict", "transform", "decision_function"):
        if hasattr(model, name):
            with pytest.raises(NotFittedError):
                getattr(model, name)([[1.0, 2.0]])
