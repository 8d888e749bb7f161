"""The confusion matrix shows shares of rows, in the right place, for any names and numbers."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from made_results import NASTY, made
from pictures import check_legible, overlap, same_picture, texts

from decaf import plots
from decaf.errors import FeaturesError
from decaf.transfer.results import Scores


def shares(figure: Any) -> Any:
    return np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)


def check_apart(figure: Any) -> list[str]:
    """No text leaves the figure or covers another; numbers stand on the image on purpose."""
    drawn = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    for said, box in drawn:
        assert box.x0 >= 0 and box.y0 >= 0, said
        assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, said
    for (one, a), (other, b) in itertools.combinations(drawn, 2):
        assert not overlap(a, b), (one, other)
    return [said for said, _ in drawn]


def test_a_cell_is_a_share_of_its_row() -> None:
    figure = plots.confusion(made())
    # Of 20 photos: 15 and 5; 17 and 3; 3 and 17.
    np.testing.assert_allclose(shares(figure), [[75, 25, 0], [0, 85, 15], [15, 0, 85]])
    said = check_apart(figure)
    assert [said.count(text) for text in ("75", "25", "85", "15")] == [1, 1, 2, 2]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["ant", "bee", "cat"]
    assert figure.axes[0].get_ylabel() == "shows" and figure.axes[0].get_xlabel() == "said"


def test_the_best_classifier_unless_one_is_asked_for() -> None:
    result = made()
    perfect = Scores("perfect", (0.1, 0.1), (1.0,), np.diag([4, 5, 6]))
    result = replace(result, scores=(*result.scores, perfect))
    assert "Confusion of svm, dropout" in check_apart(plots.confusion(result))
    np.testing.assert_allclose(shares(plots.confusion(result, "perfect")), 100 * np.eye(3))
    with pytest.raises(FeaturesError, match="expected logistic, svm, dropout, perfect, got 'svm'"):
        plots.confusion(result, "svm")
    with pytest.raises(FeaturesError, match="got a result of none"):
        plots.confusion(replace(result, scores=()))


def test_a_class_without_photos_is_no_number() -> None:
    found = shares(plots.confusion(with_matrix([[0, 0, 0], [0, 1, 1], [1, 0, 999]])))
    np.testing.assert_allclose(found, [[np.nan] * 3, [0, 50, 50], [0.1, 0, 99.9]])


def with_matrix(counts: list[list[int]]) -> Any:
    result = made()
    scores = replace(result.scores[0], confusion=np.array(counts))
    return replace(result, scores=(scores,))


def test_a_small_share_is_a_dot() -> None:
    figure = plots.confusion(with_matrix([[999, 1, 0], [0, 1, 0], [0, 0, 1]]))
    assert check_apart(figure).count("·") == 1


@pytest.mark.parametrize("count", [2, 30, 31, 100, 200])
def test_any_number_of_classes(count: int) -> None:
    figure = plots.confusion(made([f"class {number:03}" for number in range(count)]))
    check_apart(figure) if count <= 30 else check_legible(figure)
    named = figure.axes[0].get_yticklabels()
    assert named[0].get_text() == "class 000"
    assert len(named) == (count if count <= 100 else count / 2)
    assert bool(figure.axes[0].texts) == (count <= 30)
    assert max(figure.get_size_inches()) < 20


def test_nasty_names() -> None:
    figure = plots.confusion(made(NASTY))
    named = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert named[0] == "(no label)" and named[1] == "' '"
    assert all(text.isprintable() for text in named)
    check_apart(figure)


def test_the_same_result_gives_the_same_picture() -> None:
    assert same_picture(plots.confusion(made()), plots.confusion(made()))
