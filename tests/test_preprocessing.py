"""Recipes, and what `prepare` makes of pixels with them.

Oracles: the obvious implementation in float64, torchvision's own transforms, and images whose
pixels say where they are.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support_torch import import_torch, import_torchvision

from decaf.errors import ImageError
from decaf.image import load_image
from decaf.mean_image import MeanImage
from decaf.prepare import CROPS, cut, prepare
from decaf.preprocessing import (
    CAFFE_IMAGENET,
    INTERPOLATIONS,
    LARGEST_SIDE,
    TORCHVISION_IMAGENET,
    Preprocessing,
)

PLAIN = Preprocessing(resize=8, crop=(8, 8), divide=1.0)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).integers(0, 256, shape, dtype=np.uint8)


def obvious(pixels: np.ndarray, recipe: Preprocessing, oversample: bool) -> np.ndarray:
    """The recipe step by step, in float64; shares no code with `prepare`."""
    height, width = pixels.shape[:2]
    if isinstance(recipe.resize, int):
        short, long = min(height, width), max(height, width)
        other = int(recipe.resize * long / short)
        size = (recipe.resize, other) if width <= height else (other, recipe.resize)
    else:
        size = (recipe.resize[1], recipe.resize[0])
    method = getattr(Image.Resampling, recipe.interpolation.upper())
    image = Image.fromarray(pixels).resize(size, method)
    h, w = recipe.crop
    right, bottom = size[0] - w, size[1] - h
    corners = [(0, 0), (right, 0), (0, bottom), (right, bottom)] if oversample else []
    crops = [
        image.crop((x, y, x + w, y + h))
        for x, y in [*corners, (round(right / 2), round(bottom / 2))]
    ]
    if oversample:
        crops += [crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for crop in crops]
    planes = []
    for crop in crops:
        bands = dict(zip("RGB", crop.split(), strict=True))
        for i, channel in enumerate(recipe.channels):
            band = np.asarray(bands[channel]).astype(np.float64)
            planes.append((band / recipe.divide - recipe.mean[i]) / recipe.std[i])
    return np.array(planes).reshape(len(crops), 3, h, w)


@st.composite
def recipes(draw: st.DrawFn) -> Preprocessing:
    side = st.integers(1, 24)
    resize = draw(side | st.tuples(side, side))
    h, w = (resize, resize) if isinstance(resize, int) else resize
    number = st.floats(-200, 200, allow_subnormal=False)
    return Preprocessing(
        resize=resize,
        crop=(draw(st.integers(1, h)), draw(st.integers(1, w))),
        channels=draw(st.sampled_from(["RGB", "BGR"])),
        divide=draw(st.sampled_from([1.0, 255.0, 127.5])),
        mean=draw(st.tuples(number, number, number)),
        std=draw(st.tuples(*[st.floats(0.01, 100)] * 3)),
        interpolation=draw(st.sampled_from(INTERPOLATIONS)),
    )


# ---- prepare ---------------------------------------------------------------------------------


@settings(max_examples=200)
@given(recipes(), st.integers(1, 60), st.integers(1, 60), st.booleans())
def test_prepare_against_the_obvious(
    recipe: Preprocessing, height: int, width: int, oversample: bool
) -> None:
    pixels = noise(height, width, 3)
    x = prepare(pixels, recipe, oversample=oversample)
    expected = obvious(pixels, recipe, oversample)
    assert x.dtype == np.float32
    assert x.shape == expected.shape == (CROPS if oversample else 1, *recipe.input_shape)
    scale = max(256.0, *map(abs, recipe.mean)) / min(recipe.std)
    np.testing.assert_allclose(x, expected, rtol=0, atol=4e-7 * scale)


PHOTOS = [
    (size, mode)
    for size, mode in zip(
        [(500, 375), (375, 500), (256, 256), (257, 256), (224, 224), (100, 100), (17, 40),
         (640, 480), (1000, 301), (301, 1000), (255, 999), (33, 32), (1, 1), (1, 9),
         (341, 512), (480, 641), (799, 600), (227, 226), (2000, 40), (1024, 768)],
        ["RGB", "L", "1", "P", "CMYK", "YCbCr", "RGB", "HSV", "RGB", "L",
         "RGB", "RGBX", "RGB", "L", "CMYK", "P", "RGB", "1", "RGB", "YCbCr"],
        strict=True,
    )
]  # fmt: skip


@pytest.mark.parametrize(("size", "mode"), PHOTOS)
def test_torchvision_on_photos_of_many_shapes_and_modes(size: tuple[int, int], mode: str) -> None:
    torchvision = import_torchvision()
    coarse = Image.fromarray(noise(*(max(1, side // 8) for side in size), 3))
    image = coarse.resize(size, Image.Resampling.BICUBIC).convert(mode)
    transform = torchvision.models.AlexNet_Weights.IMAGENET1K_V1.transforms()
    expected = transform(image.convert("RGB")).numpy()[None]
    x = prepare(load_image(image), TORCHVISION_IMAGENET)
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(x, expected)  # to the last bit, even


@pytest.mark.parametrize("size", [(31, 47), (48, 30), (25, 25)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest", "box", "lanczos"])
def test_torchvision_with_other_options(size: tuple[int, int], interpolation: str) -> None:
    torch, transforms = import_torch(), import_torchvision().transforms
    recipe = Preprocessing(24, (21, 16), interpolation=interpolation, mean=(0.1, 0.2, 0.3))
    image = Image.fromarray(noise(size[1], size[0], 3))
    resized = transforms.Resize(24, transforms.InterpolationMode(interpolation))(image)
    five = transforms.FiveCrop((21, 16))(resized)
    ours = prepare(np.asarray(image), recipe, oversample=True)
    for crop, x in zip(five, ours, strict=False):
        tensor = transforms.functional.to_tensor(crop) - torch.tensor(recipe.mean)[:, None, None]
        np.testing.assert_allclose(x, tensor.numpy(), rtol=0, atol=1e-6)


def test_the_ten_crops_lie_where_they_should() -> None:
    height, width = 20, 30
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(height)[:, None]  # red says the row
    pixels[..., 1] = np.arange(width)  # green says the column
    recipe = Preprocessing((height, width), (13, 17), divide=1.0)  # resizes nothing
    x = prepare(pixels, recipe, oversample=True)
    starts = [(0, 0), (0, 13), (7, 0), (7, 13), (4, 6)]  # 3.5 and 6.5 round to even
    for n, (top, left) in enumerate(starts):
        for crop, columns in ((x[n], slice(None)), (x[n + 5], slice(None, None, -1))):
            np.testing.assert_array_equal(crop[0], np.arange(top, top + 13)[:, None] + np.zeros(17))
            expected = np.arange(left, left + 17)[columns] + np.zeros((13, 1))
            np.testing.assert_array_equal(crop[1], expected)
    np.testing.assert_array_equal(prepare(pixels, recipe)[0], x[4])


def test_bgr_turns_the_channels_over() -> None:
    pixels = noise(8, 8, 3)
    rgb = prepare(pixels, PLAIN)
    bgr = prepare(pixels, dataclasses.replace(PLAIN, channels="BGR", mean=(1.0, 2.0, 3.0)))
    np.testing.assert_array_equal(rgb[0, ::-1] - np.array([1, 2, 3])[:, None, None], bgr[0])
    np.testing.assert_array_equal(rgb[0], pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("oversample", [False, True])
def test_out_is_written_and_returned(oversample: bool) -> None:
    pixels = noise(30, 40, 3)
    recipe = Preprocessing(16, (12, 10), mean=(0.5, 0.4, 0.3))
    expected = prepare(pixels, recipe, oversample=oversample)
    rows = np.full((12, 3, 12, 10), np.nan, np.float32)
    out = rows[1 : 1 + len(expected)]
    assert prepare(pixels, recipe, oversample=oversample, out=out) is out
    np.testing.assert_array_equal(out, expected)
    assert np.isnan(rows[0]).all()
    assert np.isnan(rows[1 + len(expected) :]).all()


@pytest.mark.parametrize("out", [
    np.zeros((1, 3, 8, 9), np.float32),
    np.zeros((10, 3, 8, 8), np.float32),
    np.zeros((1, 3, 8, 8), np.float64),
    np.zeros((1, 3, 8, 8), np.float32, order="F"),
])  # fmt: skip
def test_out_that_does_not_fit(out: np.ndarray) -> None:
    with pytest.raises(ImageError, match="out must take the result; expected C-contiguous"):
        prepare(noise(9, 9, 3), PLAIN, out=out)


@pytest.mark.parametrize("pixels", [
    np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8),
    np.zeros((0, 8, 3), np.uint8), [[1]], None,
])  # fmt: skip
def test_pixels_that_are_none(pixels: Any) -> None:
    with pytest.raises(ImageError, match="pixels must"):
        prepare(pixels, PLAIN)


def test_pixels_are_left_alone_and_may_be_a_view() -> None:
    pixels = noise(20, 30, 3)
    before = pixels.copy()
    x = prepare(pixels[:, ::-1], PLAIN)
    np.testing.assert_array_equal(x, prepare(np.ascontiguousarray(pixels[:, ::-1]), PLAIN))
    np.testing.assert_array_equal(pixels, before)


# ---- elongated photos ------------------------------------------------------------------------


ELONGATED = [
    (1, 10_000), (10_000, 1), (1, 50_000), (50_000, 1),
    (3, 1_000_000), (1_000_000, 3), (2_000_000, 2), (5, 4_000_000),
]  # fmt: skip


@pytest.mark.parametrize("shape", ELONGATED)
@pytest.mark.parametrize("recipe", [TORCHVISION_IMAGENET, CAFFE_IMAGENET])
def test_elongated_photos_take_little_memory(shape: tuple[int, int], recipe: Preprocessing) -> None:
    resource = pytest.importorskip("resource", reason="needs Unix")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pixels = np.full((*shape, 3), (10, 20, 30), np.uint8)
    x = prepare(pixels, recipe, oversample=True)
    colour = np.array([10, 20, 30] if recipe.channels == "RGB" else [30, 20, 10])
    expected = (colour / recipe.divide - recipe.mean) / recipe.std
    np.testing.assert_allclose(x, np.broadcast_to(expected[:, None, None], x.shape), atol=1e-4)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # KiB on Linux
    assert grown < 600_000


@pytest.mark.parametrize("shape", [(7, 1400), (1400, 7), (40, 30), (30, 2000)])
@pytest.mark.parametrize("recipe", [
    Preprocessing(32, (24, 20)), Preprocessing((32, 28), (24, 20), interpolation="bicubic"),
])  # fmt: skip
def test_resizing_only_where_the_crops_lie(
    shape: tuple[int, int], recipe: Preprocessing, monkeypatch: pytest.MonkeyPatch
) -> None:
    ramp = np.linspace(0, 255, shape[0] * shape[1]).reshape(shape)
    pixels = np.dstack([ramp, ramp[::-1], ramp[:, ::-1]]).astype(np.uint8)
    whole = np.array(cut(pixels, recipe, oversample=True)).astype(int)
    monkeypatch.setattr("decaf.prepare.LARGEST_RESIZED", 0)
    parts = np.array(cut(pixels, recipe, oversample=True)).astype(int)
    assert np.abs(whole - parts).max() <= 1
    assert len({crop.tobytes() for crop in parts}) == 5
    monkeypatch.setattr("decaf.prepare.LONGEST_PHOTO_SIDE", 0)
    in_two_steps = np.array(cut(pixels, recipe, oversample=True)).astype(int)
    assert np.abs(whole - in_two_steps).max() <= 8


# ---- the recipe as data ----------------------------------------------------------------------


@given(recipes())
def test_json_keeps_a_recipe_exactly(recipe: Preprocessing) -> None:
    again = Preprocessing.from_dict(json.loads(json.dumps(recipe.to_dict(), allow_nan=False)))
    assert again == recipe
    assert repr(again) == repr(recipe)
    assert hash(again) == hash(recipe)


def test_numbers_of_numpy_become_plain_ones() -> None:
    recipe = Preprocessing(
        np.int64(9),
        [np.int32(8), 7],  # type: ignore[arg-type]
        mean=[np.float32(0.5), 1, 2],  # type: ignore[arg-type]
    )
    assert recipe == Preprocessing(9, (8, 7), mean=(0.5, 1.0, 2.0))
    json.dumps(recipe.to_dict())
    assert type(recipe.resize) is int


@pytest.mark.parametrize(("field", "value"), [
    ("resize", 0), ("resize", -1), ("resize", 2.5), ("resize", True), ("resize", None),
    ("resize", (8,) * 3), ("resize", (8,)), ("resize", (8, 0)), ("resize", ()), ("resize", "8"),
    ("resize", LARGEST_SIDE + 1), ("resize", 10**30), ("resize", 7), ("resize", (8, 7)),
    ("crop", (9, 8)), ("crop", (8, 9)), ("crop", 8), ("crop", (8,)), ("crop", (0, 8)),
    ("crop", (8.0, 8.0)), ("crop", "88"),
    ("channels", "rgb"), ("channels", "GBR"), ("channels", None), ("channels", ["R", "G", "B"]),
    ("divide", 0), ("divide", -255.0), ("divide", math.nan), ("divide", "255"), ("divide", True),
    ("mean", (1, 2)), ("mean", (1, 2, math.inf)), ("mean", (1, 2, 10**400)), ("mean", 0.5),
    ("mean", (1, 2, "3")), ("mean", (1, 2, 3, 4)), ("mean", (1, 2, 1e300)), ("mean", {"a": 1}),
    ("std", (1, 1, 0)), ("std", (1, -1, 1)), ("std", (1, 1, math.nan)), ("std", None),
    ("interpolation", "linear"), ("interpolation", 2), ("interpolation", ["bilinear"]),
])  # fmt: skip
def test_recipes_that_cannot_be(field: str, value: Any) -> None:
    values = {**PLAIN.to_dict(), field: value}
    named = "crop" if value in (7, (8, 7)) else field
    with pytest.raises(ImageError, match=f"^preprocessing: {named} must be usable; expected "):
        Preprocessing(**values)
    with pytest.raises(ImageError):
        Preprocessing.from_dict(values)


@pytest.mark.parametrize("values", [
    {"std": (1e-50, 1, 1)}, {"std": (1, 1, 1e-40)}, {"divide": 1e-50}, {"divide": 1e-40},
    {"divide": 1e-30, "std": (1, 1e-30, 1)}, {"mean": (1e6, 0, 0), "std": (1e-33, 1, 1)},
], ids=str)  # fmt: skip
def test_recipes_beyond_float32(values: dict[str, Any]) -> None:
    with pytest.raises(ImageError, match="stay finite in float32, got .*1e-"):
        dataclasses.replace(PLAIN, **values)


def test_a_recipe_at_the_edge_of_float32() -> None:
    recipe = dataclasses.replace(PLAIN, mean=(1e6, 0, -1e6), std=(1e-32, 1e-32, 1e-32))
    for value in (0, 1, 254, 255):
        x = prepare(np.full((8, 8, 3), value, np.uint8), recipe)
        assert np.isfinite(x).all() and abs(x).max() > 9e37


def test_dictionaries_with_other_keys() -> None:
    values = PLAIN.to_dict()
    for key in values:
        with pytest.raises(ImageError, match="must have every key and no other"):
            Preprocessing.from_dict({k: v for k, v in values.items() if k != key})
    for bad in ({**values, "extra": 1}, {}, {1: 2}, [1, 2], None, "recipe"):
        with pytest.raises(ImageError, match="must have every key and no other"):
            Preprocessing.from_dict(bad)  # type: ignore[arg-type]


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        PLAIN.resize = 9  # type: ignore[misc]


def test_recipes_in_words() -> None:
    assert str(TORCHVISION_IMAGENET) == (
        "shorter side 256 (bilinear), centre crop 224x224, RGB, /255, "
        "mean 0.485 0.456 0.406, std 0.229 0.224 0.225"
    )
    assert str(CAFFE_IMAGENET) == (
        "squash to 256x256 (bilinear), centre crop 227x227, BGR, mean 104.007 116.669 122.679"
    )
    assert TORCHVISION_IMAGENET.input_shape == (3, 224, 224)
    assert CAFFE_IMAGENET.input_shape == (3, 227, 227)
    assert Preprocessing(9, (8, 7)).input_shape == (3, 8, 7)


# Mean images and grey


@pytest.mark.parametrize("oversample", [False, True])
@pytest.mark.parametrize("channels", ["RGB", "BGR", "L"])
def test_a_mean_image_is_cropped_like_the_photo(channels: str, oversample: bool) -> None:
    pixels, c = noise(40, 31, 3), len(channels)
    values = np.random.default_rng(7).uniform(0, 200, (c, 20, 24)).astype(np.float32)
    recipe = Preprocessing(
        (20, 24), (15, 17), channels, divide=2.0, mean=MeanImage(values), std=(3.0,)
    )
    image = Image.fromarray(pixels).convert("L" if channels == "L" else "RGB")
    resized = np.asarray(image.resize((24, 20), Image.Resampling.BILINEAR), np.float64)
    planes = resized.reshape(20, 24, c).transpose(2, 0, 1)
    whole = (planes[:: -1 if channels == "BGR" else 1] / 2 - values) / 3
    places = [(0, 0), (0, 7), (5, 0), (5, 7), (2, 4)] if oversample else [(2, 4)]
    expected = [whole[:, y : y + 15, x : x + 17] for y, x in places]
    if oversample:
        expected += [crop[:, :, ::-1] for crop in expected]  # mirrored after subtracting
    x = prepare(pixels, recipe, oversample=oversample)
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-4)


def test_a_mean_image_of_the_size_of_the_crop_is_the_same_for_every_crop() -> None:
    pixels = noise(16, 16, 3)
    values = np.arange(3 * 8 * 8, dtype=np.float32).reshape(3, 8, 8)
    plain = Preprocessing(12, (8, 8), divide=1.0)
    with_mean = dataclasses.replace(plain, mean=MeanImage(values))
    want = prepare(pixels, plain, oversample=True)
    want[:5] -= values
    want[5:] -= values[:, :, ::-1]
    np.testing.assert_array_equal(prepare(pixels, with_mean, oversample=True), want)


def test_grey_is_luma() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:2], pixels[2:4], pixels[4:6] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    grey = prepare(pixels, Preprocessing(8, (8, 8), "L", divide=1.0))
    assert grey.shape == (1, 1, 8, 8)
    rows = [0.299 * 255, 0.587 * 255, 0.114 * 255, 0]  # ITU-R BT.601
    np.testing.assert_allclose(grey[0, 0, ::2, 0], rows, atol=0.51)


def test_a_recipe_with_a_mean_image_through_json() -> None:
    mean = MeanImage(np.random.default_rng(3).uniform(0, 255, (3, 8, 8)))
    recipe = dataclasses.replace(PLAIN, mean=mean)
    written = json.loads(json.dumps(recipe.to_dict()))
    assert Preprocessing.from_dict(written, mean) == recipe
    assert hash(Preprocessing.from_dict(written, mean)) == hash(recipe)
    assert "mean image 3x8x8" in str(recipe)
    other = MeanImage(mean.values + 1)
    for wrong in (None, other):
        with pytest.raises(ImageError, match="mean must be usable"):
            Preprocessing.from_dict(written, wrong)
    with pytest.raises(ImageError, match="mean must be usable"):
        Preprocessing.from_dict(PLAIN.to_dict(), mean)


def test_one_number_stands_for_every_channel() -> None:
    recipe = Preprocessing(8, (8, 8), mean=(0.5,), std=(0.25,))
    assert (recipe.mean, recipe.std) == ((0.5,) * 3, (0.25,) * 3)
    assert Preprocessing(8, (8, 8), "L", mean=(0.5,)).mean == (0.5,)


@pytest.mark.parametrize("shape", [(3, 8, 7), (1, 8, 8), (3, 16, 16)])
def test_mean_images_that_do_not_fit(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ImageError, match=r"mean must be usable; expected an image of \(3, 8, 8\)"):
        dataclasses.replace(PLAIN, mean=MeanImage(np.zeros(shape)))


@pytest.mark.parametrize("values", [
    np.zeros((3, 8)), np.zeros((2, 8, 8)), np.zeros((3, 8, 8), int), np.zeros((3, 0, 8)),
    np.full((3, 8, 8), math.nan), np.full((3, 8, 8), 1e300), np.zeros((3, 1, LARGEST_SIDE + 1)),
    [[1.0], [2.0, 3.0]], "mean", None,
])  # fmt: skip
def test_mean_images_that_cannot_be(values: Any) -> None:
    with pytest.raises(ImageError, match="a mean image must "):
        MeanImage(values)


def test_a_mean_image_cannot_change() -> None:
    values = np.zeros((3, 8, 8), np.float32)
    mean = MeanImage(values)
    values[:] = 1
    assert not mean.values.any()
    with pytest.raises(ValueError, match="read-only"):
        mean.values[0] = 1
