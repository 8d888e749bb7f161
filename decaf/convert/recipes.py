"""What a network from elsewhere needs to answer: preprocessing, names of classes, probabilities.

Few files say how photos must be prepared, so this follows the habits of the programs: Caffe
squashes and subtracts a mean from BGR values up to 255; torchvision keeps the proportions and
scales to unit variance.  Where no habit fits there is no guess but an error that says what to
give: a network with the wrong preprocessing answers, and is wrong.  Two cases in point: Caffe's
networks for CIFAR-10 take RGB; and Caffe's SqueezeNet is passed around under torchvision's names.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.architectures import ARCHITECTURES
from decaf.errors import ArchitectureError, ImageError, WeightsError
from decaf.formats.known import same
from decaf.formats.model import Model, Transform
from decaf.json_file import read_json
from decaf.labels import IMAGENET_CLASSES, Labels, imagenet, read_labels
from decaf.mean_image import MeanImage
from decaf.preprocessing import CAFFE_IMAGENET, TORCHVISION_IMAGENET, Preprocessing
from decaf.specs import Architecture, Softmax

CAFFE_LIKE = ("caffe", "caffe-h5", "deep-compression")
CAFFES_OWN = ("bvlc_alexnet", "caffenet")  # known by their layers, whatever program wrote them
IMAGENET_SIZES = (224, 227)  # cut out of photos that were resized to 256
IMAGENET_MEAN = "imagenet_mean"  # in the name of Caffe's mean image for ImageNet
IMAGENET_COLOUR = tuple(CAFFE_IMAGENET.to_dict()["mean"])  # the mean over its pixels
LARGEST = 256  # a mean beyond it was not meant for these pixels
MEAN = "the mean that is given"

Shape = tuple[int, int, int]
PathLike = str | os.PathLike[str]
Array = NDArray[np.floating]


def choose_recipe(
    model: Model,
    format: str,
    asked: PathLike | dict[str, Any] | None = None,
    mean: Array | None = None,
) -> Preprocessing:
    """Return the recipe for a network.

    Parameters
    ----------
    model : Model
        The network, and what its file says.
    format : str
        Where it comes from, one of :data:`decaf.formats.detect.FORMATS`.
    asked : path or dict, optional
        What the user says, which wins: ``"torchvision"``, ``"caffe"``, or fields of
        :class:`~decaf.preprocessing.Preprocessing`, in a JSON file or as they are.  What is
        left out is as it would be without them or, where nothing is known, has its default;
        ``crop`` is then the input of the network, and ``resize`` what ``crop`` is.
    mean : ndarray, optional
        C,h,w, or C,1,1 for a colour, in the units of pixels, 0 to 255, and the order of the
        network's channels; takes the place of the mean of the recipe.

    Raises
    ------
    WeightsError
        If something is not known, or it does not fit the network.
    """
    shape = model.architecture.input_shape
    try:
        recipe, unknown = _usual(model, format, mean)
        if asked == "torchvision":
            recipe, unknown = _torchvision(shape), set()
        elif asked == "caffe":
            recipe, unknown = _caffe(shape, model.transform, mean)
            unknown &= {"mean"} if _mean_file(model.transform) else set()
        elif asked is not None:
            recipe, said = _asked(recipe, asked, shape, mean)
            unknown -= said
        if mean is not None:
            unknown.discard("mean")
        if recipe is None or unknown:
            raise WeightsError(_question(model, unknown))
        if recipe.input_shape != shape:
            raise WeightsError(
                f"preprocessing must give what the network takes; expected {shape}, "
                f"got {recipe.input_shape}"
            )
        if mean is not None:
            return dataclasses.replace(recipe, mean=_mean(recipe, mean))
        if not isinstance(recipe.mean, MeanImage) and max(recipe.mean) * recipe.divide > LARGEST:
            raise WeightsError(
                "the mean of a recipe must lie among the pixels, which after dividing are at most "
                f"{255 / recipe.divide:g}; got {max(recipe.mean):g}"
            )
        return recipe
    except ImageError as error:
        raise WeightsError(str(error)) from error


def _usual(model: Model, format: str, mean: Array | None) -> tuple[Preprocessing | None, set[str]]:
    """The recipe that the file and the habits of its program say, and what neither says."""
    name, shape = model.architecture.name, model.architecture.input_shape
    if model.preprocessing is not None:
        return model.preprocessing, {"mean"} if model.needs_mean else set()
    if format in CAFFE_LIKE:
        return _caffe(shape, model.transform, mean)
    if _of_imagenet(shape) and _published(model.architecture):
        if name in CAFFES_OWN:
            return _caffe(shape, None, mean)
        if name == "alexnet" and shape == TORCHVISION_IMAGENET.input_shape:
            return TORCHVISION_IMAGENET, set()
    return None, set()


def _published(architecture: Architecture) -> bool:
    """Whether a network is the one of decaf's whose name it has: a name alone says nothing."""
    build = ARCHITECTURES.get(architecture.name)
    if build is None:
        return False
    try:
        known = build(architecture.classes)
        known = Architecture(known.name, architecture.input_shape, known.layers)
    except ArchitectureError:  # not for an input of this size, or so many classes
        return False
    return same(known, architecture)


def _caffe(
    shape: Shape, transform: Transform | None, mean: Array | None
) -> tuple[Preprocessing, set[str]]:
    """Squash, to the size of the mean image if that is larger than the input; BGR, or grey."""
    c, h, w = shape
    resize = (256, 256) if _of_imagenet(shape) else (h, w)
    if mean is not None and mean.shape[1] >= h and mean.shape[2] >= w:
        resize = (mean.shape[1], mean.shape[2])
    colour = c == 3
    said = transform is not None and transform != Transform(crop_size=transform.crop_size)
    scale, means = (transform.scale, transform.mean_value) if transform else (1.0, ())
    if scale <= 0 or len(means) not in (0, 1, c):
        raise WeightsError(
            f"transform_param must have a scale above 0, and 1 or {c} mean_value; "
            f"got {scale!r} and {len(means)}"
        )
    unknown = {"channels"} if colour and not _of_imagenet(shape) else set()
    if _mean_file(transform) or not (said or _of_imagenet(shape)):
        unknown.add("mean")
    subtracts = not said or (transform is not None and transform.mean_file)
    if colour and not means and subtracts:
        means = IMAGENET_COLOUR
    recipe = Preprocessing(
        resize,
        (h, w),
        channels="BGR" if colour else "L",
        divide=1 / scale,
        mean=tuple(m * scale for m in means) or (0.0,),
    )
    return recipe, unknown


def _torchvision(shape: Shape) -> Preprocessing:
    c, h, w = shape
    if c != 3:
        raise WeightsError(f"torchvision's preprocessing must be for colour; got {shape}")
    resize = 256 if _of_imagenet(shape) else round(max(h, w) * 256 / 224)
    return dataclasses.replace(TORCHVISION_IMAGENET, resize=resize, crop=(h, w))


def _of_imagenet(shape: Shape) -> bool:
    """Whether photos of this size are cut out of 256, as those of ImageNet's networks."""
    return shape[0] == 3 and shape[1] == shape[2] and shape[1] in IMAGENET_SIZES


def _mean_file(transform: Transform | None) -> str:
    """The mean image that a network of Caffe was trained with, if that is not ImageNet's."""
    file = transform.mean_file if transform else ""
    return "" if IMAGENET_MEAN in file else file


def _question(model: Model, unknown: set[str]) -> str:
    """What to say where something is not known."""
    shape = model.architecture.input_shape
    wanted = []
    if "channels" in unknown:
        wanted.append("whether its channels are RGB or BGR")
    if "mean" in unknown:
        file = _mean_file(model.transform)
        wanted.append(
            f"the mean image that it was trained with, {file!r:.100}"
            if file
            else "which mean is subtracted"
        )
    what = " and ".join(wanted) or f"how photos become an input of {shape}"
    return (
        f"the preprocessing must be known; nothing says {what}: give --preprocessing (torchvision, "
        'caffe, or a JSON file such as {"channels": "RGB"}) and, if a mean is subtracted, --mean'
    )


def _asked(
    base: Preprocessing | None, asked: PathLike | dict[str, Any], shape: Shape, mean: Array | None
) -> tuple[Preprocessing, set[str]]:
    """Change what a JSON file says, or a dictionary; return also what it says."""
    if isinstance(asked, dict):
        return _changed(base, asked, shape, mean), set(asked)
    try:
        fields = read_json(asked, "a preprocessing recipe")
        return _changed(base, fields, shape, mean), set(fields)
    except (ImageError, WeightsError) as error:
        raise WeightsError(f"{asked}: {str(error).removeprefix(f'{asked}: ')}") from error


def _changed(
    base: Preprocessing | None, fields: dict[str, Any], shape: Shape, mean: Array | None
) -> Preprocessing:
    known = {field.name: field.default for field in dataclasses.fields(Preprocessing)}
    strange = ", ".join(sorted(fields.keys() - known.keys()))
    if strange:
        raise WeightsError(
            f"preprocessing must have no fields but {', '.join(known)}; got {strange[:100]}"
        )
    # The mean that is given replaces any, also one that is only identified by its hash.
    given = fields if mean is None else {**fields, "mean": (0.0,)}
    if base is None:
        usual: dict[str, Any] = {
            "crop": list(shape[1:]),
            "channels": "RGB" if shape[0] > 1 else "L",
        }
        usual["resize"] = fields.get("crop", usual["crop"])
        return Preprocessing.from_dict({**known, **usual, **given})
    if fields.get("divide", base.divide) != base.divide and "mean" not in given:
        raise WeightsError(
            "a recipe must say its mean, and its std, where it changes what pixels are divided by; "
            f"got divide {fields['divide']!r:.50} for {base.divide:g} alone"
        )
    turned = fields.get("channels") in ("RGB", "BGR") and fields["channels"] != base.channels
    if turned:
        base = _turned(base)
    inherited = base.mean
    usual = {**base.to_dict(), "mean": (0.0,)}
    recipe = Preprocessing.from_dict({**usual, **given})
    return recipe if "mean" in given else dataclasses.replace(recipe, mean=inherited)


def _turned(recipe: Preprocessing) -> Preprocessing:
    """The same recipe with its three channels the other way round."""
    mean = recipe.mean
    return dataclasses.replace(
        recipe,
        channels=recipe.channels[::-1],
        mean=MeanImage(mean.values[::-1]) if isinstance(mean, MeanImage) else mean[::-1],
        std=recipe.std[::-1],
    )


def _mean(recipe: Preprocessing, mean: Array) -> tuple[float, ...] | MeanImage:
    """A colour for one pixel; else an image of a size that the recipe can subtract.

    Caffe subtracts it before it scales, decaf after it divides.
    """
    if mean.shape[0] != len(recipe.channels):
        raise WeightsError(
            f"{MEAN} must have the channels of the network; expected {len(recipe.channels)}, "
            f"got {mean.shape[0]}"
        )
    if mean.shape[1:] == (1, 1) and recipe.crop != (1, 1):
        return tuple(float(value) / recipe.divide for value in mean[:, 0, 0])
    sizes = [recipe.crop]
    if isinstance(recipe.resize, tuple) and recipe.resize != recipe.crop:
        sizes.append(recipe.resize)
    if mean.shape[1:] not in sizes:
        expected = " or ".join(f"{h}x{w}" for h, w in sizes)
        raise WeightsError(
            f"{MEAN} must be of the size of the input, or of what photos are squashed to; "
            f"expected {expected}, got {mean.shape[1]}x{mean.shape[2]}"
        )
    return MeanImage(mean.astype(np.float64) / recipe.divide)


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
