"""One photo or several?  And what an error calls each of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeAlias

from decaf.image import Photo, describe

Photos: TypeAlias = "Photo | Iterable[Photo]"
Named: TypeAlias = tuple[Photo, str]  # a photo, and what an error calls it


def is_single(images: Any) -> bool:
    """Return whether this is one photo, and not a list of them.

    An array with N in front is a list, and so is an array or a column of paths.  An open file
    is one photo, though Python would iterate over its lines; and bytes are one photo, though
    a memoryview has axes too.
    """
    if (
        isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike))
        or hasattr(images, "read")
        or not isinstance(images, Iterable)
    ):
        return True
    ndim = getattr(images, "ndim", None)
    kind = getattr(getattr(images, "dtype", None), "kind", None)  # only NumPy's dtypes have one
    return not (ndim is None or ndim == 4 or (ndim == 1 and kind in ("O", "U", "S")))


def each(images: Any) -> Iterator[Named]:
    """Yield the photos, named by themselves alone: ``holiday.jpg``."""
    for photo in (images,) if is_single(images) else images:
        yield photo, describe(photo)


def numbered(images: Any) -> Iterator[Named]:
    """Yield the photos; of several with their numbers: ``photo 3 of 10 (holiday.jpg)``."""
    if is_single(images):
        yield from each(images)
        return
    of = f" of {len(images)}" if isinstance(images, Sized) else ""
    for number, (photo, name) in enumerate(each(images), 1):
        yield photo, f"photo {number}{of} ({name})"
