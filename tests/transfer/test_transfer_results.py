"""Results: printed, kept as JSON, whole or not at all."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decaf.errors import FeaturesError
from decaf.transfer.results import Mistake, Scores, TransferResult


def scores(name: str = "svm", accuracies: tuple[float, ...] = (0.8, 0.9), **more: Any) -> Scores:
    return Scores(name, accuracies, more.pop("chosen", (1.0, 10.0)), np.eye(2, dtype=int), **more)


def result(**changes: Any) -> TransferResult:
    values: dict[str, Any] = {
        "protocol": "decaf",
        "classes": ("cat", "Katze <ü>"),
        "scores": (scores(), scores("svm, dropout", (0.7, 0.96))),
        "curve": {"svm": {1: (0.5, 0.6), 10: (0.8, 0.9)}},
        "mistakes": (Mistake(3, "cat", "Katze <ü>", 1.5),),
        "settings": {"per_class": np.int64(10), "grid": (1.0, math.inf), "layer": None},
    }
    return TransferResult(**{**values, **changes})


def test_deviation_is_that_of_a_sample() -> None:
    one = scores(accuracies=(0.1, 0.2, 0.6))
    assert one.mean == pytest.approx(0.3)
    assert one.deviation == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1))
    assert math.isnan(scores(accuracies=(0.5,)).deviation)
    assert math.isnan(one.mean_average_precision)
    assert scores(average_precision={"a": 0.2, "b": 0.6}).mean_average_precision == 0.4


def test_the_best_has_the_highest_mean_and_of_equal_ones_is_the_first() -> None:
    assert result().best.name == "svm"  # 0.85 against 0.83, though one split was better
    even = result(scores=(scores("one"), scores("two")))
    assert even.best.name == "one"


def test_the_table_says_it_in_per_cent() -> None:
    lines = [line.split() for line in result().table().splitlines()]
    assert ["svm", "85.0", "±", "7.1", "1", "to", "10"] in lines
    assert ["svm,", "dropout", "83.0", "±", "18.4", "1", "to", "10"] in lines
    assert ["photos", "a", "class", "1", "10"] in lines
    assert ["svm", "55.0", "±", "7.1", "85.0", "±", "7.1"] in lines
    assert ["chance", "50.0"] in lines
    assert "mAP" not in result().table()


def test_a_single_split_has_no_deviation_and_no_curve_no_table() -> None:
    alone = result(scores=(scores(accuracies=(0.8,), chosen=(0.1,)),), curve={})
    assert alone.table().splitlines()[2].split() == ["svm", "80.0", "0.1"]
    assert "photos a class" not in alone.table()
    assert "nan" not in alone.table()


def test_average_precision_has_a_column_where_it_was_measured() -> None:
    both = result(scores=(scores(average_precision={"cat": 0.5, "Katze <ü>": 0.75}), scores("b")))
    lines = both.table().splitlines()
    assert lines[0].split()[-1] == "mAP"
    assert lines[2].split()[-1] == "62.5"
    assert lines[3].split()[-1] == "10"  # the largest C; nothing behind it


def test_json_holds_everything(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    found = result()
    found.save_json(path)
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == found.to_dict()
    kept = json.loads(text)
    assert kept["scores"][1]["accuracies"] == [0.7, 0.96]
    assert kept["scores"][1]["mean"] == statistics.fmean([0.7, 0.96])
    assert kept["scores"][0]["confusion"] == [[1, 0], [0, 1]]
    assert kept["scores"][0]["mean_average_precision"] is None  # JSON has no NaN
    assert kept["curve"] == {"svm": {"1": [0.5, 0.6], "10": [0.8, 0.9]}}
    assert kept["mistakes"] == [{"photo": 3, "shows": "cat", "said": "Katze <ü>", "margin": 1.5}]
    assert kept["settings"] == {"per_class": 10, "grid": [1.0, None], "layer": None}
    assert kept["classes"] == ["cat", "Katze <ü>"]
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]
    before = path.read_bytes()
    found.save_json(path)
    assert path.read_bytes() == before


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("kept")
    with pytest.raises((FeaturesError, TypeError, ValueError)):
        result(classes=("cat", b"no text")).save_json(path)
    assert path.read_text() == "kept"
    for missing in (tmp_path / "no" / "result.json", tmp_path / "nul\0.json"):
        with pytest.raises(FeaturesError, match="must be a file that can be written; got"):
            result().save_json(missing)
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]


def test_a_picture_is_drawn() -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("decaf.plots.learning_curve")
    assert type(result().plot()).__name__ == "Figure"
