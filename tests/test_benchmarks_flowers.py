"""The benchmark on flowers: would it notice if its splits, its features or its verdict were off?"""

from __future__ import annotations

import io
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
import flowers
import flowers_features
import flowers_tables
from support_parity import LARGEST_ERROR

NAMES = [f"{flower}/{number:03}.jpg" for flower in ("rose", "iris", "lily") for number in range(20)]


# --- splits ---------------------------------------------------------------------------------


def test_a_split_is_disjoint_whole_and_balanced() -> None:
    train, test = flowers.split(NAMES, seed=1, train=15)
    assert sorted(train + test) == sorted(NAMES)  # so no name is in both, or twice in one
    for part, share in ((train, 15), (test, 5)):
        assert Counter(name.split("/")[0] for name in part) == dict.fromkeys(
            ("rose", "iris", "lily"), share
        )


def test_a_split_depends_on_its_seed_and_not_on_the_order_of_the_names() -> None:
    first = flowers.split(NAMES, seed=1, train=15)
    assert flowers.split(NAMES[::-1], seed=1, train=15) == first
    others = [flowers.split(NAMES, seed, train=15) for seed in flowers.SEEDS[1:]]
    tested = [set(one.test) for one in (first, *others)]
    assert len(flowers.SEEDS) == len(set(map(frozenset, tested))) == 3


def test_classes_are_split_independently() -> None:
    test = flowers.split(NAMES, seed=1, train=15).test
    numbers = {
        flower: {n.split("/")[1] for n in test if flower in n} for flower in ("iris", "lily")
    }
    assert numbers["iris"] != numbers["lily"]


def test_the_photos_are_17_classes_of_80(shared_data: Path) -> None:
    photos = read(None)
    assert list(Counter(map(flowers.label, photos)).values()) == [80] * 17
    assert list(photos) == sorted(photos)
    few = read(2)
    assert list(Counter(map(flowers.label, few)).values()) == [2] * 17
    assert few.items() <= photos.items()


# --- learning -------------------------------------------------------------------------------


def test_classes_are_learned_from_the_one_part_and_asked_of_the_other() -> None:
    rng = np.random.default_rng(0)
    split = flowers.split(NAMES, seed=1, train=15)
    centres = {"rose": [9, 0], "iris": [0, 9], "lily": [-9, -9]}
    turned = {"rose": "iris", "iris": "lily", "lily": "rose"}
    features = {name: rng.normal(centres[name[:4]]) for name in NAMES}
    features |= {name: rng.normal(centres[turned[name[:4]]]) for name in split.test}
    # What is asked looks like another class: who has seen its labels would not fall for it.
    assert flowers.predict(features, split) == [turned[name[:4]] for name in split.test]


def test_scores_are_shares_of_each_split() -> None:
    splits = [flowers.Split([], ["a/1", "a/2", "b/1", "b/2"])] * 3
    said = [["a", "a", "b", "b"], ["a", "a", "b", "a"], ["b", "a", "b", "a"]]
    found = flowers.scores(said, splits)
    assert found == {"accuracies": [1.0, 0.75, 0.5], "mean": 0.75, "std": 0.25}


def test_decaf_and_torch_are_compared() -> None:
    rows = {"decaf": {"mean": 0.75}, "torch": {"mean": 0.5}}
    matrices = {"decaf": np.array([[1.0, 4.0]]), "torch": np.array([[2.0, -8.0]])}
    found = flowers.compare(matrices, {"decaf": [["a", "b"]], "torch": [["a", "a"]]}, rows)
    assert found["largest_relative_difference"] == 12 / 8
    assert (found["different_predictions"], found["predictions"]) == (1, 2)
    assert found["points"] == 25
    rows["torch"] = {"skipped": "torch is not installed"}
    del matrices["torch"]
    assert flowers.compare(matrices, {}, rows) == {"skipped": "torch is not installed"}


# --- features -------------------------------------------------------------------------------


def read(a_class: int | None) -> dict[str, bytes]:
    try:
        return flowers.read_photos(a_class)
    except flowers_features.Skipped as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def photos(shared_data: Path) -> list[bytes]:
    return list(read(1).values())[:4]


@pytest.fixture(scope="module")
def by_torch(photos: list[bytes]) -> Any:
    try:
        return flowers_features.by_torch(photos).features
    except flowers_features.Skipped as reason:
        pytest.skip(str(reason))


def test_decaf_and_torch_make_the_same_of_a_photo(photos: list[bytes], by_torch: Any) -> None:
    found = flowers_features.by_decaf(photos).features
    assert found.shape == by_torch.shape == (4, 512)
    assert flowers.difference(found, by_torch) <= LARGEST_ERROR
    assert found.std(axis=0).max() > 0.1  # the photos differ


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": "RGB", "mean": (123.0, 117.0, 104.0)},
        {"mean": (123.0, 117.0, 104.0)},
        {"resize": (227, 227)},
        {"interpolation": "bicubic"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_another_recipe_is_noticed(
    photos: list[bytes], by_torch: Any, wrong: dict[str, Any]
) -> None:
    recipe = replace(flowers_features.RECIPE, **wrong)
    found = flowers_features.by_decaf(photos[:1], recipe).features
    assert flowers.difference(found, by_torch[:1]) > 100 * LARGEST_ERROR


def test_pixels_are_those_of_the_middle() -> None:
    colour = (51, 102, 204)
    image = Image.new("RGB", (90, 72))
    image.paste(colour, (9, 0, 81, 72))  # all but a border left and right of 9
    file = io.BytesIO()
    image.save(file, "PNG")
    try:
        made = flowers_features.by_pixels([file.getvalue()])
    except flowers_features.Skipped as reason:
        pytest.skip(str(reason))
    expected = np.repeat(np.array(colour) / 255, 32 * 32)  # C,H,W
    np.testing.assert_allclose(made.features, expected[None], rtol=1e-6)


def test_hog_sees_edges_and_not_brightness() -> None:
    pytest.importorskip("skimage")
    stripes = np.zeros((128, 160, 3), np.uint8)
    stripes[:, ::8] = 200
    files = []
    for pixels in (np.full_like(stripes, 77), stripes):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        files.append(file.getvalue())
    flat, striped = flowers_features.by_hog(files).features
    assert flat.shape == (15 * 15 * 2 * 2 * 9,)
    assert not flat.any()
    by_orientation = striped.reshape(-1, 9).sum(axis=0)
    assert by_orientation.max() > 0.9 * by_orientation.sum()


# --- what is said ---------------------------------------------------------------------------


def made_up(points: float = 0.25) -> dict[str, Any]:
    one = {"d": 512, "mean": 0.875, "std": 0.0125}
    return {
        "features": {
            "decaf": {"title": "ours", **one},
            "torch": {"title": "theirs", **one, "d": 3072, "mean": 0.87},
            "hog": {"title": "HOG", "skipped": "scikit-image is not installed"},
        },
        "compared": {
            "largest_relative_difference": 2.5e-6,
            "predictions": 1020,
            "different_predictions": 3,
            "points": points,
            "allowed_points": 1.0,
        },
    }


def test_the_table_has_a_row_for_each_kind_and_says_what_is_left_out() -> None:
    text = flowers_tables.features(made_up())
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:4]]
    assert rows == [["ours", "512", "87.5 ± 1.2 %"], ["theirs", "3,072", "87.0 ± 1.2 %"]]
    assert text.endswith("\n\nLeft out: HOG: scikit-image is not installed.")


@pytest.mark.parametrize(("points", "short"), [(0.25, False), (1.0, False), (1.01, True)])
def test_more_than_a_point_falls_short(points: float, short: bool) -> None:
    text = flowers_tables.compared(made_up(points))
    assert "decaf 87.50 %" in text and "PyTorch 87.00 %" in text
    assert "3 of 1,020 predictions differ" in text
    assert ("falls short" in text) is short


def test_what_was_not_compared_says_why() -> None:
    figures = made_up() | {"compared": {"skipped": "torch is not installed"}}
    assert flowers_tables.compared(figures).endswith("not compared: torch is not installed.")
