"""The patches of many photos as pictures for the network, and what the network makes of them.

The network sees a patch whole.  A recipe such as "squash to 256x256, centre crop 227x227" would
cut its edges off; so the patch is resized to 227x227 at once, and laid into the middle of a
picture of 256x256, from which the recipe crops exactly the patch.

Photos are read one after the other, each once, and forgotten after their last patch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from decaf.errors import ImageError
from decaf.features.pipeline import BATCH_SIZE, Openable, compute, widths
from decaf.features.views import View, Views
from decaf.image import Photo, Preprocessing, describe, load_rgb
from decaf.net import DecafNet
from decaf.transfer.midlevel.options import check_list

if TYPE_CHECKING:
    from PIL import Image

Array = NDArray[np.float32]


class Given:
    """A photo as ``DecafNet`` takes it, to be opened by the pipeline; `path` is its name."""

    def __init__(self, photo: Photo) -> None:
        # An open file can be read only once, and each photo is read twice: for its size, too.
        self._photo = photo.read() if hasattr(photo, "read") else photo
        self.path = describe(photo)

    def open(self) -> AbstractContextManager[Photo]:
        """Give the photo."""
        return self._open()

    @contextmanager
    def _open(self) -> Iterator[Photo]:
        yield self._photo


def openable(photo: Photo | Openable) -> Openable:
    """Return what the pipeline can open: the photo itself if it is such, as ``Source`` is."""
    if hasattr(photo, "open") and hasattr(photo, "path"):
        return cast(Openable, photo)
    return Given(photo)


def openables(photos: Any) -> list[Openable]:
    """Return each of many photos as `openable` does; one photo alone is a FeaturesError."""
    check_list("photos", photos)
    return [openable(photo) for photo in photos]


def size_of(photo: Openable, max_pixels: int) -> tuple[int, int]:
    """Return width and height of the upright photo.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    with photo.open() as opened:
        rgb = load_rgb(opened, max_pixels=max_pixels, name=photo.path)
    if isinstance(rgb, np.ndarray):
        return rgb.shape[1], rgb.shape[0]
    return rgb.width, rgb.height


def seen_whole(image: Image.Image, *, box: Sequence[float], recipe: Preprocessing) -> Image.Image:
    """Return a picture of which the recipe's centre crop is the part of the image in the box.

    Parameters
    ----------
    image : PIL.Image
        RGB.
    box : sequence of float
        Left, top, right, bottom in its pixels.
    recipe : Preprocessing
        The network's; a box of another shape than its crop is squashed to it.

    Returns
    -------
    PIL.Image
        Of the size to which the recipe resizes, so that nothing is resized a second time.
    """
    from PIL import Image

    h, w = recipe.crop
    whole_h, whole_w = (
        (recipe.resize, recipe.resize) if isinstance(recipe.resize, int) else recipe.resize
    )
    method = Image.Resampling[recipe.interpolation.upper()]
    left, top, right, bottom = map(float, box)
    patch = image.resize((w, h), method, (left, top, right, bottom))
    picture = Image.new("RGB", (whole_w, whole_h))
    picture.paste(patch, (round((whole_w - w) / 2), round((whole_h - h) / 2)))  # to even, as cut
    return picture


class Pictures(Sequence[View]):
    """The patches of all photos, those of a photo in a row; to be read once, in order.

    Parameters
    ----------
    photos : sequence of Openable
        N photos.
    boxes : sequence of ndarray
        N of them, each (P, 4): the patches of a photo; P may be 0.
    recipe, max_pixels
        Those of the network.
    """

    def __init__(
        self,
        photos: Sequence[Openable],
        boxes: Sequence[NDArray[np.int64]],
        recipe: Preprocessing,
        max_pixels: int,
    ) -> None:
        self._photos, self._boxes, self._recipe = photos, boxes, recipe
        self._max_pixels = max_pixels
        self.ends = np.cumsum([len(each) for each in boxes])  # N
        self._last: tuple[int, Views] | None = None

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    @overload
    def __getitem__(self, index: int) -> View: ...
    @overload
    def __getitem__(self, index: slice) -> list[View]: ...
    def __getitem__(self, index: int | slice) -> View | list[View]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        photo = int(np.searchsorted(self.ends, index, side="right"))
        if self._last is None or self._last[0] != photo:
            makers = [
                partial(seen_whole, box=box, recipe=self._recipe)
                for box in self._boxes[photo].tolist()
            ]
            self._last = photo, Views([self._photos[photo]], makers, self._max_pixels)
        return self._last[1][index - int(self.ends[photo]) + len(self._boxes[photo])]


def patch_features(
    net: DecafNet,
    photos: Sequence[Openable],
    boxes: Sequence[NDArray[np.int64]],
    layer: str,
    *,
    pooling: str | None = None,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
) -> Iterator[Array]:
    """Yield the features of each photo's patches, photo after photo.

    Parameters
    ----------
    net, layer, pooling, batch_size, workers
        As for ``decaf.features.pipeline.compute``.
    photos : sequence of Openable
        N photos.
    boxes : sequence of ndarray
        N of them, each (P, 4).

    Yields
    ------
    ndarray
        (P, D) float32.

    Raises
    ------
    ImageError
        If a photo cannot be read.
    FeaturesError, ArchitectureError, ShapeError
        As ``compute`` raises them.
    """
    width = widths(net, [layer], pooling)[layer]
    pictures = Pictures(photos, boxes, net.preprocessing, net.max_pixels)
    blocks = compute(
        net, pictures, [layer], pooling=pooling, batch_size=batch_size, workers=workers
    )
    with closing(blocks):
        rest = np.empty((0, width), np.float32)
        for photo, wanted in enumerate(boxes):
            parts, missing = [rest], len(wanted) - len(rest)
            while missing > 0:
                block = next(blocks)
                for reason in block.failed.values():
                    raise ImageError(f"{photos[photo].path}: {reason}")
                parts.append(block.values[layer])
                missing -= block.count
            rows = np.concatenate(parts)
            yield rows[: len(wanted)]
            rest = rows[len(wanted) :]
