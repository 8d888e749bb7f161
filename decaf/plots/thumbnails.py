"""Photos at their places without covering each other: who comes first gets the place.

A photo is drawn as a square of equal size around its point, where no photo was drawn that it
would touch; its point stays a dot where there is no room, or it cannot be opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from decaf.errors import DecafError
from decaf.image import load_image

PIXELS = 96  # side of a thumbnail


def lay_out(
    places: NDArray[np.floating],
    side: float,
    picture: Callable[[int], NDArray[np.uint8] | None],
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield number and picture of each point that has room for a square.

    Parameters
    ----------
    places : ndarray
        (N, 2) centres.
    side : float
        Of the square, in the units of `places`.
    picture : function
        Gives the picture of point i, or None; asked only where there is room.
    """
    taken: dict[tuple[int, int], list[NDArray[np.floating]]] = {}  # by cell of that side
    for i, place in enumerate(places):
        column, row = (int(value) for value in np.floor(place / side))
        near = (
            other
            for x in (column - 1, column, column + 1)
            for y in (row - 1, row, row + 1)
            for other in taken.get((x, y), ())
        )
        if any(np.abs(place - other).max() < side for other in near):
            continue
        image = picture(i)
        if image is not None:
            taken.setdefault((column, row), []).append(place)
            yield i, image


def thumbnail(path: str) -> NDArray[np.uint8] | None:
    """Return the middle square of a photo, 96×96 RGB; None if it cannot be opened."""
    from PIL import Image, ImageOps

    from decaf.features.sources import open_photo

    try:
        with open_photo(path) as photo:
            pixels = load_image(photo, name=path)
    except DecafError:
        return None
    image = ImageOps.fit(Image.fromarray(pixels), (PIXELS, PIXELS))
    return np.asarray(image)
