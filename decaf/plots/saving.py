"""A picture as bytes: the same picture always in the same bytes, whatever the user's settings."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What matplotlib would write into a picture by itself: its version, and the date.
METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Creator": None, "Date": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}
SALT = {"svg.hashsalt": "decaf"}  # or names in an SVG would be random


def own_style() -> AbstractContextManager[None]:
    """Return the settings with which matplotlib comes, but the user's fonts; to draw within."""
    import matplotlib
    import matplotlib.style

    given = matplotlib.rcParams
    fonts: dict[str, Any] = {k: given[k] for k in given if k.startswith("font.")}
    del fonts["font.size"]  # every text has its own
    style: AbstractContextManager[None] = matplotlib.style.context(["default", fonts, SALT])
    return style


def encoded(figure: Figure, suffix: str, dpi: int) -> memoryview:
    """Return a picture as the bytes of a .png, .svg or .pdf file; within `own_style`."""
    data = io.BytesIO()
    figure.savefig(data, format=suffix[1:], dpi=dpi, metadata=METADATA[suffix])
    return data.getbuffer()


def as_svg(draw: Callable[[], Figure], dpi: int) -> bytes:
    """Draw a picture and return it as SVG."""
    with own_style():
        return bytes(encoded(draw(), ".svg", dpi))
