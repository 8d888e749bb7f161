"""What a network sees of a photo: resized and cropped as its recipe says, in colours for people."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from decaf.image import Photo, describe, load_image, prepare
from decaf.net import DecafNet

LARGEST_SHOWN = 800  # pixels of the longer side; more would not be seen


@dataclass(frozen=True)
class Seen:
    """A photo, read once.

    Attributes
    ----------
    name : str
        Name of the file, or what it is.
    pixels : ndarray, uint8
        H,W,3, RGB: the whole photo, upright.
    crop : ndarray, uint8
        h,w,3, RGB: the part that the network looks at, at the size at which it does.
    x : ndarray, float32
        1,C,h,w: the network's input.
    """

    name: str
    pixels: NDArray[np.uint8]
    crop: NDArray[np.uint8]
    x: NDArray[np.float32]


def see(net: DecafNet, photo: Photo) -> Seen:
    """Read a photo as the network does.

    Raises
    ------
    ImageError
        If it cannot be used; the message says which and why.
    """
    pixels = load_image(photo, max_pixels=net.max_pixels)
    recipe = net.preprocessing
    channels = "L" if recipe.channels == "L" else "RGB"
    plain = replace(recipe, channels=channels, divide=1.0, mean=(0.0,), std=(1.0,))
    crop = np.moveaxis(prepare(pixels, plain)[0], 0, 2).astype(np.uint8)  # h,w,C
    return Seen(
        os.path.basename(describe(photo)) or describe(photo),
        pixels,
        np.broadcast_to(crop, (*crop.shape[:2], 3)),
        prepare(pixels, recipe),
    )


def reduced(pixels: NDArray[np.uint8], longest: int = LARGEST_SHOWN) -> NDArray[np.uint8]:
    """Make a photo smaller where its longer side has more pixels than that."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((longest, longest))
    return np.asarray(image)
