"""What can go wrong, as types.

Every error of the package is a :class:`DecafError`.  A message has three parts and names
the photo, the file or the layer: what must hold, what was expected, what came, as in
``conv1: weight must be O,C/G,KH,KW; expected (96, 3, 11, 11), got (96, 3, 5, 5)``.
"""

from __future__ import annotations


class DecafError(Exception):
    """Base class of every error that decaf raises on purpose."""


class WeightsError(DecafError):
    """A weights file cannot be used: unreadable, malformed, or not for this architecture."""


class ImageError(DecafError, ValueError):
    """A photo, or a preprocessing recipe, cannot be used."""


class ShapeError(DecafError, ValueError):
    """An array has the wrong shape or dtype for the layer that was to take it."""


class ArchitectureError(DecafError, ValueError):
    """A network, or one layer of it, is described in a way that cannot be built."""


class FeaturesError(DecafError):
    """Features, or an index of them, cannot be used or written, or photos for them not be found."""
