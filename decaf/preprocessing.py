"""The recipe for what the first layer sees: resize, crop, scale, subtract, divide.

For pixels from 0 to 255 in the order of channels that the network was trained with::

    x = (pixel / divide - mean) / std

Wrong preprocessing is the most common reason for wrong answers of a right network, so the
recipe travels inside the weights file.  The two that published ImageNet networks need are
:data:`TORCHVISION_IMAGENET` and :data:`CAFFE_IMAGENET`:

    >>> print(TORCHVISION_IMAGENET)
    shorter side 256 (bilinear), centre crop 224x224, RGB, /255, mean 0.485 0.456 0.406, \
std 0.229 0.224 0.225
    >>> print(CAFFE_IMAGENET)
    squash to 256x256 (bilinear), centre crop 227x227, BGR, mean 104.007 116.669 122.679

``decaf.prepare`` follows a recipe.  Sources: torchvision's
``transforms._presets.ImageClassification`` (equal to the last bit on photos); Caffe's
``models/bvlc_reference_caffenet`` and ``imagenet_mean``, whose mean image is here the mean
over its pixels, as in Caffe's own ``classification`` example.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from decaf.errors import ImageError
from decaf.mean_image import MeanImage

INTERPOLATIONS = ("bilinear", "bicubic", "lanczos", "nearest", "box")
LARGEST_SIDE = 4096  # of a recipe: it comes out of files, and must not ask for all memory


@dataclass(frozen=True)
class Preprocessing:
    """A recipe.  Immutable, comparable, exact through JSON.

    Attributes
    ----------
    resize
        An int: the length of the shorter side, the other one in proportion (rounded down, as
        in torchvision's Resize).  A pair ``(h, w)``: squash to exactly that.
    crop
        ``(h, w)`` cut out of the middle: the input of the network.
    channels
        "RGB" or "BGR": the order in which the network wants them; "L" for a network that takes
        grey alone (ITU-R 601 luma, as Pillow and OpenCV compute it).
    divide
        255 for networks trained on values from 0 to 1; 1 for those trained on 0 to 255.  A
        divisor, not a factor, because 1/255 has no exact float.
    mean, std
        For each channel in the order of `channels`: subtracted, then divided by.  A single
        number ``(0.5,)`` stands for every channel.  The mean may also be a :class:`MeanImage`,
        for each pixel: of the size of `crop`, or of that which `resize` squashes to; then it is
        cropped like the photo, as Caffe does it.
    interpolation
        "bilinear", "bicubic", "lanczos", "nearest" or "box", as Pillow does them on 8 bits
        (with antialiasing when it makes smaller, all but "nearest").

    Raises
    ------
    ImageError
        For a value that is of the wrong type, not positive, not finite, larger than 4096, a
        crop larger than what it is cut from, or numbers that make of a pixel what float32
        cannot hold.
    """

    resize: int | tuple[int, int]
    crop: tuple[int, int]
    channels: str = "RGB"
    divide: float = 255.0
    mean: tuple[float, ...] | MeanImage = (0.0,)
    std: tuple[float, ...] = (1.0,)
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        def put(field: str, value: object) -> None:  # the class is frozen
            object.__setattr__(self, field, value)

        if isinstance(self.resize, (tuple, list)):
            put("resize", _sides("resize", self.resize, 2))
        else:
            put("resize", _sides("resize", (self.resize,), 1)[0])
        put("crop", _sides("crop", self.crop, 2))
        known = self.channels in ("RGB", "BGR", "L")
        _must(known, "channels", '"RGB", "BGR" or "L"', self.channels)
        c = len(self.channels)
        put("divide", _numbers("divide", (self.divide,), 1)[0])
        if not isinstance(self.mean, MeanImage):
            put("mean", _numbers("mean", self.mean, c))
        put("std", _numbers("std", self.std, c))
        _must(self.divide > 0, "divide", "a positive number", self.divide)
        _must(min(self.std) > 0, "std", f"{c} positive number(s)", self.std)
        given = (self.divide, self.mean, self.std)
        _must(_finite(*given), "divide, mean, std", "pixels that stay finite in float32", given)
        known = self.interpolation in INTERPOLATIONS
        _must(known, "interpolation", f"one of {', '.join(INTERPOLATIONS)}", self.interpolation)
        h, w = (self.resize, self.resize) if isinstance(self.resize, int) else self.resize
        fits = self.crop[0] <= h and self.crop[1] <= w
        _must(fits, "crop", f"at most what resize gives, {h}x{w}", self.crop)
        if isinstance(self.mean, MeanImage):
            sizes = [(c, *self.crop), *([] if isinstance(self.resize, int) else [(c, h, w)])]
            expected = " or ".join(map(str, sizes))
            _must(self.mean.shape in sizes, "mean", f"an image of {expected}", self.mean.shape)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """C,H,W of what the network takes."""
        return (len(self.channels), *self.crop)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """(h, w) of a photo of `height` x `width` after resizing."""
        if not isinstance(self.resize, int):
            return self.resize
        if width <= height:
            return int(self.resize * height / width), self.resize
        return self.resize, int(self.resize * width / height)

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold without loss; of a mean image, what identifies it."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if isinstance(self.mean, MeanImage):
            fields["mean"] = {"shape": list(self.mean.shape), "sha256": self.mean.sha256}
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()
        }

    @classmethod
    def from_dict(
        cls, values: dict[str, Any], mean_image: MeanImage | None = None
    ) -> Preprocessing:
        """The inverse of `to_dict`.

        Parameters
        ----------
        values
            As `to_dict` gives.
        mean_image
            The mean image, which `values` only identify; None where they have a mean colour.

        Raises
        ------
        ImageError
            For keys too many or too few, wrong values, or another mean image.
        """
        expected = {field.name for field in dataclasses.fields(cls)}
        keys = set(values) if isinstance(values, dict) else {type(values).__name__}
        if keys != expected:
            raise ImageError(
                "preprocessing must have every key and no other; expected "
                f"{', '.join(sorted(expected))}, got {', '.join(sorted(map(str, keys))) or 'none'}"
            )
        identified = isinstance(values["mean"], dict)
        if identified or mean_image is not None:
            image = mean_image and {"shape": list(mean_image.shape), "sha256": mean_image.sha256}
            _must(image == values["mean"], "mean", f"that of {image or 'a mean image'}", "another")
            values = {**values, "mean": mean_image}
        return cls(**values)

    def __str__(self) -> str:
        if isinstance(self.resize, int):
            steps = [f"shorter side {self.resize} ({self.interpolation})"]
        else:
            steps = [f"squash to {self.resize[0]}x{self.resize[1]} ({self.interpolation})"]
        steps += [f"centre crop {self.crop[0]}x{self.crop[1]}", self.channels]
        if self.divide != 1:
            steps.append(f"/{self.divide:g}")
        if isinstance(self.mean, MeanImage):
            colour = " ".join(f"{m:g}" for m in self.mean.colour)
            steps.append(f"mean image {'x'.join(map(str, self.mean.shape))} ({colour})")
        elif any(self.mean):
            steps.append("mean " + " ".join(f"{m:g}" for m in self.mean))
        if any(s != 1 for s in self.std):
            steps.append("std " + " ".join(f"{s:g}" for s in self.std))
        return ", ".join(steps)


def _must(holds: bool, field: str, expected: str, got: object) -> None:
    if not holds:
        raise ImageError(f"preprocessing: {field} must be usable; expected {expected}, got {got!r}")


def _sides(field: str, values: Any, length: int) -> tuple[int, ...]:
    """Lengths in pixels, as a tuple of plain ints."""
    expected = f"{length} whole number(s) from 1 to {LARGEST_SIDE}"
    fits = isinstance(values, (tuple, list)) and len(values) == length
    fits = fits and all(isinstance(v, Integral) and not isinstance(v, bool) for v in values)
    _must(fits and all(1 <= v <= LARGEST_SIDE for v in values), field, expected, values)
    return tuple(int(v) for v in values)


def _numbers(field: str, values: Any, length: int) -> tuple[float, ...]:
    """Finite numbers, as a tuple of plain floats; one alone is repeated."""
    if isinstance(values, (tuple, list)) and len(values) == 1:
        values = tuple(values) * length
    fits = isinstance(values, (tuple, list)) and len(values) == length
    fits = fits and all(isinstance(v, Real) and not isinstance(v, bool) for v in values)
    fits = fits and all(abs(v) <= 1e6 for v in values)  # and so no NaN, and no 10**400
    _must(fits, field, f"{length} finite number(s)", values)
    return tuple(float(v) for v in values)


def _finite(divide: float, mean: tuple[float, ...] | MeanImage, std: tuple[float, ...]) -> bool:
    """Whether the extreme pixels, and so all between them, stay finite in `prepare`'s float32."""
    extremes = np.array([0, 255], np.float32)[:, None, None, None]  # pixels, channels, h, w
    with np.errstate(all="ignore"):
        x = extremes / np.float32(divide) - per_channel(mean)
        return bool(np.isfinite(x / per_channel(std)).all())


def per_channel(values: tuple[float, ...] | MeanImage) -> npt.NDArray[np.float32]:
    """Numbers for each channel, C,1,1, or for each pixel, C,h,w."""
    if isinstance(values, MeanImage):
        return values.values
    return np.array(values, np.float32)[:, None, None]


TORCHVISION_IMAGENET = Preprocessing(
    resize=256, crop=(224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
CAFFE_IMAGENET = Preprocessing(
    resize=(256, 256),
    crop=(227, 227),
    channels="BGR",
    divide=1.0,
    mean=(104.007, 116.669, 122.679),
)
