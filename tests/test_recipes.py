"""Which preprocessing and which labels a network from elsewhere gets."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decaf.errors import WeightsError
from decaf.labels import imagenet
from decaf.mean_image import MeanImage
from decaf.preprocessing import CAFFE_IMAGENET, TORCHVISION_IMAGENET, Preprocessing
from decaf.recipes import choose_labels, choose_recipe, with_probabilities
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


def image(*shape: int) -> np.ndarray:
    return np.linspace(100, 130, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def changed(recipe: Preprocessing, **fields: Any) -> Preprocessing:
    return dataclasses.replace(recipe, **fields)


# By habit


@pytest.mark.parametrize("format", CAFFE)
def test_caffe(format: str) -> None:
    assert choose_recipe(CAFFENET, format) == CAFFE_IMAGENET
    assert choose_recipe(ALEXNET, format) == changed(CAFFE_IMAGENET, crop=(224, 224))


@pytest.mark.parametrize("format", CAFFE)
def test_caffe_with_a_mean(format: str) -> None:
    mean = image(3, 32, 32)
    assert choose_recipe(CIFAR, format, mean=mean) == changed(
        CAFFE_IMAGENET, resize=(32, 32), crop=(32, 32), mean=MeanImage(mean)
    )
    mean = image(3, 40, 36)  # photos are squashed to its size, and both are cropped
    recipe = choose_recipe(CIFAR, format, mean=mean)
    assert (recipe.resize, recipe.crop, recipe.mean) == ((40, 36), (32, 32), MeanImage(mean))
    mean = image(3, 256, 256)
    assert choose_recipe(CAFFENET, format, mean=mean) == changed(
        CAFFE_IMAGENET, mean=MeanImage(mean)
    )
    colour = np.array([104, 117, 123], np.float64).reshape(3, 1, 1)
    assert choose_recipe(CAFFENET, format, mean=colour) == changed(
        CAFFE_IMAGENET, mean=(104, 117, 123)
    )
    grey = choose_recipe(LENET, format, mean=image(1, 28, 28))
    assert (grey.channels, grey.divide, grey.resize) == ("L", 1, (28, 28))


@pytest.mark.parametrize("format", OTHERS)
def test_torchvision(format: str) -> None:
    assert choose_recipe(ALEXNET, format) == TORCHVISION_IMAGENET


@pytest.mark.parametrize(
    ("shape", "format"),
    [(CIFAR, "caffe"), (LENET, "caffe-h5"), (CIFAR, "torch"), (CAFFENET, "torch"), (LENET, "npz")],
)
def test_no_guess(shape: tuple[int, int, int], format: str) -> None:
    with pytest.raises(WeightsError, match="must be known.*give --preprocessing"):
        choose_recipe(shape, format)


# What the file says, and what the user says


def test_what_is_said_wins() -> None:
    said = Preprocessing(resize=230, crop=(224, 224), channels="BGR")
    assert choose_recipe(ALEXNET, "torch", said) == said
    assert choose_recipe(ALEXNET, "torch", said, "torchvision") == TORCHVISION_IMAGENET
    assert choose_recipe(CAFFENET, "torch", None, "caffe") == CAFFE_IMAGENET
    recipe = choose_recipe(ALEXNET, "torch", said, None, image(3, 224, 224))
    assert recipe == changed(said, mean=MeanImage(image(3, 224, 224)))


def test_torchvision_at_other_sizes() -> None:
    assert choose_recipe(CAFFENET, "torch", asked="torchvision") == changed(
        TORCHVISION_IMAGENET, crop=(227, 227)
    )
    half = choose_recipe((3, 112, 96), "torch", asked="torchvision")
    assert half == changed(TORCHVISION_IMAGENET, resize=128, crop=(112, 96))
    with pytest.raises(WeightsError, match="must be for colour"):
        choose_recipe(LENET, "torch", asked="torchvision")


def test_json_with_defaults(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text("{}")
    assert choose_recipe(CIFAR, "npz", asked=path) == Preprocessing((32, 32), (32, 32))
    assert choose_recipe(LENET, "npz", asked=path).channels == "L"
    path.write_text('{"resize": 256, "channels": "BGR", "divide": 1, "mean": [1, 2, 3]}')
    expected = Preprocessing(256, (32, 32), channels="BGR", divide=1, mean=(1, 2, 3))
    assert choose_recipe(CIFAR, "npz", asked=path) == expected
    path.write_text(json.dumps(TORCHVISION_IMAGENET.to_dict()))  # as `decaf info --json` shows it
    assert choose_recipe(ALEXNET, "npz", asked=str(path)) == TORCHVISION_IMAGENET
    with_image = changed(CAFFE_IMAGENET, mean=MeanImage(image(3, 227, 227)))
    path.write_text(json.dumps(with_image.to_dict()))
    assert choose_recipe(CAFFENET, "npz", asked=path, mean=image(3, 227, 227)) == with_image
    with pytest.raises(WeightsError, match=r"recipe\.json: .*mean"):
        choose_recipe(CAFFENET, "npz", asked=path)


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
        choose_recipe(CIFAR, "npz", asked=path)


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
        choose_recipe(CIFAR, "caffe", said, mean=mean)


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
