"""Linear classifiers: do they minimise what the module says, and is dropout what the paper says?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier

from decaf.errors import FeaturesError, ShapeError
from decaf.transfer.classifiers import (
    CLASSIFIERS,
    class_scores,
    converged,
    logistic,
    scale_of,
    svm,
    with_dropout,
)

Array = NDArray[np.float64]


def scaled(train: Array, test: Array, standardise: bool = False) -> tuple[Array, Array]:
    scale = scale_of(train, standardise=standardise)
    return scale(train), scale(test)


BOTH = pytest.mark.parametrize("make", [logistic, svm])


def blobs(classes: int = 3, count: int = 12, dimensions: int = 8, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((classes, dimensions))
    y = np.repeat(np.arange(classes), count)
    return centres[y] + 0.7 * rng.standard_normal((len(y), dimensions)), y


def soft_loss(W: Array, b: Array, X: Array, y: Any, C: float) -> float:
    """|W|²/2 + C Σ -log softmax(W x + b)[y]."""
    z = X @ W.T + b  # N,K
    z = z - z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return float((W * W).sum() / 2 - C * log_p[np.arange(len(y)), y].sum())


def hinge_loss(W: Array, b: Array, X: Array, y: Any, C: float) -> float:
    """Σ_k |w_k, b_k|²/2 + C Σ max(0, 1 - ±(w_k x + b_k))²; LIBLINEAR keeps the bias small, too."""
    signs = np.where(y[:, None] == np.arange(len(W)), 1.0, -1.0)  # N,K
    slack = np.maximum(0, 1 - signs * (X @ W.T + b))
    return float((W * W).sum() / 2 + (b * b).sum() / 2 + C * (slack * slack).sum())


LOSSES = {logistic: soft_loss, svm: hinge_loss}


def check_minimum(make: Any, W: Array, b: Array, X: Array, y: Any, C: float) -> None:
    """Any small step from a minimum of a convex loss leads up; twice the step four times as far."""
    loss = LOSSES[make]
    least = loss(W, b, X, y, C)
    rng = np.random.default_rng(1)
    for _ in range(30):
        dW, db = rng.standard_normal(W.shape), rng.standard_normal(b.shape)
        for sign in (0.05, -0.05):
            assert loss(W + sign * dW, b + sign * db, X, y, C) > least


@BOTH
@pytest.mark.parametrize("C", [0.1, 1.0, 10.0])
def test_the_stated_loss_is_at_its_minimum(make: Any, C: float) -> None:
    X, y = blobs()
    model = make(C).fit(X, y)
    check_minimum(make, model.coef_, model.intercept_, X, y, C)
    with pytest.raises(AssertionError):  # and the test would notice
        check_minimum(make, model.coef_ * 1.5, model.intercept_, X, y, C)


@BOTH
def test_training_is_the_same_every_time_and_converges(make: Any) -> None:
    X, y = blobs()
    for C in (1e-3, 1.0, 1e3):
        one, two = make(C).fit(X, y), make(C).fit(X, y)
        np.testing.assert_array_equal(one.coef_, two.coef_)
        assert converged(one)
    stopped = make(1.0).set_params(max_iter=10_000).fit(X, y)
    stopped.n_iter_ = np.array([10_000])
    assert not converged(stopped)


@pytest.mark.parametrize("C", [1.0, 1e3, 1e5])
def test_the_logistic_regression_is_where_its_loss_has_no_slope(C: float) -> None:
    """Classes that overlap, many features: where L-BFGS with its usual tolerance stops early."""
    X, y = blobs(classes=5, count=20, dimensions=60)
    X = X / np.linalg.norm(X, axis=1).mean()
    model = logistic(C).fit(X, y)
    z = X @ model.coef_.T + model.intercept_
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    miss = p - np.eye(5)[y]  # N,K
    slope = model.coef_ + C * miss.T @ X, C * miss.sum(axis=0)
    # Of the mean loss of a photo, as the solver has it.
    assert max(np.abs(each).max() for each in slope) / (C * len(X)) < 2e-6
    assert converged(model)


# --- dropout --------------------------------------------------------------------------------


class Recorder(KNeighborsClassifier):
    """Keeps what it was given."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Recorder:
        self.given = X.copy(), y.copy(), sample_weight.copy()
        return super().fit(X, y)

    def decision_function(self, X: Any) -> Any:
        self.asked = X.copy()
        return np.zeros((len(X), 3))


def test_half_of_the_features_are_zero_in_training_others_stay() -> None:
    X, y = blobs(count=40, dimensions=50)
    given, labels, weights = with_dropout(Recorder(), copies=6).fit(X, y).estimator_.given
    assert given.shape == (6 * len(X), 50)
    copies = given.reshape(6, *X.shape)
    dropped = copies == 0
    np.testing.assert_array_equal(np.where(dropped, X, copies), np.broadcast_to(X, copies.shape))
    np.testing.assert_array_equal(labels.reshape(6, -1), np.broadcast_to(y, (6, len(y))))
    np.testing.assert_allclose(weights, 1 / 6)
    share = 0.5 / np.sqrt(dropped.size)  # standard deviation of the share that is dropped
    assert abs(dropped.mean() - 0.5) < 4.5 * share
    # Independent from copy to copy, photo to photo, feature to feature.
    signs = np.where(dropped, 1.0, -1.0)
    for one, two in (
        (signs[0], signs[1]), (signs[:, 0], signs[:, 1]), (signs[..., 0], signs[..., 1])
    ):  # fmt: skip
        assert abs((one * two).mean()) < 4.5 / np.sqrt(one.size)


def test_features_are_halved_at_test() -> None:
    X, y = blobs()
    model = with_dropout(Recorder()).fit(X, y)
    model.decision_function(X)
    np.testing.assert_array_equal(model.estimator_.asked, X / 2)


@BOTH
def test_halving_features_is_halving_weights(make: Any) -> None:
    X, y = blobs()
    model = with_dropout(make(1.0)).fit(X, y)
    inner = model.estimator_
    np.testing.assert_allclose(
        model.decision_function(X), X @ (inner.coef_ / 2).T + inner.intercept_, atol=1e-12
    )
    said = model.classes_[model.decision_function(X).argmax(axis=1)]
    np.testing.assert_array_equal(model.predict(X), said)


@BOTH
def test_copies_weigh_as_much_as_one_photo(make: Any) -> None:
    """C means the same for any number of copies: the loss is the mean over the copies'."""
    X, y = blobs()
    model = with_dropout(make(2.0), copies=4, seed=5).fit(X, y)
    given = np.stack([X * mask for mask in masks(X, copies=4, seed=5)]).reshape(-1, X.shape[1])
    check_minimum(
        make, model.estimator_.coef_, model.estimator_.intercept_, given, np.tile(y, 4), 2.0 / 4
    )


def masks(X: Array, copies: int, seed: int) -> Any:
    given = with_dropout(Recorder(), copies=copies, seed=seed).fit(X, np.arange(len(X)) % 3)
    return given.estimator_.given[0].reshape(copies, *X.shape) != 0


@BOTH
def test_more_copies_come_nearer_to_the_mean_over_all_masks(make: Any) -> None:
    """With two features there are four masks, and their mean can be computed."""
    X, y = blobs(classes=2, dimensions=2)
    every = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])  # 4,2
    exact = make(1.0).fit(
        (X * every[:, None]).reshape(-1, 2), np.tile(y, 4), sample_weight=np.full(4 * len(y), 0.25)
    )
    found = [with_dropout(make(1.0), copies=copies).fit(X, y).estimator_ for copies in (2, 3000)]
    distances = [np.abs(model.coef_ - exact.coef_).max() for model in found]
    assert distances[1] < 0.02 < distances[0]


def test_the_seed_decides_and_nothing_else() -> None:
    X, y = blobs()
    first = with_dropout(svm(), seed=1).fit(X, y).decision_function(X)
    np.random.default_rng().random()
    again = clone(with_dropout(svm(), seed=1)).fit(X, y).decision_function(X)
    np.testing.assert_array_equal(first, again)
    for seed in (2, (1, 2), (2, 1)):
        assert (with_dropout(svm(), seed=seed).fit(X, y).decision_function(X) != first).any()


def test_labels_may_be_text_and_probabilities_are_there_where_they_are() -> None:
    X, y = blobs()
    names = np.array(["ant", "bee", "cat"])[y]
    model = with_dropout(logistic()).fit(X, names)
    assert set(model.predict(X)) <= set(names)
    assert model.score(X, names) > 0.8
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    assert not hasattr(with_dropout(svm()).fit(X, y), "predict_proba")


def test_what_cannot_be_is_refused() -> None:
    X, y = blobs()
    with pytest.raises(ShapeError, match="^copies must be"):
        with_dropout(svm(), copies=0).fit(X, y)
    with pytest.raises(NotFittedError):
        with_dropout(svm()).decision_function(X)
    with pytest.raises(ValueError, match="features"):
        with_dropout(svm()).fit(X, y).predict(X[:, 1:])


def test_scikit_learn_finds_nothing_wrong() -> None:
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    if not hasattr(checks, "estimator_checks_generator"):
        pytest.skip("scikit-learn before 1.6 has no list of checks")
    weights = "a photo that stands twice has two masks"
    model = with_dropout(logistic(), copies=3)
    expected = dict.fromkeys(
        (
            "check_sample_weight_equivalence",
            "check_sample_weight_equivalence_on_dense_data",
        ),
        weights,
    )
    found = checks.check_estimator(
        model, on_fail=None, on_skip=None, expected_failed_checks=expected
    )
    failed = {one["check_name"]: one["exception"] for one in found if one["status"] == "failed"}
    assert not failed
    assert sum(one["status"] == "passed" for one in found) > 30


# --- scale ----------------------------------------------------------------------------------


def test_the_mean_length_becomes_1_and_the_rest_of_the_photos_follow() -> None:
    X, _ = blobs()
    train, test = scaled(X[:20], X[20:])
    assert np.linalg.norm(train, axis=1).mean() == pytest.approx(1)
    factor = np.linalg.norm(X[:20], axis=1).mean()
    np.testing.assert_allclose(test * factor, X[20:])
    np.testing.assert_allclose(scaled(X[:20] * 1e200, X[20:] * 1e200)[1], test)
    np.testing.assert_allclose(scaled(X[:20] * 1e-200, X[20:] * 1e-200)[1], test)


def test_it_is_only_another_c() -> None:
    X, y = blobs()
    rows, _ = scaled(X, X)
    length = np.linalg.norm(X, axis=1).mean()
    for one, two in ((logistic(3.0), logistic(3.0 / length**2)),):
        one.set_params(tol=1e-8).fit(rows, y)
        two.set_params(tol=1e-8).fit(X, y)
        np.testing.assert_allclose(one.decision_function(rows), two.decision_function(X), atol=1e-4)


def test_standardised_features_have_mean_0_and_variance_1_of_what_is_learned_from() -> None:
    X, _ = blobs(dimensions=5)
    X = X * [1e-3, 1.0, 1e3, 1.0, 1.0] + 7
    X[:20, 3] = 0.1  # the same in all photos learned from, not in the others
    train, test = scaled(X[:20], X[20:], standardise=True)
    live = [0, 1, 2, 4]
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(train[:, live].std(axis=0), train[:, 0].std())
    assert not train[:, 3].any()
    assert not test[:, 3].any()
    other, _ = scaled(X[:20], X[20:] * 9, standardise=True)
    np.testing.assert_array_equal(train, other)


def test_rows_of_zeros_stay_and_what_overflows_is_refused() -> None:
    train, test = scaled(np.zeros((3, 2)), np.ones((1, 2)))
    assert not train.any()
    assert np.isfinite(test).all()
    with pytest.raises(FeaturesError, match="overflow"):
        scaled(np.full((3, 2), 1e-300), np.full((1, 2), 1e300))


def test_a_scale_is_of_what_is_learned_from_and_a_block_at_a_time_is_the_same() -> None:
    X, _ = blobs()
    for standardise in (False, True):
        scale = scale_of(X[:20], standardise=standardise)
        given = X.copy()
        blocks = np.concatenate([scale(given[:5]), scale(given[5:])])
        np.testing.assert_array_equal(blocks, scale(given))
        np.testing.assert_array_equal(given, X)  # and what was given stays


def test_scores_of_two_classes_are_two_columns() -> None:
    X, y = blobs(classes=2)
    for make in CLASSIFIERS.values():
        model = make(1.0, (0,)).fit(X, y)
        scores = class_scores(model, X)
        assert scores.shape == (len(X), 2)
        np.testing.assert_array_equal(scores.argmax(axis=1), model.predict(X))
        np.testing.assert_allclose(scores[:, 1] - scores[:, 0], model.decision_function(X))
