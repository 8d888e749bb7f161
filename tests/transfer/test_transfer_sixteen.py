"""The sixteen pictures: their order, their geometry, and that nothing in them is invented."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image, ImageOps

from decaf.errors import ImageError
from decaf.transfer.sixteen import ANGLE, VIEW_NAMES, sixteen_views, turned

SIZES = [(301, 200), (200, 301), (90, 90), (7, 5), (2, 3), (50, 1), (1, 50), (1, 1)]


def photo(width: int, height: int) -> Image.Image:
    return Image.fromarray(tiny.photo(0, height, width))


def test_the_order_is_that_of_the_names() -> None:
    assert len(VIEW_NAMES) == 16 == len(set(VIEW_NAMES)) == len(sixteen_views())
    pixels = tiny.photo(0, 60, 90)
    found = [np.asarray(make(Image.fromarray(pixels))) for make in sixteen_views()]
    by_hand = {
        "whole": pixels,
        "top left": pixels[:40, :60],
        "top right": pixels[:40, 30:],
        "bottom left": pixels[20:, :60],
        "bottom right": pixels[20:, 30:],
        "centre": pixels[10:50, 15:75],
    }
    for name, want in by_hand.items():
        np.testing.assert_array_equal(found[VIEW_NAMES.index(name)], want)
        mirrored = found[VIEW_NAMES.index(f"{name}, mirrored")]
        np.testing.assert_array_equal(mirrored, want[:, ::-1])
    for number in range(8):
        np.testing.assert_array_equal(found[8 + number], found[number][:, ::-1])


@pytest.mark.parametrize("size", SIZES)
def test_crops_have_four_ninths_of_the_area(size: tuple[int, int]) -> None:
    for number in range(1, 6):
        picture = sixteen_views()[number](photo(*size))
        for side, whole in zip(picture.size, size, strict=True):
            assert (side >= 1 and abs(side - whole * 2 / 3) <= 0.5) or side == 1 == whole


@pytest.mark.parametrize("degrees", [-30, -10, 10, 45])
@pytest.mark.parametrize("size", [(301, 200), (200, 301), (90, 90)])
def test_turned_is_what_pillow_turns_and_cuts_out(size: tuple[int, int], degrees: float) -> None:
    """The oracle turns the photo on a larger canvas, and cuts the middle out of that."""
    smooth = photo(9, 6).resize(size, Image.Resampling.BICUBIC)  # half a pixel changes little
    found = turned(smooth, degrees)
    whole = smooth.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    left, top = (whole.width - found.width) / 2, (whole.height - found.height) / 2
    want = whole.transform(
        found.size, Image.Transform.AFFINE, (1, 0, left, 0, 1, top), Image.Resampling.BILINEAR
    )
    difference = np.abs(np.asarray(found, float) - np.asarray(want, float))
    assert difference.mean() < 3
    wrong = np.abs(np.asarray(turned(smooth, -degrees), float) - np.asarray(want, float))
    assert wrong.mean() > 5 * difference.mean()


@pytest.mark.parametrize("degrees", [0, 1, 10, -10, 30, 45, -45])
@pytest.mark.parametrize("size", SIZES)
def test_nothing_from_outside_the_photo_is_in_it(size: tuple[int, int], degrees: float) -> None:
    white = turned(Image.new("RGB", size, "white"), degrees)
    assert (np.asarray(white) == 255).all()


@pytest.mark.parametrize("degrees", [10, 45])
@pytest.mark.parametrize("size", [(301, 200), (200, 301), (90, 90)])
def test_the_turned_rectangle_is_the_largest_of_its_shape(
    size: tuple[int, int], degrees: float
) -> None:
    """Its corners, turned, lie within the photo; of one two pixels larger they would not."""
    width, height = size
    w, h = turned(photo(*size), degrees).size
    assert abs(w / h - width / height) < 0.03
    turn = np.exp(1j * np.radians(degrees))

    def fits(w: float, h: float) -> bool:
        corners = np.array([w + h * 1j, w - h * 1j]) / 2 * turn
        across, down = np.abs(corners.real).max(), np.abs(corners.imag).max()
        return bool(across <= width / 2 + 1e-9 and down <= height / 2 + 1e-9)

    assert fits(w, h) and not fits(w + 2, (w + 2) * height / width)


def test_an_angle_of_0_changes_nothing() -> None:
    np.testing.assert_array_equal(np.asarray(turned(photo(30, 20), 0)), tiny.photo(0, 20, 30))
    assert 0 < ANGLE <= 45


@pytest.mark.parametrize("angle", [-1, 46, float("nan"), "3", None])
def test_wrong_angles(angle: Any) -> None:
    with pytest.raises(ImageError, match="^angle must be in degrees; expected 0 to 45"):
        sixteen_views(angle)


def test_the_photo_is_not_changed() -> None:
    given = photo(30, 20)
    for make in sixteen_views():
        made = make(given)
        if made is not given:
            ImageOps.invert(made).load()
    np.testing.assert_array_equal(np.asarray(given), tiny.photo(0, 20, 30))
