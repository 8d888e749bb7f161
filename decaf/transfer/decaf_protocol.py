"""The protocol of DeCAF: how good are features for telling new classes apart?

    for each of 5 random splits: 30 photos a class to learn from, all others to be tested on
        for each classifier:     C by a subsplit of the 30 (``choose_c``), then train on all 30
                                 mean accuracy a class on the test photos
    mean and standard deviation over the splits

Donahue et al. 2014, sections 4.1 (Caltech-101: 30 photos a class, five splits, logistic regression
and SVM, each with and without dropout; figure 4 on the right is the learning curve) and 4.2, whose
first rows train in the same way on two domains (see ``adaptation``).  What the paper leaves open is
decided, with the reason, in ``classifiers`` and ``choose_c``.

The learning curve learns from the first n of the same photos and is tested on the same photos, and
each n chooses its own C, from its own n photos.

The work is one fit after another, many small ones.  BLAS has one thread meanwhile, and up to four
fits run at once: for products so small threads of BLAS mostly wait for each other (measured: twenty
times slower on two busy cores), and with more threads they would add in another order, so that the
last bits, and with them ties, would depend on the machine's cores.  OpenBLAS has one number of
threads for the whole process: others that use it are slower meanwhile, and get their threads back.
"""

from __future__ import annotations

import logging
import operator
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np
import threadpoolctl
from numpy.typing import ArrayLike, NDArray

from decaf import threads
from decaf.errors import FeaturesError
from decaf.net import at_least_one
from decaf.transfer.checks import check_features, check_labels
from decaf.transfer.choose_c import GRID, choose_c, held_out
from decaf.transfer.classifiers import CLASSIFIERS, COPIES, class_scores, converged, scaled
from decaf.transfer.measures import confusion, mean_class_accuracy
from decaf.transfer.mistakes import find_mistakes
from decaf.transfer.results import Scores, TransferResult
from decaf.transfer.splits import Split, random_splits

MOST_AT_ONCE = 4  # fits; each holds copies of its photos
_alone = threading.Lock()  # two that set BLAS's threads could each restore what the other set
_log = logging.getLogger("decaf")


@dataclass(frozen=True)
class _Fit:
    """One classifier, trained once on so many photos a class of a split, and tested."""

    classifier: str
    split: int
    count: int


@dataclass(frozen=True)
class _Tested:
    C: float
    accuracy: float
    said: NDArray[np.intp]  # (M,) class of each photo tested
    margin: NDArray[np.float64]  # (M,) score of what was said less that of what it shows
    gave_up: bool


def decaf_protocol(
    features: ArrayLike,
    labels: ArrayLike | Sequence[Any],
    *,
    per_class: int = 30,
    splits: int = 5,
    classifiers: Sequence[str] = tuple(CLASSIFIERS),
    curve: Sequence[int] | None = (1, 5, 10, 20, 30),
    seed: int = 0,
    standardise: bool = False,
    on_step: Callable[[int, int], None] | None = None,
) -> TransferResult:
    """Measure features as Donahue et al. 2014 did.

    Parameters
    ----------
    features : array_like
        (N, D) numbers, a row a photo.
    labels : array_like
        (N,) of strings or whole numbers.
    per_class : int
        How many photos of each class to learn from; all others are tested.
    splits : int
        How often to draw them.
    classifiers : sequence of str
        Some of ``"logistic"``, ``"logistic, dropout"``, ``"svm"``, ``"svm, dropout"``.
    curve : sequence of int or None
        For a learning curve: how many of the `per_class` photos to learn from.  More than
        `per_class` are left out, `per_class` itself is added.  None for no curve.
    seed : int
        Of the splits and the masks of dropout, at least 0.
    standardise : bool
        Whether to bring each feature to mean 0 and variance 1 over the photos learned from; the
        paper does not.
    on_step : callable, optional
        Called after each fit with how many are done and how many there are, in the caller's
        thread.

    Returns
    -------
    TransferResult
        The mistakes are all of those of the best classifier, one a photo.

    Raises
    ------
    FeaturesError
        If features are no finite matrix or all the same, if labels are not one a photo or name
        one class only, if a class has no more than `per_class` photos, or if a classifier is
        unknown; all before work starts.
    ShapeError
        If a number is not at least 1.
    """
    rows = check_features(features)
    classes, numbers = check_labels(labels, len(rows))
    names = _known(classifiers)
    parts = random_splits(classes[numbers], per_class, splits, seed=_seed(seed))
    counts = _counts(curve, per_class)
    # The longest first, so that no core has one left to do at the end.
    fits = [
        _Fit(name, split, count)
        for count in sorted(counts, reverse=True)
        for split in range(splits)
        for name in sorted(names, key=lambda name: "dropout" not in name)
    ]

    def run(fit: _Fit) -> _Tested:
        return _test(fit, parts[fit.split], rows, numbers, len(classes), seed, standardise)

    found = _run_all(run, fits, on_step)
    gave_up = [f"{fit.classifier}, split {fit.split}, {fit.count} a class"
               for fit in fits if found[fit].gave_up]  # fmt: skip
    for each in gave_up:
        _log.warning("%s: the solver must converge; it stopped at its last step", each)

    def tested(name: str, count: int) -> list[_Tested]:
        return [found[_Fit(name, split, count)] for split in range(splits)]

    titles = tuple(str(each) for each in classes.tolist())
    scores = tuple(
        Scores(
            name,
            tuple(one.accuracy for one in tested(name, per_class)),
            tuple(one.C for one in tested(name, per_class)),
            sum(
                (
                    confusion(numbers[part.test], one.said, len(classes))
                    for part, one in zip(parts, tested(name, per_class), strict=True)
                ),
                np.zeros((len(classes), len(classes)), np.int64),
            ),
        )
        for name in names
    )
    best = max(scores, key=lambda one: one.mean).name
    return TransferResult(
        protocol="decaf",
        classes=titles,
        scores=scores,
        curve={
            name: {
                count: tuple(one.accuracy for one in tested(name, count))
                for count in sorted(counts)
            }
            for name in names
        }
        if curve is not None
        else {},
        mistakes=find_mistakes(
            (
                (part.test, one.said, one.margin)
                for part, one in zip(parts, tested(best, per_class), strict=True)
            ),
            numbers,
            titles,
        ),
        settings={
            "per_class": per_class,
            "splits": splits,
            "seed": seed,
            "classifiers": list(names),
            "standardise": standardise,
            "photos": len(rows),
            "dimensions": rows.shape[1],
            "tested": len(parts[0].test),
            "held_out": held_out(per_class),
            "grid": list(GRID),
            "dropout_copies": COPIES,
            "not_converged": gave_up,
        },
    )


def _known(classifiers: Sequence[str]) -> tuple[str, ...]:
    names = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
    wrong = [name for name in names if name not in CLASSIFIERS]
    if wrong or not names or len(set(names)) < len(names):
        raise FeaturesError(
            f"classifiers must be different ones; expected some of {list(CLASSIFIERS)}, got "
            f"{wrong[0]!r}" if wrong else
            f"classifiers must be different ones; expected some of {list(CLASSIFIERS)}, got "
            f"{list(names)}"
        )  # fmt: skip
    return names


def _seed(seed: int) -> int:
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if number < 0:
        raise FeaturesError(f"seed must be a whole number; expected at least 0, got {seed!r}")
    return number


def _counts(curve: Sequence[int] | None, per_class: int) -> set[int]:
    counts = {per_class}
    for count in curve or ():
        at_least_one("curve", count)
        if count <= per_class:
            counts.add(int(count))
    return counts


def _test(
    fit: _Fit,
    split: Split,
    features: NDArray[np.float64],
    numbers: NDArray[np.intp],
    classes: int,
    seed: int,
    standardise: bool,
) -> _Tested:
    """Choose C, train on all photos that are given, and test."""

    def make(C: float) -> Any:
        # Other random numbers than those of the splits, whose seeds are three numbers.
        return CLASSIFIERS[fit.classifier](C, (seed, fit.split, 0, 1))

    train = split.train[:, : fit.count]
    choice = choose_c(make, features, numbers, train, standardise=standardise)
    learn = train.ravel()
    known, asked = scaled(features[learn], features[split.test], standardise=standardise)
    model = make(choice.C).fit(known, numbers[learn])
    scores = class_scores(model, asked)  # M,K
    shows, said = numbers[split.test], scores.argmax(axis=1)
    photo = np.arange(len(said))
    return _Tested(
        C=choice.C,
        accuracy=mean_class_accuracy(shows, said, classes),
        said=said,
        margin=scores[photo, said] - scores[photo, shows],
        gave_up=bool(choice.not_converged) or not converged(model),
    )


def _run_all(
    run: Callable[[_Fit], _Tested],
    fits: Sequence[_Fit],
    on_step: Callable[[int, int], None] | None,
) -> dict[_Fit, _Tested]:
    """Run all, some at once; an error ends it."""
    workers = min(MOST_AT_ONCE, threads.resolve(None), len(fits))
    found = {}
    with _alone, threadpoolctl.threadpool_limits(1), ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(run, fit): fit for fit in fits}
        try:
            for done, future in enumerate(as_completed(waiting), start=1):
                found[waiting[future]] = future.result()
                if on_step is not None:
                    on_step(done, len(fits))
        except BaseException:  # also Ctrl-C: wait for those that run, and for no other
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found
