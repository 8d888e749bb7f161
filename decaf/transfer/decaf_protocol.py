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
last bits, and with them ties, would depend on the machine's cores (``decaf.blas``).  Of large
features fewer fits run at once: each holds copies of the photos that it learns from, and what is
tested is scaled a block at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf import threads
from decaf.checks import check_features, check_labels, check_seed
from decaf.errors import FeaturesError
from decaf.net import at_least_one
from decaf.transfer.choose_c import GRID, choose_c, held_out, learn_and_check
from decaf.transfer.classifiers import CLASSIFIERS, COPIES, class_scores, converged, scale_of
from decaf.transfer.fits import run_all
from decaf.transfer.limits import check_class_count
from decaf.transfer.measures import confusion, mean_class_accuracy
from decaf.transfer.mistakes import find_mistakes
from decaf.transfer.results import Scores, TransferResult
from decaf.transfer.splits import Split, random_splits

MOST_AT_ONCE = 4  # fits
MOST_BYTES = 2 * 1024**3  # that they may hold together; a single one may hold more
TESTED_AT_ONCE = 1024  # rows
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
        If features are no finite matrix, all the same, or in one photo 1e300 times larger than in
        others; if labels are not one a photo or name one class only; if a class has no more than
        `per_class` photos; or if an option is not one; all before work starts.
    ShapeError
        If a number is not at least 1.
    """
    rows = check_features(features)
    classes, numbers = check_labels(labels, len(rows))
    check_class_count(len(classes))
    names = _known(classifiers)
    seed = check_seed(seed)
    counts = _counts(curve, per_class)
    parts = random_splits(classes[numbers], per_class, splits, seed=seed)
    _check_sizes(rows, parts, counts, standardise)
    # The longest first, so that no core has one left to do at the end.
    fits = [
        _Fit(name, split, count)
        for count in sorted(counts, reverse=True)
        for split in range(splits)
        for name in sorted(names, key=lambda name: "dropout" not in name)
    ]

    def run(fit: _Fit) -> _Tested:
        return _test(fit, parts[fit.split], rows, numbers, len(classes), seed, standardise)

    found = run_all(run, fits, on_step, _at_once(names, len(classes) * per_class * rows.shape[1]))
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
    if isinstance(classifiers, str) or not isinstance(classifiers, Iterable):
        names: tuple[str, ...] = (classifiers,)
    else:
        names = tuple(classifiers)
    wrong = [name for name in names if not isinstance(name, str) or name not in CLASSIFIERS]
    if wrong or not names or len(set(names)) < len(names):
        raise FeaturesError(
            f"classifiers must be different ones; expected some of {list(CLASSIFIERS)}, got "
            f"{wrong[0]!r}" if wrong else
            f"classifiers must be different ones; expected some of {list(CLASSIFIERS)}, got "
            f"{list(names)}"
        )  # fmt: skip
    return names


def _counts(curve: Sequence[int] | None, per_class: int) -> set[int]:
    at_least_one("per_class", per_class)
    counts = {int(per_class)}
    if isinstance(curve, str) or not (curve is None or isinstance(curve, Iterable)):
        raise FeaturesError(
            f"curve must be numbers of photos a class; expected a sequence or None, got {curve!r}"
        )
    for count in () if curve is None else curve:
        at_least_one("curve", count)
        if count <= per_class:
            counts.add(int(count))
    return counts


def _check_sizes(
    rows: NDArray[np.float64], parts: Sequence[Split], counts: Iterable[int], standardise: bool
) -> None:
    """Divide the extremes by the scale of each fit: what lies between overflows only if they do."""
    extremes = np.stack([rows.min(axis=0), rows.max(axis=0)])  # 2,D
    for part in parts:
        for count in counts:
            train = part.train[:, :count]
            for learn in (train, learn_and_check(train)[0]):
                scale_of(rows[learn.ravel()], standardise=standardise)(extremes)


def _at_once(classifiers: Iterable[str], numbers: int) -> int:
    """How many fits may run at once that learn from so many numbers, on this machine.

    Of those each holds about four times as much: rows as they came, scaled, and the solver's; with
    dropout all copies, and LIBLINEAR 16 bytes for each number of them that is not zero, half.
    """
    bytes_each = 8 * numbers * (4 + 2 * COPIES * any("dropout" in name for name in classifiers))
    return max(1, min(MOST_AT_ONCE, threads.resolve(None), MOST_BYTES // bytes_each))


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
    known = features[learn]
    scale = scale_of(known, standardise=standardise)
    model = make(choice.C).fit(scale(known), numbers[learn])
    scores = np.concatenate(
        [
            class_scores(model, scale(features[split.test[start : start + TESTED_AT_ONCE]]))
            for start in range(0, len(split.test), TESTED_AT_ONCE)
        ]
    )  # M,K
    shows, said = numbers[split.test], scores.argmax(axis=1)
    photo = np.arange(len(said))
    return _Tested(
        C=choice.C,
        accuracy=mean_class_accuracy(shows, said, classes),
        said=said,
        margin=scores[photo, said] - scores[photo, shows],
        gave_up=bool(choice.not_converged) or not converged(model),
    )
