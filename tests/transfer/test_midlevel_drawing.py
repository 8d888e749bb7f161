"""The picture of where: legible, the same each time, and the cross at the map's peak."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scenes import scenes

pytest.importorskip("matplotlib")

from pictures import check_legible, same_picture

from decaf import DecafNet
from decaf.errors import FeaturesError, ImageError
from decaf.transfer.midlevel import MidLevel, Training, peak


@pytest.fixture(scope="module")
def model() -> MidLevel:
    shown = scenes(9, seed=1)
    model = MidLevel(DecafNet(), "relu6", most_patches=40, training=Training(hidden=16, epochs=2))
    labels = [f"$a_{each.label}$ " + "long " * 20 for each in shown]
    return model.fit([each.image for each in shown], labels, [[each.box] for each in shown])


@pytest.mark.parametrize("size", [(96, 72), (72, 96), (900, 30), (3, 400)])
def test_it_is_legible_and_marks_the_peak(model: MidLevel, size: tuple[int, int]):
    image = scenes(1, seed=2)[0].image.resize(size)
    label = model.classes_[0]
    figure = model.plot(image, label, [(0, 0, size[0] / 2, size[1] / 2)])
    said = check_legible(figure)
    assert any(text.startswith("$a_") and "relative to the peak" in text for text in said)
    right = figure.axes[1]
    (cross,) = [line for line in right.lines if line.get_marker() == "+"]
    x, y = peak(model.where(image, label))
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (x + 0.5, y + 0.5)
    assert len(right.lines) == 2 and len(figure.axes[0].lines) == 1
    found = model.where(image, label)
    np.testing.assert_allclose(right.images[1].get_array(), found / found.max(), rtol=1e-6)
    assert same_picture(figure, model.plot(image, label, [(0, 0, size[0] / 2, size[1] / 2)]))


def test_a_file_is_called_by_its_name(model: MidLevel, tmp_path: Path):
    scenes(1, seed=2)[0].image.save(tmp_path / "one.png")
    assert "one.png" in check_legible(model.plot(tmp_path / "one.png", model.classes_[0]))


def test_bad_input(model: MidLevel, tmp_path: Path):
    image = Image.new("RGB", (40, 30))
    with pytest.raises(FeaturesError, match="box 0 must lie within its photo"):
        model.plot(image, model.classes_[0], [(0, 0, 41, 30)])
    with pytest.raises(FeaturesError, match="must be one of the classes"):
        model.plot(image, "cat")
    with pytest.raises(ImageError, match="absent"):
        model.plot(tmp_path / "absent.png", model.classes_[0])
