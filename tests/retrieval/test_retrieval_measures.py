"""Average precision against a transcription of Oxford's program, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decaf.errors import FeaturesError
from decaf.retrieval.measures import average_precision, mean_average_precision


def oxford(ranked, good, junk):
    """What compute_ap does: a walk down the list with old and new recall and precision."""
    old_recall, old_precision, ap = 0.0, 1.0, 0.0
    found, place = 0, 0
    for name in ranked:
        if name in junk:
            continue
        if name in good:
            found += 1
        recall, precision = found / len(good), found / (place + 1)
        ap += (recall - old_recall) * ((old_precision + precision) / 2)
        old_recall, old_precision = recall, precision
        place += 1
    return ap


@given(
    kinds=st.lists(st.sampled_from(["good", "bad", "junk"]), min_size=1, max_size=30),
    missing=st.integers(0, 3),
)
def test_agrees_with_the_walk_down_the_list(kinds, missing) -> None:
    names = range(len(kinds))
    good = {name for name in names if kinds[name] == "good"} | set(range(-missing, 0))
    if not good:
        return
    junk = {name for name in names if kinds[name] == "junk"}
    found = average_precision(
        [kind == "good" for kind in kinds], len(good), [kind == "junk" for kind in kinds]
    )
    assert found == pytest.approx(oxford(names, good, junk), abs=1e-12)


def test_by_hand() -> None:
    assert average_precision([True, True, False]) == 1
    assert average_precision([False, True]) == pytest.approx((0 + 1 / 2) / 2)
    assert average_precision([True, False, True]) == pytest.approx((1 + (1 / 2 + 2 / 3) / 2) / 2)
    assert average_precision([True, False], 2) == pytest.approx(1 / 2)
    assert average_precision([False, True], junk=[True, False]) == 1


def test_the_query_itself_is_passed_over() -> None:
    labels = ["a", "b", "a", "b"]
    ranked = [[0, 1, 2, 3], [3, 1, 0, 2]]
    found = mean_average_precision(ranked, labels, ["a", "b"], itself=[0, 1])
    assert found == pytest.approx(((0 + 1 / 2) / 2 + 1) / 2)
    assert mean_average_precision([[0, 2, 1, 3]], labels, ["a"]) == 1


def test_bad_input() -> None:
    with pytest.raises(FeaturesError, match="count"):
        average_precision([False, False])
    with pytest.raises(FeaturesError, match="expected at least 2, got 1"):
        average_precision([True, True], 1)
    with pytest.raises(FeaturesError, match=r"expected \(n,\)"):
        average_precision([True], junk=[True, False])
    with pytest.raises(FeaturesError, match="Q,n"):
        mean_average_precision([[0, 1]], ["a", "b"], ["a", "b"])
    with pytest.raises(FeaturesError, match="count"):
        mean_average_precision([[0, 1]], ["a", "b"], ["c"])
    assert np.isfinite(average_precision(np.ones(3)))
