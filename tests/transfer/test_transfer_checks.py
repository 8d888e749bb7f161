"""What no experiment can start with is refused, with what was wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decaf.errors import FeaturesError
from decaf.transfer.checks import check_features, check_labels


def test_features_become_float64_in_order_and_stay_what_they_are() -> None:
    given = np.arange(6, dtype=np.float32).reshape(2, 3).T
    found = check_features(given)
    assert found.dtype == np.float64
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, given)


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ([[1.0, np.nan], [2.0, 3.0], [np.inf, 0.0]], "finite; got NaN or infinity in 2 of 3 rows, "
         "first in row 0"),
        ([[1.0], [np.inf]], "in 1 of 2 rows, first in row 1"),
        (np.ones((4, 2)), r"differ from photo to photo; got the same in all 4 rows"),
        (np.ones(4), r"a matrix.*expected \(N, D\), got \(4,\)"),
        (np.ones((2, 2, 2)), "a matrix"),
        (np.empty((0, 5)), r"a matrix.*got \(0, 5\)"),
        (np.empty((5, 0)), "a matrix"),
        ([["a", "b"]], "numbers; got"),
        ([[1.0], [1.0, 2.0]], "numbers; got"),
        (None, "finite|a matrix"),
    ],
)  # fmt: skip
def test_other_features_are_refused(features: Any, reason: str) -> None:
    with pytest.raises(FeaturesError, match=f"^source must .*({reason})"):
        check_features(features, "source")


def test_a_constant_feature_beside_others_is_fine() -> None:
    assert check_features([[1.0, 2.0], [1.0, 3.0]]).shape == (2, 2)


@pytest.mark.parametrize("labels", [["b", "a", "b"], np.array([7, -3, 7]), ("b", "a", "b")])
def test_classes_are_sorted_and_numbered(labels: Any) -> None:
    classes, numbers = check_labels(labels, 3)
    assert classes.tolist() == sorted(set(np.asarray(labels).tolist()))
    assert numbers.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(classes[numbers], labels)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["a", "b"], r"one a photo; expected \(3,\), got \(2,\)"),
        (np.ones((3, 1), int), "one a photo"),
        ([0.5, 1.0, 2.0], "text or whole numbers; got float64 such as"),
        ([None, "a", "b"], "text or whole numbers; got object"),
        (["a", "a", "a"], "at least 2, got only 'a'"),
    ],
)
def test_other_labels_are_refused(labels: Any, reason: str) -> None:
    with pytest.raises(FeaturesError, match=f"^labels must .*{reason}"):
        check_labels(labels, 3)


def test_no_label_is_refused() -> None:
    with pytest.raises(FeaturesError, match="^labels must"):
        check_labels(np.array([], int), 0)
