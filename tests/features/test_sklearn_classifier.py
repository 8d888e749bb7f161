"""``DecafClassifier``: the network's labels in scikit-learn, without training."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from decaf import DecafNet
from decaf.errors import ArchitectureError, ImageError, ShapeError, WeightsError
from decaf.features.pipeline import BATCH_SIZE
from decaf.sklearn import DecafClassifier, DecafFeatures
from decaf.specs import Architecture, Softmax
from decaf.weights import save_weights
from tests import tiny

NET = DecafNet(threads=1)
PHOTOS = [tiny.photo(i, 40, 50) for i in range(12)]
UNSORTED = ("dog", "cat", "ant", "bee", "élan <b>")


@pytest.fixture
def unsorted(tmp_path: Path) -> Path:
    """A network whose labels are not in alphabetical order, as ImageNet's are not."""
    return tiny.save(tmp_path / "unsorted.h5", labels=UNSORTED)


def truth(weights: Path) -> list[str]:
    """What the network says of the photos, by its own class."""
    net = DecafNet(weights)
    return [best.label for (best,) in net.top_k(net.classify(PHOTOS), k=1)]


@pytest.fixture
def y(unsorted: Path) -> Any:
    """Labels of which a few are not what the network says, so that every class occurs."""
    labels = np.array(truth(unsorted), dtype=object)
    labels[:5] = sorted(UNSORTED)
    return labels


@pytest.mark.parametrize("oversample", [False, True])
def test_it_says_what_the_network_says(oversample: bool) -> None:
    want = NET.classify(PHOTOS, oversample=oversample)
    classifier = DecafClassifier(oversample=oversample, batch_size=5, threads=2)
    made = classifier.predict_proba(PHOTOS)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, want)  # the labels of this network are sorted
    np.testing.assert_allclose(made.sum(axis=1), 1, rtol=1e-6)
    assert list(classifier.classes_) == sorted(NET.labels)
    best = [prediction.label for (prediction,) in NET.top_k(want, k=1)]
    assert list(classifier.predict(PHOTOS)) == best


def test_classes_are_sorted_and_columns_follow(unsorted: Path) -> None:
    classifier = DecafClassifier(unsorted)
    assert list(classifier.classes_) == ["ant", "bee", "cat", "dog", "élan <b>"]
    want = DecafNet(unsorted).classify(PHOTOS)
    made = classifier.predict_proba(PHOTOS)
    for column, label in enumerate(classifier.classes_):
        np.testing.assert_array_equal(made[:, column], want[:, UNSORTED.index(label)])
    assert list(classifier.predict(PHOTOS)) == truth(unsorted)


def test_what_scikit_learn_takes_for_granted_of_the_order(unsorted: Path, y: Any) -> None:
    """Its metrics and ensembles sort the labels themselves, and ask nobody."""
    classifier = DecafClassifier(unsorted)
    net = DecafNet(unsorted)
    scores = net.classify(PHOTOS).astype(np.float64)
    probability = scores[np.arange(len(y)), [UNSORTED.index(label) for label in y]]
    loss = -get_scorer("neg_log_loss")(classifier, PHOTOS, y)
    assert loss == pytest.approx(-np.log(probability).mean(), rel=1e-5)


def test_labels_that_occur_twice_are_one_class(tmp_path: Path) -> None:
    labels = ("dog", "crane", "ant", "crane", "bee")
    weights = tiny.save(tmp_path / "cranes.h5", labels=labels)
    classifier = DecafClassifier(weights)
    assert list(classifier.classes_) == ["ant", "bee", "crane", "dog"]
    made, want = classifier.predict_proba(PHOTOS), DecafNet(weights).classify(PHOTOS)
    np.testing.assert_array_equal(made[:, 2], want[:, 1] + want[:, 3])
    np.testing.assert_array_equal(made[:, [0, 1, 3]], want[:, [2, 4, 0]])
    np.testing.assert_allclose(made.sum(axis=1), 1, rtol=1e-6)
    best = classifier.classes_[made.argmax(axis=1)]
    assert list(classifier.predict(PHOTOS)) == list(best)


def test_a_network_that_gives_no_probabilities_is_refused(tmp_path: Path) -> None:
    layers = tiny.ARCHITECTURE.layers
    assert isinstance(layers[-1], Softmax)
    bare = Architecture("bare", tiny.ARCHITECTURE.input_shape, layers[:-1])
    weights = tmp_path / "bare.h5"
    save_weights(weights, bare, tiny.parameters(), preprocessing=tiny.PREPROCESSING,
                 labels=tiny.LABELS)  # fmt: skip
    classifier = DecafClassifier(weights)
    calls = (classifier.fit, classifier.predict, classifier.predict_proba)
    for call in calls:
        with pytest.raises(ArchitectureError, match=r"^fc8: must be a Softmax.*got Linear"):
            call(PHOTOS)
    assert DecafFeatures(weights, layer="fc8").fit_transform(PHOTOS).shape == (12, 5)


def test_fit_checks_the_labels(unsorted: Path) -> None:
    classifier = DecafClassifier(unsorted)
    y = truth(unsorted)
    assert classifier.fit(PHOTOS, y) is classifier
    assert classifier.fit(PHOTOS, np.array(y, dtype=object)).n_features_in_ == 1
    classifier.fit(PHOTOS)
    classifier.fit(PHOTOS, ["ant"] * 12)  # few of its labels
    with pytest.raises(ShapeError, match=r"^y must be labels .*got 'rose' and 1 more"):
        classifier.fit(PHOTOS, ["rose", "tulip", *y[2:]])
    with pytest.raises(ShapeError, match=r"^y must be labels .*got 'x{99}\.\.\.x{99}'") as caught:
        classifier.fit(PHOTOS, ["x" * 10_000] * 12)
    assert len(str(caught.value)) < 400
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        classifier.fit(PHOTOS, [0.5] * 12)
    for no_number in (np.nan, np.inf):
        with pytest.raises(ValueError, match="Input y contains"):
            classifier.fit(PHOTOS, [no_number] * 12)
    classifier.fit(PHOTOS, np.arange(12) % 5)
    for numbers in (np.arange(12) % 4, np.arange(12) % 6, np.arange(12) % 5 - 1):
        with pytest.raises(ShapeError, match=r"^y, if numbers, must .*expected 0 to 4, got"):
            classifier.fit(PHOTOS, numbers)
    with pytest.raises(ValueError, match="Input.* contains NaN"):
        classifier.fit(PHOTOS, np.array([*y[:-1], np.nan], dtype=object))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        classifier.fit(PHOTOS, y[:-1])
    with pytest.raises(ValueError, match="1d array"):
        classifier.fit(PHOTOS, np.array(y).reshape(6, 2))
    with pytest.warns(DataConversionWarning):
        classifier.fit(PHOTOS, np.array(y)[:, None])


@pytest.mark.parametrize("X", [PHOTOS[0], "cat.jpg", [], np.zeros((3, 4))], ids=repr)
def test_x_is_checked(X: Any) -> None:
    classifier = DecafClassifier()
    for call in (classifier.fit, classifier.predict, classifier.predict_proba):
        with pytest.raises(ShapeError, match="^X must"):
            call(X)


def test_a_photo_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ImageError, match=r"^photo 2 of 2 \(missing\.jpg\): must be"):
        DecafClassifier().predict([PHOTOS[0], "missing.jpg"])


def test_wrong_parameters_fail_in_fit() -> None:
    with pytest.raises(WeightsError, match=r"missing\.h5"):
        DecafClassifier("missing.h5").fit(PHOTOS)
    with pytest.raises(ShapeError, match="batch_size"):
        DecafClassifier(batch_size=0).fit(PHOTOS)


def test_other_weights_are_read_when_they_are_set(unsorted: Path) -> None:
    classifier = DecafClassifier().fit(PHOTOS)
    assert len(classifier.classes_) == 10
    classifier.set_params(weights=unsorted)
    assert list(classifier.predict(PHOTOS)) == truth(unsorted)
    assert len(classifier.classes_) == 5


def test_it_is_a_classifier() -> None:
    classifier = DecafClassifier()
    assert is_classifier(classifier)
    check_is_fitted(classifier)
    assert "classes_" not in dir(classifier)  # which scikit-learn would look at
    assert "DecafClassifier" in classifier._repr_html_()
    assert "_held" not in vars(classifier)
    assert "classes_" in dir(classifier.fit(PHOTOS))
    utils = pytest.importorskip("sklearn.utils")
    if hasattr(utils, "get_tags"):
        tags = utils.get_tags(classifier)
        assert not tags.requires_fit and not tags.target_tags.required
        assert tags.input_tags.string and not tags.input_tags.two_d_array


def test_options_are_keywords() -> None:
    with pytest.raises(TypeError, match="positional"):
        DecafClassifier(None, False, 16)  # type: ignore[misc]
    assert DecafClassifier().batch_size == DecafFeatures().batch_size == BATCH_SIZE == 16


def test_other_weights_than_those_of_fit_are_refused(tmp_path: Path) -> None:
    weights = tiny.save(tmp_path / "net.h5", labels=UNSORTED)
    data = pickle.dumps(DecafClassifier(weights).fit(PHOTOS))
    tiny.save(weights, labels=UNSORTED[::-1])
    with pytest.raises(WeightsError, match=r"net\.h5: must be the weights of fit; expected SHA"):
        pickle.loads(data).predict(PHOTOS)


def test_score(unsorted: Path) -> None:
    y = np.array(truth(unsorted), dtype=object)
    assert DecafClassifier(unsorted).score(PHOTOS, y) == 1
    y[:3] = ["élan <b>" if label == "ant" else "ant" for label in y[:3]]
    classifier = DecafClassifier(unsorted)
    assert classifier.score(PHOTOS, y) == 0.75
    assert classifier.score(PHOTOS, y, sample_weight=[0] * 3 + [1] * 9) == 1


# --- in ensembles, searches and processes ---


@pytest.mark.parametrize("freeze", [False, True])
def test_voting(freeze: bool, unsorted: Path, y: Any) -> None:
    voters = [DecafClassifier(unsorted), DecafClassifier(unsorted, oversample=True)]
    if freeze:
        voters = [pytest.importorskip("sklearn.frozen").FrozenEstimator(v) for v in voters]
    vote = VotingClassifier([("one", voters[0]), ("ten", voters[1])], voting="soft")
    net = DecafNet(unsorted)
    mean = (net.classify(PHOTOS) + net.classify(PHOTOS, oversample=True)) / 2
    want = [UNSORTED[k] for k in mean.argmax(axis=1)]
    assert list(vote.fit(PHOTOS, y).predict(PHOTOS)) == want
    if not freeze:  # a class that does not occur would shift the others
        with pytest.raises(ShapeError, match="every class"):
            vote.fit(PHOTOS, np.where(y == "bee", "ant", y))


@pytest.mark.parametrize("cv", ["prefit", 2])
def test_stacking(cv: Any, unsorted: Path, y: Any) -> None:
    X, labels = PHOTOS * 2, np.concatenate((y, y))
    stack = StackingClassifier([("net", DecafClassifier(unsorted))], cv=cv).fit(X, labels)
    assert set(stack.predict(PHOTOS)) <= set(UNSORTED)
    scores = DecafClassifier(unsorted).predict_proba(PHOTOS)
    np.testing.assert_array_equal(stack.transform(PHOTOS), scores)


def test_calibration(unsorted: Path, y: Any) -> None:
    frozen = pytest.importorskip("sklearn.frozen").FrozenEstimator
    classifier = frozen(DecafClassifier(unsorted))
    model = CalibratedClassifierCV(classifier, cv=2).fit(PHOTOS * 2, np.concatenate((y, y)))
    assert list(model.classes_) == sorted(UNSORTED)
    np.testing.assert_allclose(model.predict_proba(PHOTOS).sum(axis=1), 1, rtol=1e-6)


def test_cross_validation(unsorted: Path, y: Any) -> None:
    classifier = DecafClassifier(unsorted, threads=1)
    X, labels = PHOTOS * 2, np.concatenate((y, y))
    for jobs in (1, 2):
        scores = cross_val_score(classifier, X, labels, cv=2, n_jobs=jobs)
        assert scores.mean() == pytest.approx(np.mean(truth(unsorted) == y))
    made = cross_val_predict(classifier, X, labels, cv=2, method="predict_proba")
    np.testing.assert_array_equal(made[:12], classifier.predict_proba(PHOTOS))


def test_its_probabilities_as_features(unsorted: Path, y: Any) -> None:
    probabilities = FunctionTransformer(DecafClassifier(unsorted).predict_proba)
    model = make_pipeline(probabilities, KNeighborsClassifier(1)).fit(PHOTOS, y)
    assert model.score(PHOTOS, y) == 1
    assert make_pipeline(DecafFeatures(unsorted, "fc7"), LogisticRegression()).fit(PHOTOS, y)


def test_pickles_and_clones(unsorted: Path) -> None:
    classifier = DecafClassifier(unsorted, threads=1).fit(PHOTOS)
    data = pickle.dumps(classifier)
    assert len(data) < 2000 and "_held" not in vars(pickle.loads(data))
    want = classifier.predict_proba(PHOTOS)
    np.testing.assert_array_equal(pickle.loads(data).predict_proba(PHOTOS), want)
    copy = clone(classifier)
    assert copy.get_params() == classifier.get_params() and "_held" not in vars(copy)
    parts = joblib.Parallel(n_jobs=2)(
        joblib.delayed(classifier.predict_proba)(PHOTOS[i : i + 3]) for i in range(0, 12, 3)
    )
    np.testing.assert_array_equal(np.concatenate(parts), want)
