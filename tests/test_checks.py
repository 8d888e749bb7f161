"""What no experiment can start with is refused, with what was wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decaf.checks import check_features, check_labels, check_positive, check_seed
from decaf.errors import FeaturesError


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
        ([[10**400]], "numbers; got int too large"),
        ([["1", "2"]], "numbers; got <U1"),
        (np.array([["1"]], object), "numbers; got text such as '1'"),
        (np.ones((2, 2)) * 1j, "numbers; got complex128"),
        (np.array([[1j]], object), "numbers; got"),
        (np.ma.array([[1.0, 2.0]], mask=[[False, True]]), "without a mask"),
        (np.array([["2020-01-01"]], "M8"), "numbers; got datetime64"),
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
        ([0.5, 1.0, 2.0], "text or whole numbers, all of a kind; got float64 such as 0.5"),
        ([None, "a", "b"], "text or whole numbers, all of a kind; got object such as None"),
        (["a", 1, "b"], "all of a kind; got some of each"),
        ([True, False, True], "got bool such as True"),
        (np.array([True, False, True]), "got bool"),
        ([b"a", b"b", b"a"], "text or whole numbers"),
        (["a", "a\0", "b"], r"not end with a NUL character; got 'a\\x00'"),
        ([2**70, 1, 2], "64 bits"),
        ([2**63, -1, 2], "64 bits"),  # which NumPy would round
        (np.ma.array([1, 2, 1], mask=[0, 0, 1]), "without a mask"),
        (None, "one a photo; got NoneType"),
        (5, "one a photo; got int"),
        ("bab", "one a photo; got str"),
        (np.array(5), "one a photo"),
        ([[1], [1, 2], [3]], "one a photo"),
        (["a", "a", "a"], "at least 2, got only 'a'"),
    ],
)
def test_other_labels_are_refused(labels: Any, reason: str) -> None:
    with pytest.raises(FeaturesError, match=f"^labels must .*{reason}"):
        check_labels(labels, 3)


@pytest.mark.parametrize("values", [["b", "a", "b"], [7, -3, 7]])
def test_what_counts_is_what_is_in_an_array_of_objects(values: list[Any]) -> None:
    given = np.array(values, object)
    for labels in (given, (each for each in values), [np.asarray(each)[()] for each in values]):
        classes, numbers = check_labels(labels, 3)
        assert classes.dtype.kind in "Ui"
        assert classes[numbers].tolist() == values
    pandas = pytest.importorskip("pandas")
    for series in (pandas.Series(values), pandas.Series(values, dtype="category")):
        assert check_labels(series, 3)[1].tolist() == [1, 0, 1]
        assert check_labels(series.to_numpy(), 3)[1].tolist() == [1, 0, 1]
    with pytest.raises(FeaturesError, match="text or whole numbers"):
        check_labels(pandas.Series(["a", None, "b"]), 3)


def test_numbers_of_python_are_numbers() -> None:
    given = np.array([[1, 2], [10**30, 4]], object)
    assert check_features(given).tolist() == [[1.0, 2.0], [1e30, 4.0]]


@pytest.mark.parametrize("seed", [-1, 1.5, None, "1", True, np.float64(2)])
def test_seeds_are_whole_numbers(seed: Any) -> None:
    with pytest.raises(FeaturesError, match="^seed must be a whole number; expected at least 0"):
        check_seed(seed)
    assert check_seed(np.int64(3)) == 3


@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf, "1", None, True, 1j, [1]])
def test_what_must_be_above_0(value: Any) -> None:
    with pytest.raises(FeaturesError, match="^C must be a number; expected more than 0, got"):
        check_positive("C", value)
    assert check_positive("C", np.float32(0.5)) == 0.5


def test_no_label_is_refused() -> None:
    with pytest.raises(FeaturesError, match="^labels must"):
        check_labels(np.array([], int), 0)
