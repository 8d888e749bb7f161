"""Boxes: enlarged and cut off, or stretched over the network's input with what surrounds them."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image

from decaf import ops
from decaf.errors import ArchitectureError, FeaturesError, ImageError
from decaf.image import Preprocessing
from decaf.mean_image import MeanImage
from decaf.net import DecafNet
from decaf.transfer.box_checks import Box, check_box
from decaf.transfer.boxes import box_features, enlarged, warped
from decaf.weights import save_weights

WIDTH, HEIGHT = 120, 90


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> DecafNet:
    weights = tiny.save(tmp_path_factory.mktemp("weights") / "tiny.h5")
    return DecafNet(weights, backend=ops.available()[0])


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(tiny.photo(0, HEIGHT, WIDTH))


# --- enlarged -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "scale", "want"),
    [
        ((40, 30, 60, 40), 1.5, (35, 27.5, 65, 42.5)),
        ((40, 30, 60, 40), 1, (40, 30, 60, 40)),
        ((0, 30, 20, 40), 1.5, (0, 27.5, 25, 42.5)),  # cut off at the left, not moved
        ((100, 80, 120, 90), 2, (90, 75, 120, 90)),
        ((0, 0, 120, 90), 1.5, (0, 0, 120, 90)),
        ((10.5, 20.25, 12.5, 22.25), 3, (8.5, 18.25, 14.5, 24.25)),
    ],
)
def test_a_box_is_enlarged_about_its_centre_and_cut_off(box: Box, scale: float, want: Box) -> None:
    assert enlarged(box, scale, WIDTH, HEIGHT) == want


@pytest.mark.parametrize("scale", [0.5, 0, -1, float("nan"), float("inf"), "1.5", None])
def test_a_scale_that_is_none(net: DecafNet, photo: Image.Image, scale: Any) -> None:
    with pytest.raises(FeaturesError, match=r"^scale must be a number; expected at least 1"):
        enlarged((1, 1, 3, 3), scale, 9, 9)
    with pytest.raises(FeaturesError, match="^scale"):
        box_features(net, photo, [], "fc7", scale=scale)


# --- warped ---------------------------------------------------------------------------------


def ramp(width: int, height: int) -> Image.Image:
    """Red is the column, green the row, blue is 200: any place can be read from its colour."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x, y, np.full_like(x, 200)], axis=-1).astype(np.uint8))


@pytest.mark.parametrize(
    "box",
    [
        (40, 30, 80, 60),  # nothing outside
        (10, 5, 30, 80),  # above, below and left of it, pixels outside
        (0, 0, 120, 90),
        (110.5, 70.25, 120, 90),
        (3, 2, 5, 4),  # 2 x 2 pixels: made larger
    ],
)
@pytest.mark.parametrize("context", [0, 4, 16])
@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
def test_a_warped_picture_shows_what_the_definition_says(
    box: Box, context: int, size: tuple[int, int]
) -> None:
    picture = np.asarray(warped(ramp(WIDTH, HEIGHT), box, size, context, (7, 8, 9)), np.float64)
    assert picture.shape == (*size, 3)
    left, top, right, bottom = box
    for column in range(size[1]):
        step = (right - left) / (size[1] - 2 * context)
        x0 = left + (column - context) * step
        for row in range(size[0]):
            high = (bottom - top) / (size[0] - 2 * context)
            y0 = top + (row - context) * high
            # Which part of the photo a pixel of the picture shows.
            parts = (x0, y0, WIDTH - x0 - step, HEIGHT - y0 - high)
            if min(parts) < -1e-6:
                assert picture[row, column].tolist() == [7, 8, 9], (row, column)
                continue
            red, green, blue = picture[row, column]
            assert blue == 200
            # Column i is at i + 1/2; at the very edge a filter finds fewer pixels on one side.
            if min(x0, WIDTH - x0 - step) >= max(1, step):
                assert abs(red - (x0 + step / 2 - 0.5)) <= 1, (row, column)
            if min(y0, HEIGHT - y0 - high) >= max(1, high):
                assert abs(green - (y0 + high / 2 - 0.5)) <= 1, (row, column)


def test_the_context_is_exactly_as_wide_as_asked() -> None:
    photo = Image.new("RGB", (WIDTH, HEIGHT), "blue")
    photo.paste((255, 0, 0), (40, 30, 80, 60))
    picture = np.asarray(warped(photo, (40, 30, 80, 60), (227, 227), resampling="nearest"))
    red = picture[..., 0] == 255
    assert red[16:211, 16:211].all() and red.sum() == 195 * 195


def test_a_long_photo_is_warped_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = ramp(250, 200)
    want = np.asarray(warped(photo, (0, 0, 250, 200), (40, 40), 8), np.int64)
    monkeypatch.setattr("decaf.transfer.boxes.LONGEST_PHOTO_SIDE", 100)
    in_steps = np.asarray(warped(photo, (0, 0, 250, 200), (40, 40), 8), np.int64)
    assert abs(in_steps - want).max() <= 3


# --- features -------------------------------------------------------------------------------


def test_enlarged_boxes_are_photos_of_their_own(net: DecafNet, photo: Image.Image) -> None:
    boxes = [(40, 30, 60, 40), (0, 0, 10, 11), (0, 0, WIDTH, HEIGHT)]
    found = box_features(net, photo, boxes, "fc7")
    pixels = np.asarray(photo)
    by_hand = [pixels[27:43, 35:65], pixels[:14, :13], pixels]
    np.testing.assert_array_equal(found, net.features(by_hand, "fc7"))


def seen_by(net: DecafNet, monkeypatch: pytest.MonkeyPatch, *args: Any, **options: Any) -> Any:
    """What the first layer sees."""
    forward, seen = net.forward, []

    def noting(x: Any, *rest: Any, **more: Any) -> Any:
        seen.append(x.copy())
        return forward(x, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(net, "forward", noting)
        box_features(net, *args, mode="warp", **options)
    return np.concatenate(seen)


def colour(recipe: Preprocessing, rgb: tuple[int, int, int]) -> Any:
    """A colour as the network sees it, in the order of the recipe's channels."""
    given = np.array(rgb if recipe.channels == "RGB" else rgb[::-1])
    return (given / recipe.divide - np.array(recipe.mean)) / np.array(recipe.std)


def test_a_warped_box_reaches_the_network_with_its_context(
    net: DecafNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No recipe resizes or crops it again: of 12 x 12, 8 x 8 are the box, 2 on each side not."""
    photo = Image.new("RGB", (WIDTH, HEIGHT), (10, 20, 250))
    photo.paste((250, 128, 0), (48, 32, 80, 56))
    x = seen_by(net, monkeypatch, photo, [(48, 32, 80, 56)], "fc7", context=2)
    assert x.shape == (1, 3, 12, 12)
    inside, around = (colour(tiny.PREPROCESSING, c) for c in ((250, 128, 0), (10, 20, 250)))
    for c in range(3):  # beside the edge the filter mixes both
        np.testing.assert_allclose(x[0, c, 3:9, 3:9], inside[c], rtol=1e-4)
        for border in (x[0, c, 0], x[0, c, -1], x[0, c, :, 0], x[0, c, :, -1]):
            np.testing.assert_allclose(border, around[c], rtol=1e-4)


def test_outside_the_photo_the_network_sees_zeros(
    net: DecafNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = Image.new("RGB", (WIDTH, HEIGHT), (250, 128, 0))
    x = seen_by(net, monkeypatch, photo, [(0, 30, 20, 40), (0, 0, 120, 90)], "fc7", context=2)
    shown = colour(tiny.PREPROCESSING, (250, 128, 0))
    assert (x[0, :, :, :2] == 0).all()
    flat = shown[:, None, None]
    np.testing.assert_allclose(x[0, :, :, 2:], np.tile(flat, (12, 10)), rtol=1e-4)
    assert (x[1] == 0).sum() == 3 * (12 * 12 - 8 * 8)
    np.testing.assert_allclose(x[1, :, 2:10, 2:10], np.tile(flat, (8, 8)), rtol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"resize": 14, "crop": (12, 12)},
        {"channels": "RGB", "divide": 1.0, "mean": (100.0, 110.0, 120.0), "std": (1.0, 2.0, 3.0)},
        {"mean": MeanImage(np.random.default_rng(0).random((3, 14, 15)))},
        {"mean": MeanImage(np.random.default_rng(0).random((3, 12, 12)))},
    ],
    ids=["shorter side", "other numbers", "mean image", "mean image of the crop"],
)
def test_any_recipe(
    tmp_path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    recipe = dataclasses.replace(tiny.PREPROCESSING, **changes)
    path = tmp_path / "net.h5"
    save_weights(
        path, tiny.ARCHITECTURE, tiny.parameters(), preprocessing=recipe, labels=tiny.LABELS
    )
    net = DecafNet(path, backend=ops.available()[0])
    x = seen_by(net, monkeypatch, photo, [(0, 30, 24, 54)], "fc7", context=2)[0]
    pixels = np.asarray(warped(photo, (0, 30, 24, 54), (12, 12), 2), np.float64)
    given = np.moveaxis(pixels[..., ::-1] if recipe.channels == "BGR" else pixels, 2, 0)
    if isinstance(recipe.mean, MeanImage):
        mean = recipe.mean.values
        mean = mean[:, 1:13, 2:14] if mean.shape[1] == 14 else mean  # 1.5 is rounded to even
    else:
        mean = np.array(recipe.mean)[:, None, None]
    want = (given / recipe.divide - mean) / np.array(recipe.std)[:, None, None]
    want[:, :, :2] = 0
    np.testing.assert_allclose(x, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["enlarge", "warp"])
def test_a_row_has_the_same_bits_alone_and_among_others(
    net: DecafNet, photo: Image.Image, mode: str
) -> None:
    random = np.random.default_rng(0)
    corner = random.uniform(0, 60, (40, 2))
    boxes = np.concatenate([corner, corner + random.uniform(1, 30, (40, 2))], axis=1)
    options: dict[str, Any] = {"mode": mode, "context": 3}
    together = box_features(net, photo, boxes, "fc7", **options)
    assert together.shape == (40, 9) and together.dtype == np.float32
    for n in (0, 15, 16, 39):
        alone = box_features(net, photo, [tuple(boxes[n])], "fc7", **options)
        np.testing.assert_array_equal(alone[0], together[n])
    assert box_features(net, photo, [], "fc7", **options).shape == (0, 9)
    maps = box_features(net, photo, boxes[:2], "pool5", **options)
    pooled = box_features(net, photo, boxes[:2], "pool5", pooling="average", **options)
    np.testing.assert_allclose(pooled, maps.reshape(2, 10, 9).mean(axis=2), rtol=1e-5, atol=1e-6)


def test_photos_are_upright_and_read_once(net: DecafNet) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side: HEIGHT x WIDTH when upright
    file = io.BytesIO()
    Image.fromarray(tiny.photo(0, HEIGHT, WIDTH)).save(file, "PNG", exif=exif)
    upright = np.rot90(tiny.photo(0, HEIGHT, WIDTH), -1)
    file.seek(0)
    found = box_features(net, file, [(0, 60, 90, 120), (0, 0, 9, 9)], "fc7", scale=1)
    want = net.features([upright[60:120], upright[:9, :9]], "fc7")
    np.testing.assert_array_equal(found, want)


# --- bad input ------------------------------------------------------------------------------

WRONG: list[tuple[Any, str]] = [
    ((float("nan"), 0, 9, 9), "must be four finite numbers"),
    ((0, 0, 9, float("inf")), "must be four finite numbers"),
    ((0, 0, 9), "must be four finite numbers"),
    ((0, 0, 9, 9, 9), "must be four finite numbers"),
    (("a", 0, 9, 9), "must be four finite numbers"),
    (None, "must be four finite numbers"),
    ((0, 0, 10**400, 9), "must be four finite numbers"),
    ((9, 0, 3, 9), "must have an area"),
    ((3, 9, 9, 3), "must have an area"),
    ((3, 3, 3, 9), "must have an area"),
    ((3, 3, 9, 3.5), "must have an area"),
    ((-1, 0, 9, 9), "must lie within its photo; expected 0 to 120 across and 0 to 90 down"),
    ((0, -0.5, 9, 9), "must lie within its photo"),
    ((0, 0, 121, 9), "must lie within its photo"),
    ((0, 0, 9, 90.5), "must lie within its photo"),
    ((300, 300, 310, 310), "must lie within its photo"),
]


@pytest.mark.parametrize("mode", ["enlarge", "warp"])
@pytest.mark.parametrize(("box", "reason"), WRONG, ids=repr)
def test_a_wrong_box_is_named_before_work_starts(
    net: DecafNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, box: Any, reason: str, mode: str
) -> None:
    Image.fromarray(tiny.photo(0, HEIGHT, WIDTH)).save(tmp_path / "a.png")
    monkeypatch.setattr(net, "forward", lambda *_: pytest.fail("the network was run"))
    with pytest.raises(FeaturesError, match=rf"a\.png: box 1 {reason}") as error:
        box_features(net, tmp_path / "a.png", [(0, 0, 9, 9), box], "fc7", mode=mode, context=2)
    assert len(str(error.value)) < 500 and "\n" not in str(error.value)
    with pytest.raises(FeaturesError, match=reason):
        check_box(box, WIDTH, HEIGHT)
    with pytest.raises(FeaturesError, match=reason):
        enlarged(box, 1.5, WIDTH, HEIGHT)
    with pytest.raises(FeaturesError, match=reason):
        warped(Image.new("RGB", (WIDTH, HEIGHT)), box, (12, 12), 2)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"mode": "squash"}, "mode must be 'enlarge' or 'warp'; got 'squash'"),
        ({"context": 6}, "context must be pixels .* expected 0 to 5 of 12x12, got 6"),
        ({"context": -1}, "context must be pixels"),
        ({"context": 1.5}, "context must be pixels"),
        ({"pooling": "mean"}, "pooling must be known"),
    ],
)
def test_wrong_options(net: DecafNet, options: dict[str, Any], reason: str) -> None:
    options = {"mode": "warp", "context": 2, **options}
    with pytest.raises(FeaturesError, match=f"^{reason}"):
        box_features(net, "there is none.png", [(0, 0, 9, 9)], "fc7", **options)


def test_what_else_may_be_wrong(net: DecafNet, photo: Image.Image) -> None:
    with pytest.raises(ArchitectureError, match="fc9"):
        box_features(net, photo, [], "fc9", context=2)
    with pytest.raises(ImageError, match=r"^there is none\.png"):
        box_features(net, "there is none.png", [], "fc7", context=2)
    for boxes in ("abcd", 5, None):
        with pytest.raises(FeaturesError, match="boxes must be a list"):
            box_features(net, photo, boxes, "fc7", context=2)  # type: ignore[arg-type]
