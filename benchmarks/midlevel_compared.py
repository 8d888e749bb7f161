"""The three ways to learn that ``midlevel.py`` compares, on the same photos and features."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from flowers_features import LAYER
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

from decaf import DecafNet
from decaf.features.gather import gather
from decaf.transfer.measures import average_precision, mean_class_accuracy
from decaf.transfer.midlevel import MidLevel, photo_scores
from decaf.transfer.midlevel.examples import Chosen
from decaf.transfer.midlevel.pictures import openable
from decaf.transfer.midlevel.training import train

GRID = np.logspace(-2, 4, 7)  # of C, for whole photos
PATCH_GRID = np.logspace(-1, 1, 3)  # of C, for patches
FOLDS = 3  # of the patches' photos
SEED = 0

Array = NDArray[Any]
Figures = dict[str, Any]


class Linear(NamedTuple):
    """A logistic regression on patches, for features that were divided by `scale`."""

    learned: LogisticRegression
    scale: float
    C: float

    def probabilities(self, features: Array) -> Array:
        return self.learned.predict_proba(features / self.scale)


class ScoresOf(NamedTuple):
    """Scores of each photo by both, and of the adapted layers what each map is made of."""

    adapted: Array
    linear: Array
    maps: list[tuple[tuple[int, int], Array, Array]]


def fit(
    model: MidLevel, photos: Sequence[Any], labels: Sequence[str], boxes: Any = None
) -> tuple[Linear, float]:
    """Learn the adaptation layers, as ``MidLevel.fit`` does, and a linear classifier beside them.

    Returns the latter, and the seconds that the former took with the features.
    """
    start = time.perf_counter()
    chosen, rows = model.examples(photos, labels, boxes)
    classes = len(chosen.classes) + chosen.background
    model.trained_ = train(rows, chosen.targets, classes, chosen.photos, model.training)
    model.classes_ = chosen.classes
    fitted = time.perf_counter() - start
    return linear_on(chosen, rows), fitted


def linear_on(chosen: Chosen, rows: Array) -> Linear:
    """A linear classifier on the very patches that the adapted layers learn from."""
    scale = float(np.linalg.norm(rows, axis=1).mean())
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    search = GridSearchCV(
        LogisticRegression(max_iter=5000), {"C": PATCH_GRID.tolist()}, cv=folds,
        scoring="neg_log_loss",
    )  # fmt: skip
    search.fit(rows / scale, chosen.targets, groups=chosen.photos)
    return Linear(search.best_estimator_, scale, search.best_params_["C"])


def scores_of(model: MidLevel, linear: Linear, photos: Sequence[Any]) -> tuple[ScoresOf, float]:
    """Score photos with both, of the same features of their patches; and the adapted's seconds."""
    adapted, other, maps, apart = [], [], [], 0.0
    start = time.perf_counter()
    for size, places, rows in model.patch_features(photos):
        said = model.trained_.probabilities(rows)[:, : len(model.classes_)]
        adapted.append(photo_scores(said, model.power))
        maps.append((size, places, said))
        now = time.perf_counter()
        by_linear = linear.probabilities(rows)[:, : len(model.classes_)]
        other.append(photo_scores(by_linear, model.power))
        apart += time.perf_counter() - now
    seconds = time.perf_counter() - start - apart
    return ScoresOf(np.stack(adapted), np.stack(other), maps), seconds


def compared(
    net: DecafNet,
    model: MidLevel,
    linear: Linear,
    found: ScoresOf,
    learned: tuple[Sequence[Any], Sequence[str]],
    tested: tuple[Sequence[Any], Sequence[str]],
) -> Figures:
    """The three rows of the comparison; `learned` and `tested` are photos and their labels."""
    return {
        "classes": list(model.classes_),
        "train": len(learned[0]),
        "test": len(tested[0]),
        "frozen": frozen(net, learned[0], tested[0], learned[1], tested[1]),
        "linear": {**measured(found.linear, tested[1], model.classes_), "C": linear.C},
        "adapted": measured(found.adapted, tested[1], model.classes_),
    }


def frozen(
    net: DecafNet,
    learned: Sequence[Any],
    tested: Sequence[Any],
    labels: Sequence[str],
    answers: Sequence[str],
) -> Figures:
    """A linear classifier on the features of whole photos, as the network sees them."""
    x, unseen = (
        gather(net, [openable(photo) for photo in each], LAYER, pooling="average").rows[:, 0]
        for each in (learned, tested)
    )
    scale = np.linalg.norm(x, axis=1).mean()
    folds = min(5, len(labels) // len(set(labels)))
    search = GridSearchCV(LogisticRegression(max_iter=5000), {"C": GRID.tolist()}, cv=folds)
    search.fit(x / scale, labels)
    classes = search.best_estimator_.classes_.tolist()
    return {
        **measured(search.decision_function(unseen / scale), answers, classes),
        "C": search.best_params_["C"],
    }


def costs(model: MidLevel, fitted: float, seconds: float) -> Figures:
    """Seconds to learn all, and to score a photo; epochs of training."""
    return {
        "fit_seconds": fitted,
        "score_seconds": seconds,
        "epochs": len(model.trained_.history),
        "threads": model.net.threads,
    }


def measured(scores: Array, answers: Sequence[str], classes: Sequence[str]) -> Figures:
    """Mean accuracy a class, and mean average precision."""
    numbers = np.array([list(classes).index(label) for label in answers])
    precisions = [average_precision(scores[:, k], numbers == k) for k in range(len(classes))]
    return {
        "accuracy": mean_class_accuracy(numbers, scores.argmax(axis=1), len(classes)),
        "mean_average_precision": float(np.mean(precisions)),
    }
