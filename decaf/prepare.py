"""A photo, by a recipe -> what the first layer sees.

Two steps, since the first is Pillow's and the second the network's: :func:`cut` resizes and
crops, bytes still, and :func:`normalise` makes numbers of the bytes.  :func:`prepare` is both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from decaf.errors import ImageError
from decaf.preprocessing import Preprocessing, per_channel

if TYPE_CHECKING:
    from PIL import Image

CROPS = 10  # with oversampling
LARGEST_RESIZED = 2**25  # pixels; a photo 512 times as long as wide, with shorter side 256
LONGEST_PHOTO_SIDE = 2**20  # Pillow keeps weights for each pixel of a side while it resizes


def prepare(
    pixels: npt.NDArray[np.uint8],
    recipe: Preprocessing,
    *,
    oversample: bool = False,
    out: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float32]:
    """What the first layer sees of one photo.

    Parameters
    ----------
    pixels
        uint8, shape H,W,3, RGB, as `decaf.image.load_image` returns it.
    recipe
        What the network was trained with.
    oversample
        Give ten crops in place of the centre: top left, top right, bottom left, bottom right,
        centre, then the same five mirrored left to right.
    out
        Written and returned if given.

    Returns
    -------
    ndarray
        float32, shape 1,C,h,w or 10,C,h,w, where ``(C, h, w)`` is ``recipe.input_shape``.

    Notes
    -----
    Photos so elongated that the resized image would not fit in reasonable memory (more than
    2**25 pixels) are resized only where the crops lie, which may change a value by one step
    of 255; those with a side of over a million pixels in two steps, which may by a few.
    """
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        raise ImageError(
            f"pixels must be uint8, got {getattr(pixels, 'dtype', type(pixels).__name__)}"
        )
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ImageError(f"pixels must have the shape H,W,3 and not be empty, got {pixels.shape}")
    shape = (CROPS if oversample else 1, *recipe.input_shape)
    if out is None:
        out = np.empty(shape, np.float32)
    elif out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise ImageError(
            f"out must take the result; expected C-contiguous float32 {shape}, "
            f"got {out.dtype} {out.shape}"
        )
    return normalise(cut(pixels, recipe, oversample=oversample), recipe, out)


def cut(
    photo: Image.Image | npt.NDArray[np.uint8], recipe: Preprocessing, *, oversample: bool = False
) -> list[npt.NDArray[np.uint8]]:
    """Resize a photo and crop it.

    Parameters
    ----------
    photo
        As `decaf.image.load_rgb` returns it.
    recipe, oversample
        As for :func:`prepare`.

    Returns
    -------
    list of ndarray
        uint8 h,w,C in RGB or grey: the centre, or four corners and the centre, not mirrored.
    """
    from PIL import Image

    image = Image.fromarray(photo) if isinstance(photo, np.ndarray) else photo
    h, w = recipe.crop
    resized_h, resized_w = recipe.resized(image.height, image.width)
    places = _places(resized_h, resized_w, recipe, oversample)
    if recipe.channels == "L":
        image = image.convert("L")
    method = Image.Resampling[recipe.interpolation.upper()]
    # Pillow resizes along the rows first (lately, only if that is less): resized_w x H pixels
    # lie in between.
    largest = resized_w * max(resized_h, image.height)
    if largest <= LARGEST_RESIZED and max(image.size) <= LONGEST_PHOTO_SIDE:
        resized = np.atleast_3d(np.asarray(image.resize((resized_w, resized_h), method)))
        return [resized[y : y + h, x : x + w] for y, x in places]
    y_scale, x_scale = image.height / resized_h, image.width / resized_w
    return [
        _resize_part(
            image,
            (w, h),
            method,
            (
                x * x_scale,
                y * y_scale,
                min((x + w) * x_scale, image.width),
                min((y + h) * y_scale, image.height),
            ),
        )
        for y, x in places
    ]


def normalise(
    crops: list[npt.NDArray[np.uint8]], recipe: Preprocessing, out: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Scale and subtract, channels first; of five crops, add their mirror images.

    Parameters
    ----------
    crops
        As :func:`cut` returns them.
    recipe
        The same.
    out
        Written and returned: float32, shape 1,C,h,w or 10,C,h,w.
    """
    means, std = _means(recipe, len(crops)), per_channel(recipe.std)
    for x, crop, mean in zip(out, crops, means, strict=False):
        x[...] = np.moveaxis(crop[..., ::-1] if recipe.channels == "BGR" else crop, 2, 0)  # C,h,w
        x /= recipe.divide  # float32 throughout, in the order of torchvision
        x -= mean
        x /= std
    if len(crops) > 1:
        out[5:] = out[:5, :, :, ::-1]
    return out


def _places(
    resized_h: int, resized_w: int, recipe: Preprocessing, oversample: bool
) -> list[tuple[int, int]]:
    """Top and left of the crops that are not mirrored: four corners and the centre, or that."""
    bottom, right = resized_h - recipe.crop[0], resized_w - recipe.crop[1]
    centre = (round(bottom / 2), round(right / 2))  # to even, as torchvision's CenterCrop
    return [(0, 0), (0, right), (bottom, 0), (bottom, right), centre] if oversample else [centre]


def _means(recipe: Preprocessing, crops: int) -> list[npt.NDArray[np.float32]]:
    """What is subtracted from each crop: a mean image of the whole photo is cropped like it."""
    mean = per_channel(recipe.mean)
    if isinstance(recipe.resize, int) or mean.shape[1:] != recipe.resize:
        return [mean] * crops  # a colour, or an image for every crop
    h, w = recipe.crop
    places = _places(*recipe.resize, recipe, oversample=crops > 1)
    return [mean[:, y : y + h, x : x + w] for y, x in places]


def _resize_part(
    image: Image.Image,
    size: tuple[int, int],
    method: Image.Resampling,
    box: tuple[float, float, float, float],
) -> npt.NDArray[np.uint8]:
    """Resize the part of an extremely elongated image that lies in `box`, in little memory."""
    from PIL import Image

    tall = image.height > image.width
    if tall:  # lay it down, so that the long side is the one that shrinks first
        image, size = image.transpose(Image.Transpose.TRANSPOSE), size[::-1]
        box = (box[1], box[0], box[3], box[2])
    gap = 4.0 if max(image.size) > LONGEST_PHOTO_SIDE else None  # shrinks in two steps
    part = image.resize(size, method, box, reducing_gap=gap)
    return np.atleast_3d(np.asarray(part.transpose(Image.Transpose.TRANSPOSE) if tall else part))
