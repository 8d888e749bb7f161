"""``MidLevel`` with decaf-mini, on scenes of drawn objects whose places are known."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scenes import CLASSES, Scene, scenes
from sklearn.linear_model import LogisticRegression

from decaf import DecafNet
from decaf.errors import ArchitectureError, FeaturesError, ImageError, ShapeError
from decaf.features import find_photos
from decaf.transfer.midlevel import MidLevel, Training, peak, photo_scores
from decaf.transfer.midlevel.scores import where

LAYER = "relu6"
TRAINING = Training(hidden=256, epochs=15)
FEW = Training(hidden=16, epochs=2)


@pytest.fixture(scope="module")
def net() -> DecafNet:
    return DecafNet()


def learned(net: DecafNet, shown: list[Scene], **options) -> MidLevel:
    model = MidLevel(net, LAYER, most_patches=100, training=TRAINING, **options)
    images, labels, boxes = zip(*shown, strict=True)
    return model.fit(images, labels, [[box] for box in boxes])


@pytest.fixture(scope="module")
def model(net: DecafNet) -> MidLevel:
    return learned(net, scenes(75, seed=1))


UNSEEN = scenes(48, seed=2)


def test_it_beats_the_whole_photos_features_with_a_linear_classifier(
    net: DecafNet, model: MidLevel
):
    train = scenes(75, seed=1)  # the same photos to learn from
    x, unseen = (net.features([s.image for s in each], LAYER) for each in (train, UNSEEN))
    scale, frozen = np.linalg.norm(x, axis=1).mean(), []
    for C in (0.1, 1.0, 10.0, 100.0):  # the best of them, chosen on the test photos in its favour
        linear = LogisticRegression(C=C, max_iter=5000).fit(x / scale, [s.label for s in train])
        frozen.append(linear.score(unseen / scale, [s.label for s in UNSEEN]))
    scores = model.predict_scores([s.image for s in UNSEEN])
    assert model.classes_ == CLASSES and scores.shape == (48, 3)
    right = [CLASSES[k] == s.label for k, s in zip(scores.argmax(axis=1), UNSEEN, strict=True)]
    assert np.mean(right) > max(frozen) + 0.1


def test_the_maps_peak_lies_in_the_box(model: MidLevel):
    hits = []
    for each in UNSEEN:
        found = model.where(each.image, each.label)
        x, y = peak(found)
        left, top, right, bottom = each.box
        hits.append(left <= x < right and top <= y < bottom)
    assert np.mean(hits) >= 0.9


def test_scores_and_maps_are_made_of_the_patches(model: MidLevel):
    each = UNSEEN[0]
    places, said = model.patch_scores(each.image)
    assert said.shape == (len(places), 3) and (said.sum(axis=1) < 1).any()  # background is left
    np.testing.assert_array_equal(
        model.predict_scores([each.image])[0], photo_scores(said, model.power)
    )
    k = CLASSES.index(each.label)
    assert model.where(each.image, each.label).shape == (each.image.height, each.image.width)
    np.testing.assert_array_equal(
        model.where(each.image, each.label),
        where(places, said[:, k], each.image.width, each.image.height),
    )


def test_the_same_bits_again_whatever_the_batch_the_workers_and_the_threads(model: MidLevel):
    again = learned(DecafNet(threads=1), scenes(75, seed=1), batch_size=7, workers=1)
    for one, other in zip(
        model.trained_.weights.arrays(), again.trained_.weights.arrays(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    images = [each.image for each in UNSEEN[:3]]
    together = again.predict_scores(images)
    for image, row in zip(images, together, strict=True):
        np.testing.assert_array_equal(model.predict_scores([image])[0], row)


def test_photos_of_any_kind_give_the_same(net: DecafNet, tmp_path: Path):
    shown = scenes(6, seed=3)
    for number, each in enumerate(shown):
        each.image.save(tmp_path / f"{number}.png")
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    kinds = {
        "images": [each.image for each in shown],
        "arrays": [np.asarray(each.image) for each in shown],
        "paths": paths,
        "bytes": [path.read_bytes() for path in paths],
        "files": [path.open("rb") for path in paths],
        "found": find_photos([tmp_path]).photos,
    }
    done: list[int] = []
    first = None
    for photos in kinds.values():
        found = MidLevel(net, LAYER, most_patches=40, training=FEW)
        found.fit(photos, [s.label for s in shown], [[s.box] for s in shown], on_photos=done.append)
        scores = found.predict_scores(kinds["images"], on_photos=done.append)
        first = scores if first is None else first
        np.testing.assert_array_equal(scores, first)
    assert sum(done) == 12 * len(kinds)
    for file in kinds["files"]:
        file.close()


def test_photos_without_boxes_teach_their_label_and_no_background(net: DecafNet):
    shown = scenes(9, seed=4)
    tight = [each.image.crop(each.box) for each in shown]
    found = MidLevel(net, LAYER, most_patches=40, training=FEW)
    found.fit(tight, [each.label for each in shown])
    assert len(found.trained_.weights.bias_b) == 3
    _, said = found.patch_scores(tight[0])
    np.testing.assert_allclose(said.sum(axis=1), 1, rtol=1e-5)


def test_background_alone_and_several_objects(net: DecafNet):
    one, other = scenes(2, seed=5)
    wide = Image.new("RGB", (192, 72))
    wide.paste(one.image, (0, 0))
    wide.paste(other.image, (96, 0))
    left, top, right, bottom = other.box
    boxes = [[one.box, (left + 96, top, right + 96, bottom)], []]
    found = MidLevel(net, LAYER, training=FEW)
    found.fit([wide, Image.new("RGB", (96, 72), "grey")], [[one.label, other.label], []], boxes)
    assert found.classes_ == tuple(sorted({one.label, other.label}))
    assert len(found.trained_.weights.bias_b) == 3


# --- bad input, found before work starts ----------------------------------------------------

BOX = (10, 10, 40, 40)


@pytest.mark.parametrize(
    ("labels", "boxes", "said"),
    [
        (["a"], None, "labels must be a list, one a photo; expected 2, got 1"),
        ("ab", None, "labels must be a list"),
        (["a", "b"], [[BOX]], "boxes must be a list, one a photo; expected 2, got 1"),
        (["a", 3], None, "labels must be text, one a box or one for all; expected 1, got 3"),
        (["a", ["b"]], [[BOX], [BOX, BOX]], "labels must be text, one a box.*expected 2"),
        (["a", "b"], [[BOX], [(10, 10, 500, 40)]], "box 0 must lie within its photo"),
        (["a", "b"], [[BOX], [BOX, (40, 10, 10, 40)]], "box 1 must"),
        (["a", "b"], [[BOX], [(10, 10, float("nan"), 40)]], "box 0 must be four finite numbers"),
        (["a", "b"], [[BOX], 7], "boxes must be a list of .left, top, right, bottom.; got 7"),
        (["a", "b"], 7, "boxes must be a list, one a photo; got int"),
        (None, None, "labels must be a list, one a photo; got NoneType"),
        (7, None, "labels must be a list, one a photo; got int"),
        (["a", "a"], None, "at least 2 with the background, got 'a'"),
        (["a", "b"], [[BOX], [(0, 0, 96, 2)]], "each class must have a patch.*none of 'b'"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_from(net: DecafNet, monkeypatch, labels, boxes, said: str):
    photos = [each.image for each in scenes(2, seed=6)]
    monkeypatch.setattr(type(net.plans), "lend", None)  # the network must not be asked
    found = MidLevel(net, LAYER, training=FEW)
    with pytest.raises(FeaturesError, match=said):
        found.fit(photos, labels, boxes)
    assert not hasattr(found, "trained_")


@pytest.mark.parametrize("photos", ["a.jpg", Path("a.jpg"), b"...", Image.new("RGB", (9, 9)), None])
def test_one_photo_in_place_of_many(net: DecafNet, model: MidLevel, photos: object):
    for call in (
        lambda: MidLevel(net, LAYER).fit(photos, None),
        lambda: model.predict_scores(photos),
    ):
        with pytest.raises(FeaturesError, match="photos must be a list, one a photo; got"):
            call()


def test_boxes_are_looked_at_before_any_photo_is_decoded(net: DecafNet, tmp_path: Path):
    (tmp_path / "bad.png").write_bytes(b"no photo")
    photos = [tmp_path / "bad.png", scenes(1, seed=7)[0].image]
    with pytest.raises(FeaturesError, match="box 1 must have an area"):
        MidLevel(net, LAYER).fit(photos, ["a", "b"], [[BOX], [BOX, (40, 10, 10, 40)]])


def test_features_are_kept_once(net: DecafNet, monkeypatch: pytest.MonkeyPatch):
    """To learn takes the memory of the features, and little more."""
    from decaf.transfer.midlevel import model as of_model

    def made_up(net, photos, boxes, *args, **options):
        for number, each in enumerate(boxes):
            yield np.full((len(each), 512), 1 + number % 3, np.float32)

    monkeypatch.setattr(of_model, "patch_features", made_up)
    photos, labels = [Image.new("RGB", (48, 48))] * 150, [*"abc"] * 50
    found = MidLevel(net, LAYER, training=Training(hidden=2, epochs=1))
    found.fit(photos[:3], labels[:3])  # what is imported and kept meanwhile
    size = 4 * 512 * sum(len(found._patches(*photo.size)) for photo in photos)
    tracemalloc.start()
    found.fit(photos, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 40_000_000 and peak < 1.4 * size


def test_the_seed_is_that_of_the_training_unless_one_is_given(net: DecafNet):
    how = Training(hidden=16, epochs=1, seed=5)
    assert MidLevel(net, LAYER, training=how).training == how
    assert MidLevel(net, LAYER, training=how, seed=7).training.seed == 7
    assert MidLevel(net, LAYER).training == Training()
    shown = scenes(6, seed=3)
    given = [s.image for s in shown], [s.label for s in shown], [[s.box] for s in shown]
    five, same, other = (
        MidLevel(net, LAYER, most_patches=40, **options).examples(*given)[0].targets
        for options in ({"training": how}, {"seed": 5}, {"training": how, "seed": 6})
    )
    assert five.tolist() == same.tolist() != other.tolist()  # the background's choice follows it


def test_another_classifier_can_learn_from_the_same_patches(net: DecafNet):
    shown = scenes(6, seed=3)
    found = MidLevel(net, LAYER, most_patches=40, training=FEW)
    chosen, rows = found.examples(
        [s.image for s in shown], [s.label for s in shown], [[s.box] for s in shown]
    )
    assert len(rows) == len(chosen.targets) == len(chosen.photos) and chosen.classes == CLASSES
    for number, (size, places, each) in enumerate(found.patch_features([s.image for s in shown])):
        assert size == shown[number].image.size
        kept = [places.tolist().index(place) for place in chosen.places[number].tolist()]
        np.testing.assert_array_equal(rows[chosen.photos == number], each[kept])


def test_errors_name_the_photo(net: DecafNet, tmp_path: Path):
    (tmp_path / "bad.png").write_bytes(b"no photo")
    good = scenes(1, seed=7)[0].image
    found = MidLevel(net, LAYER, training=FEW)
    with pytest.raises(ImageError, match=re.escape("bad.png")):
        found.fit([good, tmp_path / "bad.png"], ["a", "b"])
    good.save(tmp_path / "good.png")
    with pytest.raises(FeaturesError, match=r"good\.png: box 0 must lie within"):
        found.fit([good, tmp_path / "good.png"], ["a", "b"], [[BOX], [(0, 0, 99, 9)]])


def test_what_was_not_learned(net: DecafNet, model: MidLevel):
    image = UNSEEN[0].image
    fresh = MidLevel(net, LAYER)
    for call in (
        lambda: fresh.predict_scores([image]),
        lambda: fresh.where(image, "disc"),
        lambda: fresh.patch_scores(image),
    ):
        with pytest.raises(FeaturesError, match="expected a call of fit before"):
            call()
    with pytest.raises(FeaturesError, match="one of the classes; expected bars, disc, rings"):
        model.where(image, "cat")
    assert model.predict_scores([]).shape == (0, 3)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"layer": "conv99"}, ArchitectureError),
        ({"pooling": "median"}, FeaturesError),
        ({"scales": (0.5,)}, FeaturesError),
        ({"most_patches": 0}, ShapeError),
        ({"scales": "1"}, FeaturesError),
        ({"background": 1.5}, FeaturesError),
        ({"background": "1"}, FeaturesError),
        ({"power": 0.0}, FeaturesError),
        ({"power": "5"}, FeaturesError),
        ({"seed": -1}, FeaturesError),
        ({"seed": 1.5}, FeaturesError),
        ({"training": "fast"}, FeaturesError),
        ({"batch_size": 0}, ShapeError),
    ],
)
def test_options_that_cannot_be(net: DecafNet, options: dict, error: type[Exception]):
    with pytest.raises(error):
        MidLevel(net, **{"layer": LAYER, **options})
