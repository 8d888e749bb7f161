"""Features of what a box surrounds, with some of the photo around it.

A box is ``(left, top, right, bottom)`` in pixels of the upright photo: pixel i lies from i to
i + 1, so right and bottom are exclusive, and the whole photo is ``(0, 0, width, height)``.  Parts
of pixels are allowed.  (PASCAL VOC's files count from 1 and include the last pixel: subtract 1
from the left and the top.)

    enlarge    the box enlarged to 150 % about its centre, cut off at the photo's edges, and then
               treated as a photo: the recipe resizes it and takes the middle (Razavian et al.
               2014, section 3.4, birds)
    warp       the box stretched over the network's input but for 16 pixels on each side, which
               show what surrounds it, at the same scale; what lies outside the photo is 0, which
               is the colour that the recipe subtracts (Girshick et al. 2014, R-CNN, appendix A)

Warped pictures do not pass the recipe's resizing and cropping, which would cut the context off
again ("resize to 256, crop 227" takes 14 pixels from each side).  They are made in the size of the
crop, and only scaled and normalised after that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError
from decaf.features.pipeline import BATCH_SIZE, widths
from decaf.features.pooling import pool
from decaf.image import Photo, describe, load_rgb, printable
from decaf.net import DecafNet
from decaf.prepare import LARGEST_RESIZED, LONGEST_PHOTO_SIDE, cut, normalise
from decaf.preprocessing import Preprocessing
from decaf.transfer.box_checks import Box, check_box, check_boxes

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["MODES", "Box", "box_features", "check_box", "enlarged", "warped"]

MODES = ("enlarge", "warp")
SCALE = 1.5  # of a box that is enlarged: 150 % of each side
CONTEXT = 16  # pixels of the network's input, on each side


def enlarged(box: Box, scale: float, width: float, height: float) -> Box:
    """Enlarge a box about its centre, and cut it off at the photo's edges.

    Parameters
    ----------
    box : tuple of float
        Within the photo.
    scale : float
        At least 1; each side becomes so many times as long.
    width, height : float
        Of the photo, in pixels.

    Returns
    -------
    tuple of float

    Raises
    ------
    FeaturesError
        If the scale is no such number, or the box is not within the photo.
    """
    _check_scale(scale)
    left, top, right, bottom = check_box(box, width, height)
    more_x, more_y = (right - left) * (scale - 1) / 2, (bottom - top) * (scale - 1) / 2
    return (
        max(0.0, left - more_x),
        max(0.0, top - more_y),
        min(float(width), right + more_x),
        min(float(height), bottom + more_y),
    )


def warped(
    photo: Image.Image,
    box: Box,
    size: tuple[int, int],
    context: int = CONTEXT,
    fill: tuple[int, int, int] = (0, 0, 0),
    resampling: str = "bilinear",
) -> Image.Image:
    """Stretch a box, with what surrounds it, over a picture of the given size.

    Parameters
    ----------
    photo : PIL.Image
        RGB.
    box : tuple of float
        Within the photo.
    size : tuple of int
        ``(h, w)`` of the picture.
    context : int
        How many pixels of the picture, on each side, show what surrounds the box; each direction
        has a scale of its own, that of the box.
    fill : tuple of int
        Colour of what lies outside the photo: of every pixel that lies there with any part.
    resampling : str
        As ``Preprocessing.interpolation``.

    Returns
    -------
    PIL.Image
        RGB.

    Raises
    ------
    FeaturesError
        If the box is not within the photo, or the context leaves no pixel for the box.
    """
    check_box(box, *photo.size)
    _check_context(context, size)
    from PIL import Image

    (x, y, right, bottom), region = _within(photo.size, box, size, context)
    method = Image.Resampling[resampling.upper()]
    # Pillow resizes along the rows first, and keeps weights for each pixel of a side meanwhile.
    high, wide = region[3] - region[1], region[2] - region[0]
    large = size[1] * high > LARGEST_RESIZED or max(high, wide) > LONGEST_PHOTO_SIDE
    part = photo.resize((right - x, bottom - y), method, region, 4.0 if large else None)
    picture = Image.new("RGB", size[::-1], fill)
    picture.paste(part, (x, y))
    return picture


def box_features(
    net: DecafNet,
    photo: Photo,
    boxes: Sequence[Box],
    layer: str,
    *,
    mode: str = "enlarge",
    scale: float = SCALE,
    context: int = CONTEXT,
    pooling: str | None = None,
) -> NDArray[np.float32]:
    """Compute features of what each box of a photo surrounds.

    Parameters
    ----------
    net : DecafNet
        The network.
    photo : photo
        See :class:`~decaf.net.DecafNet`; decoded once.
    boxes : sequence of (left, top, right, bottom)
        n boxes, or an array (n, 4), in pixels of the upright photo, right and bottom exclusive.
    layer : str
        As for ``DecafNet.features``.
    mode : {"enlarge", "warp"}
        See the top of this module.
    scale : float
        For ``"enlarge"``: at least 1; the recipe's middle then lies within the enlarged box.
    context : int
        For ``"warp"``: pixels of the network's input.
    pooling : {None, "average", "max"}
        For layers of maps, see ``decaf.features.pooling``.

    Returns
    -------
    ndarray
        (n, D) float32; n may be 0.  A row has the same bits whatever the other boxes are.

    Raises
    ------
    FeaturesError
        If a box is not within the photo, has no area, or is no box; or for a wrong option.
        Before the network computes anything.
    ArchitectureError
        If there is no such layer.
    ImageError
        If the photo cannot be used.
    """
    width = widths(net, [layer], pooling)[layer]
    recipe = net.preprocessing
    if mode not in MODES:
        raise FeaturesError(f"mode must be {' or '.join(map(repr, MODES))}; got {mode!r}")
    if mode == "warp":
        _check_context(context, recipe.crop)
    else:
        _check_scale(scale)
    name = printable(describe(photo))
    check_boxes(boxes, name)

    from PIL import Image

    found = load_rgb(photo, max_pixels=net.max_pixels, name=name)
    image = Image.fromarray(found) if isinstance(found, np.ndarray) else found
    checked = [check_box(box, *image.size, f"{name}: box {n}") for n, box in enumerate(boxes)]

    rows = np.empty((len(checked), width), np.float32)
    for start in range(0, len(checked), BATCH_SIZE):
        part = checked[start : start + BATCH_SIZE]
        x = np.empty((len(part), *recipe.input_shape), np.float32)
        for n, box in enumerate(part):
            if mode == "warp":
                _see_warped(image, box, recipe, context, x[n : n + 1])
            else:
                normalise(cut(_cropped(image, box, scale), recipe), recipe, x[n : n + 1])
        values = pool(net.forward(x, layer), pooling)
        rows[start : start + len(part)] = values.reshape(len(part), width)
    return rows


def _check_scale(scale: float) -> None:
    if not (isinstance(scale, Real) and math.isfinite(scale) and scale >= 1):
        raise FeaturesError(f"scale must be a number; expected at least 1, got {scale!r}")


def _check_context(context: int, size: tuple[int, int]) -> None:
    most = (min(size) - 1) // 2
    whole = isinstance(context, Integral) and not isinstance(context, bool)
    if not (whole and 0 <= context <= most):
        raise FeaturesError(
            f"context must be pixels that leave room for the box; expected 0 to {most} of "
            f"{size[0]}x{size[1]}, got {context!r}"
        )


def _cropped(photo: Image.Image, box: Box, scale: float) -> Image.Image:
    """What the enlarged box surrounds; of pixels at its edge the whole."""
    left, top, right, bottom = enlarged(box, scale, *photo.size)
    return photo.crop((math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)))


def _see_warped(
    photo: Image.Image, box: Box, recipe: Preprocessing, context: int, out: NDArray[np.float32]
) -> None:
    """Write what the first layer sees, (1, C, h, w), of a warped box."""
    picture = warped(photo, box, recipe.crop, context, resampling=recipe.interpolation)
    if recipe.channels == "L":
        picture = picture.convert("L")
    normalise([np.atleast_3d(np.asarray(picture))], recipe, out)
    (x, y, right, bottom), _ = _within(photo.size, box, recipe.crop, context)
    # Exactly the mean, which no colour of whole numbers is; of a mean image, that of each pixel.
    out[..., :y, :] = out[..., bottom:, :] = 0
    out[..., :x] = out[..., right:] = 0


def _within(
    photo: tuple[int, int], box: Box, size: tuple[int, int], context: int
) -> tuple[tuple[int, int, int, int], Box]:
    """Return which pixels of the picture lie within the photo, and what they show of it."""
    (x, right), (start, end) = _along(photo[0], box[0], box[2], size[1], context)
    (y, bottom), (above, below) = _along(photo[1], box[1], box[3], size[0], context)
    return (x, y, right, bottom), (start, above, end, below)


def _along(
    length: int, start: float, end: float, pixels: int, context: int
) -> tuple[tuple[int, int], tuple[float, float]]:
    """One direction: the first pixel of the picture and that after the last, and their places.

    Pixel i shows the photo from ``origin + i step`` to ``origin + (i + 1) step``.
    """
    step = (end - start) / (pixels - 2 * context)
    origin = start - context * step
    # A billionth of a pixel: what rounding moved over the edge is not outside.
    first = max(0, math.ceil(-origin / step - 1e-9))
    after = min(pixels, math.floor((length - origin) / step + 1e-9))
    return (first, after), (max(0.0, origin + first * step), min(length, origin + after * step))
