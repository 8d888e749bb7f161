"""What a network from elsewhere needs to answer: preprocessing, names of classes, probabilities.

Few files say how photos must be prepared, so this follows the habits of the programs: Caffe
squashes and subtracts a mean from BGR values up to 255; torchvision keeps the proportions and
scales to unit variance.  Where neither habit fits there is no guess but an error that says what
to give: a network with the wrong preprocessing answers, and is wrong.  (A SqueezeNet of torch is
such a case: Caffe's and torchvision's own are passed around under the same names.)
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.errors import ImageError, WeightsError
from decaf.json_file import read_json
from decaf.labels import Labels, imagenet, read_labels
from decaf.mean_image import MeanImage
from decaf.preprocessing import CAFFE_IMAGENET, TORCHVISION_IMAGENET, Preprocessing
from decaf.specs import Architecture, Softmax

CAFFE_LIKE = ("caffe", "caffe-h5", "deep-compression")
IMAGENET_SIZES = (224, 227)  # of photos that were resized to 256
IMAGENET_CLASSES = 1000
MEAN = "the mean that is given"

Shape = tuple[int, int, int]
PathLike = str | os.PathLike[str]


def choose_recipe(
    shape: Shape,
    format: str,
    found: Preprocessing | None = None,
    asked: PathLike | dict[str, Any] | None = None,
    mean: NDArray[np.floating] | None = None,
) -> Preprocessing:
    """Return the recipe for a network.

    Parameters
    ----------
    shape : tuple
        C,H,W of its input.
    format : str
        Where it comes from, one of :data:`decaf.formats.detect.FORMATS`.
    found : Preprocessing, optional
        What the file itself says.
    asked : path or dict, optional
        What the user says, which wins: ``"torchvision"``, ``"caffe"``, or the fields of
        :class:`~decaf.preprocessing.Preprocessing`, in a JSON file or as they are.  What is
        left out has its default; ``crop`` is then the input of the network, and ``resize`` what
        ``crop`` is.
    mean : ndarray, optional
        C,h,w, or C,1,1 for a colour; takes the place of the mean of the recipe.

    Raises
    ------
    WeightsError
        If nothing is known, or it does not fit the network.
    """
    try:
        if asked == "torchvision":
            recipe = _torchvision(shape)
        elif asked == "caffe":
            recipe = _caffe(shape, mean)
        elif isinstance(asked, dict):
            recipe = _from_fields(asked, shape, mean)
        elif asked is not None:
            recipe = _from_json(asked, shape, mean)
        elif found is not None:
            recipe = found
        else:
            recipe = _by_habit(shape, format, mean)
        if recipe.input_shape != shape:
            raise WeightsError(
                f"preprocessing must give what the network takes; expected {shape}, "
                f"got {recipe.input_shape}"
            )
        return recipe if mean is None else dataclasses.replace(recipe, mean=_mean(recipe, mean))
    except ImageError as error:
        raise WeightsError(str(error)) from error


def choose_labels(classes: int, asked: PathLike | None = None) -> Labels:
    """Return the names of the classes, and their ids where they have some.

    Parameters
    ----------
    classes : int
        How many there are.
    asked : path, optional
        ``"imagenet"`` or a file for :func:`decaf.labels.read_labels`; by default ImageNet's for
        a thousand classes, else ``class 0``, ``class 1`` and so on.

    Raises
    ------
    WeightsError
        If there are not as many as classes.
    """
    if asked is None and classes != IMAGENET_CLASSES:
        return tuple(f"class {number}" for number in range(classes)), None
    labels, ids = imagenet() if asked in (None, "imagenet") else read_labels(asked)
    if len(labels) != classes:
        raise WeightsError(
            f"labels must be one for each class; expected {classes:,}, got {len(labels):,}"
            f" from {asked}"
        )
    return labels, ids


def with_probabilities(architecture: Architecture) -> Architecture:
    """Add the Softmax that a network lacks whose last layer gives a score for each class.

    Some were published without it (torch's, and SqueezeNet 1.0 in Deep Compression's form), for
    their programs to add; ``classify`` promises probabilities.
    """
    last = architecture.layers[-1]
    classes, *places = architecture.shapes[last.name]
    settled = any(isinstance(layer, Softmax) for layer in architecture.layers)
    if settled or classes == 1 or set(places) - {1} or "prob" in architecture.shapes:
        return architecture
    layers = (*architecture.layers, Softmax("prob"))
    return Architecture(architecture.name, architecture.input_shape, layers)


def _by_habit(shape: Shape, format: str, mean: NDArray[np.floating] | None) -> Preprocessing:
    of_imagenet = shape in [(3, size, size) for size in IMAGENET_SIZES]
    if format in CAFFE_LIKE and (of_imagenet or mean is not None):
        return _caffe(shape, mean)
    if shape == TORCHVISION_IMAGENET.input_shape and format not in CAFFE_LIKE:
        return _torchvision(shape)
    raise WeightsError(
        f"the preprocessing must be known; nothing says how photos become an input of {shape}: "
        "give --preprocessing (torchvision, caffe, or a JSON file) and, if one is subtracted, "
        "--mean"
    )


def _torchvision(shape: Shape) -> Preprocessing:
    c, h, w = shape
    if c != 3:
        raise WeightsError(f"torchvision's preprocessing must be for colour; got {shape}")
    of_imagenet = h == w and h in IMAGENET_SIZES
    resize = 256 if of_imagenet else round(max(h, w) * 256 / 224)
    return dataclasses.replace(TORCHVISION_IMAGENET, resize=resize, crop=(h, w))


def _caffe(shape: Shape, mean: NDArray[np.floating] | None) -> Preprocessing:
    """Squash, to the size of the mean image if that is larger than the input."""
    c, h, w = shape
    resize = (256, 256) if h == w and h in IMAGENET_SIZES else (h, w)
    if mean is not None and mean.shape[1] >= h and mean.shape[2] >= w:
        resize = (mean.shape[1], mean.shape[2])
    if c == 3:
        return dataclasses.replace(CAFFE_IMAGENET, resize=resize, crop=(h, w))
    return Preprocessing(resize, (h, w), channels="L", divide=1.0)


def _from_json(path: PathLike, shape: Shape, mean: NDArray[np.floating] | None) -> Preprocessing:
    try:
        return _from_fields(read_json(path, "a preprocessing recipe"), shape, mean)
    except (ImageError, WeightsError) as error:
        raise WeightsError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error


def _from_fields(
    values: dict[str, Any], shape: Shape, mean: NDArray[np.floating] | None
) -> Preprocessing:
    known = {field.name: field.default for field in dataclasses.fields(Preprocessing)}
    strange = ", ".join(sorted(values.keys() - known.keys()))
    if strange:
        raise WeightsError(
            f"preprocessing must have no fields but {', '.join(known)}; got {strange[:100]}"
        )
    usual: dict[str, Any] = {"crop": list(shape[1:])}
    usual["resize"] = values.get("crop", usual["crop"])
    if shape[0] == 1:
        usual["channels"] = "L"
    given = values if mean is None else {**values, "mean": (0.0,)}  # which `mean` replaces
    return Preprocessing.from_dict({**known, **usual, **given})


def _mean(recipe: Preprocessing, mean: NDArray[np.floating]) -> tuple[float, ...] | MeanImage:
    """A colour for one pixel; else an image of a size that the recipe can subtract."""
    if mean.shape[0] != len(recipe.channels):
        raise WeightsError(
            f"{MEAN} must have the channels of the network; expected {len(recipe.channels)}, "
            f"got {mean.shape[0]}"
        )
    if mean.shape[1:] == (1, 1) and recipe.crop != (1, 1):
        return tuple(float(value) for value in mean[:, 0, 0])
    sizes = [recipe.crop]
    if isinstance(recipe.resize, tuple) and recipe.resize != recipe.crop:
        sizes.append(recipe.resize)
    if mean.shape[1:] not in sizes:
        expected = " or ".join(f"{h}x{w}" for h, w in sizes)
        raise WeightsError(
            f"{MEAN} must be of the size of the input, or of what photos are squashed to; "
            f"expected {expected}, got {mean.shape[1]}x{mean.shape[2]}"
        )
    return MeanImage(mean.astype(np.float32))
