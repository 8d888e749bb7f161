"""Pictures as parts of a page: drawn ones as SVG, photos as small JPEG, both as data: addresses."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from decaf.errors import DecafError
from decaf.features.sources import open_photo
from decaf.image import load_image
from decaf.plots.saving import as_svg

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

LONGEST = 320  # pixels of a photo's longer side: sharp also where a pixel of the page has four
QUALITY = 80  # of JPEG
DPI = 144  # of what is no line in a drawn picture


def drawn(draw: Callable[[], Figure]) -> str:
    """Draw a picture and return its address.

    It is drawn with the settings with which matplotlib comes, but the user's fonts, so that the
    same picture has the same bytes.
    """
    return _address("image/svg+xml", as_svg(draw, DPI))


def photo(path: str, max_pixels: int) -> str | None:
    """Return the address of a small picture of a photo; None where it cannot be opened."""
    from PIL import Image

    try:
        with open_photo(path) as opened:
            pixels = load_image(opened, max_pixels=max_pixels, name=path)
    except DecafError:
        return None
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST, LONGEST))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=QUALITY, optimize=True)
    return _address("image/jpeg", data.getvalue())


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
