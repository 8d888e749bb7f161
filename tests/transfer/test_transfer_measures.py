"""Measures against the definitions in plain loops, scikit-learn, and figures worked out by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, precision_recall_curve

from decaf.errors import FeaturesError, ShapeError
from decaf.transfer.measures import average_precision, confusion, mean_class_accuracy


def drawn(seed: int, count: int = 60, classes: int = 4) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    true = np.concatenate([np.arange(classes), rng.integers(0, classes, count - classes)])
    return true, np.where(rng.random(count) < 0.6, true, rng.integers(0, classes, count))


# --- accuracy -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_accuracy_and_confusion_are_those_of_scikit_learn(seed: int) -> None:
    true, said = drawn(seed)
    counts = confusion(true, said, 4)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, confusion_matrix(true, said))
    assert mean_class_accuracy(true, said, 4) == pytest.approx(balanced_accuracy_score(true, said))


def test_each_class_counts_the_same() -> None:
    true, said = [0] * 98 + [1] * 2, [0] * 98 + [0, 1]
    assert mean_class_accuracy(true, said, 2) == 0.75  # not 0.99
    assert confusion(true, said, 2).tolist() == [[98, 0], [1, 1]]  # a row is what is shown


def test_a_class_that_nobody_says_has_a_column() -> None:
    assert confusion([0, 1, 2], [0, 0, 0], 4).tolist() == [
        [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]
    ]  # fmt: skip


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(FeaturesError, match="none of class 2$"):
        mean_class_accuracy([0, 1], [0, 1], 3)
    with pytest.raises(FeaturesError, match="^predicted classes .*expected 0 to 1, got 0 to 2"):
        confusion([0, 1], [0, 2], 2)
    with pytest.raises(FeaturesError, match="^true classes .*got -1 to 1"):
        confusion([-1, 1], [0, 1], 2)
    with pytest.raises(FeaturesError, match="expected 2, got 3"):
        confusion([0, 1], [0, 1, 1], 2)
    with pytest.raises(FeaturesError, match="whole numbers"):
        confusion([0.0, 1.0], [0, 1], 2)
    with pytest.raises(ShapeError):
        confusion([], [], 0)
    for ragged in ([[0], [0, 1]], np.ma.array([0, 1], mask=[0, 1]), None, "01"):
        with pytest.raises(FeaturesError, match="^true classes must be"):
            confusion(ragged, [0, 1], 2)


# --- average precision ----------------------------------------------------------------------


def by_the_definition(scores: Any, relevant: Any, eleven_points: bool) -> Fraction:
    """A threshold at each score; then p(r), for every recall that there is, or eleven."""
    total = sum(map(bool, relevant))
    points = []  # recall, precision
    for threshold in sorted(set(scores), reverse=True):
        taken = [bool(r) for s, r in zip(scores, relevant, strict=True) if s >= threshold]
        points.append((Fraction(sum(taken), total), Fraction(sum(taken), len(taken))))

    def p(recall: Fraction) -> Fraction:
        return max(precision for found, precision in points if found >= recall)

    if eleven_points:
        return sum((p(Fraction(tenths, 10)) for tenths in range(11)), Fraction(0)) / 11
    # p is a staircase: between two steps it is what it is at the upper one.
    return sum((p(Fraction(step, total)) for step in range(1, total + 1)), Fraction(0)) / total


@pytest.mark.parametrize("eleven_points", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_definition(seed: int, eleven_points: bool) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 40))
    relevant = rng.random(count) < 0.4
    relevant[rng.integers(count)] = True
    scores = rng.integers(0, 12, count) / 4 if seed % 2 else rng.standard_normal(count)  # or ties
    found = average_precision(scores, relevant, eleven_points=eleven_points)
    want = by_the_definition(scores.tolist(), relevant.tolist(), eleven_points)
    assert found == pytest.approx(float(want), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_area_under_the_curve_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    relevant = rng.random(300) < 0.2
    scores = np.round(rng.standard_normal(300) + relevant, 1)
    precision, recall, _ = precision_recall_curve(relevant, scores)  # recall falls
    area = -np.sum(np.diff(recall) * np.maximum.accumulate(precision)[:-1])
    assert average_precision(scores, relevant) == pytest.approx(area, rel=1e-12)


def test_figures_worked_out_by_hand() -> None:
    scores, relevant = [5, 4, 3, 2, 1], [False, True, False, True, True]
    # Precision 0, 1/2, 1/3, 2/4, 3/5: it never falls short of 3/5 for any recall.
    assert average_precision(scores, np.array(relevant)) == pytest.approx(3 / 5)
    scores, relevant = [5, 4, 3, 2], [True, False, False, True]
    assert average_precision(scores, np.array(relevant)) == pytest.approx((1 + 1 / 2) / 2)
    # Recall 1/2 suffices for 0, 0.1, ..., 0.5: six of eleven.
    assert average_precision(scores, np.array(relevant), eleven_points=True) == pytest.approx(
        (6 * 1 + 5 * 1 / 2) / 11
    )


def test_a_recall_of_three_tenths_reaches_three_tenths() -> None:
    relevant = np.array([True] * 3 + [False] * 7 + [True] * 7)
    found = average_precision(-np.arange(17), relevant, eleven_points=True)
    assert found == pytest.approx((4 * 1 + 7 * 10 / 17) / 11)  # 0, 0.1, 0.2 and 0.3 have all of 1


def test_the_order_of_the_photos_plays_no_part_even_where_scores_tie() -> None:
    relevant = np.array([True] * 3 + [False] * 9)
    for order in (relevant, relevant[::-1]):
        assert average_precision(np.zeros(12), order) == 0.25
    assert average_precision(np.arange(12.0)[::-1], relevant) == 1


def test_difficult_photos_count_neither_way() -> None:
    scores = np.array([6.0, 5, 4, 3, 2, 1])
    relevant = np.array([False, True, True, False, True, False])
    ignored = np.array([True, False, True, False, False, False])
    want = average_precision(scores[~ignored], relevant[~ignored])
    assert average_precision(scores, relevant, ignored=ignored) == want
    assert want != average_precision(scores, relevant)
    with pytest.raises(FeaturesError, match="at least 1 that is not ignored, got 0"):
        average_precision(scores, relevant, ignored=relevant)


@pytest.mark.parametrize(
    ("scores", "relevant", "reason"),
    [
        ([0.0, np.nan], [True, False], "scores must be finite"),
        (["a", "b"], [True, False], "scores must be numbers"),
        (["1", "2"], [True, False], "scores must be numbers"),
        ([1j, 2], [True, False], "scores must be numbers"),
        ([10**400, 2], [True, False], "scores must be numbers"),
        (None, [True, False], "scores must be"),
        ([0.0, 1.0], [[True], [True, False]], "relevant must be one a photo"),
        ([0.0, 1.0], [False, False], "got 0"),
        ([0.0, 1.0], [True], "relevant must be"),
        ([0.0, 1.0], [1, 0], "relevant must be true or false.*got int"),
        ([[0.0, 1.0]], [True, False], "scores must be one a photo"),
        ([], [], "got 0"),
    ],
)
def test_what_has_no_average_precision_is_refused(scores: Any, relevant: Any, reason: str) -> None:
    with pytest.raises(FeaturesError, match=reason):
        average_precision(scores, relevant)
