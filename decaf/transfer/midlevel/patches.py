"""Where to look in a photo: square patches of nine sizes, half over each other.

    side_l = min(width, height) / l        l = 1, 1.375, …, 4: nine scales
    stride = side_l / 2, or wider          where there would be more than 500

The largest patches show the photo nearly whole, the smallest a sixteenth of its shorter side's
square: one of them shows an object of whatever size about as large as the network knows objects.

Source
    Oquab, Bottou, Laptev and Sivic, "Learning and transferring mid-level image representations
    using convolutional neural networks", CVPR 2014, section 3.2: about 500 square patches a
    photo, neighbours at least half over each other, sides from min(w, h) to a quarter of it.

What the paper leaves open
    The last patch of a row ends at the photo's edge, and all are spread evenly between the first
    and it.  Long photos, which would have many more patches, get wider strides at all scales
    alike; neighbours then share less than half, and lie apart where the stride is wider than the
    patch: at 500 patches in photos more than six times as long as wide, at 100 in any that are
    longer than wide.  Each scale has patches in the photo's corners, whatever the strides are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from decaf.errors import FeaturesError
from decaf.net import at_least_one
from decaf.transfer.midlevel.options import check_number

SCALES = tuple(1 + 3 * step / 8 for step in range(9))
MOST = 500
WIDER = 1.02  # by how much strides grow from one try to the next


def patches(
    width: int, height: int, *, scales: Sequence[float] = SCALES, most: int = MOST
) -> NDArray[np.int64]:
    """Return the patches of a photo.

    Parameters
    ----------
    width, height : int
        Of the photo, in pixels.
    scales : sequence of float
        By what the shorter side is divided, each at least 1.
    most : int
        At most so many patches, by wider strides.  Few patches leave gaps between them: about
        ``73 * longer / shorter`` are needed for nine scales that each cover the photo.

    Returns
    -------
    ndarray
        (P, 4) int64: left, top, right, bottom in pixels, right and bottom exclusive; scale after
        scale, row by row.  Sides are rounded to whole pixels, and no patch comes twice.

    Raises
    ------
    FeaturesError
        If a scale is below 1, there is none, or `most` is too few for one patch in each corner
        a scale (fewer where corners share a patch).
    ShapeError
        If a number of pixels or patches is not at least 1.
    """
    for name, value in {"width": width, "height": height, "most": most}.items():
        at_least_one(name, value)
    chosen = _checked(scales)
    shorter = min(width, height)
    sides = list(dict.fromkeys(max(1, round(shorter / scale)) for scale in chosen))
    least = sum(_count(width, side, width) * _count(height, side, height) for side in sides)
    if most < least:
        raise FeaturesError(
            f"most must leave each scale a patch in each of the photo's corners; expected at least "
            f"{least}, got {most}"
        )
    factor = 1.0
    while True:
        strides = [max(1, side // 2) * factor for side in sides]
        counts = [
            (_count(width, side, stride), _count(height, side, stride))
            for side, stride in zip(sides, strides, strict=True)
        ]
        if sum(across * down for across, down in counts) <= most:
            break
        factor *= WIDER
    found = []
    for side, (across, down) in zip(sides, counts, strict=True):
        x, y = np.meshgrid(_starts(width, side, across), _starts(height, side, down))
        corner = np.stack([x.ravel(), y.ravel()], axis=1)  # P,2
        found.append(np.concatenate([corner, corner + side], axis=1))
    return np.concatenate(found)


def _checked(scales: Sequence[float]) -> tuple[float, ...]:
    """Return the scales, which may come as an array."""
    if isinstance(scales, str) or not hasattr(scales, "__iter__"):
        raise FeaturesError(f"scales must be numbers; expected a list of them, got {scales!r}")
    found = tuple(scales)
    if not found:
        raise FeaturesError("scales must be numbers; expected at least one, got none")
    for scale in found:
        check_number("scales", scale, "each at least 1", lambda value: 1 <= value < math.inf)
    return found


def _count(length: int, side: int, stride: float) -> int:
    """How many patches lie along a length, no further apart than the stride."""
    return 1 + math.ceil((length - side) / stride)


def _starts(length: int, side: int, count: int) -> NDArray[np.int64]:
    return np.linspace(0, length - side, count).round().astype(np.int64)
