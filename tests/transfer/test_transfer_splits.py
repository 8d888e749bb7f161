"""Splits: disjoint, whole, balanced, independent, and the same for the same seed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from decaf.errors import FeaturesError, ShapeError
from decaf.transfer.splits import random_splits

LABELS = np.array(["cat"] * 8 + ["dog"] * 6 + ["elk"] * 10)[
    np.random.default_rng(3).permutation(24)
]


def test_a_split_is_disjoint_whole_and_balanced() -> None:
    for split in random_splits(LABELS, 4, 3):
        assert split.train.shape == (3, 4)
        assert sorted([*split.train.ravel(), *split.test]) == list(range(24))
        for row, name in zip(split.train, ("cat", "dog", "elk"), strict=True):
            assert set(LABELS[row]) == {name}
        assert Counter(LABELS[split.test].tolist()) == {"cat": 4, "dog": 2, "elk": 6}
        assert (np.diff(split.test) > 0).all()


def test_splits_differ_from_each_other_and_with_the_seed_and_repeat() -> None:
    first = random_splits(LABELS, 4, 3, seed=1)
    again = random_splits(LABELS, 4, 3, seed=1)
    other = random_splits(LABELS, 4, 3, seed=2)
    drawn = [tuple(split.train.ravel().tolist()) for split in (*first, *other)]
    assert len(set(drawn)) == 6
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.train, two.train)
        np.testing.assert_array_equal(one.test, two.test)


def test_a_split_does_not_depend_on_how_many_there_are() -> None:
    alone, of_five = random_splits(LABELS, 4, 1)[0], random_splits(LABELS, 4, 5)[0]
    np.testing.assert_array_equal(alone.train, of_five.train)


def test_fewer_photos_are_the_first_of_more() -> None:
    few, many = random_splits(LABELS, 2, 1)[0], random_splits(LABELS, 5, 1)[0]
    np.testing.assert_array_equal(few.first(2), many.first(2))
    assert many.first(2).tolist() == [*many.train[0, :2], *many.train[1, :2], *many.train[2, :2]]


def test_classes_are_drawn_independently() -> None:
    split = random_splits(np.repeat([0, 1], 40), 20, 1)[0]
    assert sorted(split.train[0]) != sorted(split.train[1] - 40)


def test_every_photo_is_learned_from_about_equally_often() -> None:
    times = np.zeros(24)
    for split in random_splits(LABELS, 3, 400):
        times[split.train.ravel()] += 1
    for name, share in (("cat", 3 / 8), ("dog", 3 / 6), ("elk", 3 / 10)):
        spread = np.sqrt(400 * share * (1 - share))  # of a binomial
        assert np.abs(times[name == LABELS] - 400 * share).max() < 4.5 * spread


def test_at_most_so_many_are_tested() -> None:
    split = random_splits(LABELS, 4, 1, test_per_class=3)[0]
    assert Counter(LABELS[split.test].tolist()) == {"cat": 3, "dog": 2, "elk": 3}
    assert not set(split.test) & set(split.train.ravel())


def test_too_few_photos_are_refused_with_the_classes_named() -> None:
    with pytest.raises(FeaturesError, match=r"expected at least 7, got dog \(6\)$"):
        random_splits(LABELS, 6)
    with pytest.raises(FeaturesError, match=r"got cat \(8\), dog \(6\)$"):
        random_splits(LABELS, 8)
    assert len(random_splits(LABELS, 5, 1)[0].test) == 9
    many = np.repeat(np.arange(9), 2)
    with pytest.raises(FeaturesError, match=r"4 \(2\) and 4 more classes$"):
        random_splits(many, 2)


@pytest.mark.parametrize("seed", [-1, 1.5, None, "1"])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(FeaturesError, match="^seed must be a whole number"):
        random_splits(LABELS, 4, seed=seed)


@pytest.mark.parametrize("labels", [5, None, "cat", np.array(5), [[1], [2]], [[1], [2, 3]]])
def test_labels_are_one_a_photo(labels: Any) -> None:
    with pytest.raises(FeaturesError, match="^labels must be one a photo"):
        random_splits(labels, 1)


def test_labels_of_any_container_give_the_same_split() -> None:
    want = random_splits(LABELS, 4, 1)[0].train
    for labels in (LABELS.astype(object), LABELS.tolist(), iter(LABELS.tolist())):
        np.testing.assert_array_equal(random_splits(labels, 4, 1)[0].train, want)


@pytest.mark.parametrize(
    "options", [{"per_class": 0}, {"splits": 0}, {"test_per_class": 0}, {"per_class": 1.5}]
)
def test_numbers_below_1_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ShapeError, match=f"^{next(iter(options))} must be"):
        random_splits(LABELS, **{"per_class": 2, **options})
