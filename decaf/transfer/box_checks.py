"""What must hold for boxes, before anything is computed of them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from decaf.errors import FeaturesError

Box: TypeAlias = "tuple[float, float, float, float]"


def check_box(box: Any, width: float, height: float, what: str = "box") -> Box:
    """Return a box as four floats.

    Parameters
    ----------
    box : sequence of float
        ``(left, top, right, bottom)``.
    width, height : float
        Of the photo, in pixels.
    what : str
        What errors call the box.

    Raises
    ------
    FeaturesError
        If it is not four finite numbers, ends before it starts, is less than a pixel wide or
        high, or is not within the photo.
    """
    left, top, right, bottom = _four(box, what)
    if not (left >= 0 and right <= width and top >= 0 and bottom <= height):
        raise FeaturesError(
            f"{what} must lie within its photo; expected 0 to {width:g} across and 0 to "
            f"{height:g} down, got {_shown(box)}"
        )
    return left, top, right, bottom


def check_boxes(boxes: Any, photo: str) -> None:
    """Check all that can be checked of a photo's boxes before it is decoded.

    Raises
    ------
    FeaturesError
        If they are no list, or one is no box.
    """
    if isinstance(boxes, (str, bytes)) or not hasattr(boxes, "__len__"):
        raise FeaturesError(
            f"{photo}: boxes must be a list of (left, top, right, bottom); got {_shown(boxes)}"
        )
    for n, box in enumerate(boxes):
        _four(box, f"{photo}: box {n}")


def _four(box: Any, what: str) -> Box:
    try:
        values = np.asarray(box, np.float64)
    except (TypeError, ValueError, OverflowError):
        values = np.empty(0)
    if values.shape != (4,) or not np.isfinite(values).all():
        raise FeaturesError(
            f"{what} must be four finite numbers; expected (left, top, right, bottom), "
            f"got {_shown(box)}"
        )
    left, top, right, bottom = values.tolist()
    if right - left < 1 or bottom - top < 1:
        raise FeaturesError(
            f"{what} must have an area; expected right and bottom at least 1 more than left and "
            f"top, got {_shown(box)}"
        )
    return left, top, right, bottom


def _shown(value: Any) -> str:
    text = " ".join(repr(value.tolist() if isinstance(value, np.ndarray) else value).split())
    return text if len(text) <= 100 else f"{text[:100]}..."
