"""DeCAF's protocol: against scikit-learn put together by hand, and what it must never do."""

from __future__ import annotations

import os
import signal
import sys
import threading
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.svm import LinearSVC

from decaf.errors import FeaturesError, ShapeError
from decaf.transfer.choose_c import GRID, choose_c, held_out
from decaf.transfer.classifiers import CLASSIFIERS, logistic, svm
from decaf.transfer.decaf_protocol import decaf_protocol
from decaf.transfer.splits import random_splits

NAMES = np.array(["ant", "bee", "cat", "dog"])


def photos(count: int = 24, dimensions: int = 20, noise: float = 1.6) -> tuple[Any, Any]:
    """Features of four classes, of different sizes, in no order."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(4), [count, count + 9, count, count + 4]))
    centres = rng.standard_normal((4, dimensions))
    return np.maximum(
        centres[y] + noise * rng.standard_normal((len(y), dimensions)), 0
    ) * 37, NAMES[y]


def quick(X: Any, y: Any, **changes: Any) -> Any:
    return decaf_protocol(X, y, **{"per_class": 12, "splits": 3, "curve": None, **changes})


# --- against scikit-learn -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["logistic", "svm"])
def test_each_split_is_what_scikit_learn_gives(name: str) -> None:
    """Written again, from the paper: scale, choose C on 10 + 2 photos a class, train on 12."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    X, y = photos()
    found = quick(X, y, classifiers=(name,)).scores[0]
    for i, split in enumerate(random_splits(y, 12, 3)):

        def model(C: float) -> Any:
            if name == "svm":
                return LinearSVC(C=C, dual=False)
            return LogisticRegression(C=C, tol=1e-8, max_iter=9999)

        def accuracy(C: float, learn: Any, ask: Any) -> float:
            unit = np.sqrt((X[learn] ** 2).sum(axis=1)).mean()
            said = model(C).fit(X[learn] / unit, y[learn]).predict(X[ask] / unit)
            return float(balanced_accuracy_score(y[ask], said))

        learn, ask = split.train[:, :10].ravel(), split.train[:, 10:].ravel()
        with threadpoolctl.threadpool_limits(1):
            tried = {e: accuracy(10.0**e, learn, ask) for e in range(-3, 3)}
            best = [e for e in tried if tried[e] == max(tried.values())]
            C = 10.0 ** best[(len(best) - 1) // 2]
            want = accuracy(C, split.train.ravel(), split.test)
        assert found.chosen[i] == pytest.approx(C)
        assert found.accuracies[i] == pytest.approx(want, abs=1e-12)


def test_features_that_tell_classes_apart_do_and_noise_does_not() -> None:
    X, y = photos(noise=0.05)
    for scores in quick(X, y).scores:
        assert scores.mean > 0.95
        assert (scores.confusion.sum(axis=1) == 3 * np.array([12, 21, 12, 16])).all()
    rng = np.random.default_rng(4)
    blind = quick(rng.standard_normal(X.shape), y, splits=5)
    for scores in blind.scores:
        assert abs(scores.mean - 0.25) < 0.12


def test_the_curve_rises_and_ends_where_the_table_is() -> None:
    X, y = photos(noise=0.9)
    found = quick(X, y, curve=(1, 4, 8, 100), splits=4)
    assert set(found.curve) == set(CLASSIFIERS)
    for scores in found.scores:
        curve = found.curve[scores.name]
        assert list(curve) == [1, 4, 8, 12]  # 100 is left out, 12 is added
        means = [np.mean(each) for each in curve.values()]
        assert means[0] + 0.1 < means[3]
        assert curve[12] == scores.accuracies


def test_a_point_of_the_curve_learns_from_the_first_photos_and_is_tested_on_the_same() -> None:
    """The features of photos that the smaller experiment may not see are changed: no effect."""
    X, y = photos()
    want = quick(X, y, curve=(5,)).curve
    other = X.copy()
    for split in random_splits(y, 12, 3)[:1]:
        other[split.train[:, 5:].ravel()] *= -3.0
    found = quick(other, y, curve=(5,)).curve
    for name in CLASSIFIERS:
        assert found[name][5][0] == want[name][5][0]
        assert found[name][12][0] != want[name][12][0]


def test_what_is_tested_decides_nothing_that_is_learned() -> None:
    X, y = photos()
    want = quick(X, y, splits=1)
    other = X.copy()
    other[random_splits(y, 12, 1)[0].test] *= 50  # scores grow, their order less; C must stay
    found = quick(other, y, splits=1)
    assert [s.chosen for s in found.scores] == [s.chosen for s in want.scores]


# --- the result -----------------------------------------------------------------------------


def test_the_result_says_what_was_done() -> None:
    X, y = photos()
    found = quick(X, y, seed=3)
    assert found.protocol == "decaf"
    assert found.classes == tuple(NAMES)
    assert [scores.name for scores in found.scores] == list(CLASSIFIERS)
    assert found.curve == {}
    settings = found.settings
    assert (settings["per_class"], settings["splits"], settings["seed"]) == (12, 3, 3)
    assert (settings["photos"], settings["dimensions"], settings["tested"]) == (len(X), 20, 61)
    assert settings["held_out"] == 2
    assert settings["not_converged"] == []
    for scores in found.scores:
        assert set(scores.chosen) <= set(GRID)
        share = np.diag(scores.confusion) / scores.confusion.sum(axis=1)
        assert scores.mean == pytest.approx(share.mean())  # as many of a class in each split
    assert found.to_dict()["settings"]["seed"] == 3


def test_mistakes_are_those_of_the_best_the_most_confident_first() -> None:
    X, y = photos()
    y = y.copy()
    X[7], y[7] = 40 * X[y == "dog"][1], "ant"  # a dog, and a strong one, called an ant
    found = quick(X, y, splits=6)
    wrong = found.best.confusion.sum() - np.trace(found.best.confusion)
    assert 0 < len(found.mistakes) <= wrong
    assert len({each.photo for each in found.mistakes}) == len(found.mistakes)
    margins = [each.margin for each in found.mistakes]
    assert margins == sorted(margins, reverse=True)
    assert min(margins) >= 0
    first = found.mistakes[0]
    assert (first.photo, first.shows, first.said) == (7, "ant", "dog")
    tested = {int(photo) for split in random_splits(y, 12, 6) for photo in split.test}
    for each in found.mistakes:
        assert each.photo in tested
        assert y[each.photo] == each.shows != each.said


def test_the_same_again_with_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = photos()
    first = quick(X, y).to_dict()
    assert quick(X, y).to_dict() == first
    monkeypatch.setattr("decaf.threads.resolve", lambda threads: 1)
    assert quick(X, y).to_dict() == first
    assert quick(X, y, seed=1).to_dict() != first


def test_two_at_once_and_blas_gets_its_threads_back() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    X, y = photos()
    before = threadpoolctl.threadpool_info()
    want = quick(X, y).to_dict()
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(quick(X, y).to_dict())) for _ in "ab"]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [want, want]
    assert threadpoolctl.threadpool_info() == before


def test_steps_are_told_in_the_callers_thread() -> None:
    X, y = photos()
    steps, where = [], set()

    def on_step(done: int, total: int) -> None:
        steps.append((done, total))
        where.add(threading.current_thread())

    quick(X, y, curve=(1, 6), on_step=on_step)
    assert steps == [(done, 36) for done in range(1, 37)]  # 4 classifiers, 3 splits, 3 numbers
    assert where == {threading.current_thread()}


def test_a_step_may_run_the_protocol_itself() -> None:
    X, y = photos()
    want = quick(X, y, splits=1).to_dict()
    found: list[Any] = []

    def on_step(done: int, total: int) -> None:
        if done == 1:
            found.append(quick(X, y, splits=1).to_dict())

    def run() -> None:
        found.append(quick(X, y, splits=1, on_step=on_step).to_dict())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert found == [want, want]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_forked_meanwhile_may_run_it() -> None:
    X, y = photos()
    running, end = threading.Event(), threading.Event()

    def on_step(done: int, total: int) -> None:
        running.set()
        end.wait(60)

    thread = threading.Thread(target=lambda: quick(X, y, splits=1, on_step=on_step), daemon=True)
    thread.start()
    try:
        assert running.wait(60)
        child = os.fork()
        if child == 0:
            signal.alarm(30)  # the default action: it ends
            quick(X, y, splits=1, classifiers=("svm",))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        end.set()
        thread.join(60)


def test_an_error_in_a_step_ends_it() -> None:
    X, y = photos()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quick(X, y, on_step=stop)
    assert quick(X, y, splits=1).scores  # and the next one runs


@pytest.mark.parametrize("classes", [2, 4])
def test_one_photo_a_class_has_nothing_to_choose_by(classes: int) -> None:
    X, y = photos()
    few = np.isin(y, NAMES[:classes])
    found = quick(X[few], y[few], per_class=1, splits=2)
    for scores in found.scores:
        assert scores.chosen == (1.0, 1.0)
    assert found.settings["held_out"] == 0


def test_labels_may_be_numbers() -> None:
    X, y = photos()
    numbers = {"ant": 30, "bee": 4, "cat": 100, "dog": -1}
    found = quick(X, [numbers[each] for each in y], splits=1)
    assert found.classes == ("-1", "4", "30", "100")


def test_units_do_not_matter_nor_do_features_of_one_value() -> None:
    X, y = photos(noise=0.8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        want = [scores.accuracies for scores in quick(X, y).scores]
        assert [scores.accuracies for scores in quick(X * 2.0**300, y).scores] == want
        wider = np.hstack([X * np.logspace(-6, 6, 20), np.full((len(X), 1), 1e9)])
        for scores in quick(wider, y, standardise=True).scores:
            assert scores.mean > 0.4
        quick(np.where(np.arange(len(X))[:, None] == 0, 1e12 * X, X), y, splits=1)  # an outlier
        quick(np.eye(len(X))[:, :3], y, splits=1)  # almost all rows are zero


# --- C --------------------------------------------------------------------------------------


class Fixed:
    """A classifier that is right about so many of the photos it is asked for, by its C."""

    n_iter_ = 1

    def __init__(self, C: float, right: dict[float, int], numbers: Any) -> None:
        self.right, self.numbers = right[C], numbers

    def fit(self, rows: Any, y: Any) -> Fixed:
        return self

    def predict(self, rows: Any) -> Any:
        return np.where(np.arange(len(rows)) < self.right, self.numbers, 1 - self.numbers)


@pytest.mark.parametrize(
    ("right", "chosen"),
    [
        ({0.1: 0, 1.0: 2, 10.0: 1}, 1.0),
        ({0.1: 1, 1.0: 1, 10.0: 1}, 1.0),
        ({0.1: 1, 1.0: 1, 10.0: 0}, 0.1),  # the lower of two
        ({0.1: 1, 1.0: 0, 10.0: 2}, 10.0),
    ],
)
def test_of_equal_c_the_middle_one_wins(right: dict[float, int], chosen: float) -> None:
    rows, numbers = np.random.default_rng(0).random((8, 2)), np.repeat([0, 1], 4)
    train = np.arange(8).reshape(2, 4)

    def make(C: float) -> Any:
        return Fixed(C, right, np.array([0, 1]))

    # Two photos are held out, one of each class.
    choice = choose_c(make, rows, numbers, train, grid=tuple(reversed(right)))
    assert choice.accuracies == {C: count / 2 for C, count in sorted(right.items())}
    assert chosen == choice.C


def test_photos_that_are_not_learned_from_decide_no_c() -> None:
    X, y = photos(noise=0.01)
    numbers = np.searchsorted(NAMES, y)
    train = random_splits(y, 12, 1)[0].train
    hidden = X.copy()
    hidden[np.setdiff1d(np.arange(len(X)), train)] = np.nan  # would be noticed
    choice = choose_c(svm, hidden, numbers, train)
    assert list(choice.accuracies) == list(GRID)
    assert choice.accuracies[choice.C] == max(choice.accuracies.values())
    assert choice.not_converged == ()
    alone = choose_c(logistic, hidden, numbers, train[:, :1])
    assert (alone.C, alone.accuracies) == (1.0, {})


def test_a_sixth_is_held_out() -> None:
    assert [held_out(n) for n in (1, 2, 6, 11, 12, 29, 30, 60)] == [0, 1, 1, 1, 2, 4, 5, 10]


# --- bad input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"per_class": 24}, FeaturesError, r"at least 25, got ant \(24\), cat \(24\)"),
        ({"per_class": 0}, ShapeError, "^per_class"),
        ({"splits": 0}, ShapeError, "^splits"),
        ({"curve": (0, 3)}, ShapeError, "^curve"),
        ({"curve": 5}, FeaturesError, "^curve must be numbers of photos a class; .*got 5$"),
        ({"curve": "15"}, FeaturesError, "^curve"),
        ({"curve": ("1",)}, ShapeError, "^curve"),
        ({"classifiers": 5}, FeaturesError, "^classifiers.*got 5$"),
        ({"classifiers": (["svm"],)}, FeaturesError, "^classifiers"),
        ({"seed": 1.5}, FeaturesError, "^seed must be a whole number"),
        ({"seed": -1}, FeaturesError, "^seed must be a whole number; expected at least 0, got -1"),
        ({"seed": None}, FeaturesError, "^seed"),
        ({"classifiers": ("forest",)}, FeaturesError, "expected some of .*got 'forest'"),
        ({"classifiers": ()}, FeaturesError, "^classifiers"),
        ({"classifiers": ("svm", "svm")}, FeaturesError, "^classifiers must be different"),
    ],
)
def test_bad_input_is_refused_before_work_starts(
    changes: dict[str, Any], error: type[Exception], reason: str
) -> None:
    X, y = photos()
    with pytest.raises(error, match=reason):
        quick(X, y, on_step=lambda done, total: pytest.fail("work started"), **changes)


def test_bad_features_and_labels_are_refused() -> None:
    X, y = photos()
    with pytest.raises(FeaturesError, match="at least 2, got only 'ant'"):
        quick(X, ["ant"] * len(X))
    with pytest.raises(FeaturesError, match="^labels must be one a photo"):
        quick(X, y[1:])
    with pytest.raises(FeaturesError, match="differ from photo to photo"):
        quick(np.ones_like(X), y)
    X[3, 4] = np.nan
    with pytest.raises(FeaturesError, match="first in row 3"):
        quick(X, y)


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("tested", [False, True])
def test_a_photo_far_larger_than_others_is_refused_before_work_starts(
    standardise: bool, tested: bool
) -> None:
    X, y = photos()
    split = random_splits(y, 12, 3)[2]  # not the first, which is looked at first
    X = X * 1e-10
    X[split.test[0] if tested else split.train[0, 11]] = 1e305  # held out, of the 12
    with pytest.raises(FeaturesError, match="overflow"):
        quick(
            X, y, standardise=standardise,
            on_step=lambda done, total: pytest.fail("work started"),
        )  # fmt: skip


def test_labels_as_pandas_has_them_and_a_curve_as_numpy_has_it() -> None:
    X, y = photos()
    want = quick(X, y, splits=1, curve=(1, 5)).to_dict()
    for labels in (y.astype(object), np.array(y.tolist(), object)):
        assert quick(X, labels, splits=1, curve=np.array([1, 5])).to_dict() == want
    pandas = pytest.importorskip("pandas")
    assert quick(X, pandas.Series(y), splits=1, curve=(1, 5)).to_dict() == want


def test_many_photos_to_test_take_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(2), 8000)
    X = (rng.standard_normal((len(y), 100)) + y[:, None]).astype(np.float32)  # 6 MB
    monkeypatch.setattr("decaf.threads.resolve", lambda threads: 4)
    tracemalloc.start()
    quick(X, y, per_class=5, splits=4, classifiers=("svm",))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Twice for float64; the rest are the results of each split, and a block for each fit at once.
    assert peak < 4.5 * X.nbytes


def test_of_large_features_fewer_are_fitted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["decaf.transfer.decaf_protocol"]
    monkeypatch.setattr("decaf.threads.resolve", lambda threads: 16)
    every = tuple(CLASSIFIERS)
    assert module._at_once(every, 17 * 30 * 512) == 4  # flowers
    assert module._at_once(every, 101 * 30 * 4096) == 1  # Caltech-101, fc6
    assert module._at_once(("svm",), 101 * 30 * 4096) == 4
    assert module._at_once(every, 10**12) == 1


def test_a_classifier_that_gives_up_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("decaf.transfer.classifiers.MAX_ITER", 1)  # counts any as given up
    X, y = photos()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = quick(X, y, classifiers=("svm",), splits=2)
    assert found.settings["not_converged"] == [
        "svm, split 0, 12 a class", "svm, split 1, 12 a class"
    ]  # fmt: skip
    assert "svm, split 0, 12 a class: the solver must converge" in caplog.text


# --- real features --------------------------------------------------------------------------


@pytest.mark.slow
def test_pixels_of_small_photos_are_better_than_chance(shared_data: Path) -> None:
    """Real photos, end to end: 10 classes of CIFAR-10 by decaf-mini's features, and by pixels."""
    import io
    import zipfile

    from PIL import Image

    from decaf import DecafNet

    archive = shared_data / "cifar10" / "test-a.zip"
    if not archive.is_file():
        pytest.skip("cifar10/test-a.zip is not there")
    with zipfile.ZipFile(archive) as files:
        by_class: dict[str, list[str]] = {}
        for name in sorted(n for n in files.namelist() if n.endswith(".jpg")):
            by_class.setdefault(name.split("/")[-2], []).append(name)
        names = [name for each in by_class.values() for name in each[:30]]
        pictures = [Image.open(io.BytesIO(files.read(name))).convert("RGB") for name in names]
    labels = [name.split("/")[-2] for name in names]
    options: dict[str, Any] = {"per_class": 18, "splits": 2, "curve": None, "classifiers": ("svm",)}
    pixels = np.stack([np.asarray(each, np.float64).ravel() for each in pictures])
    features = DecafNet().features(pictures, "relu6")
    blind = decaf_protocol(pixels, labels, **options).scores[0].mean
    seeing = decaf_protocol(features, labels, **options).scores[0].mean
    assert 0.1 < blind < seeing - 0.2
