"""Several pictures of each photo, as photos of their own: read once, looked at many times.

    photos (N) x makers (V)  ->  N V pictures, those of a photo in a row

A maker takes the upright RGB photo and returns another picture of it: a crop, a turned or a
mirrored one.  The pipeline reads the pictures as it reads any photos, so all that holds there
holds here.  A photo is decoded when the first of its pictures is asked for, and forgotten when
the last one was given; one that cannot be read fails in each of them, with one reason.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias, overload

import numpy as np

from decaf.errors import ImageError
from decaf.features.naming import shown
from decaf.features.pipeline import Openable
from decaf.image import MAX_PIXELS, Photo, load_rgb

if TYPE_CHECKING:
    from PIL import Image

Maker: TypeAlias = "Callable[[Image.Image], Image.Image]"


class _Decoded:
    """A photo that several pictures are made of; decoded once, by whoever comes first."""

    def __init__(self, photo: Openable, uses: int, max_pixels: int) -> None:
        self.path = photo.path
        self._photo: Openable | None = photo
        self._left = uses
        self._max_pixels = max_pixels
        self._lock = threading.Lock()
        self._rgb: Image.Image | None = None
        self._wrong: ImageError | None = None

    def use(self) -> Image.Image:
        """Return the photo; may be called as often as was said, in any thread."""
        with self._lock:
            self._left -= 1
            if self._photo is not None:
                self._decode(self._photo)
            rgb = self._rgb
            if self._left == 0:
                self._rgb = None
        if rgb is None:
            raise self._wrong or ImageError(f"{shown(self.path)}: was looked at too often")
        return rgb

    def _decode(self, photo: Openable) -> None:
        from PIL import Image

        self._photo = None
        try:
            with photo.open() as opened:
                rgb = load_rgb(opened, max_pixels=self._max_pixels, name=shown(self.path))
        except ImageError as error:
            self._wrong = error
        else:
            # Pixels alone, now: what a file says of its orientation was obeyed already.
            self._rgb = Image.fromarray(np.asarray(rgb))


class View:
    """One picture of a photo; an ``Openable``, to be opened once."""

    def __init__(self, decoded: _Decoded, make: Maker) -> None:
        self._decoded, self._make = decoded, make

    @property
    def path(self) -> str:
        """That of the photo."""
        return self._decoded.path

    @contextmanager
    def open(self) -> Iterator[Photo]:
        """Give the picture."""
        yield self._make(self._decoded.use())


class Views(Sequence[View]):
    """The pictures of all photos, those of a photo in a row.

    Parameters
    ----------
    photos : sequence of Openable
        N photos.
    makers : sequence of callable
        V of them, each ``PIL.Image`` (RGB, upright) -> ``PIL.Image`` (RGB); called in any thread;
        must not change what they are given.
    max_pixels : int
        As for ``DecafNet``.

    Notes
    -----
    Each picture is to be read once, in order, as the pipeline does; a second pass begins anew.
    """

    def __init__(
        self, photos: Sequence[Openable], makers: Sequence[Maker], max_pixels: int = MAX_PIXELS
    ) -> None:
        self._photos, self._makers, self._max_pixels = photos, tuple(makers), max_pixels
        self._last: tuple[int, _Decoded] | None = None

    def __len__(self) -> int:
        return len(self._photos) * len(self._makers)

    @overload
    def __getitem__(self, index: int) -> View: ...
    @overload
    def __getitem__(self, index: slice) -> list[View]: ...
    def __getitem__(self, index: int | slice) -> View | list[View]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        photo, maker = divmod(range(len(self))[index], len(self._makers))
        if self._last is None or self._last[0] != photo or maker == 0:
            uses = len(self._makers) - maker
            self._last = photo, _Decoded(self._photos[photo], uses, self._max_pixels)
        return View(self._last[1], self._makers[maker])
