"""The features that ``flowers.py`` compares: photos -> (N, D), each kind in a function."""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from report import ROOT

sys.path.insert(0, str(ROOT / "tests"))

from conftest import SHARED_DATA
from support_torch import import_torch, import_torchvision

from decaf.convert import convert
from decaf.errors import WeightsError
from decaf.image import CAFFE_IMAGENET, Preprocessing, load_image, prepare
from decaf.sklearn import DecafFeatures
from decaf.weights import default_weights, load_weights

BATCH = 32  # of PyTorch

SQUEEZENET = "squeezenet/squeezenet_v1.1"
LAYER = "fire9/concat"
# As its authors trained it: Caffe's recipe for ImageNet with their mean, as `decaf fetch` has it.
RECIPE = replace(CAFFE_IMAGENET, mean=(104.0, 117.0, 123.0))
# decaf-mini sees the middle 32x32 of a photo with shorter side 36; this is four times that.
HOG_VIEW = Preprocessing(resize=144, crop=(128, 128), channels="L")
HOG: dict[str, Any] = {
    "orientations": 9,
    "pixels_per_cell": (8, 8),
    "cells_per_block": (2, 2),
    "block_norm": "L2-Hys",
}

Array = NDArray[Any]


class Skipped(Exception):  # noqa: N818
    """Something that a row needs is not there."""


class Made(NamedTuple):
    """Features of photos, (N, D), and what was done to the photos first."""

    features: Array
    recipe: str


def by_decaf(photos: Sequence[bytes], recipe: Preprocessing = RECIPE) -> Made:
    """SqueezeNet's, from Caffe's file."""
    with tempfile.TemporaryDirectory() as folder:
        said, path = Path(folder, "recipe.json"), Path(folder, "squeezenet.h5")
        said.write_text(json.dumps(recipe.to_dict()), encoding="utf-8")
        convert(there(f"{SQUEEZENET}.caffemodel"), path, preprocessing=said)
        return _of_layer(path, photos, LAYER)


def by_mini(photos: Sequence[bytes]) -> Made:
    """Those of the network inside the package."""
    return _of_layer(_mini(), photos, "relu6")


def _of_layer(weights: Path, photos: Sequence[bytes], layer: str) -> Made:
    features = DecafFeatures(weights, layer, pooling="average")
    return Made(features.transform(photos), str(features.net_.preprocessing))


def by_torch(photos: Sequence[bytes]) -> Made:
    """SqueezeNet's, from PyTorch's file: the same recipe in torchvision's words."""
    torch, torchvision = import_torch(), import_torchvision()
    transforms = torchvision.transforms
    prepared = transforms.Compose(
        [
            transforms.Resize((256, 256)),
            transforms.CenterCrop(227),
            transforms.PILToTensor(),  # uint8, RGB
            transforms.Lambda(lambda pixels: pixels.flip(0).float()),  # BGR, still up to 255
            transforms.Normalize(mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0)),
        ]
    )
    path = there(f"{SQUEEZENET}.pth")
    with torch.random.fork_rng(devices=[]):
        model = torchvision.models.squeezenet1_1(weights=None).eval()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    found = []
    with torch.inference_mode():
        for start in range(0, len(photos), BATCH):
            part = [Image.open(io.BytesIO(photo)) for photo in photos[start : start + BATCH]]
            x = torch.stack([prepared(image.convert("RGB")) for image in part])  # N,3,227,227
            found.append(model.features(x).mean(dim=(2, 3)))  # N,512
    return Made(torch.cat(found).numpy(), f"{RECIPE}, by torchvision")


def by_pixels(photos: Sequence[bytes]) -> Made:
    """What decaf-mini looks at, before its mean is subtracted."""
    recipe = replace(load_weights(_mini()).preprocessing, mean=(0.0,), std=(1.0,))
    return _of_pixels(photos, recipe, np.ravel)


def _mini() -> Path:
    try:
        return default_weights()
    except WeightsError as error:
        raise Skipped(str(error)) from error


def by_hog(photos: Sequence[bytes]) -> Made:
    """Histograms of oriented gradients."""
    try:
        from skimage.feature import hog
    except ModuleNotFoundError as error:
        raise Skipped("scikit-image is not installed") from error
    return _of_pixels(photos, HOG_VIEW, lambda pixels: hog(pixels[0], **HOG))


def _of_pixels(
    photos: Sequence[bytes], recipe: Preprocessing, features: Callable[[Array], Array]
) -> Made:
    """What a function makes of each photo's pixels, C,H,W from 0 to 1."""
    found = [features(prepare(load_image(photo), recipe)[0]) for photo in photos]
    return Made(np.stack(found), str(recipe))


def there(name: str) -> Path:
    """A file of the real data, which lies beside the repository."""
    path = SHARED_DATA / name
    if not path.is_file():
        raise Skipped(f"{name} is not beside the repository")
    return path


KINDS: dict[str, tuple[str, Callable[[Sequence[bytes]], Made]]] = {
    "decaf": ("SqueezeNet 1.1, average of the last concatenation, decaf", by_decaf),
    "torch": ("SqueezeNet 1.1, average of the last concatenation, PyTorch", by_torch),
    "mini": ("decaf-mini, relu6", by_mini),
    "pixels": ("32x32 pixels", by_pixels),
    "hog": ("HOG of 128x128 pixels, grey", by_hog),
}
