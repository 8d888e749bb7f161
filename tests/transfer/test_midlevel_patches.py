"""Patches and their labels: every rule of the paper, against plain loops over pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from decaf.errors import FeaturesError, ImageError, ShapeError
from decaf.image import CAFFE_IMAGENET, TORCHVISION_IMAGENET
from decaf.prepare import cut
from decaf.preprocessing import Preprocessing
from decaf.transfer.midlevel.labels import (
    BACKGROUND,
    LEFT_OUT,
    overlaps,
    patch_labels,
    to_learn_from,
)
from decaf.transfer.midlevel.patches import MOST, SCALES, patches
from decaf.transfer.midlevel.pictures import Pictures, openable, patch_features, seen_whole

# --- where they lie -------------------------------------------------------------------------


def test_nine_scales_from_the_whole_to_a_quarter():
    found = patches(320, 240)
    assert len(SCALES) == 9 and SCALES[0] == 1 and SCALES[-1] == 4
    sides = [240, 175, 137, 113, 96, 83, 74, 66, 60]  # 240 / (1 + 3 i / 8), by hand
    assert list(dict.fromkeys((found[:, 2] - found[:, 0]).tolist())) == sides
    assert found[:2].tolist() == [[0, 0, 240, 240], [80, 0, 320, 240]]
    assert found.dtype == np.int64


@given(st.integers(1, 600), st.integers(1, 600))
def test_they_are_square_inside_and_half_over_each_other(width: int, height: int):
    found = patches(width, height, most=10_000_000)
    left, top, right, bottom = found.T
    assert (right - left == bottom - top).all() and len(np.unique(found, axis=0)) == len(found)
    assert min(left.min(), top.min()) == 0 and right.max() == width and bottom.max() == height
    for side in np.unique(right - left):
        of_side = found[right - left == side]
        for axis, length in ((0, width), (1, height)):
            starts = np.unique(of_side[:, axis])
            assert starts[0] == 0 and starts[-1] == length - side
            steps = np.diff(starts)
            assert (steps <= max(1, side / 2)).all()
            assert steps.size == 0 or steps.max() - steps.min() <= 1  # evenly


@pytest.mark.parametrize("size", [(256, 341), (341, 256), (1000, 100), (100, 5000), (3, 3), (1, 1)])
@pytest.mark.parametrize("most", [MOST, 100, 40])
def test_never_more_than_asked_and_all_of_the_photo(size: tuple[int, int], most: int):
    found = patches(*size, most=most)
    assert 1 <= len(found) <= most
    left, _, right, _ = found.T
    for side in np.unique(right - left):  # each scale reaches all edges
        of_side = found[right - left == side]
        assert of_side[:, :2].min(axis=0).tolist() == [0, 0]
        assert of_side[:, 2:].max(axis=0).tolist() == list(size)


def covered(width: int, height: int, found: np.ndarray) -> list[float]:
    """For each scale the share of the photo that its patches cover."""
    shares = []
    for side in dict.fromkeys((found[:, 2] - found[:, 0]).tolist()):
        seen = np.zeros((height, width), bool)
        for left, top, right, bottom in found[found[:, 2] - found[:, 0] == side]:
            seen[top:bottom, left:right] = True
        shares.append(float(seen.mean()))
    return shares


@pytest.mark.parametrize("size", [(640, 480), (90, 540), (333, 333), (500, 101), (6, 1)])
def test_by_default_each_scale_covers_a_photo_up_to_six_times_as_long_as_wide(size: tuple):
    assert covered(*size, patches(*size)) == [1.0] * len(covered(*size, patches(*size)))


def test_few_patches_leave_gaps_and_about_73_times_the_aspect_leave_none():
    assert min(covered(300, 300, patches(300, 300, most=40))) < 1
    assert min(covered(300, 300, patches(300, 300, most=100))) == 1
    assert min(covered(640, 480, patches(640, 480, most=40))) < 0.5
    enough = math.ceil(73.25 * 640 / 480 * 1.25)  # sides of patches do not divide the photo's
    assert min(covered(640, 480, patches(640, 480, most=enough))) == 1


def test_too_few_patches_is_said_for_what_it_is():
    with pytest.raises(FeaturesError, match=r"in each of the photo's corners.*at least 33, got 32"):
        patches(100, 100, most=32)


def test_most_is_used_up_but_for_a_little():
    assert MOST * 0.9 < len(patches(1000, 100)) <= MOST
    assert patches(640, 480).tolist() == patches(640, 480, most=10_000).tolist()  # it has fewer


@pytest.mark.parametrize("options", [{"most": 32}, {"scales": (0.5,)}, {"scales": ()},
                                     {"scales": (math.nan,)}, {"scales": (math.inf,)},
                                     {"scales": "1"}, {"scales": 1}, {"scales": ("1",)},
                                     {"scales": np.ones((2, 2))}])  # fmt: skip
def test_what_cannot_be(options: dict):
    with pytest.raises(FeaturesError, match="must"):
        patches(100, 100, **options)


def test_scales_may_come_as_an_array():
    assert patches(64, 48, scales=np.array(SCALES)).tolist() == patches(64, 48).tolist()


@pytest.mark.parametrize("sizes", [(0, 5), (5, -1), (2.5, 3)])
def test_sizes_are_whole_numbers(sizes: tuple):
    with pytest.raises(ShapeError, match="must be a whole number"):
        patches(*sizes)


# --- what they show -------------------------------------------------------------------------


@given(st.integers(0, 10**6))
def test_labels_are_those_of_loops_over_pixels(seed: int):
    rng = np.random.default_rng(seed)
    found = patches(24, 20)
    corners = np.sort(rng.integers(0, [[[25, 21]]], (rng.integers(0, 4), 2, 2)), axis=1)
    boxes = corners.reshape(-1, 4)
    boxes = boxes[(boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])].astype(np.float64)
    classes = rng.integers(0, 3, len(boxes)).tolist()
    assert patch_labels(found, boxes, classes).tolist() == by_pixels(found, boxes, classes)


def by_pixels(found: np.ndarray, boxes: np.ndarray, classes: list[int]) -> list[int]:
    def pixels(box: np.ndarray) -> set[tuple[int, int]]:
        left, top, right, bottom = map(int, box)
        return {(x, y) for x in range(left, right) for y in range(top, bottom)}

    objects, answers = [pixels(box) for box in boxes], []
    for patch in map(pixels, found):
        both = [len(patch & each) for each in objects]
        shows = [
            number
            for number, shared in enumerate(both)
            if 10 * shared >= 2 * len(patch) and 10 * shared >= 6 * len(objects[number])
        ]
        if not shows:
            answers.append(BACKGROUND)
        elif sum(shared > 0 for shared in both) > 1:
            answers.append(LEFT_OUT)
        else:
            answers.append(classes[shows[0]])
    return answers


def test_the_bounds_themselves_count():
    patch = np.array([[0, 0, 10, 10]])
    exactly_a_fifth = np.array([[0.0, 0.0, 10.0, 2.0]])
    assert patch_labels(patch, exactly_a_fifth, [4]).tolist() == [4]
    assert patch_labels(patch, exactly_a_fifth - [0, 0, 0, 0.1], [4]).tolist() == [BACKGROUND]
    exactly_six_tenths = np.array([[4.0, 0.0, 14.0, 10.0]])
    assert patch_labels(patch, exactly_six_tenths, [4]).tolist() == [4]
    assert patch_labels(patch, np.array([[4.1, 0.0, 14.1, 10.0]]), [4]).tolist() == [BACKGROUND]
    assert overlaps(patch, np.array([[10.0, 0.0, 20.0, 10.0]])).tolist() == [[0.0]]  # they touch


def test_a_tenth_of_the_background_stays_and_all_objects():
    labels = np.array([BACKGROUND] * 20_000 + [0, 1, LEFT_OUT] * 50)
    kept = to_learn_from(labels, 0.1, np.random.default_rng(3))
    assert (labels[kept] >= 0).sum() == 100 and (labels[kept] == LEFT_OUT).sum() == 0
    assert abs((labels[kept] == BACKGROUND).sum() - 2000) < 5 * math.sqrt(2000 * 0.9)
    assert (np.diff(kept) > 0).all()
    assert (labels[to_learn_from(labels, 0.0, np.random.default_rng(3))] >= 0).all()
    assert len(to_learn_from(labels, 1.0, np.random.default_rng(3))) == 20_100


# --- what the network sees of them ----------------------------------------------------------

RECIPES = [
    CAFFE_IMAGENET,
    TORCHVISION_IMAGENET,
    Preprocessing(resize=(40, 30), crop=(21, 24), channels="L"),
    Preprocessing(resize=16, crop=(16, 16)),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_the_recipe_crops_exactly_the_patch(recipe: Preprocessing):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (90, 120, 3), dtype=np.uint8))
    (got,) = cut(seen_whole(image, box=(30, 20, 80, 70), recipe=recipe), recipe)
    h, w = recipe.crop
    wanted = image.resize((w, h), Image.Resampling.BILINEAR, (30, 20, 80, 70))
    if recipe.channels == "L":
        wanted = wanted.convert("L")
    np.testing.assert_array_equal(got, np.atleast_3d(np.asarray(wanted)))


def test_features_are_those_of_each_patch_alone():
    from decaf import DecafNet

    net, rng = DecafNet(), np.random.default_rng(1)
    photos = [rng.integers(0, 256, (40 + 7 * n, 50, 3), dtype=np.uint8) for n in range(3)]
    boxes = [patches(50, 40 + 7 * n)[n::37] for n in range(3)]
    boxes.insert(1, np.empty((0, 4), np.int64))  # a photo without patches
    photos.insert(1, photos[0])
    found = list(patch_features(net, [*map(openable, photos)], boxes, "relu6", batch_size=5))
    assert [len(rows) for rows in found] == [len(each) for each in boxes]
    for photo, each, rows in zip(photos, boxes, found, strict=True):
        image = Image.fromarray(photo)
        alone = [seen_whole(image, box=box, recipe=net.preprocessing) for box in each]
        np.testing.assert_array_equal(rows, net.features(alone, "relu6").reshape(-1, 512))


def test_a_photo_is_forgotten_after_its_last_patch():
    opened = []

    class Counted:
        path = "counted.png"

        def open(self):
            opened.append(1)
            return openable(np.zeros((20, 20, 3), np.uint8)).open()

    boxes = [patches(20, 20)] * 2
    pictures = Pictures([Counted(), Counted()], boxes, TORCHVISION_IMAGENET, 10**6)
    assert len(pictures) == 2 * len(boxes[0])
    for picture in pictures[:]:
        with picture.open() as image:
            assert image.size == (256, 256)
    assert len(opened) == 2


def test_a_photo_that_cannot_be_read():
    from decaf import DecafNet

    bad = openable(b"no photo at all")
    with pytest.raises(ImageError, match=r"bytes \(15 bytes\)"):
        list(patch_features(DecafNet(), [bad], [patches(9, 9)], "relu6"))
