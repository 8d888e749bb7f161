"""Which preprocessing and which labels a network from elsewhere gets."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decaf.architectures import alexnet, bvlc_alexnet, caffenet
from decaf.convert.recipes import choose_labels, choose_recipe, with_probabilities
from decaf.errors import WeightsError
from decaf.formats.model import Model, Transform
from decaf.labels import imagenet
from decaf.mean_image import MeanImage
from decaf.preprocessing import CAFFE_IMAGENET, TORCHVISION_IMAGENET, Preprocessing
from decaf.specs import (
    AdaptiveAvgPool,
    Architecture,
    Conv,
    Layer,
    Linear,
    ReLU,
    Softmax,
)

ALEXNET, CAFFENET, CIFAR, LENET = (3, 224, 224), (3, 227, 227), (3, 32, 32), (1, 28, 28)
CAFFE = ("caffe", "caffe-h5", "deep-compression")
OTHERS = ("torch", "onnx", "safetensors", "npz")


def model(shape: tuple[int, int, int], name: str = "some", **said: Any) -> Model:
    return Model(Architecture(name, shape, (Conv("conv1", 4, 3),)), {}, **said)


def image(*shape: int) -> np.ndarray:
    return np.linspace(100, 130, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def changed(recipe: Preprocessing, **fields: Any) -> Preprocessing:
    return dataclasses.replace(recipe, **fields)


# By habit


@pytest.mark.parametrize("format", CAFFE)
def test_caffe(format: str) -> None:
    assert choose_recipe(model(CAFFENET), format) == CAFFE_IMAGENET
    assert choose_recipe(model(ALEXNET), format) == changed(CAFFE_IMAGENET, crop=(224, 224))
    mean = image(3, 256, 256)
    assert choose_recipe(model(CAFFENET), format, mean=mean) == changed(
        CAFFE_IMAGENET, mean=MeanImage(mean)
    )
    colour = np.array([104, 117, 123], np.float64).reshape(3, 1, 1)
    assert choose_recipe(model(CAFFENET), format, mean=colour) == changed(
        CAFFE_IMAGENET, mean=(104, 117, 123)
    )
    grey = choose_recipe(model(LENET), format, mean=image(1, 28, 28))
    assert (grey.channels, grey.divide, grey.resize) == ("L", 1, (28, 28))


def test_photos_are_squashed_to_the_size_of_a_mean_that_is_larger_than_the_input() -> None:
    mean = image(3, 40, 36)
    recipe = choose_recipe(model(CIFAR), "caffe", "caffe", mean)
    assert (recipe.resize, recipe.crop, recipe.mean) == ((40, 36), (32, 32), MeanImage(mean))


@pytest.mark.parametrize("format", OTHERS)
def test_networks_that_are_known_by_their_layers(format: str) -> None:
    assert choose_recipe(Model(alexnet(20), {}), format) == TORCHVISION_IMAGENET
    for known in (bvlc_alexnet(20), caffenet(20)):
        assert choose_recipe(Model(known, {}), format) == CAFFE_IMAGENET
        smaller = Architecture(known.name, ALEXNET, known.layers)  # as in ONNX's model zoo
        recipe = choose_recipe(Model(smaller, {}), format)
        assert recipe == changed(CAFFE_IMAGENET, crop=(224, 224))


@pytest.mark.parametrize(
    ("shape", "name", "format"),
    [
        (CIFAR, "some", "caffe"),
        (LENET, "some", "caffe-h5"),
        (CIFAR, "some", "torch"),
        (ALEXNET, "some", "torch"),
        (ALEXNET, "squeezenet1_1", "onnx"),
        (ALEXNET, "alexnet", "onnx"),  # by name alone
        (CAFFENET, "caffenet", "npz"),
        (CAFFENET, "squeezenet1_1", "torch"),
        (LENET, "some", "npz"),
    ],
)
def test_no_guess(shape: tuple[int, int, int], name: str, format: str) -> None:
    with pytest.raises(WeightsError, match="must be known.*give --preprocessing"):
        choose_recipe(model(shape, name), format)


def test_the_order_of_channels_is_not_guessed() -> None:
    mean = image(3, 32, 32)
    for said in (None, {"divide": 1}):
        with pytest.raises(WeightsError, match="nothing says whether its channels are RGB or BGR"):
            choose_recipe(model(CIFAR), "caffe", said, mean)
    expected = Preprocessing((32, 32), (32, 32), "BGR", divide=1, mean=MeanImage(mean))
    assert choose_recipe(model(CIFAR), "caffe", "caffe", mean) == expected
    recipe = choose_recipe(model(CIFAR), "caffe", {"channels": "RGB"}, mean)
    assert recipe == changed(expected, channels="RGB")


# What a data layer of Caffe says


def test_scale_and_mean_value() -> None:
    said = Transform(scale=0.5, mean_value=(104, 117, 123), crop_size=227)
    recipe = choose_recipe(model(CAFFENET, transform=said), "caffe")
    assert recipe == changed(CAFFE_IMAGENET, divide=2, mean=(52, 58.5, 61.5))
    one = choose_recipe(model(ALEXNET, transform=Transform(mean_value=(120,))), "caffe")
    assert (one.resize, one.crop, one.mean) == ((256, 256), (224, 224), (120,) * 3)
    lenet = choose_recipe(model(LENET, transform=Transform(scale=1 / 256)), "caffe")
    assert lenet == Preprocessing((28, 28), (28, 28), "L", divide=256)
    scaled = choose_recipe(model(CAFFENET, transform=Transform(scale=1 / 256)), "caffe")
    assert scaled == changed(CAFFE_IMAGENET, divide=256, mean=(0.0,))  # a mean would be said


def test_a_mean_file_is_asked_for_unless_it_is_that_of_imagenet() -> None:
    known = Transform(mean_file="data/ilsvrc12/imagenet_mean.binaryproto", crop_size=227)
    assert choose_recipe(model(CAFFENET, transform=known), "caffe") == CAFFE_IMAGENET
    other = Transform(scale=0.5, mean_file="places205_mean.binaryproto", crop_size=227)
    for asked in (None, "caffe", {"channels": "BGR"}):
        with pytest.raises(WeightsError, match=r"trained with, 'places205_mean.*--mean"):
            choose_recipe(model(CAFFENET, transform=other), "caffe", asked)
    recipe = choose_recipe(model(CAFFENET, transform=other), "caffe", None, image(3, 256, 256))
    assert recipe == changed(CAFFE_IMAGENET, divide=2, mean=MeanImage(image(3, 256, 256) / 2))
    said = choose_recipe(model(CAFFENET, transform=other), "caffe", {"mean": [1, 2, 3]})
    assert said == changed(CAFFE_IMAGENET, divide=2, mean=(1, 2, 3))


@pytest.mark.parametrize("said", [Transform(scale=0), Transform(mean_value=(1, 2))])
def test_a_data_layer_that_makes_no_sense(said: Transform) -> None:
    with pytest.raises(WeightsError, match="transform_param must have a scale above 0, and 1 or 3"):
        choose_recipe(model(CAFFENET, transform=said), "caffe")


@pytest.mark.parametrize("scale", [1e-300, 5e-324, 1e300])
def test_a_scale_that_no_pixel_survives(scale: float) -> None:
    with pytest.raises(WeightsError, match="must be usable"):
        choose_recipe(model(CAFFENET, transform=Transform(scale)), "caffe")


# What the file says, and what the user says


def test_what_is_said_wins() -> None:
    said = Preprocessing(resize=230, crop=(224, 224), channels="BGR")
    known = model(ALEXNET, preprocessing=said)
    assert choose_recipe(known, "torch") == said
    assert choose_recipe(known, "torch", "torchvision") == TORCHVISION_IMAGENET
    assert choose_recipe(model(CAFFENET), "torch", "caffe") == CAFFE_IMAGENET
    assert choose_recipe(known, "torch", {"resize": 224}) == changed(said, resize=224)


def test_a_change_keeps_the_mean_image() -> None:
    mean = MeanImage(image(3, 227, 227))
    known = model(CAFFENET, preprocessing=changed(CAFFE_IMAGENET, mean=mean))
    recipe = choose_recipe(known, "decaf", {"interpolation": "bicubic"})
    assert recipe == changed(CAFFE_IMAGENET, mean=mean, interpolation="bicubic")
    turned = choose_recipe(known, "decaf", {"channels": "RGB"})
    assert turned.mean == MeanImage(image(3, 227, 227)[::-1])
    with pytest.raises(WeightsError, match="mean must be usable"):
        choose_recipe(known, "decaf", {"crop": [227, 226]})


def test_a_mean_image_that_is_only_identified_is_asked_for() -> None:
    known = model(CAFFENET, preprocessing=CAFFE_IMAGENET, needs_mean=True)
    with pytest.raises(WeightsError, match="nothing says which mean is subtracted"):
        choose_recipe(known, "onnx")
    recipe = choose_recipe(known, "onnx", mean=image(3, 227, 227))
    assert recipe == changed(CAFFE_IMAGENET, mean=MeanImage(image(3, 227, 227)))


def test_what_pixels_are_divided_by_is_not_changed_alone() -> None:
    known = model(ALEXNET, preprocessing=TORCHVISION_IMAGENET)
    with pytest.raises(WeightsError, match="must say its mean, .*got divide 1 for 255"):
        choose_recipe(known, "torch", {"divide": 1})
    said = {"divide": 1, "mean": [124, 116, 104], "std": [1]}
    recipe = choose_recipe(known, "torch", said)
    assert (recipe.divide, recipe.mean, recipe.std) == (1, (124, 116, 104), (1, 1, 1))


def test_a_mean_beyond_all_pixels() -> None:
    for said in ({"mean": [104, 117, 123]}, {"divide": 1, "mean": [300, 0, 0]}):
        with pytest.raises(WeightsError, match="must lie among the pixels"):
            choose_recipe(model(CIFAR), "torch", said)


def test_a_mean_is_in_the_units_of_pixels() -> None:
    recipe = choose_recipe(model(ALEXNET), "torch", "torchvision", image(3, 224, 224))
    assert recipe == changed(TORCHVISION_IMAGENET, mean=MeanImage(image(3, 224, 224) / 255.0))
    grey = np.full((3, 1, 1), 127.5)
    assert choose_recipe(model(ALEXNET), "npz", "torchvision", grey).mean == (0.5,) * 3


def test_turning_the_channels_turns_the_colour() -> None:
    recipe = choose_recipe(model(CAFFENET), "caffe", {"channels": "RGB"})
    assert recipe == changed(CAFFE_IMAGENET, channels="RGB", mean=CAFFE_IMAGENET.mean[::-1])
    said = choose_recipe(model(CAFFENET), "caffe", {"channels": "RGB", "mean": [1, 2, 3]})
    assert said.mean == (1, 2, 3)


def test_torchvision_at_other_sizes() -> None:
    assert choose_recipe(model(CAFFENET), "torch", "torchvision") == changed(
        TORCHVISION_IMAGENET, crop=(227, 227)
    )
    half = choose_recipe(model((3, 112, 96)), "torch", "torchvision")
    assert half == changed(TORCHVISION_IMAGENET, resize=128, crop=(112, 96))
    with pytest.raises(WeightsError, match="must be for colour"):
        choose_recipe(model(LENET), "torch", "torchvision")


def test_json_with_defaults(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text("{}")
    assert choose_recipe(model(CIFAR), "npz", path) == Preprocessing((32, 32), (32, 32))
    assert choose_recipe(model(LENET), "npz", path).channels == "L"
    path.write_text('{"resize": 256, "channels": "BGR", "divide": 1, "mean": [1, 2, 3]}')
    expected = Preprocessing(256, (32, 32), channels="BGR", divide=1, mean=(1, 2, 3))
    assert choose_recipe(model(CIFAR), "npz", path) == expected
    path.write_text(json.dumps(TORCHVISION_IMAGENET.to_dict()))  # as `decaf info --json` shows it
    assert choose_recipe(model(ALEXNET), "npz", str(path)) == TORCHVISION_IMAGENET
    with_image = changed(CAFFE_IMAGENET, mean=MeanImage(image(3, 227, 227)))
    path.write_text(json.dumps(with_image.to_dict()))
    assert choose_recipe(model(CAFFENET), "npz", path, image(3, 227, 227)) == with_image
    with pytest.raises(WeightsError, match=r"recipe\.json: .*mean"):
        choose_recipe(model(CAFFENET), "npz", path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"colour": "RGB"}', "must have no fields but resize, crop, .*got colour"),
        ('{"channels": "GBR"}', "channels must be usable"),
        ('{"divide": 0}', "divide must be usable"),
        ('{"crop": [24, 24]}', r"expected \(3, 32, 32\), got \(3, 24, 24\)"),
        ('{"crop": 32}', "crop"),
        ("[]", "a preprocessing recipe in JSON; got a list"),
        ("pixels", "a preprocessing recipe in JSON"),
    ],
)
def test_json_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(text)
    with pytest.raises(WeightsError, match=message):
        choose_recipe(model(CIFAR), "npz", path)


@pytest.mark.parametrize(
    ("mean", "message"),
    [
        (image(3, 24, 24), "expected 32x32 or 36x36, got 24x24"),
        (image(3, 40, 40), "expected 32x32 or 36x36, got 40x40"),
        (image(1, 32, 32), "the channels of the network; expected 3, got 1"),
        (np.full((3, 32, 32), np.inf, np.float32), "all finite"),
    ],
)
def test_means_that_do_not_fit(mean: np.ndarray, message: str) -> None:
    said = Preprocessing((36, 36), (32, 32))
    with pytest.raises(WeightsError, match=message):
        choose_recipe(model(CIFAR, preprocessing=said), "caffe", mean=mean)


# Labels


def test_labels(tmp_path: Path) -> None:
    assert choose_labels(3) == (("class 0", "class 1", "class 2"), None)
    assert choose_labels(1000) == choose_labels(1000, "imagenet") == imagenet()
    (tmp_path / "names.txt").write_text("n00000001 ant\nn00000002 bee\n")
    expected = (("ant", "bee"), ("n00000001", "n00000002"))
    assert choose_labels(2, tmp_path / "names.txt") == expected
    with pytest.raises(WeightsError, match="expected 3, got 2"):
        choose_labels(3, tmp_path / "names.txt")
    with pytest.raises(WeightsError, match="expected 3, got 1,000 from imagenet"):
        choose_labels(3, "imagenet")


def test_scores_become_probabilities() -> None:
    scores = Architecture("scores", (3, 8, 8), (Conv("conv1", 5, 3), AdaptiveAvgPool("pool", 1)))
    found = with_probabilities(scores)
    assert found.layers == (*scores.layers, Softmax("prob"))
    assert with_probabilities(found) is found


@pytest.mark.parametrize(
    "layers",
    [
        (Conv("conv1", 5, 3),),  # a map, and no scores
        (Linear("fc1", 1),),  # nothing to choose from
        (Linear("fc1", 5), Softmax("answer")),
        (Linear("fc1", 5), Softmax("answer"), ReLU("after")),  # on purpose, it seems
        (Linear("prob", 5),),
    ],
)
def test_what_gets_no_softmax(layers: tuple[Layer, ...]) -> None:
    network = Architecture("x", (3, 8, 8), layers)
    assert with_probabilities(network) is network
