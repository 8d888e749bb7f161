"""What ``benchmarks/midlevel.py`` says of its figures, and that its comparison is a fair one."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import numpy as np
import pytest
from scenes import CLASSES, SIZE, scenes

from decaf import DecafNet
from decaf.transfer.midlevel import MidLevel, Training

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
pytest.importorskip("threadpoolctl")  # which the benchmarks' report needs

import midlevel_tables
from midlevel import mean_map
from midlevel_compared import fit, scores_of


def row(accuracy: float, precision: float) -> dict[str, float]:
    return {"accuracy": accuracy, "mean_average_precision": precision}


FOUND = {
    "test": 80, "train": 200, "peaks_in_box": 0.9, "peaks_of_the_mean_in_box": 0.5,
    "centres_in_box": 0.3, "box_of_scene": 0.1, "fit_seconds": 9.0, "score_seconds": 0.5,
    "patches": 270.0, "most_patches": 100,
    "frozen": row(0.5, 0.6), "linear": row(0.8, 0.9), "adapted": row(0.85, 0.95),
}  # fmt: skip


def figures(**changed: dict) -> dict:
    found = {"scenes": copy.deepcopy(FOUND), "photos": copy.deepcopy(FOUND), "wanted_peaks": 0.8}
    for task, rows in changed.items():
        found[task].update(rows)
    return found


def test_the_table_has_three_rows_and_says_what_each_step_gives():
    said = midlevel_tables.scenes(figures())
    for line in ("50.0 ", "80.0 ", "85.0 "):
        assert sum(line in text for text in said.splitlines() if text.startswith("|")) == 1
    assert "by +30.0 and +30.0 points with a linear classifier" in said
    assert "on the same patches, by +5.0 and +5.0; both together by +35.0 and +35.0." in said


def test_it_is_said_where_the_adapted_layers_do_worse():
    assert midlevel_tables.missed(figures()) == "All figures that must be reached are."
    said = midlevel_tables.missed(figures(scenes={"linear": row(0.9, 0.9)}))
    assert said.count("\n") == 0 and "accuracy of the adapted layers on scenes is 0.850" in said
    worse = figures(photos={"frozen": row(0.9, 0.94)})
    said = midlevel_tables.missed(worse)
    assert said.count("\n") == 0 and "on photos" in said and "whole photo" in said
    assert "is below the frozen features of the whole photo, in accuracy:" in (
        midlevel_tables.photos(worse)
    )
    assert "is below" not in midlevel_tables.photos(figures())
    said = midlevel_tables.missed(figures(scenes={"frozen": row(0.9, 0.9), "peaks_in_box": 0.7}))
    assert said.count("missed: ") == 2


def test_the_mean_is_0_where_no_patch_lies():
    places = np.array([[0, 0, 4, 4], [2, 0, 6, 4]])
    found = mean_map(places, np.array([0.5, 1.0], np.float32), (8, 4), 1.0)
    np.testing.assert_allclose(found[0], [0.5, 0.5, 0.75, 0.75, 1, 1, 0, 0])


def test_it_learns_the_layers_as_fit_does_and_the_linear_one_from_the_same_patches():
    net, shown = DecafNet(), scenes(30, seed=1)
    how = {"most_patches": 60, "training": Training(hidden=32, epochs=2)}
    images, labels, boxes = zip(*shown, strict=True)
    boxes = [[box] for box in boxes]
    model = MidLevel(net, "relu6", **how)
    linear, _ = fit(model, images, labels, boxes)
    alone = MidLevel(net, "relu6", **how).fit(images, labels, boxes)
    for one, other in zip(
        model.trained_.weights.arrays(), alone.trained_.weights.arrays(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    unseen = [each.image for each in scenes(6, seed=2)]
    found, _ = scores_of(model, linear, unseen)
    np.testing.assert_array_equal(found.adapted, alone.predict_scores(unseen))
    assert linear.learned.classes_.tolist() == [0, 1, 2, 3]  # with the background
    assert found.linear.shape == (6, len(CLASSES)) and (found.linear > 0).all()
    assert [size for size, _, _ in found.maps] == [SIZE] * 6
