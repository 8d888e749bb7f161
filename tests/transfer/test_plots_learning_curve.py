"""The learning curve shows the means where they are, and its text can be read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from made_results import NAMES, made
from pictures import check_legible, same_picture

from decaf import plots
from decaf.errors import FeaturesError
from decaf.transfer.results import Scores


def test_lines_are_the_means_by_rising_number_of_photos() -> None:
    axes = plots.learning_curve(made()).axes[0]
    assert len(axes.lines) == 2
    for line, mean in zip(axes.lines, (0.81, 0.82), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [1, 10])
        np.testing.assert_allclose(line.get_ydata(), [50 * mean, 100 * mean])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["10", "1"]


def test_bars_are_a_sample_deviation_up_and_down() -> None:
    (first, *_) = plots.learning_curve(made()).axes[0].collections
    ends = [segment[:, 1] for segment in first.get_segments()]
    deviation = 100 * 0.02 / np.sqrt(2)  # of two values 0.02 apart, n - 1
    np.testing.assert_allclose(ends[1], [81 - deviation, 81 + deviation])


def test_the_legend_says_the_last_value() -> None:
    said = check_legible(plots.learning_curve(made()))
    assert "logistic: 81.0 ± 1.4 %" in said
    assert "svm, dropout: 82.0 ± 1.4 %" in said


@pytest.mark.parametrize("splits", [1, 5])
@pytest.mark.parametrize("curve", [True, False])
def test_everything_can_be_read(splits: int, curve: bool) -> None:
    said = check_legible(plots.learning_curve(made(splits=splits, curve=curve)))
    assert any(text.startswith("svm, dropout: ") for text in said)
    assert any("deviation" in text for text in said) == (splits > 1)


def test_without_a_curve_each_classifier_is_a_point() -> None:
    axes = plots.learning_curve(made(curve=False)).axes[0]
    assert [list(line.get_xdata()) for line in axes.lines] == [[10], [10]]


def test_many_numbers_of_photos_do_not_cover_each_other() -> None:
    result = made()
    curve = {name: dict.fromkeys(range(1, 2000, 7), (0.9, 0.91)) for name in NAMES}
    check_legible(plots.learning_curve(replace(result, curve=curve)))


def test_perfect_and_useless_classifiers() -> None:
    scores = [Scores(f"all {value}", (value,) * 3, (1.0,) * 3, np.eye(2)) for value in (0.0, 1.0)]
    check_legible(plots.learning_curve(replace(made(curve=False), scores=tuple(scores))))


def test_the_same_result_gives_the_same_picture() -> None:
    assert same_picture(plots.learning_curve(made()), plots.learning_curve(made()))
    assert not same_picture(plots.learning_curve(made()), plots.learning_curve(made(splits=3)))


def test_nothing_to_draw() -> None:
    with pytest.raises(FeaturesError, match="must have accuracies; expected some, got none"):
        plots.learning_curve(replace(made(curve=False), scores=()))
