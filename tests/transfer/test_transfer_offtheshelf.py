"""Off the shelf: against scikit-learn's own classifiers, the definition, and in plain loops."""

from __future__ import annotations

import itertools
import logging
import math
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sklearn")

from sklearn.multiclass import OneVsOneClassifier
from sklearn.svm import LinearSVC

from decaf.errors import FeaturesError, ShapeError
from decaf.transfer import responses
from decaf.transfer.measures import average_precision
from decaf.transfer.offtheshelf import normalised, offtheshelf
from decaf.transfer.responses import SCHEMES, fit_responses
from decaf.transfer.splits import random_splits

CLASSES, PHOTOS, VIEWS, DIMENSIONS = 4, 14, 3, 6
C = 2.0


def made(
    noise: float = 1.0, classes: int = CLASSES, views: int = VIEWS, seed: int = 0
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Features (N, V, D): a direction a class, noise a photo and noise a view."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), PHOTOS)
    centres = random.standard_normal((classes, DIMENSIONS)) * 2
    photos = centres[labels] + noise * random.standard_normal((len(labels), DIMENSIONS))
    jitter = noise * random.standard_normal((len(labels), views, DIMENSIONS)) / 2
    return photos[:, None] + jitter, labels


def by_hand(features: NDArray[Any], power: float) -> NDArray[np.float64]:
    """L2, signed power, L2, number by number."""
    out = np.empty(features.shape)
    for place in itertools.product(*map(range, features.shape[:-1])):
        row = [float(x) for x in features[place]]
        length = math.sqrt(math.fsum(x * x for x in row))
        row = [math.copysign(abs(x / length) ** power, x) for x in row]
        length = math.sqrt(math.fsum(x * x for x in row))
        out[place] = [x / length for x in row]
    return out


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_rows_are_normalised_as_the_formula_says(power: float) -> None:
    features, _ = made()
    np.testing.assert_allclose(normalised(features, power), by_hand(features, power), rtol=1e-12)


def test_lengths_do_not_matter_and_zeros_stay() -> None:
    features, _ = made()
    scale = 10.0 ** np.random.default_rng(0).integers(-200, 200, (len(features), VIEWS, 1))
    np.testing.assert_allclose(normalised(features * scale), normalised(features), rtol=1e-9)
    assert (normalised(np.zeros((2, 1, 3))) == 0).all()


# --- learning -------------------------------------------------------------------------------


def test_one_against_all_is_where_the_loss_has_no_slope() -> None:
    """The formula's gradient, written out, is zero; with another C or weighting it is not."""
    features, labels = made()
    rows = normalised(features)
    model = fit_responses(rows, labels, "one-vs-all", C)
    for k in range(CLASSES):

        def slope(C: float, k: int = k) -> float:
            w, b = model.weight[k], model.bias[k]
            grad_w, grad_b = w.copy(), b
            for photo, number in zip(rows, labels, strict=True):
                for x in photo:
                    y = 1.0 if number == k else -1.0
                    miss = max(0.0, 1 - y * (w @ x + b))
                    grad_w = grad_w - C / VIEWS * 2 * miss * y * x
                    grad_b = grad_b - C / VIEWS * 2 * miss * y
            return float(np.hypot(np.linalg.norm(grad_w), grad_b) / np.linalg.norm(w))

        assert slope(C) < 0.02
        assert slope(C * 1.2) > 0.1


def test_one_against_one_is_that_of_scikit_learn() -> None:
    features, labels = made(views=1)
    rows = normalised(features)
    model = fit_responses(rows, labels, "one-vs-one", C)
    theirs = OneVsOneClassifier(LinearSVC(C=C, dual=False)).fit(rows[:, 0], labels)
    asked = normalised(made(seed=1, views=1)[0])
    np.testing.assert_allclose(
        model.class_scores(asked), theirs.decision_function(asked[:, 0]), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("classes", [2, 4])
def test_responses_are_summed_over_the_views(scheme: str, classes: int) -> None:
    features, labels = made(classes=classes)
    rows = normalised(features)
    model = fit_responses(rows, labels, scheme, C)
    found = model.class_scores(rows)
    assert found.shape == (len(rows), classes)
    for photo, scores in zip(rows, found, strict=True):
        summed = [
            sum(float(w @ x + b) for x in photo)
            for w, b in zip(model.weight, model.bias, strict=True)
        ]
        if scheme == "one-vs-all":
            np.testing.assert_allclose(scores, summed, rtol=1e-9, atol=1e-9)
            continue
        votes = [0] * classes
        for (i, j), response in zip(itertools.combinations(range(classes), 2), summed, strict=True):
            votes[j if response > 0 else i] += 1
        np.testing.assert_array_equal(np.round(scores), votes)
        assert (np.abs(scores - votes) < 1 / 3).all()


def test_two_classes_have_scores_that_oppose_each_other() -> None:
    features, labels = made(classes=2)
    rows = normalised(features)
    scores = fit_responses(rows, labels, "one-vs-all", C).class_scores(rows)
    np.testing.assert_array_equal(scores[:, 0], -scores[:, 1])
    assert np.mean(scores.argmax(axis=1) == labels) > 0.8


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_same_view_several_times_is_one_view(scheme: str) -> None:
    features, labels = made(views=1)
    one = fit_responses(normalised(features), labels, scheme, C)
    four = fit_responses(normalised(np.repeat(features, 4, axis=1)), labels, scheme, C)
    np.testing.assert_allclose(four.weight, one.weight, rtol=0.02, atol=0.02)


# --- the protocol ---------------------------------------------------------------------------


def script(features: NDArray[Any], labels: NDArray[Any], per_class: int, splits: int) -> Any:
    """The protocol with scikit-learn alone, a view after the other: scores and splits."""
    rows = by_hand(features, 0.5)
    for part in random_splits(labels, per_class, splits, seed=3):
        learn = part.first(per_class)
        svm = LinearSVC(C=C / VIEWS, dual=False, max_iter=10_000)
        svm.fit(rows[learn].reshape(-1, DIMENSIONS), np.repeat(labels[learn], VIEWS))
        yield part, sum(svm.decision_function(rows[part.test, v]) for v in range(VIEWS))


def test_the_figures_are_those_of_a_plain_script() -> None:
    features, labels = made(noise=2.5)
    result = offtheshelf(
        features.astype(np.float32), labels, per_class=5, splits=3, C=C, scheme="one-vs-all", seed=3
    )
    (scores,) = result.scores
    assert (scores.name, scores.chosen) == ("svm, one-vs-all", (C, C, C))
    precisions, mistaken = [], {}
    for accuracy, (part, found) in zip(
        scores.accuracies, script(features, labels, 5, 3), strict=True
    ):
        shows, said = labels[part.test], found.argmax(axis=1)
        right = [np.mean(said[shows == k] == k) for k in range(CLASSES)]
        assert accuracy == pytest.approx(np.mean(right))
        assert 0.3 < accuracy < 0.95  # or nothing was put to the test
        precisions.append([average_precision(found[:, k], shows == k) for k in range(CLASSES)])
        for photo, s, k in zip(part.test, said, shows, strict=True):
            if s != k:
                row = found[list(part.test).index(photo)]
                mistaken.setdefault(int(photo), []).append(float(row[s] - row[k]))
    want = dict(zip(map(str, range(CLASSES)), np.mean(precisions, axis=0), strict=True))
    assert scores.average_precision == pytest.approx(want, abs=0.01)
    margins = {mistake.photo: mistake.margin for mistake in result.mistakes}
    assert margins.keys() == mistaken.keys()
    for photo, each in mistaken.items():
        assert margins[photo] == pytest.approx(np.mean(each), abs=1e-3)
    assert list(margins.values()) == sorted(margins.values(), reverse=True)
    assert all(m.shows == str(labels[m.photo]) != m.said for m in result.mistakes)


def test_what_is_in_the_result() -> None:
    features, labels = made(noise=2.0)
    steps: list[tuple[int, int]] = []
    names = np.array(["ant", "bee", "cat", "élan <b>"])[labels]
    result = offtheshelf(
        features, names, per_class=4, splits=2, on_step=lambda *step: steps.append(step)
    )
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert result.protocol == "offtheshelf" and result.curve == {}
    assert result.classes == ("ant", "bee", "cat", "élan <b>")
    assert [one.name for one in result.scores] == ["svm, one-vs-all", "svm, one-vs-one"]
    for one in result.scores:
        assert one.confusion.sum() == 2 * CLASSES * (PHOTOS - 4)
        # All classes have as many photos, so the mean over classes is that over photos.
        assert one.mean == pytest.approx(np.trace(one.confusion) / one.confusion.sum())
        assert tuple(one.average_precision) == result.classes
        assert 0 < one.mean_average_precision <= 1
    best = max(result.scores, key=lambda one: one.mean)
    assert len(result.mistakes) <= best.confusion.sum() - np.trace(best.confusion)
    assert result.settings["views"] == VIEWS and result.settings["not_converged"] == []
    assert "mAP" in result.table()


def test_the_same_again_and_with_a_view_alone() -> None:
    features, labels = made(noise=2.0)
    options: dict[str, Any] = {"per_class": 4, "splits": 2}
    first, again = (offtheshelf(features, labels, **options).to_dict() for _ in range(2))
    assert first == again
    alone = offtheshelf(features[:, 0], labels, **options).to_dict()
    assert alone == offtheshelf(features[:, :1], labels, **options).to_dict()
    assert alone != first


def test_the_number_of_threads_of_blas_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    module = sys.modules["decaf.transfer.offtheshelf"]
    features, labels = made(noise=2.0)
    seen = []

    def watched(*given: Any) -> Any:
        found = threadpoolctl.threadpool_info()
        seen.extend(pool["num_threads"] for pool in found if pool["user_api"] == "blas")
        return fit_responses(*given)

    monkeypatch.setattr(module, "fit_responses", watched)
    before = threadpoolctl.threadpool_info()
    with threadpoolctl.threadpool_limits(2):
        offtheshelf(features, labels, per_class=4, splits=1)
    assert set(seen) <= {1}
    assert threadpoolctl.threadpool_info() == before


def test_features_are_held_once_more_and_not_again() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(2), 1000)
    features = random.standard_normal((2000, 16, 64)).astype(np.float32)  # 8 MB
    features += labels[:, None, None]
    tracemalloc.start()
    offtheshelf(features, labels, per_class=5, splits=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * features.nbytes  # twice is float64


def test_what_can_be_told_apart_is_and_what_cannot_is_not() -> None:
    features, labels = made(noise=0.01)
    result = offtheshelf(features, labels, per_class=4, splits=2)
    assert [one.mean for one in result.scores] == [1, 1]
    assert [one.mean_average_precision for one in result.scores] == [1, 1]
    assert result.mistakes == ()
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 100)
    result = offtheshelf(random.standard_normal((400, 5)), labels, per_class=50, splits=5)
    assert all(0.15 < one.mean < 0.35 for one in result.scores)


def test_more_views_see_more() -> None:
    """The noise of a view goes away in the sum."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 40)
    centres = random.standard_normal((4, 20))
    features = centres[labels][:, None] + 3 * random.standard_normal((160, 16, 20))
    one = offtheshelf(features[:, :1], labels, per_class=10, splits=3, power=1)
    every = offtheshelf(features, labels, per_class=10, splits=3, power=1)
    for a, b in zip(one.scores, every.scores, strict=True):
        assert b.mean > a.mean + 0.15


def test_a_solver_that_gives_up_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(responses, "converged", lambda _: False)
    features, labels = made()
    with caplog.at_level(logging.WARNING, "decaf"):
        result = offtheshelf(features, labels, per_class=4, splits=1)
    assert result.settings["not_converged"] == [f"svm, {name}, split 0" for name in SCHEMES]
    assert len(caplog.records) == 2


# --- bad input ------------------------------------------------------------------------------

FEATURES, LABELS = made()
WITH_NAN = FEATURES.copy()
WITH_NAN[3, 1, 2] = np.nan


@pytest.mark.parametrize(
    ("features", "labels", "options", "reason"),
    [
        (WITH_NAN, LABELS, {}, "in 1 of 56 photos, first in photo 3, view 1 of 3$"),
        (WITH_NAN[:, 1], LABELS, {}, "in 1 of 56 photos, first in photo 3$"),
        (FEATURES * 1j, LABELS, {}, "must be numbers; got complex128"),
        (np.ma.array(FEATURES), LABELS, {}, "without a mask"),
        (FEATURES[0, 0], LABELS, {}, r"expected \(N, V, D\) or \(N, D\), got \(6,\)"),
        (FEATURES[None], LABELS, {}, r"expected \(N, V, D\) or \(N, D\)"),
        (FEATURES[:, :0], LABELS, {}, r"got \(56, 0, 6\)"),
        ([[1, 2], [3]], [0, 1], {}, "features must be numbers; got"),
        ([["a", "b"], ["c", "d"]], [0, 1], {}, "must be numbers"),
        (np.ones_like(FEATURES), LABELS, {}, "must differ from photo to photo"),
        (FEATURES, LABELS[1:], {}, "labels must be one a photo"),
        (FEATURES, np.zeros_like(LABELS), {}, "must name classes to tell apart"),
        (FEATURES, LABELS, {"per_class": PHOTOS}, "each class must have 14 photos to learn from"),
        (FEATURES, LABELS, {"scheme": "all"}, "scheme must be known; expected one of 'both'"),
        (FEATURES, LABELS, {"C": 0}, "C must be a number; expected more than 0, got 0"),
        (FEATURES, LABELS, {"C": float("nan")}, "C must be a number"),
        (FEATURES, LABELS, {"C": "1"}, "C must be a number"),
        (FEATURES, LABELS, {"power": 0}, "power must be a number; expected more than 0"),
        (FEATURES, LABELS, {"power": float("inf")}, "power must be a number"),
        (FEATURES, LABELS, {"power": "1"}, "power must be a number"),
        (FEATURES, LABELS, {"scheme": ["both"]}, "scheme must be known"),
        (FEATURES, LABELS, {"seed": None}, "seed must be a whole number"),
        (FEATURES, LABELS, {"seed": -1}, "seed must be a whole number"),
        (FEATURES, LABELS, {"seed": 1.5}, "seed must be a whole number"),
    ],
)
def test_bad_input_is_refused_before_work_starts(
    monkeypatch: pytest.MonkeyPatch, features: Any, labels: Any, options: Any, reason: str
) -> None:
    module = sys.modules["decaf.transfer.offtheshelf"]  # the package has the function of that name
    monkeypatch.setattr(module, "fit_responses", lambda *_: pytest.fail("work was started"))
    with pytest.raises(FeaturesError, match=reason):
        offtheshelf(features, labels, **{"per_class": 4, **options})


@pytest.mark.parametrize("name", ["per_class", "splits"])
def test_numbers_below_1(name: str) -> None:
    with pytest.raises(ShapeError, match=f"{name} must be a whole number"):
        offtheshelf(FEATURES, LABELS, **{"per_class": 4, name: 0})  # type: ignore[arg-type]
